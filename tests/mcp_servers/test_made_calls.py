"""A repeated call finds its own commit, whatever happened to the workspace in between, and reads only what is new."""

import subprocess
from pathlib import Path

import pytest

from contracts.workspace import Workspace
from mcp_servers.object_store import Mirrors, NewBlob
from mcp_servers.repo.opening import open_workspace


@pytest.fixture
def desk(tmp_path: Path) -> Workspace:
    remote = tmp_path / "remote"
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    for command in (("init", "-q", "-b", "main", "."), (*identity, "commit", "-q", "--allow-empty", "-m", "Begin")):
        remote.mkdir(exist_ok=True)
        subprocess.run(["git", *command], cwd=remote, check=True)
    return open_workspace(Mirrors(tmp_path), str(remote), "", "desk").workspace


def save(mirrors: Mirrors, desk: Workspace, call: str) -> str:
    return mirrors.of(desk).amend(desk, f"Write for {call}", lambda _: {"a": NewBlob(call.encode())}, call)


def test_a_call_of_before_finds_its_commit_and_a_new_one_does_not(tmp_path: Path, desk: Workspace) -> None:
    mirrors = Mirrors(tmp_path)
    made = {call: save(mirrors, desk, call) for call in ("one", "two", "three")}
    assert {call: save(mirrors, desk, call) for call in made} == made
    assert mirrors.of(desk).made_by(desk, "four") == ""
    assert {call: Mirrors(tmp_path).of(desk).made_by(desk, call) for call in made} == made, "another process reads the commits"


def test_a_call_whose_commit_was_put_away_is_made_anew(tmp_path: Path, desk: Workspace) -> None:
    mirrors = Mirrors(tmp_path)
    one, two = save(mirrors, desk, "one"), save(mirrors, desk, "two")
    assert mirrors.of(desk).made_by(desk, "two") == two
    mirrors.of(desk).start(desk, one)
    assert mirrors.of(desk).made_by(desk, "two") == ""
    assert mirrors.of(desk).made_by(desk, "one") == one
    save(mirrors, desk, "other")
    assert save(mirrors, desk, "two") != two


def test_a_commit_of_another_process_is_found(tmp_path: Path, desk: Workspace) -> None:
    mirrors = Mirrors(tmp_path)
    save(mirrors, desk, "one")
    elsewhere = save(Mirrors(tmp_path), desk, "two")
    assert save(mirrors, desk, "two") == elsewhere
