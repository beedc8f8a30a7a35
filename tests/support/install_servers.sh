#!/usr/bin/env bash
# Installs the servers of the integration tests: OpenStack Swift into the virtual environment named as the argument, the
# others as Debian packages if we are root on Debian. What cannot be had is named; the tests that need it skip.
set -uo pipefail
environment=$1
packages=(postgresql radosgw ceph-mon ceph-osd ceph-common chromium)

if [ ! -x "$environment/bin/swift-proxy-server" ] || [ ! -x "$environment/bin/aws" ]; then
  { "${PYTHON:-python3}" -m venv "$environment" &&
    "$environment/bin/python" -m pip install --quiet 'setuptools<81' swift==2.38.3 awscli; } ||
    echo "OpenStack Swift cannot be installed here; its tests are skipped."
fi

missing=()
for package in "${packages[@]}"; do
  dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "Missing, and only root can install them on Debian: ${missing[*]}. The tests that need them are skipped."
  else
    echo "Installing ${missing[*]} (under a minute) ..."
    # In run level 1 a package does not start its service; the tests start their own.
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
    log=$(mktemp)
    { apt-get update && apt-get install --yes --no-install-recommends "${missing[@]}"; } >"$log" 2>&1 ||
      { tail -n 20 "$log"; echo "Not all could be installed; the tests that need the rest are skipped."; }
    rm -f "$log"
  fi
fi
exit 0
