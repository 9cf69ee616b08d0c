"""Gates on content that no reviewer reads: programs, archives, minified and vendored code, text that hides characters."""

import re
from collections.abc import Iterator

from contracts.judging.difference import SUBMODULE, SYMLINK, Difference, Touched, binary
from contracts.judging.finding import Finding, OperationKind, operation_name
from contracts.judging.names import LOOKALIKES

PROGRAMS = (
    (b"\x7fELF", "a program for Linux"),
    (b"MZ", "a program for Windows"),
    (b"\xfe\xed\xfa", "a program for macOS"),
    (b"\xcf\xfa\xed\xfe", "a program for macOS"),
    (b"\xca\xfe\xba\xbe", "compiled Java or a program for macOS"),
    (b"\0asm", "WebAssembly"),
    (b"!<arch>", "a library"),
    (b"dex\n", "a program for Android"),
    (b"\x80\x04\x95", "a pickle"),
    (b"\x80\x03", "a pickle"),
    (b"\x80\x02", "a pickle"),
    (b"\x80\x05\x95", "a pickle"),
    (b"BC\xc0\xde", "LLVM bitcode"),
    (b"\x1bLua", "compiled Lua"),
)
ARCHIVES = (
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"\x1f\x8b",
    b"7z\xbc\xaf",
    b"Rar!",
    b"\xfd7zXZ",
    b"BZh",
    b"\x28\xb5\x2f\xfd",
    b"MSCF",
    b"xar!",
    b"\xed\xab\xee\xdb",
)
PROGRAM_ENDING = re.compile(
    r"(?i)\.(?:exe|dll|so(?:\.\d+)*|dylib|pyc|pyo|pyd|class|jar|war|ear|node|wasm|o|a|lib"
    r"|bin|msi|deb|rpm|apk|ipa|dmg|pkg|com|scr|sys|whl|egg|gem|nupkg|crate|phar)$"
)
OFFICE = re.compile(r"(?i)\.(?:docx|xlsx|pptx|odt|ods|odp|epub|sketch|fig|npz|xmind)$")
MEDIA = (
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"RIFF",
    b"\0\0\x01\0",
    b"\0\0\x02\0",
    b"BM",
    b"wOFF",
    b"wOF2",
    b"OTTO",
    b"\0\x01\0\0",
    b"true",
    b"%PDF",
    b"ID3",
    b"OggS",
    b"fLaC",
    b"II*\0",
    b"MM\0*",
    b"\xde\x12\x04\x95",
    b"\x95\x04\x12\xde",
    b"\x1aE\xdf\xa3",
    b"icns",
    b"8BPS",
    b"glTF",
    b"SQLite format 3",
    b"PAR1",
    b"\x93NUMPY",
    b"\xff\xfb",
    b"\xff\xf3",
    b"\xff\xfe",
    b"\xfe\xff",
)
KEY_FILES = re.compile(
    r"(?i)(?:^|/)(?:id_(?:rsa|dsa|ecdsa|ed25519)|[^/]*\.(?:p12|pfx|jks|keystore|kdbx|ppk|bcfks"
    r"|mobileprovision|ovpn|agekey)|\.htpasswd|\.git-credentials|\.dockercfg)$"
)
CODE = re.compile(
    r"(?i)\.(?:[cm]?[jt]sx?|py|rb|go|rs|java|kt|kts|scala|c|cc|cpp|h|hpp|cs|php|swift|sh|bash"
    r"|sql|pl|lua|ps1|vue|svelte|gradle|toml|ya?ml|ini|cfg)$|(?:^|/)(?:makefile|dockerfile)$"
)
MINIFIED = re.compile(r"(?i)\.min\.(?:js|mjs|cjs|css)$|[.-]bundle\.js$")
SCRIPTS = re.compile(r"(?i)\.(?:[cm]?[jt]sx?|py|rb|php|sh|pl|lua|ps1|go|java)$")
VENDORED = re.compile(
    r"(?i)(?:^|/)(?:vendor|vendored|third[_-]?party|node_modules|bower_components|site-packages"
    r"|_vendor|pods|external)/"
)
OBFUSCATED = re.compile(
    r"eval\(function\(p,a,c,k,e,[dr]\)|(?:\b_0x[0-9a-f]{4,6}\b[^\n]{0,80}){4,}|(?:\\x[0-9a-f]{2}){40,}"
    r"|(?:chr\(\d+\)\s*[+.]\s*){12,}|(?:String\.fromCharCode\((?:\s*\d+\s*,){12,})",
    re.IGNORECASE,
)
LONG_LINE = 5_000
"""Characters of a line of code that nobody reads."""
DIRECTION = re.compile("[\u202a-\u202e\u2066-\u2069]")
UNSEEN = re.compile(
    "[\u200b\u2060-\u2064\u3164\u115f\u1160\uffa0\u180e]|(?<!^)\ufeff|[\U000e0000-\U000e007f]"
    "|[\u0000-\u0008\u000b\u000e-\u001f\u007f\u0085\u2028\u2029]"
)
FLAG = re.compile("\U0001f3f4[\U000e0061-\U000e007a]{2,6}\U000e007f")
"""Flags of regions: the one honest use of tags."""
IDENTIFIER = re.compile(r"[^\W\d_]{2,}")
READ = "Keep sources that people can read; fetch or build the rest with a pinned tool."


def blob_findings(difference: Difference) -> Iterator[Finding]:
    """What is wrong with content, whatever it means."""
    for touched in difference:
        if touched.new is None or touched.new.mode in (SYMLINK, SUBMODULE):
            continue
        if touched.new.content is None:
            yield Finding(
                rule="blob.unread",
                path=touched.shown,
                problem=f"It has {touched.new.size:,} bytes or is not there, so nothing in it could be judged.",
                remedy="Leave it out, or make it smaller.",
            )
            continue
        if touched.before is not None and touched.before.oid == touched.new.oid:
            continue
        yield from _kind(touched, touched.new.content)
        if not binary(touched.new.content):
            yield from _minified(touched)
            yield from _hidden(touched)


def _kind(touched: Touched, content: bytes) -> Iterator[Finding]:
    if KEY_FILES.search(touched.name) and content.strip():
        yield Finding(
            rule="secret.file",
            path=touched.shown,
            problem="Files of this name hold keys or passwords.",
            remedy="Take it out of the change; keep credentials out of the repository.",
        )
    what = next(
        (what for magic, what in PROGRAMS if content.startswith(magic) and (magic not in (b"MZ",) or binary(content))), ""
    )
    if not what and PROGRAM_ENDING.search(touched.name) and binary(content):
        what = "a program or package"
    if not what and content.startswith(ARCHIVES) and not OFFICE.search(touched.name):
        what = "an archive"
    if (
        not what
        and binary(content)
        and not content.startswith(MEDIA)
        and content[4:8] != b"ftyp"
        and not OFFICE.search(touched.name)
    ):
        what = "of no kind that people can look at"
    if what:
        yield _operation(touched, "operation.binary", OperationKind.BINARIES, 0, f"It is {what}; nobody can review it.")
    elif touched.name.lower().endswith(".svg") and re.search(rb"(?i)<script|\son\w+\s*=|javascript:", content):
        yield _operation(touched, "operation.script-in-image", OperationKind.VENDORED, 0, "It is a picture that runs a script.")


def _minified(touched: Touched) -> Iterator[Finding]:
    if touched.old is None and VENDORED.search(touched.name) and CODE.search(touched.name):
        yield _operation(touched, "operation.vendored", OperationKind.VENDORED, 0, "It is a copy of somebody else's code.")
    elif MINIFIED.search(touched.name):
        yield _operation(touched, "operation.minified", OperationKind.VENDORED, 0, "It is minified; nobody can review it.")
    elif SCRIPTS.search(touched.name):
        for number, line in touched.added:
            if (len(line) > LONG_LINE and not re.search(r"data:[\w/+.-]+;base64,", line)) or OBFUSCATED.search(line):
                yield _operation(
                    touched,
                    "operation.minified",
                    OperationKind.VENDORED,
                    number,
                    "The line is minified or obfuscated; nobody can review it.",
                )
                return


def _hidden(touched: Touched) -> Iterator[Finding]:
    for number, line in touched.added:
        plain = FLAG.sub("", line)
        if DIRECTION.search(plain):
            yield Finding(
                rule="text.direction",
                path=touched.shown,
                line=number,
                problem="The line holds characters that turn the direction of writing: it is not what it seems.",
                remedy="Take those characters out, or write them as escapes.",
            )
            return
        if UNSEEN.search(plain):
            yield Finding(
                rule="text.invisible",
                path=touched.shown,
                line=number,
                problem="The line holds characters that nobody sees.",
                remedy="Take those characters out, or write them as escapes.",
            )
            return
        if CODE.search(touched.name) and not plain.isascii() and any(_confusable(word) for word in IDENTIFIER.findall(plain)):
            yield Finding(
                rule="text.confusable",
                path=touched.shown,
                line=number,
                problem="A word mixes Latin letters with ones of another alphabet that look like them.",
                remedy="Write the word in one alphabet.",
            )
            return


def _confusable(word: str) -> bool:
    return not word.isascii() and not LOOKALIKES.isdisjoint(word) and any("a" <= c <= "z" or "A" <= c <= "Z" for c in word)


def _operation(touched: Touched, rule: str, kind: OperationKind, line: int, problem: str) -> Finding:
    state = touched.new.oid if touched.new else ""
    return Finding(
        rule=rule,
        path=touched.shown,
        line=line,
        problem=problem,
        remedy=READ,
        operation=operation_name(rule, touched.shown, state),
        kind=kind,
    )
