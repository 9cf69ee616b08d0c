"""Keeps the tree in a sandbox and the tree in the object store the same: what differs goes in, what changed comes out."""

import asyncio
import io
import subprocess
import tarfile
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pygit2
from pygit2.enums import FileMode

from contracts.errors import InvalidInput, SandboxLost
from contracts.policy import Policy
from mcp_servers.object_store import Entry, Mirror, NewBlob
from mcp_servers.runner.sandbox import Sandbox, said
from mcp_servers.runner.tree_stream import (
    LISTING,
    MOST_BYTES,
    MOST_FILES,
    MOST_LISTED_BYTES,
    IgnoreRules,
    Stamp,
    Taken,
    judged,
    parsed_listing,
    refusals,
)

UNPACK = ("tar", "-xof", "-")
PACK = ("tar", "-cf", "-", "--no-recursion", "--hard-dereference", "--null", "--no-unquote", "-T", "-")
REMOVE = ("xargs", "-0", "-r", "rm", "-rf", "--")
CHUNK = 1 << 18


class SyncedTree:
    """The tree of one sandbox."""

    def __init__(self, sandbox: Sandbox, mirror: Mirror) -> None:
        self.tree = ""
        """Id of the tree the sandbox holds, files that are no part of a change left out; empty at first."""
        self._sandbox = sandbox
        self._mirror = mirror
        self._records: frozenset[bytes] = frozenset()
        self._strays: set[str] = set()
        """Paths whose change was refused: put back before the next command."""

    async def bring_in(self, tree: str) -> None:
        """Make the sandbox hold ``tree``. Raises ``SandboxLost``, or ``InvalidInput`` when it does not fit."""
        if tree == self.tree and not self._strays:
            return
        try:
            if not self.tree:
                await said(self._sandbox.steward(UNPACK, self._archive(tree), writes=True))
            else:
                await self._bring_difference(tree)
        except SandboxLost as lost:
            if "No space left" in lost.message:
                raise InvalidInput(
                    "The repository does not fit into the sandbox's disk; raise disk_mib of the sandbox limits."
                ) from lost
            raise
        self.tree = tree
        self._strays.clear()
        self.see(await self.listing())

    async def _archive(self, tree: str) -> AsyncIterator[bytes]:
        archive = await asyncio.to_thread(self._mirror.archive, tree)
        assert archive.stdout is not None
        try:
            while chunk := await asyncio.to_thread(archive.stdout.read, CHUNK):
                yield chunk
            if await asyncio.to_thread(archive.wait):
                raise SandboxLost("git could not read the workspace's tree.")
        finally:
            await asyncio.to_thread(_ended, archive)

    async def _bring_difference(self, tree: str) -> None:
        touched, entries = await asyncio.to_thread(self._difference, tree)
        if touched:
            await said(self._sandbox.steward(REMOVE, b"".join(_raw(f"./{path}") + b"\0" for path in touched), writes=True))
        if entries:
            packed = await asyncio.to_thread(self._packed, entries)
            await said(self._sandbox.steward(UNPACK, packed, writes=True))

    def _difference(self, tree: str) -> tuple[list[str], list[Entry]]:
        """Paths to take away, and entries to put there."""
        objects: Any = pygit2.Repository(str(self._mirror.path))
        paths = set(self._strays)
        for delta in objects.diff(objects[self.tree], objects[tree]).deltas:
            paths |= {
                delta.old_file.raw_path.decode("utf-8", "surrogateescape"),
                delta.new_file.raw_path.decode("utf-8", "surrogateescape"),
            }
        entries = [entry for path in sorted(paths) if (entry := self._mirror.entry(tree, path)) is not None]
        return sorted(paths), entries

    def _packed(self, entries: Iterable[Entry]) -> bytes:
        """A tar of some entries of the store."""
        buffer = io.BytesIO()
        with tarfile.open(
            fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape"
        ) as archive:
            for entry in entries:
                member = tarfile.TarInfo(entry.path)
                member.mode = 0o775 if entry.mode == FileMode.BLOB_EXECUTABLE else 0o664
                if entry.mode == FileMode.COMMIT:
                    member.type, member.mode = tarfile.DIRTYPE, 0o775
                    archive.addfile(member)
                    continue
                content = self._mirror.read(entry.oid)
                if entry.mode == FileMode.LINK:
                    member.type, member.linkname = tarfile.SYMTYPE, content.decode("utf-8", "surrogateescape")
                    archive.addfile(member)
                else:
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
        return buffer.getvalue()

    async def listing(self) -> frozenset[bytes]:
        """A record of everything in the sandbox's tree. Raises ``SandboxLost``, or ``InvalidInput`` when it is too much."""
        raw = bytearray()
        async for chunk in self._sandbox.steward(LISTING):
            raw += chunk
            if len(raw) > MOST_LISTED_BYTES:
                raise InvalidInput("There are more files in the sandbox than can be listed.")
        return await asyncio.to_thread(lambda: frozenset(bytes(raw).split(b"\0")) - {b""})

    def see(self, records: frozenset[bytes]) -> None:
        """Take what is there now as known, so that only later changes count."""
        self._records = records

    async def take_out(self, policy: Policy) -> Taken:
        """What the last command changed, judged; the sandbox's tree id moves along with what is taken."""
        try:
            records, before = await self.listing(), self._records
        except InvalidInput:
            return Taken(problem="the command left more files than can be listed; every file is back.", ruined=True)
        self.see(records)
        if records == before:
            return Taken()
        written = parsed_listing(records - before)
        deleted = [path for path in parsed_listing(before - records) if path not in written]
        return await self._taken(written, deleted, bool(records), policy)

    async def _taken(self, written: dict[str, Stamp], deleted: list[str], any_left: bool, policy: Policy) -> Taken:
        written, deleted = await asyncio.to_thread(self._of_interest, written, deleted)
        refused = refusals(written, deleted, policy)
        wanted = [path for path in written if path not in refused]
        taken = Taken(refused=refused)
        size = sum(written[path].size for path in wanted)
        if deleted and not any_left:
            taken.problem = "the command left an empty folder; every file is back."
        elif len(wanted) + len(deleted) > MOST_FILES or size > MOST_BYTES:
            taken.problem = (
                f"the command changed {len(wanted) + len(deleted)} files with {size >> 20} MiB; at most {MOST_FILES} files "
                f"and {MOST_BYTES >> 20} MiB are taken. Write build output to an ignored folder or to /tmp."
            )
        if taken.problem:
            self._strays |= {*written, *deleted}
            return taken
        if wanted:
            names = b"".join(_raw(f"./{path}") + b"\0" for path in wanted)
            archive = await said(self._sandbox.steward(PACK, names))
            judgement = await asyncio.to_thread(judged, archive, set(wanted), self._mirror, self.tree)
            taken.edits.update(judgement.edits)
            taken.refused.update(judgement.refused)
        taken.edits.update(self._deletions(deleted, taken))
        self._strays |= set(taken.refused)
        if taken.edits:
            self.tree = await asyncio.to_thread(self._mirror.edit_tree, self.tree, taken.edits)
        return taken

    def _of_interest(self, written: dict[str, Stamp], deleted: list[str]) -> tuple[dict[str, Stamp], list[str]]:
        """Without files that are ignored and not in the tree."""
        rules = IgnoreRules(self._mirror, self.tree)
        return (
            {path: stamp for path, stamp in written.items() if self._tracked(path) or not rules.ignores(path)},
            [path for path in deleted if self._tracked(path)],
        )

    def _tracked(self, path: str) -> bool:
        try:
            return self._mirror.entry(self.tree, path) is not None
        except ValueError:  # a name that no tree can hold
            return False

    def _deletions(self, deleted: list[str], taken: Taken) -> dict[str, NewBlob | None]:
        """Deletions that say something: what lies below a new file, or became a folder, is gone by that alone."""
        files = set(taken.edits)
        folders = {path[:i] for path in files for i, c in enumerate(path) if c == "/"}
        return {
            path: None
            for path in deleted
            if path not in taken.refused
            and path not in folders
            and not any(path[:i] in files for i, c in enumerate(path) if c == "/")
        }


def _raw(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _ended(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
