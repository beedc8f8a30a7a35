"""The pod of a task, as the driver, Argo and Kubernetes make it.

The driver writes a patch (backend/src/v2/driver/driver.go `initPodSpecPatch`, k8s.go `extendPodSpecPatch`), and Argo
merges it into the pod of its template. What an administrator may add is left out: proxies, certificates, users, patches
of the whole workflow. Of a task in a loop it is the pod of the first round.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent0.kubeflow.acceptance.pod_template import MAIN, template_pod
from agent0.kubeflow.acceptance.releases import Release
from agent0.kubeflow.acceptance.resolution import CHANNEL, ResolvedTask, Unknown
from agent0.kubeflow.acceptance.rule_finding import Finding
from agent0.kubeflow.acceptance.schemas import pod_schema

PLUGIN_VARIABLES = (
    "MLFLOW_RUN_ID",
    "MLFLOW_TRACKING_URI",
    "MLFLOW_EXPERIMENT_ID",
    "MLFLOW_WORKSPACE",
    "MLFLOW_TRACKING_AUTH",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
)
"""What a server of 2.17 puts into pods where its MLflow plugin has `injectUserEnvVars` (plugins/mlflow/handler.go)."""
_OBJECT = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
PLACEHOLDER = re.compile(r"\{\{\$\.inputs\.parameters\['(?P<name>[^']+)'\]\}\}")
_KNOWN_SETTINGS = {
    *("pvcMount", "imagePullPolicy", "nodeSelector", "tolerations", "secretAsVolume", "secretAsEnv", "podMetadata"),
    *("configMapAsVolume", "configMapAsEnv", "imagePullSecret", "fieldPathAsEnv", "activeDeadlineSeconds"),
    *("emptyDirMounts", "securityContext"),
}


@dataclass(frozen=True)
class Pod:
    """A task with what is made of it: the driver's patch, and the pod as Kubernetes is asked to make it."""

    task: ResolvedTask
    patch: Mapping[str, Any]
    manifest: Mapping[str, Any]


class PodMaker:
    """Makes the pods of one pipeline's tasks.

    Args:
        platform: the pipeline's settings for platforms, as `Package` holds them.
        release: of the server.
        pipeline: name of the pipeline.
    """

    def __init__(self, platform: Mapping[str, Any], release: Release, pipeline: str) -> None:
        kubernetes = platform.get("platforms", {}).get("kubernetes", {})
        self._settings = kubernetes.get("deploymentSpec", {}).get("executors", {})
        self._schema = pod_schema(release.kubernetes)
        self._pipeline = pipeline
        self.findings: list[Finding] = []

    def make(self, task: ResolvedTask) -> Pod:
        """Return the pod of a task, with the patch that it is made of."""
        settings: Mapping[str, Any] = self._settings.get(task.executor, {})
        metadata, patch = settings.get("podMetadata", {}), self._patch(task, settings)
        step = {"pipelines.kubeflow.org/v2_component": "true"}
        labels = {"workflows.argoproj.io/workflow": "WORKFLOW", "workflows.argoproj.io/completed": "false", **step}
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": re.sub(r"[^a-z0-9-]+", "-", "-".join(task.path).lower())[-63:].strip("-"),
                "labels": {**metadata.get("labels", {}), **labels},
                "annotations": {**metadata.get("annotations", {}), **step},
            },
            "spec": self._schema.merged(template_pod(), patch),
        }
        return Pod(task, patch, manifest)

    def _patch(self, task: ResolvedTask, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the driver's patch; lists are as it writes them, twins included."""
        for name in sorted(set(settings) - _KNOWN_SETTINGS):
            self._say("pods-are-known", task, f"the setting {name} is none that this check renders.", fatal=False)
        mounts, volumes = self._volumes(task, settings)
        container: dict[str, Any] = {
            "name": MAIN,
            "image": self._text(task.container.get("image", ""), task, "image"),
            "command": self._command(task),
            "args": [*task.container.get("command", ()), *task.container.get("args", ())],
            "env": list(self._environment(task, settings)),
            "resources": self._resources(task),
            "volumeMounts": mounts,
        }
        if policy := settings.get("imagePullPolicy"):
            container["imagePullPolicy"] = policy
        if context := settings.get("securityContext"):
            numbers = {key: int(value) for key, value in context.items() if key != "runAsNonRoot"}
            flag = {key: value for key, value in context.items() if key == "runAsNonRoot"}
            container["securityContext"] = {**numbers, **flag, "capabilities": {"drop": ["ALL"]}}
        patch: dict[str, Any] = {"containers": [container], "volumes": volumes}
        patch["tolerations"] = list(self._tolerations(task, settings))
        if selector := self._looked_up(settings.get("nodeSelector", {}).get("nodeSelectorJson"), task, "node selector"):
            patch["nodeSelector"] = selector
        elif labels := settings.get("nodeSelector", {}).get("labels"):
            patch["nodeSelector"] = labels
        secrets = [
            {"name": self._name(item, "secretNameParameter", "secretName", task, "pull secret")}
            for item in settings.get("imagePullSecret", ())
        ]
        if secrets:
            patch["imagePullSecrets"] = secrets
        if seconds := int(settings.get("activeDeadlineSeconds", 0)):
            patch["activeDeadlineSeconds"] = seconds
        return patch

    def _say(self, rule: str, task: ResolvedTask, message: str, *, fatal: bool = True) -> None:
        finding = Finding(rule, task.name, message, fatal)
        if finding not in self.findings:
            self.findings.append(finding)

    def _command(self, task: ResolvedTask) -> list[str]:
        """Return the launcher's command: it carries the task's inputs and its component."""
        inputs = {name: _shown(value) for name, value in task.inputs.items()}
        outputs = task.component.get("outputDefinitions", {})
        folder = f"s3://bucket/runs/{self._pipeline}/RUN/{task.path[-1]}/00000000-0000-4000-8000-000000000000"
        executor_input = {
            "inputs": {
                "parameterValues": inputs,
                "artifacts": {
                    name: {"artifacts": [{"name": "1", "uri": f"{folder}/{name}", **item.get("artifactType", {})}]}
                    for name, item in task.component.get("inputDefinitions", {}).get("artifacts", {}).items()
                },
            },
            "outputs": {
                "parameters": {
                    name: {"outputFile": f"/tmp/kfp/outputs/{name}"} for name in outputs.get("parameters", {})
                },
                "artifacts": {
                    name: {"artifacts": [{"name": name, "uri": f"{folder}/{name}", "type": item.get("artifactType")}]}
                    for name, item in outputs.get("artifacts", {}).items()
                },
                "outputFile": f"/s3/bucket/runs/{self._pipeline}/RUN/{task.path[-1]}/output_metadata.json",
            },
        }
        options = {
            "pipeline_name": self._pipeline,
            "run_id": "00000000-0000-4000-8000-000000000000",
            "execution_id": "1",
            "executor_input": json.dumps(executor_input),
            "component_spec": json.dumps(task.component),
            "pod_name": "$(KFP_POD_NAME)",
            "pod_uid": "$(KFP_POD_UID)",
            "ml_pipeline_server_address": "ml-pipeline.kubeflow.svc.cluster.local",
            "ml_pipeline_server_port": "8887",
            "mlmd_server_address": "metadata-grpc-service.kubeflow.svc.cluster.local",
            "mlmd_server_port": "8080",
            "publish_logs": "true",
        }
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        return ["/kfp-launcher/launch", *flags, "--"]

    def _resources(self, task: ResolvedTask) -> dict[str, dict[str, str]]:
        given = task.container.get("resources", {})
        found: dict[str, dict[str, str]] = {"limits": {}, "requests": {}}
        for kind, side in (("Limit", "limits"), ("Request", "requests")):
            for field, resource in (("Cpu", "cpu"), ("Memory", "memory")):
                place = f"resource{field}{kind}"
                if place in given:
                    found[side][resource] = self._text(given[place], task, f"{resource} {kind.lower()}")
        accelerator = given.get("accelerator", {})
        kind = self._text(accelerator.get("resourceType", accelerator.get("type", "")), task, "accelerator type")
        count = self._text(accelerator.get("resourceCount", accelerator.get("count", "")), task, "accelerator count")
        if kind and count:
            found["limits"][kind] = found["requests"][kind] = count
        return found

    def _text(self, text: str, task: ResolvedTask, what: str) -> str:
        """Resolve a placeholder of an image or a resource; the driver reads texts and takes all else for ''."""
        placeholder = PLACEHOLDER.fullmatch(text)
        if not placeholder:
            return str(text)
        value = task.inputs.get(placeholder["name"], "")
        if isinstance(value, str) or (isinstance(value, Unknown) and value.type in ("", "STRING")):
            return str(value)
        kind = value.type if isinstance(value, Unknown) else f"{type(value).__name__} {value!r}"
        self._say(
            "placeholders-are-strings",
            task,
            f"its {what} is the parameter {placeholder['name'].removeprefix(CHANNEL)}, which is no text "
            f"({kind}); the driver reads only texts there and leaves all else out without a word, so the pod asks "
            "for none. Make the parameter a STRING, or fix the value when compiling.",
        )
        return ""

    def _environment(self, task: ResolvedTask, settings: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        for item in task.container.get("env", ()):
            yield {"name": item["name"], "value": item.get("value", "")}
        sources = (
            ("secretAsEnv", "secretNameParameter", "secretName", "secretKey", "secretKeyRef", "Secret"),
            (
                "configMapAsEnv",
                "configMapNameParameter",
                "configMapName",
                "configMapKey",
                "configMapKeyRef",
                "ConfigMap",
            ),
        )
        for setting, parameter, constant, key, reference, what in sources:
            for source in settings.get(setting, ()):
                name = self._name(source, parameter, constant, task, what)
                optional = {"optional": source["optional"]} if "optional" in source else {}
                for item in source.get("keyToEnv", ()):
                    yield {
                        "name": item["envVar"],
                        "valueFrom": {reference: {"name": name, "key": item[key], **optional}},
                    }
        for item in settings.get("fieldPathAsEnv", ()):
            yield {"name": item["name"], "valueFrom": {"fieldRef": {"fieldPath": item["fieldPath"]}}}

    def _volumes(self, task: ResolvedTask, settings: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
        mounts, volumes = [], []

        def add(name: str, path: str, source: Mapping[str, Any], **more: str) -> None:
            mounts.append({"name": name, "mountPath": path, **more})
            volumes.append({"name": name, **source})

        for item in settings.get("pvcMount", ()):
            name = self._name(item, "pvcNameParameter", "constant", task, "volume claim")
            path = {"subPath": item["subPath"]} if item.get("subPath") else {}
            add(name, item["mountPath"], {"persistentVolumeClaim": {"claimName": name}}, **path)
        for setting, parameter, constant, kind, key in (
            ("secretAsVolume", "secretNameParameter", "secretName", "secret", "secretName"),
            ("configMapAsVolume", "configMapNameParameter", "configMapName", "configMap", "name"),
        ):
            for item in settings.get(setting, ()):
                name = self._name(item, parameter, constant, task, kind)
                source = {kind: {key: name, "optional": bool(item.get("optional"))}}
                add(name, item["mountPath"], source)
        for item in settings.get("emptyDirMounts", ()):
            limits = {key: item[key] for key in ("medium", "sizeLimit") if item.get(key)}
            add(item["volumeName"], item["mountPath"], {"emptyDir": limits})
        return mounts, volumes

    def _tolerations(self, task: ResolvedTask, settings: Mapping[str, Any]) -> Iterator[Any]:
        for item in settings.get("tolerations", ()):
            if "tolerationJson" not in item:
                yield item
                continue
            found = self._looked_up(item["tolerationJson"], task, "tolerations")
            yield from found if isinstance(found, list) else [found] if found else []

    def _name(self, item: Mapping[str, Any], parameter: str, constant: str, task: ResolvedTask, what: str) -> str:
        """Return the name of an object of the cluster, which the driver wants to be a text that is not empty."""
        if parameter not in item:
            return str(item.get(constant, ""))
        found = self._looked_up(item[parameter], task, what)
        if isinstance(found, Unknown):
            return str(found)
        if isinstance(found, str) and found and not _OBJECT.fullmatch(found):
            self._say("object-names", task, f"{found!r} is no name of a {what}: small letters, digits, - and dots.")
        if not isinstance(found, str) or not found:
            source = item[parameter].get("componentInputParameter", "a constant")
            self._say(
                "object-names",
                task,
                f"the name of its {what} is {found!r}, from {source.removeprefix(CHANNEL)}; the driver "
                "ends the run there (Expected a non-empty string). Give a name.",
            )
        return str(found)

    def _looked_up(self, source: Mapping[str, Any] | None, task: ResolvedTask, what: str) -> Any:
        """Return a value that Kubernetes' settings take from the pipeline around the task."""
        if source is None:
            return None
        if "componentInputParameter" in source:
            name = source["componentInputParameter"]
            if name not in task.around:
                self._say(
                    "inputs-exist",
                    task,
                    f"its {what} is taken from {name}, which the pipeline around it does not have, so the driver "
                    "ends the run there (parent DAG does not have input parameter).",
                )
                return Unknown(f"missing {name}")
            return task.around[name]
        if "taskOutputParameter" in source:
            output = source["taskOutputParameter"]
            return Unknown(f"{output['outputParameterKey']} of {output['producerTask']}")
        return source.get("runtimeValue", {}).get("constant")


def _shown(value: Any) -> Any:
    return str(value) if isinstance(value, Unknown) else value
