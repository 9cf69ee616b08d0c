"""The object store: commits found again by their call, no commit lost to another, trees edited without a work tree."""

import os
import subprocess
import sys
import tarfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.change import FileStatus
from contracts.errors import Conflict, NotFound
from contracts.workspace import Workspace
from mcp_servers.object_store import CALL_TRAILER, Entry, Mirror, Mirrors, NewBlob, mirror_name
from mcp_servers.repo.opening import open_workspace

FILES = {"a.txt": b"one\n", "src/b.py": b"b = 1\n", "src/deep/c.py": b"c = 1\n", "run.sh": b"#!/bin/sh\n"}


def git(folder: Path, *arguments: str) -> str:
    identity = {"GIT_AUTHOR_NAME": "p", "GIT_AUTHOR_EMAIL": "p@x", "GIT_COMMITTER_NAME": "p", "GIT_COMMITTER_EMAIL": "p@x"}
    done = subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, env={**os.environ, **identity})
    return done.stdout.decode("utf-8", "surrogateescape").strip()


@pytest.fixture
def workspace(tmp_path: Path) -> tuple[Mirrors, Workspace]:
    remote = tmp_path / "shop"
    for path, content in FILES.items():
        (remote / path).parent.mkdir(parents=True, exist_ok=True)
        (remote / path).write_bytes(content)
    (remote / "run.sh").chmod(0o755)
    git(remote, "init", "-q", "-b", "main")
    git(remote, "add", "-A")
    git(remote, "commit", "-qm", "First")
    mirrors = Mirrors(tmp_path / "mirrors")
    return mirrors, open_workspace(mirrors, str(remote), "", "task").workspace


@pytest.fixture
def mirror(workspace) -> Mirror:
    mirrors, opened = workspace
    return mirrors.of(opened)


@pytest.fixture
def desk(workspace) -> Workspace:
    return workspace[1]


def tree(mirror: Mirror, revision: str) -> dict[str, bytes]:
    return {entry.path: mirror.read(entry.oid) for entry in mirror.entries(revision)}


def put(mirror: Mirror, desk: Workspace, path: str, content: bytes, call: str = "") -> str:
    return mirror.amend(desk, f"Write {path}", lambda _: {path: NewBlob(content)}, call)


def test_the_same_call_finds_its_own_commit_again(mirror: Mirror, desk: Workspace):
    first = put(mirror, desk, "a.txt", b"1", "call-1")
    put(mirror, desk, "a.txt", b"2", "call-2")
    head = put(mirror, desk, "a.txt", b"3", "call-3")
    assert put(mirror, desk, "a.txt", b"1", "call-1") == first
    assert mirror.head(desk) == head
    assert f"{CALL_TRAILER}: call-1" in git(mirror.path, "log", "-1", "--format=%B", first)


def test_a_call_whose_id_begins_another_is_another_call(mirror: Mirror, desk: Workspace):
    put(mirror, desk, "a.txt", b"1", "call-10")
    assert mirror.made_by(desk, "call-1") == ""


def test_a_commit_without_a_call_in_between_hides_no_call(mirror: Mirror, desk: Workspace):
    first = put(mirror, desk, "a.txt", b"1", "call-1")
    head = put(mirror, desk, "a.txt", b"2")
    assert put(mirror, desk, "a.txt", b"1", "call-1") == first
    assert mirror.head(desk) == head


def test_an_unchanged_tree_makes_no_commit(mirror: Mirror, desk: Workspace):
    head = mirror.head(desk)
    assert put(mirror, desk, "a.txt", b"one\n", "call-1") == head == mirror.head(desk)


def test_a_tree_made_from_an_older_commit_is_refused_not_committed_over_the_newer(mirror: Mirror, desk: Workspace):
    parent = mirror.head(desk)
    mine = mirror.edit_tree(parent, {"a.txt": NewBlob(b"mine")})
    put(mirror, desk, "other.txt", b"theirs")
    with pytest.raises(Conflict):
        mirror.commit(desk, mine, "Mine", "call-1", parent)
    assert tree(mirror, desk.ref)["other.txt"] == b"theirs"


def test_threads_that_commit_at_once_lose_nothing(workspace):
    mirrors, desk = workspace
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: put(mirrors.of(desk), desk, f"many/{i}", b"%d" % i, f"c{i}"), range(24)))
    found = {path: content for path, content in tree(mirrors.of(desk), desk.ref).items() if path.startswith("many/")}
    assert found == {f"many/{i}": b"%d" % i for i in range(24)}
    assert git(mirrors.of(desk).path, "rev-list", "--count", desk.ref) == "25"


def write_in_another_process(root: str, desk: Workspace, number: int) -> str:
    return put(Mirrors(Path(root)).of(desk), desk, f"many/{number}", b"x", f"c{number}")


def test_processes_that_commit_at_once_lose_nothing_and_a_call_made_twice_is_one_commit(workspace):
    mirrors, desk = workspace
    numbers = [*range(8), *range(8)]
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        made = list(pool.map(write_in_another_process, [str(mirrors.root)] * 16, [desk] * 16, numbers))
    assert made[:8] == made[8:]
    assert git(mirrors.of(desk).path, "rev-list", "--count", desk.ref) == "9"


def test_a_change_that_always_loses_ends_in_a_conflict(mirror: Mirror, desk: Workspace):
    def somebody_is_faster(_: str):
        put(mirror, desk, "race.txt", os.urandom(8))
        return {"a.txt": NewBlob(b"mine")}

    with pytest.raises(Conflict):
        mirror.amend(desk, "Slow", somebody_is_faster, "call-1")


def test_edits_reach_any_depth_and_leave_the_rest(mirror: Mirror, desk: Workspace):
    made = mirror.edit_tree(desk.ref, {
        "new/deep/er/x": NewBlob(b"x"), "src/deep/c.py": None, "a.txt": NewBlob(b"two\n", 0o100755),
        "moved.py": Entry("src/b.py", mirror.entry(desk.ref, "src/b.py").oid, 0o100644)})
    assert tree(mirror, made) == {
        "a.txt": b"two\n", "moved.py": b"b = 1\n", "new/deep/er/x": b"x", "run.sh": b"#!/bin/sh\n", "src/b.py": b"b = 1\n"}
    assert mirror.entry(made, "a.txt").mode == 0o100755
    assert mirror.entry(made, "run.sh").mode == 0o100755
    assert not mirror.is_folder(made, "src/deep")


def test_removing_every_file_leaves_the_empty_tree(mirror: Mirror, desk: Workspace):
    made = mirror.edit_tree(desk.ref, dict.fromkeys(FILES))
    assert made == "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


def test_a_folder_may_become_a_file_and_back(mirror: Mirror, desk: Workspace):
    made = mirror.edit_tree(desk.ref, {"src/b.py": None, "src/deep/c.py": None, "src": NewBlob(b"file")})
    assert tree(mirror, made)["src"] == b"file"
    back = mirror.edit_tree(made, {"src": None, "src/b.py": NewBlob(b"again")})
    assert tree(mirror, back)["src/b.py"] == b"again"


def test_removing_what_is_not_there_changes_nothing(mirror: Mirror, desk: Workspace):
    assert mirror.edit_tree(desk.ref, {"none": None, "no/such/file": None, "a.txt/x": None}) == mirror.tree_of(desk.ref)


NAMES = st.sampled_from(["a", "b", "ü", "日", os.fsdecode(b"\xff"), "a.b", "a-b", "a0"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.dictionaries(PATHS, st.binary(max_size=3), max_size=6),
       second=st.dictionaries(PATHS, st.none() | st.binary(max_size=3), max_size=6))
def test_any_edits_make_the_tree_that_git_itself_would_make(mirror: Mirror, desk: Workspace, first, second):
    """Against a plain dictionary as the model, and git's own check of the tree's order."""
    def fits(path: str, others) -> bool:
        return not any(other.startswith(f"{path}/") or path.startswith(f"{other}/") for other in others)

    start = {path: content for path, content in first.items() if fits(path, first)}
    edits = {path: content for path, content in second.items() if fits(path, start) and fits(path, second)}
    empty = mirror.edit_tree(desk.ref, dict.fromkeys(FILES))
    made = mirror.edit_tree(empty, {path: NewBlob(content) for path, content in start.items()})
    made = mirror.edit_tree(made, {path: None if content is None else NewBlob(content) for path, content in edits.items()})
    expected = {path: content for path, content in (start | edits).items() if content is not None}
    assert tree(mirror, made) == expected
    listed = git(mirror.path, "ls-tree", "-r", "-z", "--name-only", made).split("\0")[:-1]
    assert listed == sorted(expected, key=lambda path: path.encode("utf-8", "surrogateescape"))


def test_paths_that_are_no_text_are_read_and_written(mirror: Mirror, desk: Workspace):
    odd = os.fsdecode(b"od\xe9/\xff.txt")
    put(mirror, desk, odd, b"odd")
    assert mirror.read(mirror.entry(desk.ref, odd).oid) == b"odd"
    assert [entry.path for entry in mirror.children(desk.ref, os.fsdecode(b"od\xe9"))] == [odd]
    assert odd in [file.path for file in mirror.changed_files(mirror.base(desk), desk.ref)]


def test_sealing_is_deterministic_and_keeps_the_tree(mirror: Mirror, desk: Workspace):
    base = mirror.head(desk)
    put(mirror, desk, "a.txt", b"1", "c1")
    last = put(mirror, desk, "b.txt", b"2", "c2")
    sealed = mirror.seal(desk, last, base, "Tidy")
    assert mirror.seal(desk, last, base, "Tidy") == sealed
    assert mirror.seal(desk, last, base, "Other") != sealed
    assert mirror.tree_of(sealed) == mirror.tree_of(last)
    assert git(mirror.path, "log", "--format=%P|%an|%s|%b", "-1", sealed) == f"{base}|Patchwright|Tidy|"


def test_sealing_nothing_is_the_parent_itself(mirror: Mirror, desk: Workspace):
    base = mirror.head(desk)
    put(mirror, desk, "a.txt", b"1")
    last = put(mirror, desk, "a.txt", b"one\n")
    assert mirror.seal(desk, last, base, "Nothing") == base


def test_a_pinned_ref_stays_where_it_was_first(mirror: Mirror, desk: Workspace):
    base = mirror.head(desk)
    later = put(mirror, desk, "a.txt", b"1")
    assert mirror.pin("refs/patchwright/x", base) == base
    assert mirror.pin("refs/patchwright/x", later) == base


def test_texts_are_kept_under_refs(mirror: Mirror):
    assert mirror.text("refs/plans/task") == ""
    mirror.store_text("refs/plans/task", "один")
    mirror.store_text("refs/plans/task", "два")
    assert mirror.text("refs/plans/task") == "два"


def test_changes_are_named_with_modes_renames_and_counts(mirror: Mirror, desk: Workspace):
    base = mirror.head(desk)
    entry = mirror.entry(base, "run.sh")
    mirror.amend(desk, "Many", lambda _: {
        "a.txt": NewBlob(b"one\ntwo\n"), "src/b.py": None, "src/renamed.py": NewBlob(b"b = 1\n"),
        "run.sh": Entry("", entry.oid, 0o100644), "bin": NewBlob(b"\0\1"), "src/deep/c.py": NewBlob(b"target", 0o120000)})
    files = {file.path: file for file in mirror.changed_files(base, desk.ref)}
    assert (files["a.txt"].status, files["a.txt"].added, files["a.txt"].removed) == (FileStatus.MODIFIED, 1, 0)
    assert (files["src/renamed.py"].status, files["src/renamed.py"].old_path) == (FileStatus.RENAMED, "src/b.py")
    assert (files["run.sh"].old_mode, files["run.sh"].new_mode) == ("100755", "100644")
    assert (files["bin"].status, files["bin"].binary) == (FileStatus.ADDED, True)
    assert files["src/deep/c.py"].new_mode == "120000"
    assert mirror.change(base, desk.ref).files == len(files)


def test_a_diff_is_what_git_prints_and_may_be_limited_to_a_path(mirror: Mirror, desk: Workspace):
    base = mirror.head(desk)
    put(mirror, desk, "a.txt", b"1\n")
    put(mirror, desk, "日本.txt", b"2\n")
    assert "+++ b/a.txt" in mirror.diff(base, desk.ref)
    assert "+++ b/日本.txt" in mirror.diff(base, desk.ref)
    assert "日本" not in mirror.diff(base, desk.ref, "a.txt")
    assert mirror.diff(base, desk.ref, "*.txt") == ""


def test_the_archive_ignores_the_repositorys_attributes(mirror: Mirror, desk: Workspace):
    put(mirror, desk, ".gitattributes", b"a.txt export-ignore\nrun.sh export-subst\n")
    running = mirror.archive(desk.ref)
    with tarfile.open(fileobj=running.stdout, mode="r|") as archive:
        names = archive.getnames()
    assert running.wait() == 0
    assert "a.txt" in names


def test_unknown_things_are_not_found(mirror: Mirror, desk: Workspace, tmp_path: Path):
    for revision in ("nope", "0" * 40, "refs/heads/none", ""):
        with pytest.raises(NotFound):
            mirror.resolve(revision)
    with pytest.raises(NotFound):
        Mirrors(tmp_path).open("none")
    assert mirror.entry(desk.ref, "none") is None
    assert mirror.entry(desk.ref, "src") is None
    assert mirror.children(desk.ref, "a.txt") == []


def test_a_git_folder_of_the_caller_does_not_lead_elsewhere(mirror: Mirror, tmp_path: Path, monkeypatch):
    git(tmp_path, "init", "-q", "--bare", "elsewhere.git")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere.git"))
    assert "refs/workspaces/task" in mirror.git("for-each-ref")


def test_different_remotes_have_different_mirrors():
    assert mirror_name("https://git.example.com/shop/pay.git") != mirror_name("https://git.example.com/other/pay.git")
    assert mirror_name("https://git.example.com/shop/pay.git").startswith("pay-")
    assert mirror_name("/srv/日本").startswith("repository-")


EMPTIER = """
import os, sys
from contextlib import suppress
print("begun", flush=True)
while True:
    for number in range(256):
        with suppress(OSError):
            os.rmdir(f"{sys.argv[1]}/{number:02x}")
"""


def test_a_write_is_made_again_when_packing_takes_its_folder_away(tmp_path: Path) -> None:
    mirror = Mirrors(tmp_path).create("shop")
    objects = mirror.path / "objects"
    with subprocess.Popen([sys.executable, "-c", EMPTIER, str(objects)], stdout=subprocess.PIPE) as packing:
        assert packing.stdout is not None and packing.stdout.readline()
        try:
            for number in range(6_000):
                blob = mirror.write_blob(f"{number}\n".encode())
                (objects / blob[:2] / blob[2:]).unlink()  # so that its folder is empty again
        finally:
            packing.kill()
