"""`agent0 models serve` and `publish`: a registered version as a service of KServe, or in Kubeflow's model registry."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from agent0.cli.models import MODEL_HELP
from agent0.cli.screen import show_json
from agent0.cli.shared_options import AsJson
from agent0.errors import UsageError

FORMATS = ("kserve",)
DEFAULT_KIND = "LLMInferenceService"


def serve(
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    emit: Annotated[str, typer.Option(help="What is written: kserve.")] = "kserve",
    output: Annotated[str, typer.Option("--output", "-o", help="File to write; empty: the terminal.")] = "",
    kind: Annotated[str, typer.Option(help="LLMInferenceService or InferenceService.")] = DEFAULT_KIND,
    name: Annotated[str, typer.Option(help="Of the service; the model's if not given.")] = "",
    gpus: Annotated[int, typer.Option(min=0, help="GPUs of each replica; 0: as many as the weights need.")] = 0,
    gpu: Annotated[str, typer.Option(help="Kind of GPU that the weights must fit on.")] = "H100",
    replicas: Annotated[int, typer.Option(min=1, help="How many answer.")] = 1,
    storage_uri: Annotated[
        str, typer.Option(help="Where KServe fetches the same files, if not where the version's lie.")
    ] = "",
    service_account: Annotated[str, typer.Option(help="Whose secrets open the store; empty: the default one.")] = "",
    namespace: Annotated[str, typer.Option(help="For --apply; that of the kubeconfig if not given.")] = "",
    apply: Annotated[bool, typer.Option("--apply", help="Apply it to the cluster as well.")] = False,
) -> None:
    """Write the manifest that serves a version with KServe, and apply it if asked to.

    Example: [bold]agent0 models serve --emit kserve models:/agent0-executor@champion -o serve.yaml[/bold]
    """
    from agent0.serving.kserve import KINDS
    from agent0.serving.served_version import service_of
    from agent0.storage.atomic_file import atomic_write
    from agent0.storage.uri_files import write_file

    if emit not in FORMATS:
        raise UsageError(f"--emit {emit!r} is not known; it can be: {', '.join(FORMATS)}.")
    if kind not in KINDS:
        raise UsageError(f"--kind {kind!r} is not known; it can be: {', '.join(KINDS)}.")
    if namespace and not apply:
        raise UsageError("--namespace says where --apply puts the service; give both, or neither.")
    plural, manifest_of = KINDS[kind]
    service = service_of(
        model,
        name=name,
        gpus=gpus,
        gpu=gpu,
        replicas=replicas,
        storage_uri=storage_uri,
        service_account=service_account,
    )
    import yaml

    manifest = manifest_of(service)
    text = yaml.safe_dump(manifest, sort_keys=False)
    if output:
        with write_file(output) as path, atomic_write(path) as file:
            file.write(text)
        print(f"{output}: {kind} {service.name} of {service.version}, {service.gpus} GPUs, {service.replicas} replicas")
    elif not apply:
        sys.stdout.write(text)
    if apply:
        from agent0.cluster import apply as apply_to
        from agent0.cluster import connect

        api, here = connect("Applying a service needs")
        place = namespace or here
        done = apply_to(api, manifest, plural, place)
        print(f"{kind} {service.name} {done} in namespace {place}; see: kubectl -n {place} get {plural} {service.name}")


def publish(
    model: Annotated[str, typer.Argument(help=MODEL_HELP)],
    registry: Annotated[
        str, typer.Option(help="Address of Kubeflow's model registry.", envvar="AGENT0_MODEL_REGISTRY")
    ] = "",
    author: Annotated[str, typer.Option(help="Who it is published as.")] = "agent0",
    as_json: AsJson = False,
) -> None:
    """Publish a version in Kubeflow's model registry, once: with its lineage, scores and digest.

    Example: [bold]agent0 models publish models:/agent0-executor@champion --registry https://registry.example.com[/bold]
    """
    from agent0.serving.publication import publish_version

    if not registry:
        raise UsageError("Name Kubeflow's model registry with --registry URL, or in AGENT0_MODEL_REGISTRY.")
    published = publish_version(model, registry, author)
    if as_json:
        show_json({"model": published.model, "version": published.version, "new": published.new})
        return
    print(published.told)
