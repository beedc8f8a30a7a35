"""Build the project's images, and print what to pin them by.

    python images/build.py                                     # all four
    python images/build.py agent0-python sandbox --push        # two of them, to the registry
    python images/build.py agent0-python --base-image registry.lab/python:3.11 --build-arg PIP_INDEX_URL=...

A pushed image is printed as NAME@sha256:..., which `agent0 pipeline compile --image` takes. An image that was not
pushed has no such digest; its local id is printed instead. Standard library only: it runs before anything is installed.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAMES = {
    "agent0-python": "agent0-python",
    "agent0-gpu": "agent0-gpu",
    "sandbox": "agent0-sandbox",
    "mlflow": "agent0-mlflow",
}
"""Folder under images/, and the name of its image."""


def version_of(folder: str) -> str:
    """Return the tag of an image: our version, or that of the MLflow inside."""
    if folder == "mlflow":
        text = (ROOT / "images" / folder / "requirements.txt").read_text(encoding="utf-8")
        return re.search(r"^mlflow==(\S+)$", text, re.MULTILINE)[1]  # type: ignore[index]
    version: str = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    return version


def commit() -> str:
    """Return the commit that is checked out, with '-dirty' where the tree differs from it; 'unknown' without git."""
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
        status = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("-dirty" if status.stdout.strip() else "")


def build_command(folder: str, reference: str, options: argparse.Namespace) -> list[str]:
    """Return the command that builds one image from the repository's root."""
    arguments = {
        "AGENT0_VERSION": version_of(folder),
        "AGENT0_COMMIT": options.commit,
        **({"BASE_IMAGE": options.base_image} if options.base_image else {}),
        **dict(item.split("=", 1) for item in options.build_arg),
    }
    command = [options.docker, "build", "--file", f"images/{folder}/Dockerfile", "--tag", reference]
    if options.network:
        command += ["--network", options.network]
    return [*command, *(part for item in arguments.items() for part in ("--build-arg", "=".join(item))), "."]


def build(folder: str, options: argparse.Namespace) -> tuple[str, str, float, float]:
    """Build, and push if asked to; return what to pin, whether it is pushed, gigabytes and seconds."""
    reference = f"{options.registry}/{NAMES[folder]}:{options.tag or version_of(folder)}"
    began = time.monotonic()
    subprocess.run(build_command(folder, reference, options), cwd=ROOT, check=True)
    if options.push:
        subprocess.run([options.docker, "push", reference], check=True)
    inspected = subprocess.run([options.docker, "image", "inspect", reference], capture_output=True, check=True)
    found = json.loads(inspected.stdout)[0]
    name = reference.rsplit(":", 1)[0]
    digests = [item for item in found.get("RepoDigests") or [] if item.startswith(f"{name}@")]
    pinned = digests[0] if options.push and digests else f"{reference} {found['Id']}"
    return pinned, "pushed" if options.push else "local", found["Size"] / 1e9, time.monotonic() - began


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="*", metavar="IMAGE", help=f"{', '.join(NAMES)}; all if none is named")
    parser.add_argument("--registry", default="ghcr.io/agent0", help="registry and organisation (%(default)s)")
    parser.add_argument("--tag", help="tag; else the version")
    parser.add_argument("--base-image", help="image with Python 3.11 to build on; else the Dockerfile's")
    parser.add_argument("--build-arg", action="append", default=[], metavar="NAME=VALUE", help="as docker build has it")
    parser.add_argument("--network", help="as docker build has it")
    parser.add_argument("--push", action="store_true", help="push, and print the registry's digests")
    parser.add_argument("--docker", default="docker", help="the client: docker, podman (%(default)s)")
    parser.add_argument("--commit", default=commit(), help="what the labels say; else the commit checked out")
    options = parser.parse_args(arguments)
    for folder in options.images:
        if folder not in NAMES:
            parser.error(f"there is no image {folder!r}; there are {', '.join(NAMES)}")
    for item in options.build_arg:
        if "=" not in item:
            parser.error(f"--build-arg takes NAME=VALUE, not {item!r}")
    if options.push and options.commit.endswith("-dirty"):
        parser.error("the working tree differs from its commit; commit first, so that a pushed image can be traced")
    return options


def main(arguments: list[str]) -> int:
    """Build what is asked for; 1 where docker fails, after saying which image."""
    options = parse(arguments)
    rows = []
    for folder in options.images or list(NAMES):
        try:
            rows.append((folder, *build(folder, options)))
        except (subprocess.CalledProcessError, FileNotFoundError) as error:
            print(f"build.py: {folder}: {error}", file=sys.stderr)
            return 1
    for folder, pinned, where, gigabytes, seconds in rows:
        print(f"{folder:14} {gigabytes:6.2f} GB {seconds:6.0f} s  {where:6}  {pinned}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
