#!/usr/bin/env bash
# Builds a Kubernetes API server into the folder named as the argument, from the modules that Kubernetes publishes, and puts
# the custom resources of Kubeflow Trainer and Kueue beside it; installs etcd as a Debian package if we are root. What cannot
# be had is named; the tests that need it skip. A build takes some minutes; there is nothing to do once it is there.
set -uo pipefail
folder=$(realpath -m "$1")
kubernetes=1.34.2 # k8s.io/* have the same release as 0.34.2
trainer=github.com/kubeflow/trainer/v2@v2.3.0
kueue=sigs.k8s.io/kueue@v0.17.0
export GOFLAGS=-mod=mod GOTOOLCHAIN=local

give_up() {
  echo "$1 The tests against Kubernetes are skipped."
  exit 0
}

field() { "${PYTHON:-python3}" -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

if ! command -v etcd >/dev/null; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    give_up "etcd is missing, and only root can install it on Debian."
  fi
  export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 # in run level 1 a package does not start its service
  log=$(mktemp)
  { apt-get update && apt-get install --yes --no-install-recommends etcd-server; } >"$log" 2>&1 ||
    { tail -n 20 "$log" && give_up "etcd cannot be installed."; }
  rm -f "$log"
fi
command -v kubectl >/dev/null || give_up "kubectl is missing."

if [ ! -x "$folder/kube-apiserver" ]; then
  command -v go >/dev/null || give_up "go is missing, so no API server can be built."
  echo "Building Kubernetes' API server $kubernetes into $folder (seven minutes of processor time) ..."
  source=$(mktemp -d)
  trap 'rm -rf "$source"' EXIT
  cd "$source" || exit 1
  module=$(go mod download -json "k8s.io/kubernetes@v$kubernetes") || give_up "Kubernetes' modules cannot be had."
  # Kubernetes takes its own parts from its tree; from outside they are modules of the same release.
  parts=$(grep -oE '^\s+k8s\.io/[a-z-]+ v0\.0\.0$' "$(field GoMod <<<"$module")" | awk '{print $1}')
  {
    printf 'module agent0.dev/kubernetes\n\ngo 1.24.0\n\nrequire k8s.io/kubernetes v%s\n\nreplace (\n' "$kubernetes"
    for part in $parts; do printf '\t%s => %s v0.%s\n' "$part" "$part" "${kubernetes#1.}"; done
    printf ')\n'
  } >go.mod
  mkdir -p "$folder"
  go build -trimpath -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=v$kubernetes" \
    -o "$folder/kube-apiserver" k8s.io/kubernetes/cmd/kube-apiserver || give_up "The API server does not build here."
fi

if [ ! -d "$folder/crds" ] && cd /; then
  trainer=$(go mod download -json "$trainer" | field Dir) && kueue=$(go mod download -json "$kueue" | field Dir) ||
    give_up "The modules of Kubeflow Trainer and Kueue cannot be had."
  mkdir -p "$folder/crds"
  cp "$trainer"/manifests/base/crds/trainer.kubeflow.org_{trainjobs,clustertrainingruntimes}.yaml "$folder/crds"
  cp "$kueue"/config/components/crd/bases/kueue.x-k8s.io_localqueues.yaml "$folder/crds"
  chmod u+w "$folder"/crds/*
fi
exit 0
