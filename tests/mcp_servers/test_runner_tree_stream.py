"""What comes out of a sandbox is judged: no name, link or byte of it is believed."""

import io
import tarfile
from pathlib import Path

import pygit2
import pytest

from contracts.policy import Policy
from mcp_servers.object_store import EMPTY_TREE, Mirror, Mirrors, NewBlob
from mcp_servers.runner.output import Lines, Output, cleaned
from mcp_servers.runner.tree_stream import IgnoreRules, Stamp, judged, parsed_listing, refusals


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    mirror = Mirrors(tmp_path).create("shop")
    pygit2.Repository(str(mirror.path)).TreeBuilder().write()
    return mirror


def packed(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.mode = kind, link, mode
    return made


def test_a_member_nobody_asked_for_is_not_taken(mirror: Mirror) -> None:
    archive = packed((member("./a"), b"1"), (member("./../../etc/x"), b"2"), (member("/abs"), b"3"), (member("b"), b"4"))
    assert judged(archive, {"a"}, mirror, EMPTY_TREE).edits == {"a": NewBlob(b"1")}


@pytest.mark.parametrize("kind", [tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
def test_only_files_and_links_are_taken(mirror: Mirror, kind: bytes) -> None:
    taken = judged(packed((member("./a", kind, "b"), b"")), {"a"}, mirror, EMPTY_TREE)
    assert taken.edits == {} and "neither" in taken.refused["a"]


@pytest.mark.parametrize("target", ["/etc/passwd", "../x", "a/../../x", "..", ".git/config", "x/.GIT/y", "a\0b"])
def test_a_link_stays_inside(mirror: Mirror, target: str) -> None:
    archive = packed((member("./a", tarfile.SYMTYPE, target.replace("\0", "")), b""))
    taken = judged(archive, {"a"}, mirror, EMPTY_TREE)
    assert bool(taken.edits) == ("\0" in target)


def test_a_link_to_a_neighbour_is_taken(mirror: Mirror) -> None:
    taken = judged(packed((member("./d/a", tarfile.SYMTYPE, "../b"), b"")), {"d/a"}, mirror, EMPTY_TREE)
    assert taken.edits == {"d/a": NewBlob(b"../b", 0o120000)}


def test_what_is_the_same_already_is_no_edit(mirror: Mirror) -> None:
    tree = mirror.edit_tree(EMPTY_TREE, {"a": NewBlob(b"1"), "b": NewBlob(b"1")})
    taken = judged(packed((member("a"), b"1"), (member("b", mode=0o755), b"1")), {"a", "b"}, mirror, tree)
    assert taken.edits == {"b": NewBlob(b"1", 0o100755)}


HOSTILE = ["../x", ".git/x", "a/.git", "a/.GiT/x", "git~1/x", "a\nb", "a\\b", "x" * 256, ".github/workflows/x.yml"]


@pytest.mark.parametrize("path", HOSTILE)
def test_names_are_judged_before_anything_is_read(path: str) -> None:
    stamp = Stamp("f", "644", "1", 1, "1")
    assert set(refusals({path: stamp, "fine": stamp}, [path], Policy())) == {path}


def test_depth_size_and_kind_are_judged_by_the_listing() -> None:
    deep = "/".join("d" * 70)
    fine, big, pipe = Stamp("f", "644", "1", 1, "1"), Stamp("f", "644", "1", 1 << 30, "1"), Stamp("p", "644", "1", 0, "1")
    found = {deep: fine, "big": big, "pipe": pipe, "fine": fine}
    assert set(refusals(found, [], Policy())) == {deep, "big", "pipe"}


def test_a_listing_with_newlines_and_bytes_that_are_no_text() -> None:
    found = parsed_listing([b"f 644 1.5 3 7 ./a b\nc", b"l 777 2.5 1 8 ./\xff"])
    assert found == {"a b\nc": Stamp("f", "644", "1.5", 3, "7"), "\udcff": Stamp("l", "777", "2.5", 1, "8")}


def test_ignore_files_of_every_folder_count_and_the_inner_one_wins(mirror: Mirror) -> None:
    tree = mirror.edit_tree(EMPTY_TREE, {
        ".gitignore": NewBlob(b"*.log\nbuild/\n/only-here\n"), "sub/.gitignore": NewBlob(b"!keep.log\nlocal\n")})  # fmt: skip
    rules = IgnoreRules(mirror, tree)
    ignored = ["a.log", "x/a.log", "build/x", "sub/build/y", "only-here", "sub/local", "sub/a.log", "x/__pycache__/y.pyc"]
    kept = ["sub/keep.log", "x/only-here", "local", "src/build.py"]
    assert [path for path in ignored + kept if rules.ignores(path)] == ignored


def test_output_keeps_head_and_tail_and_counts_the_rest() -> None:
    output = Output(20)
    for chunk in (b"0123456789", b"x" * 1_000_000, b"abcdefghij"):
        output.add(chunk)
    assert output.text() == "0123456789\n[… 1000000 bytes left out …]\nabcdefghij" and output.total == 1_000_020


def test_output_loses_control_sequences_and_progress_bars() -> None:
    raw = b"\x1b[1;31mred\x1b[0m \x1b]8;;http://x\x07link\x1b]8;;\x07\r\n10%\r50%\r100%\n\x08\xff"
    assert cleaned(raw) == "red link\n100%\n\ufffd"


def test_lines_are_whole_however_they_arrive() -> None:
    lines = Lines()
    assert [lines.add(chunk) for chunk in (b"a", b"b\nc", b"\n\n", b"x" * 1_000_000)] == [[], ["ab"], ["c"], []]
