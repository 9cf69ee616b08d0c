"""Gates on content that no reviewer reads: programs, archives, minified and vendored code, text that hides characters."""

import re
import unicodedata
from collections.abc import Iterator

from contracts.judging.difference import SUBMODULE, SYMLINK, Difference, Touched, binary
from contracts.judging.finding import Finding, OperationKind, operation_found
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
ACTIVE_IMAGE = re.compile(
    rb"(?i)<script|\son\w{1,40}\s{0,9}=|javascript:|<(?:iframe|embed|object|handler)\b|<!ENTITY|data:(?:text/html|image/svg)"
    rb"|attributeName\s{0,9}=\s{0,9}[\"'](?:on|(?:xlink:)?href[\"'][^>]{0,300}:)"
)
PNG_END = b"IEND\xaeB`\x82"
MOST_BEHIND = 16
"""Bytes that may follow the end of a picture."""
FAR_RIGHT = re.compile(r"\S\s{120,}(?!#|//|/\*|--|\\$)\S")
"""Code behind so many blanks that no reader sees it."""
LONG_LINE = 5_000
"""Characters of a line of code that nobody reads."""
DIRECTION = re.compile("[\u202a-\u202e\u2066-\u2069]")
UNSEEN = re.compile(
    "[\u200b\u2060-\u2064\u3164\u115f\u1160\uffa0\u180e]|(?<!^)\ufeff|[\U000e0000-\U000e007f]"
    "|[\u0000-\u0008\u000b\u000e-\u001f\u007f\u0085\u2028\u2029]"
)
SOMETIMES_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u17b4\u17b5\u180b-\u180f\u200c-\u200f\u2800\ufe00-\ufe0f\ufff9-\ufffb\U0001d173-\U0001d17a\U000e0100-\U000e01ef]"
)
"""What some alphabets and emoji need, between their own letters."""
ALWAYS_UNSEEN = frozenset("\u034f\u17b4\u17b5\ufff9\ufffa\ufffb") | {chr(code) for code in range(0x1D173, 0x1D17B)}
HYPHENS = frozenset("\u00ad\u200e\u200f")
"""They stand between Latin letters of ordinary texts, too."""
FLAG = re.compile("\U0001f3f4[\U000e0061-\U000e007a]{2,6}\U000e007f")
"""Flags of regions: the one honest use of tags."""
SIGNS = re.compile("[\u01c3\u037e\ua789]")
"""What looks like an exclamation mark, a semicolon, a colon, and is a letter or the sign of another alphabet."""
LONE_RETURN = re.compile(rb"\r(?!\r?\n)[^\r\n]")
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
    elif appended := _appended(content):
        yield _operation(touched, "operation.binary", OperationKind.BINARIES, 0, f"It is a picture that carries {appended}.")
    elif touched.name.lower().endswith(".svg") and ACTIVE_IMAGE.search(content):
        yield _operation(touched, "operation.script-in-image", OperationKind.VENDORED, 0, "It is a picture that runs a script.")


def _appended(content: bytes) -> str:
    """What stands in a picture and is none: a program, an archive behind its end, a script before its first byte of colour."""
    if content.startswith((b"GIF87a/*", b"GIF89a/*", b"GIF89a=", b"BM/*")):
        return "a script"
    if content.startswith(b"\x89PNG") and (end := content.find(PNG_END)) >= 0 and len(content) - end - len(PNG_END) > MOST_BEHIND:
        return "something behind its end"
    if content.startswith((b"\x89PNG", b"GIF8", b"\xff\xd8\xff")) and (b"\x7fELF\x02\x01\x01" in content or b"<?php" in content):
        return "a program"
    return ""


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
    old, new = (side.content or b"" if side else b"" for side in (touched.before, touched.new))
    if b"\n" in new and LONE_RETURN.search(new) and not LONE_RETURN.search(old):
        yield Finding(
            rule="text.invisible",
            path=touched.shown,
            problem="It holds returns without a new line: what stands before one is overwritten where it is shown.",
            remedy="End lines with a new line.",
        )
    for number, line in touched.added:
        if trick := _trick(FLAG.sub("", line), touched.name):
            rule, problem, remedy = trick
            yield Finding(rule=rule, path=touched.shown, line=number, problem=problem, remedy=remedy)
            return


def _trick(line: str, path: str) -> tuple[str, str, str] | None:
    """The rule, the problem and the remedy, where a line is not what it seems to be."""
    if DIRECTION.search(line):
        return (
            "text.direction",
            "The line holds characters that turn the direction of writing: it is not what it seems.",
            "Take those characters out, or write them as escapes.",
        )
    if UNSEEN.search(line) or _unseen_here(line, path):
        return (
            "text.invisible",
            "The line holds characters that nobody sees.",
            "Take those characters out, or write them as escapes.",
        )
    if SCRIPTS.search(path) and FAR_RIGHT.search(line):
        return (
            "text.invisible",
            "The line has code far to the right of everything else, where no reader sees it.",
            "Put it on a line of its own.",
        )
    if CODE.search(path) and _mixes_alphabets(line):
        return (
            "text.confusable",
            "It mixes Latin letters or signs with ones of another alphabet that look like them.",
            "Write it in one alphabet.",
        )
    return None


def _unseen_here(line: str, path: str) -> bool:
    """Whether it holds a character that some alphabets or emoji need, in a place where none of them stands."""
    if line.isascii():
        return "\x0c" in line.strip() and CODE.search(path) is not None
    return any(
        found[0] in ALWAYS_UNSEEN
        or (
            found.start()
            and line[found.start() - 1].isascii()
            and line[found.end() : found.end() + 1].isascii()
            and (CODE.search(path) is not None or found[0] not in HYPHENS)
            and not (found[0] == "\ufe0f" and line[found.start() - 1] in "0123456789#*")
        )
        for found in SOMETIMES_UNSEEN.finditer(line)
    )


def _mixes_alphabets(line: str) -> bool:
    return not line.isascii() and (SIGNS.search(line) is not None or any(map(_confusable, IDENTIFIER.findall(line))))


def _confusable(word: str) -> bool:
    if not word.isascii() and any(map(str.isascii, word)) and _folds(word):
        return True
    return not word.isascii() and not LOOKALIKES.isdisjoint(word) and any("a" <= c <= "z" or "A" <= c <= "Z" for c in word)


def _folds(word: str) -> bool:
    """Whether compatibility letters in it, as wide or joined ones, are Latin letters to a program that folds names."""
    return any(not c.isascii() and unicodedata.normalize("NFKC", c).isascii() for c in word)


def _operation(touched: Touched, rule: str, kind: OperationKind, line: int, problem: str) -> Finding:
    state = touched.new.oid if touched.new else ""
    return operation_found(rule, kind, touched.shown, line, state, problem, READ)
