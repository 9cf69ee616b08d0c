"""``prove_tests``: the change's tests on the base, and the base's tests on the change, each in a sandbox of its own."""

import asyncio

from contracts.change import FileStatus
from contracts.checks import ChecksRun
from contracts.gates import is_test
from contracts.proof import TestsRun
from mcp_servers.object_store import Entry, Mirror, Mirrors, NewBlob
from mcp_servers.runner.checks import Checks
from mcp_servers.runner.jobs import Hearer
from mcp_servers.scope import Scope

GONE = (FileStatus.DELETED,)


class Proving:
    """Runs checks on trees that nobody committed: half of the base, half of the change."""

    def __init__(self, mirrors: Mirrors, checks: Checks) -> None:
        self._mirrors = mirrors
        self._checks = checks

    async def run(self, scope: Scope, commit: str, names: list[str], rounds: int, hearer: Hearer) -> TestsRun:
        """Run the checks of those names, or all, on each tree. The same call runs nothing twice.

        Raises ``SandboxLost``, ``SandboxUnavailable``, ``InvalidInput``, ``NotFound`` for an unknown commit.
        """
        mirror, base, commit = await asyncio.to_thread(self._checks.place, scope, commit)
        tests, edits = await asyncio.to_thread(tests_of, mirror, base, commit)
        if not tests:
            return TestsRun()
        standing = await asyncio.to_thread(mirror.commits_between, base, commit)
        red = await asyncio.to_thread(_tree_commit, mirror, base, edits)
        originals = await asyncio.to_thread(original_tests, mirror, base, commit)

        async def checked(what: str, revision: str) -> ChecksRun:
            hearer.announce(f"{what}:")
            there = Scope(scope.workspace, f"{scope.call}/{what}" if scope.call else "", base, scope.policy)
            known = [check.name for check in (await self._checks.recipe(there, revision)).checks]
            if not (wanted := [name for name in known if not names or name in names]):
                # Where a recipe is recognised, a tree without tests may have no check.
                return await self._checks.nothing(there, revision)
            return await self._checks.run(there, wanted, revision, hearer)

        return TestsRun(
            tests=tuple(tests),
            commits=standing,
            on_base=await checked("the base", base),
            on_base_with_tests=tuple([await checked(f"the base with the new tests, {n + 1}", red) for n in range(rounds)]),
            # The change's own checks were the first round; these say which tests are green only now and then.
            on_change=tuple([await checked(f"the change, {n + 1}", commit) for n in range(1, rounds)]),
            with_original_tests=(
                await checked("the original tests", await asyncio.to_thread(_tree_commit, mirror, commit, originals))
                if originals
                else None
            ),
        )


def tests_of(mirror: Mirror, base: str, commit: str) -> tuple[list[str], dict[str, NewBlob | Entry | None]]:
    """Test files that a change adds or changes, and all it does below tests as edits of the base's tree."""
    tests: list[str] = []
    edits: dict[str, NewBlob | Entry | None] = {}
    for file in mirror.changed_files(base, commit):
        if is_test(file.path):
            entry = mirror.entry(commit, file.path)
            edits[file.path] = entry
            if entry is not None and file.status not in GONE:
                tests.append(file.path)
        if file.status is FileStatus.RENAMED and is_test(file.old_path):
            edits[file.old_path] = None
    return sorted(tests), edits


def original_tests(mirror: Mirror, base: str, commit: str) -> dict[str, NewBlob | Entry | None]:
    """What gives a change the tests of its base back, new ones left as they are; empty when none was touched."""
    edits: dict[str, NewBlob | Entry | None] = {}
    for file in mirror.changed_files(base, commit):
        for path in filter(None, (file.path, file.old_path)):
            if is_test(path) and (entry := mirror.entry(base, path)) is not None and entry != mirror.entry(commit, path):
                edits[path] = entry
    return edits


def _tree_commit(mirror: Mirror, parent: str, edits: dict[str, NewBlob | Entry | None]) -> str:
    """A commit that no ref names: the same edits of the same parent make the same one, here and wherever it is run again."""
    return mirror.stand_in(mirror.edit_tree(parent, edits), parent)
