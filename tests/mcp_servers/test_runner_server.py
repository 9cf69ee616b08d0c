"""The tools of the runner, as a client sees them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.sandbox import SandboxTier
from mcp_servers.runner.sandbox import SandboxKeeper
from tests.mcp_servers.runner_workspace import KEEPERS, Place, missing, place

FILES = {
    "shop/__init__.py": "",
    "shop/cart.py": "def total(items):\n    return sum(items)\n",
    "tests/test_cart.py": "from shop.cart import total\n\n\ndef test_total():\n    assert total([1, 2]) == 3\n",
}


@pytest.fixture(scope="session")
def keeper() -> SandboxKeeper:
    for tier in (SandboxTier.BUBBLEWRAP, SandboxTier.CONTAINER):
        if not missing(tier):
            return KEEPERS[tier]()
    pytest.skip("this machine has no sandbox")


@pytest.fixture
async def shop(tmp_path: Path, keeper: SandboxKeeper) -> AsyncIterator[Place]:
    async with place(tmp_path, keeper, FILES) as there:
        yield there


async def test_the_text_says_how_it_ended_what_it_printed_and_what_it_changed(shop: Place) -> None:
    text = await shop.text("run_command", command="printf '\\033[31mred\\033[0m\\033]0;title\\007\\n'; echo x > new.txt; exit 2")
    assert text.startswith("exit code 2, ")
    assert "red\nChanged: new.txt (commit " in text


async def test_long_output_is_cut_in_the_middle(shop: Place) -> None:
    result = await shop.run("echo first; seq 1 500000; echo last")
    assert result["output"].startswith("first\n") and result["output"].endswith("last\n")
    assert "bytes left out" in result["output"] and len(result["output"]) < 300_000
    assert result["output_bytes"] > 3_000_000


async def test_output_arrives_as_progress_while_the_command_runs(shop: Place) -> None:
    messages: list[str] = []

    async def progress(_: float, __: float | None, message: str | None) -> None:
        messages.append(message or "")

    await shop.call("run_command", "", progress, command="for i in 1 2 3; do echo line $i; sleep 0.4; done")
    assert len(messages) >= 2 and "line 1" in messages[0] and "line 3" in messages[-1]


async def test_the_same_call_runs_once(shop: Place) -> None:
    first = await shop.run("echo $RANDOM >> counted.txt; date +%N", call="call-1")
    again = await shop.run("echo $RANDOM >> counted.txt; date +%N", call="call-1")
    assert (again["output"], again["commit"]) == (first["output"], first["commit"])
    assert "recorded result" in again["note"]
    other = await shop.run("echo more >> counted.txt", call="call-2")
    assert other["commit"] != first["commit"] and (shop.read("counted.txt") or b"").count(b"\n") == 2


async def test_an_edit_that_lands_while_a_command_runs_is_kept(shop: Place) -> None:
    running = asyncio.create_task(shop.run("sleep 1; echo a > a.txt"))
    await asyncio.sleep(0.6)
    shop.commit({"b.txt": "b\n"})
    await running
    assert shop.read("a.txt") == b"a\n" and shop.read("b.txt") == b"b\n"


async def test_checks_say_which_failed_and_leave_the_workspace_alone(shop: Place) -> None:
    passed = await shop.data("run_checks")
    assert [(r["name"], r["result"]["exit_code"]) for r in passed["runs"]] == [("pytest", 0)]
    broken = shop.commit({"shop/cart.py": "def total(items):\n    return 0\n"})
    text = await shop.text("run_checks")
    assert "- pytest: FAILED (exit code 1)" in text and "assert 0 == 3" in text
    assert shop.head == broken
    earlier = await shop.data("run_checks", commit=shop.base)
    assert earlier["commit"] == shop.base and earlier["runs"][0]["result"]["exit_code"] == 0


async def test_what_an_agent_left_in_its_sandbox_cannot_turn_checks_green(shop: Place) -> None:
    shop.commit({"shop/cart.py": "def total(items):\n    return 0\n"})
    fake = "/deps/venv/bin/python3"
    await shop.run(f"mkdir -p /deps/venv/bin; printf '#!/bin/sh\\nexit 0\\n' > {fake}; chmod +x {fake}")
    assert (await shop.run("python3 -m pytest"))["exit_code"] == 0
    assert (await shop.data("run_checks"))["runs"][0]["result"]["exit_code"] == 1


async def test_a_check_that_is_not_there_is_named_with_those_that_are(shop: Place) -> None:
    refusal = await shop.refusal("run_checks", names=["lint"])
    assert refusal.content[0].text == "There is no check named 'lint'; the checks are: pytest."
    assert refusal.structured_content["error"]["code"] == "invalid-input"


async def test_a_change_cannot_rewrite_its_own_checks(tmp_path: Path, keeper: SandboxKeeper) -> None:
    async with place(tmp_path, keeper, {**FILES, ".patchwright.yaml": "checks:\n- name: strict\n  command: 'false'\n"}) as there:
        there.commit({".patchwright.yaml": "checks:\n- name: lax\n  command: 'true'\n"})
        run = await there.data("run_checks")
        assert [(r["name"], r["result"]["exit_code"]) for r in run["runs"]] == [("strict", 1)]


async def test_a_broken_recipe_is_told_by_file_and_key(tmp_path: Path, keeper: SandboxKeeper) -> None:
    async with place(tmp_path, keeper, {**FILES, ".patchwright.yaml": "cheks: []\n"}) as there:
        refusal = await there.refusal("run_checks")
        assert "'cheks'" in refusal.content[0].text and ".patchwright.yaml" in refusal.content[0].text


async def test_setup_runs_once_and_its_files_are_there_for_commands_and_checks(tmp_path: Path, keeper: SandboxKeeper) -> None:
    recipe = (
        "setup:\n- mkdir -p node_modules/left-pad && date +%N > node_modules/left-pad/made\n- date +%N > ~/tool\n"
        "checks:\n- name: deps\n  command: cat node_modules/left-pad/made ~/tool\n"
    )
    async with place(
        tmp_path, keeper, {"package.json": "{}", ".patchwright.yaml": recipe, ".gitignore": "node_modules\n"}
    ) as there:
        first = (await there.data("run_checks"))["runs"][0]["result"]
        assert first["exit_code"] == 0 and len(first["output"].split()) == 2
        assert (await there.data("run_checks"))["runs"][0]["result"]["output"] == first["output"]
        assert (await there.run("cat node_modules/left-pad/made ~/tool"))["output"] == first["output"]
        there.commit({"package.json": '{"name": "x"}'})
        assert (await there.data("run_checks"))["runs"][0]["result"]["output"] != first["output"]


async def test_a_setup_that_fails_is_a_red_check_with_its_output(tmp_path: Path, keeper: SandboxKeeper) -> None:
    async with place(tmp_path, keeper, {**FILES, ".patchwright.yaml": "setup:\n- echo no such package; exit 9\n"}) as there:
        runs = (await there.data("run_checks"))["runs"]
        assert [(r["name"], r["result"]["exit_code"], r["result"]["output"]) for r in runs] == [("setup", 9, "no such package\n")]
        assert "setup failed" in (await there.run("true"))["note"]


async def test_commands_never_have_network_even_when_setup_may(tmp_path: Path, keeper: SandboxKeeper) -> None:
    recipe = "setup_network: true\nchecks:\n- name: net\n  command: 'test $(grep -c : /proc/net/dev) = 1'\n"
    async with place(tmp_path, keeper, {".patchwright.yaml": recipe}) as there:
        assert (await there.data("run_checks"))["runs"][0]["result"]["exit_code"] == 0


async def test_closing_the_sandbox_forgets_what_is_not_in_the_workspace(shop: Place) -> None:
    await shop.run("mkdir __pycache__; touch __pycache__/x /tmp/y")
    assert (await shop.data("close_sandbox"))["closed"] is True
    assert (await shop.run("ls /tmp; ls -d __pycache__"))["exit_code"] != 0
    assert (await shop.data("close_sandbox"))["closed"] is True
    assert (await shop.data("close_sandbox"))["closed"] is False


async def test_an_idle_sandbox_ends_by_itself(tmp_path: Path, keeper: SandboxKeeper) -> None:
    async with place(tmp_path, keeper, FILES) as there:
        there.sandboxes._idle_seconds = 0.2
        await there.run("touch /tmp/x")
        await asyncio.sleep(1)
        assert (await there.run("ls /tmp"))["output"] == ""


async def test_the_report_names_tier_limits_and_gaps(shop: Place, keeper: SandboxKeeper) -> None:
    report = await shop.data("sandbox_report")
    assert report["tier"] == keeper.tier.value and report["limits"]["memory_mib"] == 512
    if keeper.tier is SandboxTier.BUBBLEWRAP:
        assert any("reduced" in note for note in report["notes"])
        assert "reduced" in (await shop.data("run_checks"))["note"]


async def test_an_empty_repository_can_be_written_to(tmp_path: Path, keeper: SandboxKeeper) -> None:
    async with place(tmp_path, keeper, {}) as there:
        assert (await there.run("echo hello > first.txt"))["changed"] == ["first.txt"]
        assert (await there.data("run_checks"))["note"].startswith("No tests were recognised")
