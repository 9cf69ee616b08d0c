"""Attacks on what comes back out of a sandbox: a tree that git, tar or the host's file system would stumble over."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pygit2

from contracts.policy import Policy
from mcp_servers.object_store import EMPTY_TREE, Mirrors, NewBlob
from mcp_servers.runner.output import Output
from mcp_servers.runner.sandbox import Sandbox
from mcp_servers.runner.tree_stream import Taken
from mcp_servers.runner.tree_sync import SyncedTree

Judged = tuple[bool, str]
SECONDS = 30.0
HONEST = "honest.txt"
"""What every attack writes beside its own: it must come out, or nothing at all was tried."""


async def _taken(sandbox: Sandbox, command: str) -> Taken:
    """What a command's changes become in a repository that holds one file."""
    with tempfile.TemporaryDirectory(prefix="pw-attack-") as folder:
        mirror = await asyncio.to_thread(Mirrors(Path(folder)).create, "target")
        await asyncio.to_thread(pygit2.Repository(str(mirror.path)).TreeBuilder().write)
        tree = await asyncio.to_thread(mirror.edit_tree, EMPTY_TREE, {"a.txt": NewBlob(b"one\n")})
        synced = SyncedTree(sandbox, mirror)
        await synced.bring_in(tree)
        await sandbox.run(f"echo fine > {HONEST}; {command}", SECONDS, Output(4_096).add)
        return await synced.take_out(Policy())


def _only_honest(taken: Taken) -> Judged:
    came = sorted(set(taken.edits) - {HONEST})
    why = taken.problem or "; ".join(dict.fromkeys(taken.refused.values())) or "it is never looked at"
    return not came, why if not came else f"it came out: {', '.join(came)}"


def _refused(command: str) -> Callable[[Sandbox], Awaitable[Judged]]:
    """Nothing but the honest file may come out."""

    async def deed(sandbox: Sandbox) -> Judged:
        return _only_honest(await _taken(sandbox, command))

    return deed


async def _swapped(sandbox: Sandbox) -> Judged:
    """A folder that becomes a link between the listing and the reading: nothing is alive then to do it."""
    command = "mkdir d; echo x > d/f; (while :; do mv d e; ln -s /etc d; rm d; mv e d; done >/dev/null 2>&1 &) ; sleep 0.3"
    taken = await _taken(sandbox, command)
    strange = [path for path, made in taken.edits.items() if made is not None and b"root:" in made.content]
    return not strange, "every process was dead before anything was read"


SCRIPTS = {
    "a link to a host's file": ("ln -s of passwd, of /proc/self/environ, of /.", r"""
        ln -s /etc/passwd p; ln -s /proc/self/environ e; ln -s / root"""),
    "a link out of the tree": ("ln -s ../../etc/passwd", r"""
        ln -s ../../etc/passwd p; mkdir d; ln -s ../../x d/l; ln -s d/../../x over"""),
    "a hard link": ("ln of a host's file, and of a link.", r"""
        ln /etc/passwd stolen 2>&1; ln -s /etc/passwd other; ln other again"""),
    "git hooks": (".git/hooks/post-checkout, at the top and below.", r"""
        mkdir -p .git/hooks s/.git/hooks; echo x > .git/hooks/post-checkout; echo x > s/.git/hooks/pre-commit"""),
    "git's configuration": ("core.fsmonitor in .git/config, a .git file that points elsewhere.", r"""
        mkdir -p .git s; printf '[core]\nfsmonitor = touch /tmp/owned\n' > .git/config; echo 'gitdir: ../x' > s/.git"""),
    "git's folder in disguise": (".GIT, '.git ', '.git.', GIT~1, with a zero-width letter, with a stream's name.", r"""
        z=$(printf '.g\342\200\214it'); for d in .GIT '.git ' '.git.' 'GIT~1' '.git::$INDEX_ALLOCATION' "$z" a/.Git; do
        mkdir -p "$d/hooks"; echo x > "$d/config"; echo x > "$d/hooks/update"; done"""),
    "pipes and sockets": ("mkfifo, and a socket that is bound to a name.", r"""
        mkfifo pipe; python3 -I -c "import socket; socket.socket(socket.AF_UNIX).bind('sock')" """),
    "names with control characters": ("A newline, an escape, a mark that turns the direction.", r"""
        touch "$(printf 'a\nb')" "$(printf 'a\033[2J')" "$(printf 'a\342\200\256b')" "$(printf 'a\tb')" """),
    "names that are no text": ("Bytes that are no UTF-8.", r"""
        touch "$(printf 'x\377\376')"; mkdir d; touch "$(printf 'd/\300\256\300\256')" """),
    "a deep tree": ("A folder in a folder, 300 times.", r"""
        p=.; for i in $(seq 300); do p=$p/d; done; mkdir -p $p; echo x > $p/f"""),
    "very many files": ("25,000 of them.", "mkdir m; cd m; seq 25000 | xargs touch"),
    "a policy of one's own": (".patchwright.yaml, CI files.", r"""
        mkdir -p .github/workflows; echo 'checks: []' > .patchwright.yaml; echo 'on: push' > .github/workflows/x.yml"""),
}  # fmt: skip
"""Name → what it tries, and the shell's words; nothing of it may come out."""
ATTACKS: tuple[tuple[str, str, Callable[[Sandbox], Awaitable[Judged]]], ...] = (
    *((name, tries, _refused(script)) for name, (tries, script) in SCRIPTS.items()),
    ("a tree swapped while it is read", "A folder that turns into a link and back, by a process left behind.", _swapped),
)
"""Name, what it tries, and the deed that judges it."""
