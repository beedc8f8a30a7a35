"""What a TrainJob's nodes take over from this pod, in the lists that the TrainJob's schema accepts.

Kubeflow hands on a pod's environment and volumes as it put them together, where one name may stand twice. A TrainJob
knows those lists by their key and is refused whole for a key that comes again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from agent0.errors import UsageError

Entry = Mapping[str, Any]
NAME_LENGTH = 63


def environment(entries: Sequence[Entry]) -> list[Entry]:
    """Return the variables, each once.

    A plain value goes before a reference to a ConfigMap or secret: it was set for this run, by whoever compiled it or
    by a plugin of the server's, while the reference is there for all runs. Of two alike the later counts, as in a pod.
    """
    chosen: dict[str, Entry] = {}
    for entry in entries:
        before = chosen.get(entry["name"])
        if before is None or "valueFrom" not in entry or "valueFrom" in before:
            chosen[entry["name"]] = entry
    return list(chosen.values())


def volumes_and_mounts(pod: Entry) -> tuple[list[Entry], list[Entry]]:
    """Return a pod's volumes, each once, and its mounts, each of another volume.

    A TrainJob mounts no volume twice, so one that the pod mounts at several places is named once more for each.

    Raises:
        UsageError: two volumes of different content share a name, or two a folder.
    """
    volumes: dict[str, Entry] = {}
    for volume in pod.get("volumes") or ():
        if volumes.setdefault(volume["name"], volume) != volume:
            raise UsageError(
                f"Two volumes of this pod are both called {volume['name']}, which a TrainJob's nodes cannot mount; "
                "give each secret, ConfigMap and claim of the pipeline a name of its own."
            )
    mounts: dict[str, Entry] = {}
    places: dict[str, str] = {}
    for mount in {json.dumps(mount, sort_keys=True): mount for mount in pod.get("volume_mounts") or ()}.values():
        place, name = mount["mountPath"], mount["name"]
        if place in places:
            raise UsageError(f"This pod mounts {places[place]} and {name} at {place}; choose another folder for one.")
        places[place] = name
        other = next(free for free in _names(name) if free not in mounts and (free == name or free not in volumes))
        if other != name and name in volumes:
            volumes[other] = {**volumes[name], "name": other}
        mounts[other] = {**mount, "name": other}
    return list(volumes.values()), list(mounts.values())


def _names(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name[: NAME_LENGTH - 4]}-{number}" for number in count(2))
