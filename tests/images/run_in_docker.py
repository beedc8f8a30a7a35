"""Run a compiled pipeline with Kubeflow's Docker runner: run_in_docker.py PIPELINE.yaml ROOT IMAGE.

A process of its own, because the runner reads the daemon's address from the environment and kfp.local keeps its
settings for the whole process. Containers run as the image's own user, without a network, without a capability and
with a read-only root, as a restricted pod does. The image is a parameter of the run, which the cluster puts in its
place and kfp.local does not, so that is done here.
"""

import os
import sys
from pathlib import Path

from kfp import components, local

PARAMETER = "{{$.inputs.parameters[''pipelinechannel--image'']}}"  # as YAML quotes it

pipeline, root, image = sys.argv[1:]
text = Path(pipeline).read_text(encoding="utf-8")
if PARAMETER not in text:
    raise SystemExit(f"{pipeline} does not take its image as a parameter.")
os.umask(0)  # folders that this process makes are written to by the image's user
local.init(
    runner=local.DockerRunner(
        network_mode="none",
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        read_only=True,
        tmpfs={"/tmp": "exec"},
        environment={
            "MLFLOW_TRACKING_URI": f"sqlite:///{root}/mlflow.db",
            "AGENT0_WORKSPACE": f"{root}/workspace",
            "OMP_NUM_THREADS": "1",
        },
    ),
    pipeline_root=root,
    raise_on_error=True,
)
components.load_component_from_text(text.replace(PARAMETER, image))()
