"""Trees as git plumbing can make them and no honest tool would: raw objects, one entry at a time."""

import unicodedata
from collections.abc import Callable, Iterator

from mcp_servers.object_store import Mirror

Entry = tuple[bytes, bytes, str]
"""Mode as written, name, object id."""
Made = Callable[[Mirror, dict[str, str]], str]
"""(mirror, ids of objects that are there) → id of a root tree."""
GITS = (
    b".git",
    b".GIT",
    b".Git",
    b".git ",
    b".git.",
    b".git...",
    b".git::$INDEX_ALLOCATION",
    b"git~1",
    b"GIT~1",
    b"git~2",
    ".g\u200cit".encode(),
    ".git\u200d".encode(),
    "\ufeff.git".encode(),
    ".gi\u2060t".encode(),
    "\uff0egit".encode(),
    ".\uff47it".encode(),
    b".git\\x",
    b"..",
    b".",
    b".git:x",
    b".gitmodules",
    b".GITMODULES",
    ".gitmodules\u200c".encode(),
    b"gitmod~1",
    b"gi7eba~1",
)
NAMES = (
    b"a\nb",
    b"a\rb",
    b"a\tb",
    b"a\x1b[31m",
    b"a\x7f",
    b"\xff\xfe",
    b"a\xc0\xafb",
    "a\u202egpj.exe".encode(),
    "a\u2066b".encode(),
    "a\u200bb".encode(),
    b"con",
    b"AUX.txt",
    b"nul",
    b"a.",
    b"a ",
    b" a",
    b"a:b",
    b"a\\b",
    b"-rf",
    b"a*",
    b"a|b",
    b"a/b",
    b"",
    unicodedata.normalize("NFD", "\u00e9").encode(),
    "r\u0435adme".encode(),
    b"x" * 300,
    b"..\\up",
    b".. ",
    b"%2e%2e%2f",
)


def tree(mirror: Mirror, *entries: Entry) -> str:
    """A raw tree of exactly these entries, in exactly this order."""
    return mirror.write_object("tree", b"".join(mode + b" " + name + b"\0" + bytes.fromhex(oid) for mode, name, oid in entries))


def hostile_trees() -> Iterator[tuple[str, Made]]:
    """Class and how it is made; ``ids`` has ``blob``, ``link``, ``base`` (a tree) and ``readme`` (its only file)."""

    def readme(ids: dict[str, str]) -> Entry:
        return (b"100644", b"a.txt", ids["readme"])

    for name in GITS:
        yield "git's own names, as files", lambda m, ids, name=name: tree(m, (b"100644", name, ids["blob"]), readme(ids))
        yield (
            "git's own names, as folders",
            lambda m, ids, name=name: tree(m, (b"40000", name, tree(m, (b"100755", b"config", ids["blob"]))), readme(ids)),
        )
    for name in NAMES:
        yield "names", lambda m, ids, name=name: tree(m, (b"100644", name, ids["blob"]), readme(ids))
        yield (
            "names, below",
            lambda m, ids, name=name: tree(m, readme(ids), (b"40000", b"src", tree(m, (b"100644", name, ids["blob"])))),
        )
    for mode in (
        b"120000",
        b"160000",
        b"104755",
        b"100777",
        b"100664x"[:6],
        b"0100644",
        b"040000",
        b"20000",
        b"60000",
        b"10000",
        b"140000",
        b"0",
        b"777777",
    ):
        yield (
            "modes",
            lambda m, ids, mode=mode: tree(m, readme(ids), (mode, b"b", ids["link"] if mode == b"120000" else ids["blob"])),
        )
    for one, other in (
        (b"README", b"readme"),
        (b"Makefile", b"makefile"),
        ("caf\u00e9".encode(), "cafe\u0301".encode()),
        ("\ufb01x".encode(), b"fix"),
        (b"A.TXT", b"a.txt"),
        ("\u212aelvin".encode(), b"kelvin"),
        ("stra\u00dfe".encode(), b"strasse"),
    ):
        yield (
            "twins",
            lambda m, ids, one=one, other=other: tree(
                m, *sorted({readme(ids), (b"100644", one, ids["blob"]), (b"100644", other, ids["blob"])}, key=lambda e: e[1])
            ),
        )
        yield (
            "twins, of folders",
            lambda m, ids, one=one, other=other: tree(
                m, readme(ids), (b"40000", one, ids["base"]), (b"40000", other, ids["base"])
            ),
        )
    yield "twice", lambda m, ids: tree(m, readme(ids), (b"100644", b"a.txt", ids["blob"]))
    yield "twice", lambda m, ids: tree(m, (b"100644", b"b", ids["blob"]), (b"100755", b"b", ids["readme"]), readme(ids))
    yield "twice", lambda m, ids: tree(m, readme(ids), (b"100644", b"x", ids["blob"]), (b"40000", b"x", ids["base"]))
    yield "order", lambda m, ids: tree(m, (b"100644", b"z", ids["blob"]), readme(ids))
    yield "order", lambda m, ids: tree(m, readme(ids), (b"40000", b"foo", ids["base"]), (b"100644", b"foo.txt", ids["blob"]))
    yield "missing", lambda m, ids: tree(m, readme(ids), (b"100644", b"b", "d" * 40))
    yield "missing", lambda m, ids: tree(m, readme(ids), (b"40000", b"b", "d" * 40))
    yield "other kinds", lambda m, ids: tree(m, readme(ids), (b"100644", b"b", ids["base"]))
    yield "other kinds", lambda m, ids: tree(m, readme(ids), (b"40000", b"b", ids["blob"]))
    yield "cut off", lambda m, ids: m.write_object("tree", b"100644 a.txt\0" + bytes.fromhex(ids["readme"])[:9])
    yield "cut off", lambda m, ids: m.write_object("tree", b"100644 a.txt\0" + bytes.fromhex(ids["readme"]) + b"garbage")
    for target in (b"/etc/passwd", b"../../x", b".git/config", b"../.git/hooks/pre-commit", b".patchwright.yaml"):
        yield "links", lambda m, ids, target=target: tree(m, readme(ids), (b"120000", b"l", m.write_blob(target)))
    yield "deep", _deep
    yield "submodules", lambda m, ids: tree(m, (b"160000", b"a.txt", ids["blob"]))
    yield (
        "submodules",
        lambda m, ids: tree(
            m,
            (b"100644", b".gitmodules", m.write_blob(b'[submodule "x"]\n\turl = https://x.example\n')),
            readme(ids),
            (b"160000", b"x", ids["blob"]),
        ),
    )


def _deep(mirror: Mirror, ids: dict[str, str]) -> str:
    below = ids["base"]
    for _ in range(300):
        below = tree(mirror, (b"40000", b"d", below))
    return below
