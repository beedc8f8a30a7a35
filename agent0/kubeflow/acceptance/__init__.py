"""What a Kubeflow server, its driver, Argo and Kubernetes accept, known before anything is sent to them.

A compiled pipeline is resolved as the driver resolves it, each task's pod is rendered as Argo makes it, and small named
rules look at both. The rules follow the sources of Kubeflow Pipelines 2.16.1 and 2.17.0, Argo Workflows 3.7.3 and 4.0.5
and Kubernetes' own schemas. What they leave out: whether the objects that a pod names are there, which `agent0 doctor
--cluster` looks up, and what an administrator's webhooks refuse.
"""

from agent0.kubeflow.acceptance.check import Checked, check_package
from agent0.kubeflow.acceptance.releases import RELEASES, Release, release_named, release_of
from agent0.kubeflow.acceptance.rule_finding import Finding

__all__ = ["RELEASES", "Checked", "Finding", "Release", "check_package", "release_named", "release_of"]
