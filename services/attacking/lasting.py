"""Attacks that outlive their command, or that the world outside has to look at: a flood, a stubborn process, a daemon."""

import asyncio
from collections.abc import Awaitable, Callable

from mcp_servers.runner.output import Output
from mcp_servers.runner.sandbox import TIMED_OUT, Ended, Sandbox

Judged = tuple[bool, str]
KEPT_BYTES = 65_536
COUNT = (
    "n=0; for p in /proc/[0-9]*; do tr '\\0' ' ' < $p/cmdline 2>/dev/null | grep -q '^sleep 4242' && n=$((n+1)); done; "
    "echo alive $n"
)


async def _run(sandbox: Sandbox, command: str, seconds: float = 20) -> tuple[Ended, Output]:
    output = Output(KEPT_BYTES)
    return await sandbox.run(command, seconds, output.add), output


async def _nothing_lives(sandbox: Sandbox, what: str) -> Judged:
    _, said = await _run(sandbox, COUNT)
    return said.text().strip() == "alive 0", f"{what}; afterwards: {said.text().strip()}"


async def _daemon(sandbox: Sandbox) -> Judged:
    await _run(sandbox, "(setsid sh -c 'trap \"\" HUP TERM INT; exec sleep 4242' >/dev/null 2>&1 &) ; (sleep 4242 &) ; true")
    return await _nothing_lives(sandbox, "killed with its command")


async def _output_held_open(sandbox: Sandbox) -> Judged:
    ended, _ = await _run(sandbox, "sleep 4242 & echo done", 20)
    lives, told = await _nothing_lives(sandbox, f"the command ended after {ended.seconds:.1f} s")
    return lives and ended.seconds < 10, told


async def _late_write(sandbox: Sandbox) -> Judged:
    await _run(sandbox, "(setsid sh -c 'sleep 1; echo late > /work/late' >/dev/null 2>&1 &); true")
    await asyncio.sleep(1.5)
    _, said = await _run(sandbox, "ls /work/late 2>&1 || true")
    return "cannot access" in said.text() or "No such" in said.text(), "it was dead before it wrote"


async def _stubborn(sandbox: Sandbox) -> Judged:
    ended, _ = await _run(sandbox, "trap '' TERM INT HUP QUIT; while :; do sleep 0.1; done", 1)
    return ended.exit_code == TIMED_OUT and ended.seconds < 8, f"killed after {ended.seconds:.1f} s of 1 s"


async def _stopped_itself(sandbox: Sandbox) -> Judged:
    ended, _ = await _run(sandbox, "kill -STOP $$; sleep 60", 1)
    return ended.exit_code == TIMED_OUT and ended.seconds < 8, f"killed after {ended.seconds:.1f} s of 1 s"


async def _busy(sandbox: Sandbox) -> Judged:
    ended, _ = await _run(sandbox, "for i in 1 2 3 4 5 6 7 8; do (while :; do :; done) & done; wait", 1.5)
    lives, told = await _nothing_lives(sandbox, f"eight busy loops, killed after {ended.seconds:.1f} s")
    return lives and ended.timed_out and ended.seconds < 10, told


async def _zombies(sandbox: Sandbox) -> Judged:
    code = "import os, time\nfor _ in range(40):\n    if os.fork() == 0: os._exit(0)\ntime.sleep(0.2)"
    await _run(sandbox, f'python3 -I -c "{code}"')
    return await _nothing_lives(sandbox, "forty dead children that nobody asked for")


async def _fork_bomb_and_next(sandbox: Sandbox) -> Judged:
    await _run(sandbox, "b() { b | b & }; b; sleep 2", 4)
    ended, said = await _run(sandbox, "echo the next command works")
    return "the next command works" in said.text() and ended.exit_code == 0, said.text().strip()


async def _flood(sandbox: Sandbox) -> Judged:
    ended, output = await _run(sandbox, "head -c 50000000 /dev/zero | tr '\\0' a", 30)
    kept = len(output.text())
    told = f"50 MB printed in {ended.seconds:.1f} s, {kept} characters kept"
    return kept < KEPT_BYTES + 200 and output.total == 50_000_000, told


async def _endless_flood(sandbox: Sandbox) -> Judged:
    ended, output = await _run(sandbox, "yes", 2)
    return ended.timed_out and ended.seconds < 12 and len(output.text()) < KEPT_BYTES + 200, (
        f"killed after {ended.seconds:.1f} s; {len(output.text())} characters kept"
    )


async def _terminal(sandbox: Sandbox) -> Judged:
    sequences = r"\033]0;owned\007\033[2J\033]52;c;cm0gLXJm\007\033P+q\033\\\r\b\x9b31mred\n"
    _, said = await _run(sandbox, f"printf '{sequences}'")
    left = [character for character in said.text() if ord(character) < 32 and character != "\n"]
    return not left, "titles, colours, clipboard and bells are taken out of the output"


async def _supervisor(sandbox: Sandbox) -> Judged:
    await _run(sandbox, "kill -9 -1; for p in /proc/[0-9]*; do kill -9 ${p#/proc/} 2>/dev/null; done")
    ended, said = await _run(sandbox, "echo the next command works")
    return ended.exit_code == 0 and "works" in said.text(), f"after kill -9 of all it saw: {said.text().strip()}"


async def _other_sandbox(sandbox: Sandbox) -> Judged:
    _, said = await _run(sandbox, "ls -A /work /tmp /dev/shm /deps/home 2>/dev/null | grep -v ':$' | tr '\\n' ' '")
    return not said.text().strip(), "a new sandbox is empty: nothing of the ones before"


ATTACKS: tuple[tuple[str, str, Callable[[Sandbox], Awaitable[Judged]]], ...] = (
    ("a daemon", "A process with a session of its own that ignores signals.", _daemon),
    ("output held open", "A child that keeps the command's output.", _output_held_open),
    ("a late write", "Something written after the command has ended.", _late_write),
    ("ignores SIGTERM", "A process that takes no notice of any signal it may ignore.", _stubborn),
    ("stopped itself", "A command that sends itself SIGSTOP.", _stopped_itself),
    ("busy loops", "Eight endless loops.", _busy),
    ("zombies", "Forty children that nobody waits for.", _zombies),
    ("a shell's fork bomb", "b() { b | b & }; and the command after it.", _fork_bomb_and_next),
    ("a flood of output", "50 MB on stdout.", _flood),
    ("an endless flood", "yes, until the time is up.", _endless_flood),
    ("words to a terminal", "Escape sequences for whoever reads the log.", _terminal),
    ("kill -9 of everything", "And then the next command.", _supervisor),
    ("another sandbox's files", "What the sandboxes before have left.", _other_sandbox),
)
"""Name, what it tries, and the deed that judges it."""
