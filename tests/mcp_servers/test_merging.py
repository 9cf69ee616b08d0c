"""The moved base is merged in the object store: the same commit each time, every kind of conflict named, nothing lost."""

import os
import time
from pathlib import Path

import pytest

from contracts.errors import Conflict, RepositoryUnusable
from contracts.merging import BaseMerged
from contracts.workspace import OpenedWorkspace
from mcp_servers.object_store import Entry, Mirror, Mirrors, NewBlob
from mcp_servers.repo.merging import merge_base_branch, merged_tree
from mcp_servers.repo.opening import fetched_tip, open_workspace
from tests.fakes.forge_places import git

LINES = "".join(f"line {number}\n" for number in range(1, 31))
FILES = {"a.txt": LINES, "b.txt": "b\n", "gone.txt": LINES, "old.txt": LINES.replace("line", "row")}
Edits = dict[str, NewBlob | Entry | None]


class Shop:
    """A repository with a person's clone, and our workspace of it."""

    def __init__(self, folder: Path) -> None:
        self.work, self.remote = folder / "work", folder / "remote.git"
        self.work.mkdir()
        git(self.work, "init", "-q", "-b", "main")
        self.first = self.theirs({path: text.encode() for path, text in FILES.items()}, push=False)
        git(folder, "clone", "-q", "--bare", str(self.work), str(self.remote))
        git(self.work, "remote", "add", "origin", str(self.remote))
        self.opened: OpenedWorkspace = open_workspace(Mirrors(folder / "mirrors"), str(self.remote), "main", "task")
        self.mirror: Mirror = Mirrors(folder / "mirrors").of(self.opened.workspace)

    def theirs(self, files: dict[str, bytes | None], push: bool = True, force: bool = False) -> str:
        """A person's commit on the base branch."""
        for name, content in files.items():
            path = self.work / name
            if content is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        return self.committed(push, force)

    def committed(self, push: bool = True, force: bool = False) -> str:
        git(self.work, "add", "-A")
        git(self.work, "commit", "-qm", "A person's")
        if push:
            self.push(force)
        return git(self.work, "rev-parse", "HEAD")

    def push(self, force: bool = False) -> None:
        git(self.work, "push", "-q", *(["--force"] if force else []), "origin", "main")

    def ours(self, files: dict[str, bytes | None]) -> str:
        """A commit of the task's."""
        edits: Edits = {path: None if content is None else NewBlob(content) for path, content in files.items()}
        return self.mirror.amend(self.opened.workspace, "Ours", lambda _: edits)

    def merged(self, commit: str, base: str = "") -> BaseMerged:
        tip = fetched_tip(self.mirror, str(self.remote), "main")
        return merge_base_branch(self.mirror, self.opened.workspace, commit, base or self.opened.base_commit, tip, "Merge main")

    def text(self, commit: str, path: str) -> str | None:
        found = self.mirror.entry(commit, path)
        return self.mirror.read(found.oid).decode() if found else None

    def parents(self, commit: str) -> tuple[str, ...]:
        return self.mirror.commits(commit, 1)[0].parents


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def changed(text: str, line: int, to: str) -> bytes:
    return text.replace(f"line {line}\n", f"{to}\n").encode()


def test_a_base_that_stands_still_leaves_the_change_as_it_is(shop: Shop):
    commit = shop.ours({"a.txt": changed(LINES, 3, "ours")})
    assert shop.merged(commit) == BaseMerged(base_commit=shop.first, commit=commit)


def test_a_clean_merge_has_both_sides_two_parents_and_always_the_same_id(shop: Shop):
    commit = shop.ours({"a.txt": changed(LINES, 3, "ours")})
    tip = shop.theirs({"a.txt": changed(LINES, 28, "theirs"), "new.txt": b"new\n"})
    merged = shop.merged(commit)
    assert (merged.base_commit, merged.conflicts, merged.rewritten) == (tip, (), False)
    assert shop.parents(merged.commit) == (commit, tip)
    whole = shop.text(merged.commit, "a.txt") or ""
    assert "ours\n" in whole and "theirs\n" in whole and shop.text(merged.commit, "new.txt") == "new\n"
    time.sleep(1.1)  # a commit's time counts seconds
    assert shop.merged(commit) == merged
    # What is our change, now that the base is the tip: our line alone.
    (file,) = shop.mirror.changed_files(merged.base_commit, merged.commit)
    assert (file.path, file.added, file.removed) == ("a.txt", 1, 1)


def test_what_was_merged_already_is_not_merged_again(shop: Shop):
    commit = shop.ours({"a.txt": changed(LINES, 3, "ours")})
    shop.theirs({"new.txt": b"new\n"})
    merged = shop.merged(commit)
    assert shop.merged(merged.commit, merged.base_commit) == BaseMerged(base_commit=merged.base_commit, commit=merged.commit)


def test_conflicts_stand_in_the_file_between_markers_that_name_both_commits(shop: Shop):
    commit = shop.ours({"a.txt": changed(LINES, 3, "ours"), "added.txt": b"our words\n"})
    tip = shop.theirs({"a.txt": changed(LINES, 3, "theirs"), "added.txt": b"their words\n"})
    merged = shop.merged(commit)
    assert [(one.path, one.marked) for one in merged.conflicts] == [("a.txt", True), ("added.txt", True)]
    assert f"<<<<<<< {commit}\nours\n=======\ntheirs\n>>>>>>> {tip}\n" in (shop.text(merged.commit, "a.txt") or "")
    assert shop.parents(merged.commit) == (commit, tip) and shop.merged(commit) == merged


def test_conflicts_that_cannot_be_marked_say_what_is_there(shop: Shop):
    commit = shop.ours({
        "gone.txt": changed(LINES, 3, "ours"), "b.txt": None, "image.bin": b"\0ours", "old.txt": None,
        "ours/name.txt": FILES["old.txt"].encode(),
    })  # fmt: skip
    git(shop.work, "mv", "old.txt", "theirs.txt")
    shop.theirs({"gone.txt": None, "b.txt": b"b, and more\n", "image.bin": b"\0theirs"})
    merged = shop.merged(commit)
    told = {one.path: one.words for one in merged.conflicts}
    assert not any(one.marked for one in merged.conflicts)
    assert "deleted on the base branch; our version is there" in told["gone.txt"]
    assert "deleted here, changed on the base branch" in told["b.txt"]
    assert told["image.bin"] == "binary; our version is there"
    assert "renamed differently" in told["old.txt"] and {"ours/name.txt", "theirs.txt"} <= told.keys()
    assert shop.text(merged.commit, "gone.txt") == changed(LINES, 3, "ours").decode()


def test_links_submodules_and_folders_in_the_way_are_named(shop: Shop):
    link = shop.mirror.write_blob(b"a.txt")
    edits: Edits = {"link": Entry("link", link, 0o120000), "sub": Entry("sub", shop.first, 0o160000), "way/x": NewBlob(b"x\n")}
    commit = shop.mirror.amend(shop.opened.workspace, "Ours", lambda _: edits)
    (shop.work / "link").symlink_to("b.txt")
    git(shop.work, "update-index", "--add", "--cacheinfo", f"160000,{'ab' * 20},sub")
    (shop.work / "way").write_text("a file\n")
    git(shop.work, "add", "link", "way")
    git(shop.work, "commit", "-qm", "A person's")
    shop.push()
    told = {one.path: one.words for one in shop.merged(commit).conflicts}
    assert "symbolic link" in told["link"] and "submodule" in told["sub"]
    assert any(path.startswith("way~") for path in told)


def test_a_rename_on_one_side_and_an_edit_on_the_other_need_nobody(shop: Shop):
    commit = shop.ours({"a.txt": changed(LINES, 3, "ours")})
    git(shop.work, "mv", "a.txt", "moved.txt")
    shop.committed()
    merged = shop.merged(commit)
    assert merged.conflicts == ()
    assert "ours\n" in (shop.text(merged.commit, "moved.txt") or "") and shop.text(merged.commit, "a.txt") is None


def test_what_was_put_back_on_the_base_does_not_come_back_with_the_change(shop: Shop):
    dropped = shop.theirs({"secret.txt": b"oops\n"})
    tip = fetched_tip(shop.mirror, str(shop.remote), "main")
    assert tip == dropped
    shop.mirror.start(shop.opened.workspace, dropped)
    commit = shop.ours({"a.txt": changed(LINES, 3, "ours")})
    git(shop.work, "reset", "-q", "--hard", shop.first)
    shop.push(force=True)
    merged = shop.merged(commit, base=dropped)
    assert (merged.base_commit, merged.rewritten, merged.conflicts) == (shop.first, True, ())
    assert shop.text(merged.commit, "secret.txt") is None and "ours\n" in (shop.text(merged.commit, "a.txt") or "")
    assert shop.parents(merged.commit) == (commit, shop.first) and shop.merged(commit, base=dropped) == merged
    # And once it is so, it stays so.
    assert shop.merged(merged.commit, base=merged.base_commit).commit == merged.commit


def test_a_base_that_was_rewritten_takes_the_change_alone(shop: Shop):
    commit = shop.ours({"a.txt": changed(LINES, 3, "ours")})
    git(shop.work, "checkout", "-q", "--orphan", "fresh")
    git(shop.work, "commit", "-qm", "The same, rewritten")
    git(shop.work, "branch", "-M", "main")
    shop.theirs({"new.txt": b"new\n"}, force=True)
    merged = shop.merged(commit)
    assert merged.rewritten and merged.conflicts == ()
    assert [f.path for f in shop.mirror.changed_files(merged.base_commit, merged.commit)] == ["a.txt"]


def test_a_base_branch_that_is_gone_is_said(shop: Shop):
    commit = shop.ours({"a.txt": b"x\n"})
    git(shop.work, "push", "-q", "origin", "main:other")
    git(shop.remote, "symbolic-ref", "HEAD", "refs/heads/other")
    git(shop.work, "push", "-q", "origin", ":main")
    with pytest.raises(RepositoryUnusable, match="no branch 'main'"):
        shop.merged(commit)


def test_attributes_of_the_repository_choose_no_merge_driver(shop: Shop, tmp_path: Path):
    shop.theirs({".gitattributes": b"*.txt merge=evil\n"})
    proof = tmp_path / "ran"
    git(shop.work, "config", "merge.evil.driver", f"touch {proof}")
    tip = fetched_tip(shop.mirror, str(shop.remote), "main")
    shop.mirror.start(shop.opened.workspace, tip)
    commit = shop.ours({"a.txt": changed(LINES, 3, "ours")})
    shop.theirs({"a.txt": changed(LINES, 3, "theirs")})
    assert [one.marked for one in shop.merged(commit, base=tip).conflicts] == [True]
    assert not proof.exists()


def test_names_that_are_no_text_are_told_as_escapes(shop: Shop):
    name = os.fsdecode(b"na\xefve\n.txt")
    commit = shop.ours({name: b"ours\n"})
    shop.theirs({name: b"theirs\n"})
    (conflict,) = shop.merged(commit).conflicts
    assert conflict.path == "na\\xefve\\x0a.txt" and conflict.marked


@pytest.mark.slow
def test_twenty_thousand_files_merge_in_seconds(shop: Shop):
    tip = shop.theirs({f"d{number % 100}/f{number}.txt": f"{number}\n".encode() for number in range(20_000)})
    fetched_tip(shop.mirror, str(shop.remote), "main")
    shop.mirror.start(shop.opened.workspace, tip)
    commit = shop.ours({"d1/f1.txt": b"ours\n"})
    shop.theirs({f"d{number % 100}/f{number}.txt": b"theirs\n" for number in range(2, 2_000)})
    fetched_tip(shop.mirror, str(shop.remote), "main")
    begun = time.perf_counter()
    assert shop.merged(commit, base=tip).conflicts == ()
    assert time.perf_counter() - begun < 20


# -- what is sealed on a moved base --------------------------------------------------------------------------


def test_what_resolves_a_conflict_is_sealed_as_a_merge_of_the_head_and_the_base(shop: Shop):
    head = shop.ours({"a.txt": changed(LINES, 3, "ours")})
    tip = shop.theirs({"a.txt": changed(LINES, 3, "theirs")})
    merged, place = shop.merged(head), shop.opened.workspace
    shop.mirror.start(place, merged.commit)
    resolved = shop.ours({"a.txt": changed(LINES, 3, "ours and theirs")})
    sealed = shop.mirror.seal(place, resolved, head, "Merge main and resolve conflicts", tip)
    assert shop.parents(sealed) == (head, tip) and shop.mirror.tree_of(sealed) == shop.mirror.tree_of(resolved)
    assert shop.mirror.seal(place, resolved, head, "Merge main and resolve conflicts", tip) == sealed
    # Mended once more before it is pushed: still a merge, with the same parents.
    again = shop.ours({"b.txt": b"b, mended\n"})
    assert shop.parents(shop.mirror.seal(place, again, head, "Mend checks", tip)) == (head, tip)
    # On top of a head that holds the base it is an ordinary commit.
    assert shop.parents(shop.mirror.seal(place, again, sealed, "Address review", tip)) == (sealed,)


def test_a_conflict_resolved_as_it_was_before_is_sealed_all_the_same(shop: Shop):
    head = shop.ours({"a.txt": changed(LINES, 3, "ours")})
    tip = shop.theirs({"a.txt": changed(LINES, 3, "theirs")})
    shop.merged(head)
    sealed = shop.mirror.seal(shop.opened.workspace, head, head, "Keep ours", tip)
    assert shop.parents(sealed) == (head, tip) and shop.mirror.tree_of(sealed) == shop.mirror.tree_of(head)


def test_histories_that_share_nothing_are_refused_with_what_to_do(shop: Shop):
    git(shop.work, "checkout", "-q", "--orphan", "fresh")
    git(shop.work, "commit", "-qm", "Unrelated")
    git(shop.work, "push", "-q", "origin", "fresh")
    fetched_tip(shop.mirror, str(shop.remote), "main")
    with pytest.raises(Conflict, match="share no commit"):
        merged_tree(shop.mirror, shop.first, "refs/remotes/origin/fresh")
