"""Lock files that lead elsewhere: another host or protocol, another package's archive, other bytes of the same version."""

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any

from contracts.judging.difference import Touched, text_of
from contracts.judging.finding import Finding, OperationKind, operation_found

ADDRESS = re.compile(r"(?P<from>(?:git\+)?(?:https?|ssh|git|file)://(?:[^/\s\"'@]{1,100}@)?[^/\s\"':#?]{1,200})")
"""Protocol and host of an address."""
ANY_ADDRESS = re.compile(r"(?:poetry|uv|pdm|cargo|gemfile|mix|pubspec|deno|bun|podfile|conan)\.lock|package\.resolved")
"""Lock files without other addresses than those of packages."""
PNPM_ARCHIVE = re.compile(r"\bresolution:\s{0,3}\{[^}\n]{0,400}\btarball:\s{0,3}(?P<where>[^,}\s]{1,300})")
MOST_SOURCES = 300
"""Findings of one file: more than one judgement tells, which nobody can allow then."""
Entry = tuple[str, str, str]
"""Version, digest and address of one package."""
Entries = Mapping[str, Entry]


def lock_findings(touched: Touched) -> Iterator[Finding]:
    """What a lock file asks for that its base did not, beside new versions from where the others are from."""
    return islice(_led_elsewhere(touched), MOST_SOURCES)


def _led_elsewhere(touched: Touched) -> Iterator[Finding]:
    name = touched.name.rpartition("/")[2].casefold()
    if not touched.is_text or touched.before is None or not touched.before.content or touched.new is None:
        return
    before, after = text_of(touched.before.content), text_of(touched.new.content or b"")
    if ANY_ADDRESS.fullmatch(name):
        yield from (_moved(touched, where) for where in sorted(_addresses(after) - _addresses(before)))
    if (read := ENTRIES.get(name)) is not None:
        yield from _of_entries(touched, _entries(read, before), _entries(read, after))


def _addresses(text: str) -> set[str]:
    return {found["from"] for found in ADDRESS.finditer(text)}


def _of_entries(touched: Touched, before: Entries, after: Entries) -> Iterator[Finding]:
    known = {address for _, _, where in before.values() for address in _addresses(where)}
    for name, (version, digest, where) in after.items():
        had = before.get(name)
        if had and had[0] == version and had[1] and had[1] != digest and not (digest and had[1].startswith("sha1-")):
            yield _finding(touched, name, f"{digest} {where}", f"{name} has other bytes than before, in the same version")
        elif known and (new := _addresses(where) - known):
            yield _finding(touched, name, where, f"{name} comes from {min(new)}, from where no other package comes")
        elif had and had[2] != where and _of_another(name, where):
            yield _finding(touched, name, where, f"{name} is taken from the archive of another package")


def _of_another(name: str, where: str) -> bool:
    """Whether an archive, as npm's registry names it, is of another package. Aliases say so, and are told by their name."""
    short = name.rpartition("node_modules/")[2].rpartition("/")[2]
    return "/-/" in where and not where.rpartition("/-/")[2].startswith(f"{short}-")


def _entries(read: Callable[[str], Entries], text: str) -> Entries:
    try:
        return read(text)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return {}  # a lock file that its own tool could not read, either


def _npm(text: str) -> Entries:
    told: dict[str, Any] = json.loads(text).get("packages", {})
    return {
        name: (str(one.get("version", "")), str(one.get("integrity", "")), str(one.get("resolved", "")))
        for name, one in told.items()
        if name and isinstance(one, dict) and "name" not in one
    }


def _composer(text: str) -> Entries:
    told = json.loads(text)
    packages = [*told.get("packages", []), *told.get("packages-dev", [])]
    return {
        one["name"]: (
            str(one.get("version", "")),
            str(one.get("dist", {}).get("shasum", "")),
            " ".join(str(one.get(part, {}).get("url", "")) for part in ("dist", "source")),
        )
        for one in packages
    }


def _pipfile(text: str) -> Entries:
    sources = json.loads(text).get("_meta", {}).get("sources", [])
    return {f"source {number}": ("", "", str(one.get("url", ""))) for number, one in enumerate(sources)}


def _cargo(text: str) -> Entries:
    return {
        f"{one['name']} {one.get('version', '')}": (str(one.get("version", "")), str(one.get("checksum", "")), "")
        for one in tomllib.loads(text).get("package", [])
    }


def _go(text: str) -> Entries:
    parts = [line.split() for line in text.splitlines()]
    return {f"{part[0]} {part[1]}": (part[1], part[2], "") for part in parts if len(part) == 3}


def _pnpm(text: str) -> Entries:
    found = PNPM_ARCHIVE.finditer(text)
    told: dict[str, Entry] = {"": ("", "", "https://registry")}
    return told | {one["where"]: ("", "", one["where"]) for one in found}


def _flake(text: str) -> Entries:
    nodes = json.loads(text).get("nodes", {})
    locked = {name: one.get("locked", {}) for name, one in nodes.items()}
    return {
        name: ("", "", f"https://{one['owner']}.{one.get('type')}/" if "owner" in one else "")
        for name, one in locked.items()
    }


ENTRIES: Mapping[str, Callable[[str], Entries]] = {
    "package-lock.json": _npm,
    "npm-shrinkwrap.json": _npm,
    "composer.lock": _composer,
    "pipfile.lock": _pipfile,
    "cargo.lock": _cargo,
    "go.sum": _go,
    "pnpm-lock.yaml": _pnpm,
    "flake.lock": _flake,
}


def _moved(touched: Touched, where: str) -> Finding:
    return _finding(touched, where, where, f"It takes a package from {where}, from where it took none")


def _finding(touched: Touched, name: str, evidence: str, problem: str) -> Finding:
    short = name.rpartition("node_modules/")[2].partition(" ")[0]
    remedy = "Make the lock file anew with the package manager."
    kind, line = OperationKind.PACKAGE_SOURCES, touched.line_of(short)
    return operation_found("operation.lock-source", kind, touched.shown, line, evidence, f"{problem}.", remedy)
