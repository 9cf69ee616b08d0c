"""Archives as a hostile command might leave them: what is parsed of one is what was asked for, and nothing lands on the host."""

import io
import itertools
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pygit2
import pytest

from contracts.policy import Policy
from mcp_servers.object_store import EMPTY_TREE, Mirror, Mirrors, NewBlob
from mcp_servers.runner.tree_stream import Taken, judged, parsed_listing, refusals
from tests.fakes.tallies import Tally

WANTED = "notes/a.md"
NAMES = (
    "../../owned", "/tmp/owned", "./../owned", "notes/../../owned", ".git/hooks/pre-commit", ".GIT/config", "git~1/config",
    "owned", "notes/a.md/../../owned", "notes\\..\\owned", "C:\\owned", "\x1b[2Jowned", "notes/a.md\n", " notes/a.md",
    "NOTES/A.MD", "a" * 5000,
)  # fmt: skip
KINDS = (
    tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE,
    tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE,
)  # fmt: skip
TARGETS = ("/etc/passwd", "../../../etc/passwd", "/proc/self/environ", ".git/config", "", "x" * 5000, "notes/../../x", ".git")


Member = tuple[tarfile.TarInfo, bytes]


def member(name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"x", link: str = "", **more: object) -> Member:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.mode = kind, link, 0o644
    made.size = len(content) if kind in (tarfile.REGTYPE, tarfile.CONTTYPE) else 0
    for key, value in more.items():
        setattr(made, key, value)
    return made, content


def archive(*members: Member, form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as made:
        for one, content in members:
            made.addfile(one, io.BytesIO(content) if one.size else None)
    return buffer.getvalue()


def hostile_archives() -> Iterator[tuple[str, bytes]]:
    honest = member(WANTED, content=b"fine")
    for name, kind in itertools.product(NAMES, KINDS[:7]):
        yield f"{name!r} of type {kind!r}", archive(honest, member(name, kind, link="/etc/passwd"))
    for kind, target in itertools.product((tarfile.SYMTYPE, tarfile.LNKTYPE), TARGETS):
        yield f"the wanted name as a link of type {kind!r} to {target[:30]!r}", archive(member(WANTED, kind, link=target))
    for kind in KINDS[3:6]:
        yield f"the wanted name as a device {kind!r}", archive(member(WANTED, kind, devmajor=8, devminor=0))
    for mode in (0o4755, 0o2755, 0o7777, 0o000, 0o777):
        yield f"the wanted file with mode {mode:o}", archive(member(WANTED, mode=mode))
    yield "the wanted name twice, a link first", archive(member(WANTED, tarfile.SYMTYPE, link="/etc/passwd"), honest)
    yield "the wanted name twice, a link last", archive(honest, member(WANTED, tarfile.SYMTYPE, link="/etc/passwd"))
    yield "a folder that is a link, and a file in it", archive(member("notes", tarfile.SYMTYPE, link="/etc"), honest)
    leads = member("l", tarfile.SYMTYPE, link="/etc/passwd")
    yield "a hard link to a link", archive(leads, member(WANTED, tarfile.LNKTYPE, link="l"))
    yield "a name of its own in a pax header", archive(member("x", pax_headers={"path": "../../owned"}), honest)
    hidden = {"linkpath": "/etc/passwd"}
    yield "a link of its own in a pax header", archive(member(WANTED, tarfile.SYMTYPE, link="x", pax_headers=hidden))
    yield "an owner that is root", archive(member(WANTED, uid=0, gid=0, uname="root", gname="root"))
    yield "ten thousand members", archive(*(member(f"m/{n}") for n in range(10_000)), honest)
    for name in NAMES[:12]:
        yield f"{name!r} in the old format", archive(honest, member(name[:90]), form=tarfile.USTAR_FORMAT)
        yield f"{name!r} in GNU's format", archive(honest, member(name), form=tarfile.GNU_FORMAT)
    whole = archive(honest, member("x", content=b"y" * 4096))
    for place in range(0, len(whole), 257):
        yield f"cut at {place}", whole[:place]
        yield f"a byte changed at {place}", whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    made = Mirrors(tmp_path / "mirrors").create("shop")
    pygit2.Repository(str(made.path)).TreeBuilder().write()
    return made


def problem_of(taken: Taken) -> str:
    """What came of an archive that may not have."""
    for path, made in taken.edits.items():
        if path != WANTED:
            return f"{path!r} was taken"
        if made is not None and made.mode not in (0o100644, 0o100755):
            return f"it was taken with mode {made.mode:o}"
        if made is not None and b"root:" in made.content:
            return "a file of the host was taken"
    return ""


def test_of_an_archive_only_what_was_asked_for_is_taken(tmp_path: Path, mirror: Mirror, tally: Callable[[str], Tally]) -> None:
    count, tree = tally("archives"), mirror.edit_tree(EMPTY_TREE, {"a.txt": NewBlob(b"one\n")})
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    for name, content in hostile_archives():
        try:
            problem = problem_of(judged(content, {WANTED}, mirror, tree))
        except (tarfile.TarError, EOFError, OSError, ValueError):
            problem = ""  # it is no archive: nothing is taken
        count.case(name, problem)
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before, "nothing is ever unpacked"
    count.settle(at_least=150)


def test_what_a_listing_says_of_sizes_and_kinds_is_judged_before_anything_is_read(tally: Callable[[str], Tally]) -> None:
    count = tally("archives: listings")
    for kind, size in itertools.product("flpscbdD?", (0, 1 << 20, 1 << 33, 1 << 60)):
        stamps = parsed_listing([f"{kind} 644 1.0 {size} 7 ./notes/a.md".encode()])
        refused = bool(refusals(stamps, (), Policy()))
        ordinary = kind in "fl" and size <= 32 << 20
        count.case(f"{kind} of {size} bytes", "" if refused is not ordinary else "it would be read")
    count.settle(at_least=30)
