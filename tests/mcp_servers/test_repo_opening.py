"""Opening a workspace: any usable repository opens at a fixed commit, and any other says what is wrong with it."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from contracts.errors import Conflict, InvalidInput, RemoteUnavailable, RepositoryUnusable
from mcp_servers.object_store import Mirrors
from mcp_servers.repo.opening import open_workspace
from mcp_servers.repo.remotes import remote_failure


def git(folder: Path, *arguments: str, feed: bytes | None = None) -> str:
    identity = {"GIT_AUTHOR_NAME": "p", "GIT_AUTHOR_EMAIL": "p@x", "GIT_COMMITTER_NAME": "p", "GIT_COMMITTER_EMAIL": "p@x"}
    done = subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, input=feed,
                          env={**os.environ, **identity})
    return done.stdout.decode().strip()


def made(folder: Path, files: dict[str, bytes], branch: str = "main") -> Path:
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", branch)
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    if files:
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", "First")
    return folder


@pytest.fixture
def mirrors(tmp_path: Path) -> Mirrors:
    return Mirrors(tmp_path / "mirrors")


def refusal(mirrors: Mirrors, remote: object, branch: str = "", expected: type[Exception] = RepositoryUnusable) -> str:
    with pytest.raises(expected) as caught:
        open_workspace(mirrors, str(remote), branch, "task")
    return str(caught.value)


def test_an_ordinary_checkout_opens_at_its_default_branch(mirrors: Mirrors, tmp_path: Path):
    remote = made(tmp_path / "shop", {"a.txt": b"1\n", "b/c.txt": b"2\n"}, "trunk")
    opened = open_workspace(mirrors, str(remote), "", "task")
    assert (opened.base_branch, opened.default_branch, opened.files, opened.notes) == ("trunk", "trunk", 2, ())
    assert opened.base_commit == git(remote, "rev-parse", "HEAD")
    mirror = mirrors.of(opened.workspace)
    assert mirror.head(opened.workspace) == opened.base_commit == mirror.base(opened.workspace)


def test_a_file_url_opens(mirrors: Mirrors, tmp_path: Path):
    remote = made(tmp_path / "shop", {"a": b"1"})
    assert open_workspace(mirrors, f"file://{remote}", "main", "task").files == 1


def test_asking_again_gives_the_first_answer_though_the_remote_moved(mirrors: Mirrors, tmp_path: Path):
    remote = made(tmp_path / "shop", {"a.txt": b"1\n"})
    first = open_workspace(mirrors, str(remote), "main", "task")
    git(remote, "commit", "--allow-empty", "-qm", "Second")
    assert open_workspace(mirrors, str(remote), "", "task") == first
    assert open_workspace(mirrors, str(remote), "", "task-2").base_commit == git(remote, "rev-parse", "HEAD")


def test_asking_again_for_another_branch_is_a_conflict(mirrors: Mirrors, tmp_path: Path):
    remote = made(tmp_path / "shop", {"a.txt": b"1\n"})
    git(remote, "branch", "dev")
    open_workspace(mirrors, str(remote), "main", "task")
    assert "opened from branch 'main', not 'dev'" in refusal(mirrors, remote, "dev", Conflict)


def test_ten_workspaces_opened_at_once_are_ten_lines_of_commits(mirrors: Mirrors, tmp_path: Path):
    remote = made(tmp_path / "shop", {"a.txt": b"1\n"})
    with ThreadPoolExecutor(10) as pool:
        opened = list(pool.map(lambda i: open_workspace(mirrors, str(remote), "", f"task-{i}"), range(10)))
    assert len({o.workspace.ref for o in opened}) == 10
    assert len({o.base_commit for o in opened}) == 1


def test_one_workspace_opened_many_times_at_once_is_one(mirrors: Mirrors, tmp_path: Path):
    remote = made(tmp_path / "shop", {"a.txt": b"1\n"})
    with ThreadPoolExecutor(6) as pool:
        opened = list(pool.map(lambda _: open_workspace(mirrors, str(remote), "", "task"), range(6)))
    assert opened == [opened[0]] * 6


def test_a_missing_branch_is_answered_with_the_branches_there_are(mirrors: Mirrors, tmp_path: Path):
    remote = made(tmp_path / "shop", {"a.txt": b"1\n"})
    git(remote, "branch", "release/1")
    assert refusal(mirrors, remote, "develop").endswith("has no branch 'develop'. Its branches: main, release/1.")


def test_an_empty_repository_asks_for_a_first_commit(mirrors: Mirrors, tmp_path: Path):
    remote = made(tmp_path / "empty", {})
    assert "has no commits yet; push a first commit" in refusal(mirrors, remote)
    assert "has no commits yet; push a first commit" in refusal(mirrors, remote, "main")


def test_an_empty_repository_opens_once_it_has_a_commit(mirrors: Mirrors, tmp_path: Path):
    remote = made(tmp_path / "empty", {})
    refusal(mirrors, remote)
    git(remote, "commit", "--allow-empty", "-qm", "First")
    assert open_workspace(mirrors, str(remote), "", "task").files == 0


def test_a_detached_checkout_opens_at_its_usual_branch_or_asks(mirrors: Mirrors, tmp_path: Path):
    remote = made(tmp_path / "shop", {"a.txt": b"1\n"})
    git(remote, "branch", "other")
    git(remote, "checkout", "-q", "--detach")
    assert open_workspace(mirrors, str(remote), "", "task").base_branch == "main"
    git(remote, "branch", "-m", "main", "one")
    with pytest.raises(RepositoryUnusable, match="names no default branch"):
        open_workspace(mirrors, str(remote), "", "task-2")


def test_what_is_no_repository_says_so(mirrors: Mirrors, tmp_path: Path):
    plain = tmp_path / "plain"
    plain.mkdir()
    remote = made(tmp_path / "shop", {"src/a.txt": b"1\n"})
    git(remote, "bundle", "create", "-q", str(tmp_path / "shop.bundle"), "main")
    assert "There is no folder" in refusal(mirrors, tmp_path / "none")
    assert "is not the root of a git repository" in refusal(mirrors, plain)
    assert f"the root is {remote}" in refusal(mirrors, remote / "src")
    assert "git bundle" in refusal(mirrors, tmp_path / "shop.bundle")
    assert "relative" in refusal(mirrors, "shop", expected=InvalidInput)
    (plain / ".git").mkdir()
    assert "cannot be read" in refusal(mirrors, plain)


def test_a_closed_port_may_answer_later(mirrors: Mirrors):
    assert "did not answer" in refusal(mirrors, "http://127.0.0.1:9/x.git", expected=RemoteUnavailable)


def test_a_helper_transport_is_never_run(mirrors: Mirrors, tmp_path: Path):
    assert "cannot be read" in refusal(mirrors, f"ext::sh -c touch% {tmp_path}/owned")
    assert not (tmp_path / "owned").exists()


def test_a_name_that_leaves_the_refs_is_refused(mirrors: Mirrors, tmp_path: Path):
    remote = made(tmp_path / "shop", {"a": b"1"})
    with pytest.raises(InvalidInput, match="cannot name a workspace"):
        open_workspace(mirrors, str(remote), "", "../heads/main")


def test_a_shallow_clone_opens(mirrors: Mirrors, tmp_path: Path):
    remote = made(tmp_path / "shop", {"a.txt": b"1\n"})
    git(remote, "commit", "--allow-empty", "-qm", "Second")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{remote}", "shallow")
    assert open_workspace(mirrors, str(tmp_path / "shallow"), "", "task").files == 1


def test_odd_things_are_noted(mirrors: Mirrors, tmp_path: Path):
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    files = {f"{i}.txt": b"a\r\nb\r\n" for i in range(4)} | {".gitattributes": b"*.bin filter=lfs -text\n", "x.bin": pointer}
    remote = made(tmp_path / "odd", files)
    git(remote, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},vendor/sub")
    git(remote, "commit", "-qm", "Submodule")
    notes = " ".join(open_workspace(mirrors, str(remote), "", "task").notes)
    assert "Submodules are not fetched and stay as they are: vendor/sub." in notes
    assert "these are pointers: x.bin." in notes
    assert "CRLF" in notes


def test_names_in_any_script_and_bytes_that_are_no_text_survive(mirrors: Mirrors, tmp_path: Path):
    names = ["日本語.txt", "نص.txt", "a b\tc.txt", os.fsdecode(b"caf\xe9.txt"), "emoji-👩‍💻.md"]
    remote = made(tmp_path / "names", {name: name.encode("utf-8", "surrogateescape") for name in names})
    opened = open_workspace(mirrors, str(remote), "", "task")
    mirror = mirrors.of(opened.workspace)
    found = {entry.path: mirror.read(entry.oid) for entry in mirror.entries(opened.base_commit)}
    assert found == {name: name.encode("utf-8", "surrogateescape") for name in names}


def test_many_files_are_noted_and_open_in_seconds(mirrors: Mirrors, tmp_path: Path):
    remote = tmp_path / "many.git"
    remote.mkdir()
    git(remote, "init", "-q", "--bare", "-b", "main")
    feed = [b"commit refs/heads/main\ncommitter p <p@x> 1 +0000\ndata 1\nx\n"]
    feed += [b"M 100644 inline d%d/f%d.txt\ndata 2\n%d\n" % (i // 500, i, i % 10) for i in range(51_000)]
    git(remote, "fast-import", "--quiet", feed=b"".join(feed))
    opened = open_workspace(mirrors, str(remote), "", "task")
    assert opened.files == 51_000
    assert "51,000 files" in opened.notes[0]


@pytest.mark.parametrize(("told", "kind"), [
    ("fatal: unable to access 'https://x/': Could not resolve host: x", RemoteUnavailable),
    ("fatal: unable to access 'https://x/': The requested URL returned error: 503", RemoteUnavailable),
    ("fatal: unable to access 'https://x/': The requested URL returned error: 403", RepositoryUnusable),
    ("fatal: '/srv/500/429.git' does not appear to be a git repository", RepositoryUnusable),
])
def test_only_what_may_mend_itself_is_worth_another_try(told: str, kind: type):
    assert type(remote_failure("https://x/", told)) is kind


def test_a_credential_in_gits_words_is_not_repeated():
    assert "hunter2" not in remote_failure("https://x/", "fatal: unable to access 'https://bob:hunter2@x/': no").message
