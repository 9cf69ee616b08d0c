"""What git is told and what it may see: nothing of the service's own environment, no transport that runs commands."""

import os
import time
from pathlib import Path

import pytest

from contracts.errors import InvalidInput, RemoteUnavailable, RepositoryUnusable
from mcp_servers.object_store import Mirror, Mirrors, NewBlob
from mcp_servers.repo import remotes
from mcp_servers.repo.opening import open_workspace
from mcp_servers.repo.pushing import push_branch
from tests.fakes.stack import git, remote

SECRET = "sk-planted-0123456789abcdef0123456789abcdef"


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    return remote(tmp_path, {"a.txt": "one\n"})


def opened(tmp_path: Path, bare: Path) -> tuple[Mirror, str]:
    mirrors = Mirrors(tmp_path / "mirrors")
    desk = open_workspace(mirrors, str(bare), "", "task").workspace
    mirror = mirrors.of(desk)
    return mirror, mirror.amend(desk, "Write", lambda _: {"b.txt": NewBlob(b"two\n")})


def test_hooks_of_a_local_remote_see_no_secret_of_the_service(
    tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("PATCHWRIGHT_TOKEN", SECRET)
    seen = tmp_path / "seen"
    hook = bare / "hooks" / "pre-receive"
    hook.write_text(f"#!/bin/sh\nenv > {seen}\n")
    hook.chmod(0o755)
    mirror, made = opened(tmp_path, bare)
    push_branch(mirror, str(bare), "patchwright/task", made)
    assert "GIT_DIR" in seen.read_text()
    assert SECRET not in seen.read_text()


def test_git_settings_of_the_service_process_change_nothing(tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran = tmp_path / "ran"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name, value in {
        "GIT_DIR": str(elsewhere),
        "GIT_WORK_TREE": str(elsewhere),
        "GIT_OBJECT_DIRECTORY": str(elsewhere),
        "GIT_NAMESPACE": "other",
        "GIT_INDEX_FILE": str(elsewhere / "index"),
        "GIT_QUARANTINE_PATH": str(elsewhere),
        "GIT_TRACE": str(ran),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "uploadpack.packObjectsHook",
        "GIT_CONFIG_VALUE_0": f"touch {ran};",
        "GIT_CONFIG_PARAMETERS": f"'core.sshCommand'='touch {ran}'",
        "GIT_EXTERNAL_DIFF": f"touch {ran}",
    }.items():
        monkeypatch.setenv(name, value)
    mirror, made = opened(tmp_path, bare)
    push_branch(mirror, str(bare), "patchwright/task", made)
    assert "b.txt" in mirror.diff(mirror.resolve("main"), made)
    archive = mirror.archive(made)
    assert b"b.txt" in archive.communicate()[0]
    assert not ran.exists()
    assert not list(elsewhere.iterdir())


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c touch% {ran}",
        'ext::sh -c "touch {ran}"',
        "fd::17",
        "ssh://-oProxyCommand=touch%20{ran}/x",
        "-oProxyCommand=touch {ran}:x",
        "git@-oProxyCommand=touch {ran}:x",
        "--upload-pack=touch {ran}",
        "file:///$(touch {ran})",
        "`touch {ran}`",
        "a;touch {ran}:x",
        "transport::ext::sh -c touch% {ran}",
    ],
)
def test_no_remote_makes_git_run_a_command(tmp_path: Path, url: str) -> None:
    ran = tmp_path / "ran"
    with pytest.raises((RepositoryUnusable, RemoteUnavailable, InvalidInput)):
        open_workspace(Mirrors(tmp_path / "mirrors"), url.format(ran=ran), "", "task")
    assert not ran.exists()


def test_a_command_in_the_configuration_of_a_local_remote_does_not_run_when_it_is_read(tmp_path: Path, bare: Path) -> None:
    ran = tmp_path / "ran"
    for key in (
        "uploadpack.packObjectsHook",
        "core.fsmonitor",
        "core.sshCommand",
        "core.pager",
        "core.alternateRefsCommand",
        "diff.external",
    ):
        git(bare, "config", key, f"touch {ran}")
    opened(tmp_path, bare)
    assert not ran.exists()


def test_a_remote_that_never_answers_is_left_with_its_children(
    tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = tmp_path / "pid"
    slow = tmp_path / "slow"
    slow.write_text(f"#!/bin/sh\necho $$ > {pid}\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setattr(remotes, "LOCAL_UPLOAD_PACK", str(slow))
    monkeypatch.setattr(remotes, "FETCH_SECONDS", 1)
    started = time.monotonic()
    with pytest.raises(RemoteUnavailable, match="did not answer"):
        open_workspace(Mirrors(tmp_path / "mirrors"), str(bare), "", "task")
    assert time.monotonic() - started < 10
    time.sleep(0.2)
    status = Path(f"/proc/{pid.read_text().strip()}/status")
    assert not status.exists() or "State:\tZ" in status.read_text(), "a child of git outlived it"


def test_what_a_killed_process_left_locked_is_unlocked(tmp_path: Path, bare: Path) -> None:
    mirrors = Mirrors(tmp_path / "mirrors")
    desk = open_workspace(mirrors, str(bare), "", "task").workspace
    mirror = mirrors.of(desk)
    long_ago = time.time() - 3_600
    for name in (f"{desk.ref}.lock", "packed-refs.lock", "refs/remotes/origin/main.lock"):
        lock = mirror.path / name
        lock.touch()
        os.utime(lock, (long_ago, long_ago))
    git(bare, "update-ref", "refs/heads/other", "main")
    git(bare, "update-ref", "refs/heads/main", git(bare, "commit-tree", "-p", "main", "-m", "two", "main^{tree}"))
    assert mirror.amend(desk, "Write", lambda _: {"b.txt": NewBlob(b"two\n")}, "call")
    assert open_workspace(mirrors, str(bare), "", "task-2").base_commit == git(bare, "rev-parse", "main")
