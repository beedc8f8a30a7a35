"""The CPU image, really built, and an evolution's first iteration, really run in it: `make test-docker`.

Needs root, Debian's docker.io and mmdebstrap, and 25 GB of disk; takes about six minutes on a quiet machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from short_evolution import SHORT, agent0, arguments_of

from tests.images.docker_daemon import COMMIT, client, restricted, run

pytestmark = [pytest.mark.docker, pytest.mark.timeout(3600)]

IMAGE = "agent0-python"
IMAGE_USER = 10001


def test_the_image_is_what_its_recipe_promises(image: str, environment: dict[str, str]) -> None:
    (found,) = json.loads(run([client(), "image", "inspect", image], env=environment))
    assert found["Config"]["User"] == f"{IMAGE_USER}:{IMAGE_USER}"
    assert not found["Config"]["Entrypoint"]
    assert found["Config"]["Labels"]["org.opencontainers.image.revision"] == COMMIT
    assert not [item for item in found["Config"]["Env"] if item.startswith("PIP_FIND_LINKS")]
    cuda = run(restricted(image, "python", "-c", "import torch; print(torch.version.cuda)"), env=environment)
    assert found["Size"] < (4e9 if cuda.strip() == "None" else 8e9)  # whichever torch this machine's pip finds


def test_its_sandbox_is_strict_in_a_restricted_container(image: str, environment: dict[str, str]) -> None:
    assert "Policy 'strict' is met." in run(restricted(image, "agent0", "sandbox", "check"), env=environment)


def test_the_first_iteration_runs_under_the_docker_runner(
    image: str, environment: dict[str, str], tmp_path: Path
) -> None:
    pipeline, root = tmp_path / "evolution.yaml", tmp_path / "root"
    root.mkdir()
    root.chmod(0o777)
    for folder in tmp_path.parents:  # pytest's folders are closed to other users, such as the image's
        if folder.is_relative_to(tempfile.gettempdir()) and folder != Path(tempfile.gettempdir()):
            folder.chmod(0o755)
    compiled = ["pipeline", "compile", "evolution", "--iterations", "1", "-O", "retries=0", "--image", image]
    run(agent0(*compiled, *arguments_of(SHORT), "--output", str(pipeline)))
    script = Path(__file__).with_name("run_in_docker.py")
    done = subprocess.run(
        [sys.executable, str(script), str(pipeline), str(root), image],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
    (history,) = root.glob("*/iteration-report/*/history.json")
    record = json.loads(history.read_text(encoding="utf-8"))
    assert [item["iteration"] for item in record["iterations"]] == [0, 1]
    assert record["code_version"].endswith(f".g{COMMIT[:12]}")
    assert history.with_name("report.html").is_file()
    assert os.stat(history).st_uid == IMAGE_USER  # noqa: PTH116 - the owner, not the file
    assert (root / "mlflow.db").stat().st_size > 0
