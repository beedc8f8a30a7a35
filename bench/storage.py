"""Transfers to a real S3 server on this machine, side by side: ours, a plain boto3 loop, and `aws s3 cp --recursive`.

The server is OpenStack Swift from `.venv-swift` (`make test-integration` makes it), which also holds the AWS command
line. Each transfer is a process of its own: its wall time counts from start to end, its peak memory is its own. The
contenders take turns, and a ratio is the median over the rounds of (the other's time) / (our time) of the same round.
Ours alone checks every byte against sha256; at the end stored objects are damaged in many ways, each of which `get`
has to find. `--full` takes the large folder of 1 GiB; `--check` exits with 1 when a bar is missed. On one machine the
server shares the processors with its client, so absolute rates say little.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "support"))
BUCKET = "benchmark"
MEBIBYTE = 1 << 20
# Least ratio by (whether it is a single large file, contender). The plain loop has no bar for a single file: without a
# network between, one request in one piece is the fastest there is, and it leaves nothing to resume.
BARS = {(False, "aws s3 cp"): 0.9, (True, "aws s3 cp"): 0.9, (False, "boto3 loop"): 1.0}
MOST_MEMORY_MIB = 256
DAMAGES = 100

OURS = """
import sys
from pathlib import Path
from agent0.storage import transfer
action, folder, uri = sys.argv[1:]
transfer.put(Path(folder), uri) if action == "up" else transfer.get(uri, Path(folder))
"""
LOOP = """
import sys
from pathlib import Path
import boto3
from botocore.config import Config
client = boto3.client("s3", config=Config(s3={"addressing_style": "path"}))
action, folder, uri = sys.argv[1:]
bucket, prefix = uri.removeprefix("s3://").split("/", 1)
if action == "up":
    for path in sorted(Path(folder).rglob("*")):
        if path.is_file():
            client.put_object(Bucket=bucket, Key=f"{prefix}/{path.relative_to(folder)}", Body=path.read_bytes())
else:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix + "/"):
        for item in page["Contents"]:
            path = Path(folder) / item["Key"].removeprefix(prefix + "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                for block in client.get_object(Bucket=bucket, Key=item["Key"])["Body"].iter_chunks(1 << 20):
                    file.write(block)
"""


@dataclass(frozen=True)
class Measured:
    """Wall seconds, processor seconds and peak MiB of one transfer."""

    seconds: float
    processor: float
    memory: float


def commands(aws: Path | None) -> dict[str, list[str]]:
    """Return how each contender is started; action, folder and URI follow."""
    result = {"ours": [sys.executable, "-c", OURS], "boto3 loop": [sys.executable, "-c", LOOP]}
    return {**result, "aws s3 cp": [str(aws)]} if aws else result


def measure(command: list[str], action: str, folder: Path, uri: str) -> Measured:
    """Run one transfer in a process of its own."""
    if Path(command[0]).name == "aws":
        ends = [str(folder), uri] if action == "up" else [uri, str(folder)]
        command = [*command, "s3", "cp", "--recursive", "--quiet", *ends]
    else:
        command = [*command, action, str(folder), uri]
    begin = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begin
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command[:1])} failed with {process.returncode} ({action} {uri})")
    return Measured(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def make_files(folder: Path, count: int, size: int) -> Path:
    """Write `count` files of `size` random bytes; little at a time, since a child's peak memory begins with ours."""
    folder.mkdir()
    for index in range(count):
        with (folder / f"{index:04d}.bin").open("wb") as file:
            for start in range(0, size, MEBIBYTE):
                file.write(os.urandom(min(MEBIBYTE, size - start)))
    return folder


def same(first: Path, second: Path) -> bool:
    """Say whether two folders hold the same files."""
    names = [sorted(path.name for path in folder.iterdir()) for folder in (first, second)]
    return names[0] == names[1] and all(filecmp.cmp(first / n, second / n, shallow=False) for n in names[0])


def compare(load: Path, starts: dict[str, list[str]], rounds: int) -> dict[tuple[str, str], list[Measured]]:
    """Send and fetch the folder `load` with each contender in turn, `rounds` times."""
    found: dict[tuple[str, str], list[Measured]] = {}
    for number in range(rounds):
        for name, command in starts.items():
            uri = f"s3://{BUCKET}/{load.name}-{name.replace(' ', '-')}-{number}"
            back = load.with_name(f"{load.name}-back")
            found.setdefault(("up", name), []).append(measure(command, "up", load, uri))
            found.setdefault(("down", name), []).append(measure(command, "down", back, uri))
            if not same(load, back):
                raise SystemExit(f"{name} brought back other files than it sent")
            shutil.rmtree(back)
            subprocess.run(
                [
                    sys.executable,
                    "-c",
                    "import sys; from agent0.storage import transfer; transfer.remove(sys.argv[1])",
                    uri,
                ],
                check=True,
            )
    return found


def damaged(trials: int, folder: Path) -> list[str]:
    """Damage stored objects in every way that a server or another writer could; return the ways that `get` missed."""
    import boto3
    from botocore.config import Config

    from agent0.storage import transfer
    from agent0.storage.uri import StorageError

    client = boto3.client("s3", config=Config(s3={"addressing_style": "path"}))
    source = make_files(folder / "damaged", 6, 300_000)
    transfer.put(source, f"s3://{BUCKET}/damaged")
    chance = random.Random(0)
    names = sorted(path.name for path in source.iterdir())
    undetected = []
    for trial in range(trials):
        name = chance.choice(names)
        right = (source / name).read_bytes()
        other = (source / chance.choice([item for item in names if item != name])).read_bytes()
        way, wrong = chance.choice(damages(right, other, chance))
        kept = client.head_object(Bucket=BUCKET, Key=f"damaged/{name}")["Metadata"]
        client.put_object(Bucket=BUCKET, Key=f"damaged/{name}", Body=wrong, Metadata=kept)
        back = folder / f"damaged-{trial}"
        try:
            transfer.get(f"s3://{BUCKET}/damaged", back)
        except StorageError:
            if back.exists():
                undetected.append(f"{way}: found, but a folder was left")
        else:
            undetected.append(way)
        client.put_object(Bucket=BUCKET, Key=f"damaged/{name}", Body=right, Metadata=kept)
    transfer.get(f"s3://{BUCKET}/damaged", folder / "damaged-not")
    return undetected


def damages(data: bytes, other: bytes, chance: random.Random) -> list[tuple[str, bytes]]:
    """Return what each kind of damage makes of an object."""
    at = chance.randrange(len(data))
    return [
        ("one bit turned", data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]),
        ("cut short", data[:at]),
        ("a byte too many", data + b"\0"),
        ("another file's content", other),
        ("a block of zeros", data[:at] + bytes(min(4096, len(data) - at)) + data[at + 4096 :]),
    ]


def report(loads: dict[str, dict[tuple[str, str], list[Measured]]]) -> list[str]:
    """Print the table and return the bars that were missed."""
    table = Table(
        "load", "way", "contender", "seconds", "ours is faster by", "processor seconds", "peak MiB", title="Storage"
    )
    missed = []
    for load, found in loads.items():
        for (action, name), runs in found.items():
            ours = found[action, "ours"]
            ratio = statistics.median(b.seconds / a.seconds for a, b in zip(ours, runs, strict=True))
            memory = max(run.memory for run in runs)
            seconds = statistics.median(run.seconds for run in runs)
            processor = statistics.median(run.processor for run in runs)
            table.add_row(load, action, name, f"{seconds:.2f}", f"{ratio:.2f} x", f"{processor:.2f}", f"{memory:.0f}")
            bar = BARS.get((load.split(" ")[0] == "1", name), 0.0)
            if ratio < bar:
                missed.append(f"{load}, {action}: {ratio:.2f} x {name}, bar {bar}")
            if name == "ours" and memory > MOST_MEMORY_MIB:
                missed.append(f"{load}, {action}: {memory:.0f} MiB, bar {MOST_MEMORY_MIB}")
    Console().print(table)
    return missed


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("small", "big", "folder"), help="one load instead of all three")
    parser.add_argument("--full", action="store_true", help="a folder of 200 files and 1 GiB instead of 50 and 256 MiB")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a bar is missed")
    arguments = parser.parse_args()
    from servers.swift import SwiftServer, installation

    installed = installation()
    if installed is None:
        print("OpenStack Swift is not installed in .venv-swift; run `make test-integration` first.", file=sys.stderr)
        return 2
    aws = installed / "bin" / "aws"
    starts = commands(aws if aws.is_file() else None)
    count = 200 if arguments.full else 50
    with tempfile.TemporaryDirectory(prefix="agent0-storage-") as scratch:
        folder = Path(scratch)
        server = SwiftServer(folder / "swift", installed)
        os.environ.update(
            AWS_ENDPOINT_URL_S3=server.endpoint,
            AWS_ACCESS_KEY_ID=server.access_key,
            AWS_SECRET_ACCESS_KEY=server.secret_key,
            AWS_DEFAULT_REGION="us-east-1",
            AWS_EC2_METADATA_DISABLED="true",
        )
        server.start()
        try:
            subprocess.run(
                [sys.executable, "-c", f"import boto3; boto3.client('s3').create_bucket(Bucket={BUCKET!r})"], check=True
            )
            loads = {
                "small": ("1,000 x 4 KiB", 1000, 4096),
                "big": ("1 x 256 MiB", 1, 256 * MEBIBYTE),
                "folder": (f"{count} x 5.12 MiB", count, round(5.12 * MEBIBYTE)),
            }
            found = {
                title: compare(make_files(folder / name, files, size), starts, arguments.rounds)
                for name, (title, files, size) in loads.items()
                if arguments.only in (None, name)
            }
            missed = report(found)
            undetected = damaged(DAMAGES, folder)
            print(f"Damaged objects that get found: {DAMAGES - len(undetected)} of {DAMAGES}.")
            missed += [f"not detected: {way}" for way in undetected]
        finally:
            server.stop()
    print("\n".join(missed) or "Every bar is met.")
    return 1 if missed and arguments.check else 0


if __name__ == "__main__":
    raise SystemExit(main())
