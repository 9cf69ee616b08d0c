"""Every tier keeps the promise of a sandbox; a tier that this machine lacks is skipped with the reason."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.errors import SandboxUnavailable
from contracts.sandbox import SandboxTier
from mcp_servers.runner.deps_cache import DepsCache
from mcp_servers.runner.sandbox import SandboxKeeper
from mcp_servers.runner.sandboxes import Sandboxes
from mcp_servers.runner.selfcheck import PROOFS, Finding, selfcheck
from tests.mcp_servers.runner_workspace import KEEPERS, Place, missing, place

FILES = {"a.txt": "one\n", "b/c.txt": "two\n", ".gitignore": "*.log\n"}


@pytest.fixture(scope="session", params=[SandboxTier.BUBBLEWRAP, pytest.param(SandboxTier.CONTAINER, marks=pytest.mark.slow)])
def keeper(request: pytest.FixtureRequest) -> SandboxKeeper:
    if reason := missing(request.param):
        pytest.skip(reason)
    return KEEPERS[request.param]()


@pytest.fixture
async def shop(tmp_path: Path, keeper: SandboxKeeper) -> AsyncIterator[Place]:
    async with place(tmp_path, keeper, FILES) as there:
        yield there


@pytest.fixture(scope="session")
async def findings(keeper: SandboxKeeper) -> dict[str, Finding]:
    return {finding.name: finding for finding in await selfcheck(keeper)}


@pytest.mark.parametrize("limit", PROOFS)
async def test_the_limit_holds(findings: dict[str, Finding], limit: str) -> None:
    assert findings[limit].holds, findings[limit].observed


async def test_a_command_sees_the_tree_and_its_changes_become_a_commit(shop: Place) -> None:
    result = await shop.run("cat a.txt b/c.txt; echo three > b/d.txt; rm a.txt; chmod +x b/c.txt; ln -s c.txt b/link")
    assert (result["exit_code"], result["output"]) == (0, "one\ntwo\n")
    assert result["changed"] == ["a.txt", "b/c.txt", "b/d.txt", "b/link"]
    assert result["commit"] == shop.head != shop.base
    assert shop.read("b/d.txt") == b"three\n" and shop.read("a.txt") is None and shop.read("b/link") == b"c.txt"
    assert [e.mode for e in shop.mirror.children(shop.head, "b")] == [0o100755, 0o100644, 0o120000]


async def test_a_command_without_changes_makes_no_commit(shop: Place) -> None:
    result = await shop.run("cat a.txt; touch a.txt; echo log > build.log; exit 3")
    assert (result["exit_code"], result["changed"], result["commit"]) == (3, [], shop.base)


async def test_ignored_files_stay_in_the_sandbox_between_commands(shop: Place) -> None:
    await shop.run("echo kept > build.log; mkdir node_modules __pycache__; touch node_modules/x __pycache__/y")
    assert (await shop.run("cat build.log; ls node_modules"))["output"] == "kept\nx\n"
    assert shop.head == shop.base


async def test_edits_made_elsewhere_come_into_the_live_sandbox(shop: Place) -> None:
    await shop.run("true")
    shop.commit({"a.txt": "changed\n", "b/c.txt": None, "b": "now a file\n", "new/x.txt": "new\n"})
    result = await shop.run("cat a.txt b new/x.txt")
    assert result["output"] == "changed\nnow a file\nnew\n"
    assert result["changed"] == []


async def test_a_folder_replaced_by_a_file_and_a_file_by_a_folder(shop: Place) -> None:
    await shop.run("rm -r b; echo file > b; rm a.txt; mkdir a.txt; echo x > a.txt/x")
    assert shop.read("b") == b"file\n" and shop.read("a.txt/x") == b"x\n"
    assert (await shop.run("find . -type f | sort"))["output"] == "./.gitignore\n./a.txt/x\n./b\n"


async def test_output_and_errors_come_in_the_order_they_were_written(shop: Place) -> None:
    for _ in range(5):  # an engine that mixes two pipes gets it right once in a while
        result = await shop.run("for i in $(seq 200); do echo o$i; echo e$i >&2; done")
        assert result["output"].split() == [f"{kind}{i}" for i in range(1, 201) for kind in "oe"]


async def test_a_timed_out_command_is_dead_and_the_next_one_works(shop: Place) -> None:
    result = await shop.run("echo before; sleep 600 & sleep 600", timeout_seconds=1)
    assert (result["exit_code"], result["timed_out"], result["output"]) == (124, True, "before\n")
    assert (await shop.run("ps -e 2>/dev/null | grep -c sleep; echo alive"))["output"].endswith("alive\n")


async def test_a_daemon_that_holds_the_output_does_not_hold_the_command(shop: Place) -> None:
    result = await asyncio.wait_for(shop.run("(setsid sleep 300 &) ; sleep 300 & echo done"), 20)
    assert (result["exit_code"], result["output"]) == (0, "done\n")


async def test_a_reader_of_standard_input_ends(shop: Place) -> None:
    assert (await shop.run("cat; read x; echo done", timeout_seconds=10))["output"] == "done\n"


async def test_deleting_everything_is_refused_and_the_files_come_back(shop: Place) -> None:
    result = await shop.run("rm -rf /work/* /work/.[!.]*")
    assert result["changed"] == [] and "every file is back" in result["note"] and shop.head == shop.base
    assert (await shop.run("cat a.txt"))["output"] == "one\n"


async def test_git_folders_never_become_a_part_of_the_workspace(shop: Place) -> None:
    result = await shop.run("mkdir -p .git b/.GIT; echo evil > .git/config; echo evil > b/.GIT/config; echo ok > fine.txt")
    assert result["changed"] == ["fine.txt"]
    assert [e.path for e in shop.mirror.entries(shop.head)] == [".gitignore", "a.txt", "b/c.txt", "fine.txt"]


async def test_what_is_no_ordinary_file_is_left_out_and_named(shop: Place) -> None:
    result = await shop.run(
        r"mkfifo pipe; ln -s /etc/passwd out; ln -s ../../x up; printf x > \"$(printf 'a\nb')\"; echo ok > fine.txt".replace(
            '\\"', '"'
        )
    )
    assert result["changed"] == ["fine.txt"]
    for name in ("pipe", "out", "up", "control or invisible"):
        assert name in result["note"]
    assert "pipe" not in (await shop.run("ls"))["output"]


async def test_paths_the_policy_denies_are_put_back(shop: Place) -> None:
    shop.commit({".patchwright.yaml": "checks: []\n"})
    result = await shop.run("echo 'checks: [evil]' > .patchwright.yaml; echo ok > fine.txt")
    assert result["changed"] == ["fine.txt"] and "no change may touch it" in result["note"]
    assert (await shop.run("cat .patchwright.yaml"))["output"] == "checks: []\n"


async def test_too_many_bytes_are_not_taken_over(shop: Place) -> None:
    result = await shop.run("for i in 1 2 3 4; do head -c 25000000 /dev/zero > z$i; done")
    assert result["changed"] == [] and "MiB are taken" in result["note"]
    assert (await shop.run("ls"))["output"] == "a.txt\nb\n"


async def test_names_in_other_scripts_survive_and_those_that_not_every_system_takes_are_named(shop: Place) -> None:
    result = await shop.run("echo x > 'größe 数.txt'; echo y > '-rf'; echo z > '*'; echo q > 'a\"b'")
    assert result["changed"] == ["größe 数.txt"] and shop.read("größe 数.txt") == b"x\n"
    assert all(name in result["note"] for name in ("-rf", "*", 'a"b'))


async def test_unreadable_files_are_read_all_the_same(shop: Place) -> None:
    result = await shop.run("mkdir locked; echo x > locked/f; chmod 000 locked/f locked")
    assert result["changed"] == ["locked/f"] and shop.read("locked/f") == b"x\n"


async def test_killing_everything_leaves_a_sandbox_that_works(shop: Place) -> None:
    await shop.run("kill -9 -1; kill -9 $$", timeout_seconds=10)
    assert (await shop.run("cat a.txt"))["output"] == "one\n"


async def test_a_fork_bomb_ends_with_its_command(shop: Place) -> None:
    await shop.run("b() { b | b & }; b; sleep 2", timeout_seconds=3)
    assert (await shop.run("cat a.txt"))["output"] == "one\n"


async def test_cancelling_the_call_kills_the_command(shop: Place) -> None:
    started = asyncio.Event()

    async def progress(_: float, __: float | None, message: str | None) -> None:
        if message and "started" in message:
            started.set()

    task = asyncio.create_task(shop.call("run_command", "", progress, command="echo half > half.txt; echo started; sleep 600"))
    await asyncio.wait_for(started.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    result = await asyncio.wait_for(shop.run("ls"), 20)
    assert result["output"] == "a.txt\nb\n", "what a cancelled command wrote is forgotten"


async def test_a_lost_sandbox_is_opened_again_from_the_commit_and_that_is_said(shop: Place) -> None:
    await shop.run("echo kept > kept.txt; touch scratch.log")
    await lose(shop)
    result = await shop.run("cat kept.txt; ls scratch.log")
    assert result["output"].startswith("kept\n") and result["exit_code"] != 0
    assert "opened again from the workspace's commit" in result["note"]


async def lose(shop: Place) -> None:
    """The sandbox dies behind the server's back, as when its engine is restarted."""
    bench = shop.sandboxes._live[shop.workspace].bench
    assert bench is not None
    await bench.sandbox.close()


async def test_two_workspaces_do_not_see_each_other(shop: Place, tmp_path: Path, keeper: SandboxKeeper) -> None:
    async with place(tmp_path / "other", keeper, {"z.txt": "z\n"}) as other:
        first, second = await asyncio.gather(
            shop.run("echo a > mine; touch /tmp/mine; sleep 1; ls /tmp; ls"), other.run("echo b > mine; sleep 1; ls /tmp; ls")
        )
        assert "z.txt" not in first["output"] and second["output"] == "mine\nz.txt\n"


async def test_a_machine_without_any_tier_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(SandboxUnavailable, match=r"apt-get install docker\.io.*apt-get install bubblewrap"):
        await Sandboxes([], DepsCache(tmp_path)).report()
