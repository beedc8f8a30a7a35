"""Run a compiled pipeline with Kubeflow's Docker runner: run_in_docker.py PIPELINE.yaml ROOT.

A process of its own, because the runner reads the daemon's address from the environment and kfp.local keeps its
settings for the whole process. Containers run as the image's own user, without a network, without a capability and
with a read-only root, as a restricted pod does.
"""

import os
import sys

from kfp import components, local

pipeline, root = sys.argv[1:]
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
components.load_component_from_file(pipeline)()
