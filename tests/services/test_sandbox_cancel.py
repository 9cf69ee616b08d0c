"""A cancelled task's sandbox is proven dead, and the task's log says so."""

import time
from pathlib import Path

import docker
import pytest

from contracts.sandbox import SandboxTier
from mcp_servers.runner.orphans import LABEL, WORKSPACE
from tests.fakes.stack import WritesFiles, remote, running
from tests.mcp_servers.runner_workspace import missing

pytestmark = pytest.mark.slow
RECIPE = "checks:\n- name: long\n  command: echo begun; sleep 600\n"


@pytest.fixture(scope="session", autouse=True)
def engine() -> None:
    if reason := missing(SandboxTier.CONTAINER):
        pytest.skip(reason)


async def test_a_cancel_in_the_middle_of_the_checks_ends_in_a_proven_dead_container(tmp_path: Path) -> None:
    bare = remote(tmp_path, {"README.md": "# notes\n", ".patchwright.yaml": RECIPE})
    client = docker.from_env()
    async with running(tmp_path / "data", WritesFiles(), sandbox="container") as service:
        task = await service.submit(bare, "Notes", description="write notes/1.md: one")
        while "begun" not in await service.story(task):
            assert (await service.show(task))["state"] not in ("halted", "failed"), await service.story(task)
        mine = [c for c in containers(client) if task in c["Labels"][WORKSPACE]]
        assert len(mine) >= 2
        cancelled = time.monotonic()
        answer = await service.http.post(f"/tasks/{task}/signals/cancel")
        assert answer.status_code in (200, 202), answer.text
        shown = await service.until(task, "cancelled", seconds=15)
        while not (proof := [e for e in await service.events(task) if e["text"].startswith("The sandbox is closed")]):
            assert time.monotonic() - cancelled < 15, await service.story(task)
        assert shown["state"] == "cancelled"
        assert not [c for c in containers(client) if task in c["Labels"][WORKSPACE]]
        assert {c["Id"][:12] for c in mine} <= {word.removeprefix("container ") for word in proof[-1]["data"]["gone"]}
        print(f"proven dead after {time.monotonic() - cancelled:.1f} s: {proof[-1]['text']}")
    client.close()


def containers(client: docker.DockerClient) -> list[dict]:
    return client.api.containers(all=True, filters={"label": LABEL})
