"""Takes containers and volumes away, and looks whether they are gone."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import docker
import requests
from docker.errors import DockerException

from contracts.errors import SandboxLost

PATIENCE_SECONDS = 12.0
"""An engine kills within ten seconds, or not at all."""
PAUSE = 0.05
SHOWN = 12
"""Characters of a container's id, as the engine's own listing shows them."""
Wanted = Callable[[Mapping[str, str]], bool]
"""Looks at all labels of a container or volume."""


def all_of_them(_: Mapping[str, str]) -> bool:
    """Everything with the label is wanted."""
    return True


def cleared(
    client: docker.DockerClient, label: str, wanted: Wanted = all_of_them, seconds: float = PATIENCE_SECONDS
) -> tuple[str, ...]:
    """Remove the containers and volumes with a label that are wanted; when this returns, the engine knows them no more.

    ``label``: ``NAME`` or ``NAME=VALUE``. Returns the containers that were there, as ``container ID``.
    Raises ``SandboxLost`` when something is still there after ``seconds``, or the engine does not answer.
    """
    gone: dict[str, None] = {}
    deadline = time.monotonic() + seconds
    while True:
        try:
            containers, volumes = _there(client, label, wanted)
        except (DockerException, requests.RequestException) as error:
            raise SandboxLost(f"The container engine does not say whether the sandbox is gone: {error}.") from error
        if not containers and not volumes:
            return tuple(f"container {identity[:SHOWN]}" for identity in gone)
        if time.monotonic() > deadline:
            left = [f"container {identity[:SHOWN]}" for identity in containers] + [f"volume {name}" for name in volumes]
            raise SandboxLost(f"The container engine did not remove {', '.join(left)}; it is tried again.")
        gone |= dict.fromkeys(containers)
        _remove(client, containers, volumes)


def _there(client: docker.DockerClient, label: str, wanted: Wanted) -> tuple[list[str], list[str]]:
    filters = {"label": label}
    containers: list[dict[str, Any]] = client.api.containers(all=True, filters=filters)
    volumes: list[dict[str, Any]] = client.api.volumes(filters=filters).get("Volumes") or []
    return (
        [str(found["Id"]) for found in containers if wanted(found.get("Labels") or {})],
        [str(found["Name"]) for found in volumes if wanted(found.get("Labels") or {})],
    )


def _remove(client: docker.DockerClient, containers: list[str], volumes: list[str]) -> None:
    steps: list[Callable[[], Any]] = [
        *(partial(client.api.remove_container, identity, force=True) for identity in containers),
        *(partial(client.api.remove_volume, name, force=True) for name in volumes),
    ]
    for number, remove in enumerate(steps):
        try:
            remove()
        except (DockerException, requests.RequestException):
            # It is on its way out already, or still in use; the next look tells.
            time.sleep(PAUSE if number + 1 == len(steps) else 0)
