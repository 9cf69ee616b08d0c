"""Diffs as git really prints them, taken apart."""

import subprocess
from pathlib import Path

import pytest

from services.api.diffs import parse_diff


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    return tmp_path


def diff_of(folder: Path, before: dict[str, bytes], after: dict[str, bytes]) -> str:
    for files in (before, after):
        for name in [*before, *after]:
            (folder / name).unlink(missing_ok=True)
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        subprocess.run(["git", "add", "-A"], cwd=folder, check=True)
        author = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *author, "commit", "-qm", "x", "--allow-empty"], cwd=folder, check=True)
    command = ["git", "diff-tree", "-r", "-p", "-M", "--full-index", "HEAD~1", "HEAD"]
    shown = subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return shown.stdout.decode("utf-8", "replace")


def test_lines_carry_the_numbers_of_both_sides(folder: Path) -> None:
    (file,) = parse_diff(diff_of(folder, {"a.txt": b"1\n2\n3\n"}, {"a.txt": b"1\ntwo\nzwei\n3\n"}))
    lines = [(line.kind, line.old, line.new, line.text) for line in file.hunks[0].lines]
    assert lines == [("same", 1, 1, "1"), ("removed", 2, 0, "2"), ("added", 0, 2, "two"), ("added", 0, 3, "zwei"),
                     ("same", 3, 4, "3")]
    assert (file.path, file.status, file.added, file.removed) == ("a.txt", "modified", 2, 1)


def test_content_that_looks_like_a_header_stays_content(folder: Path) -> None:
    tricky = b"-- a/b\n++ b/c\ndiff --git a/x b/x\n@@ -1 +1 @@\n\\ No newline\n"
    (file,) = parse_diff(diff_of(folder, {"a.sql": tricky}, {"a.sql": b"-- other\n"}))
    assert file.path == "a.sql" and [line.text for line in file.hunks[0].lines] == [*tricky.decode().splitlines(), "-- other"]


@pytest.mark.parametrize("name", ["with space.txt", "täst.txt", 'qu"ote.txt', "tab\tname.txt", "日本/файл.txt", "b/a b/b.txt"])
def test_names_of_every_sort_are_read(folder: Path, name: str) -> None:
    for before, after, status in (({}, {name: b"x\n"}, "added"), ({name: b"x\n"}, {name: b"y\n"}, "modified"),
                                  ({name: b"y\n"}, {}, "deleted"), ({}, {name: b""}, "added")):
        (file,) = parse_diff(diff_of(folder, before, after))
        assert (file.path, file.status) == (name, status)


def test_renames_modes_binaries_and_missing_newlines_are_told(folder: Path) -> None:
    text = b"".join(b"line %d\n" % n for n in range(20))
    files = {f.path: f for f in parse_diff(diff_of(folder, {"old.txt": text, "logo.png": b"\0a", "end.txt": b"a\n"},
                                                   {"new.txt": text, "logo.png": b"\0b", "end.txt": b"a"}))}
    assert (files["new.txt"].status, files["new.txt"].old_path) == ("renamed", "old.txt")
    assert files["logo.png"].binary and not files["logo.png"].hunks
    assert [line.no_newline for line in files["end.txt"].hunks[0].lines] == [False, True]


def test_no_diff_has_no_files() -> None:
    assert parse_diff("") == []
