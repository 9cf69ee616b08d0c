"""Dependencies that a change adds, as the usual manifests name them, and what the policy says of each."""

import json
import re
import tomllib
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import accumulate
from typing import Any

from contracts.judging.difference import Difference, Touched, text_of
from contracts.judging.finding import Finding, OperationKind, operation_found
from contracts.judging.lock_files import lock_findings
from contracts.policy_rules import DependencyRules
from contracts.word import Word

REQUIREMENT = re.compile(r"^\s*+(?P<name>[A-Za-z0-9][\w.-]*+)\s*+(?:\[[^\]]*+\])?\s*+(?P<rest>[=<>!~@;].*)?$")
ELSEWHERE = re.compile(
    r"(?i)(?:^|[\s\"'@=])(?:git\+|git://|git@|https?://|ssh://|file:|link:|github:|gitlab:"
    r"|bitbucket:|hg\+|svn\+|[\w.-]+/[\w.-]+(?:#|$))"
)
BLANKS = r"[^\S\n]"
GO = re.compile(
    rf"^{BLANKS}*+(?:require{BLANKS}++)?(?P<name>[\w.-]+\.[a-z]{{2,}}/\S++){BLANKS}++(?P<version>v\S+)", re.MULTILINE
)
GO_REPLACE = re.compile(
    rf"^{BLANKS}*+(?:replace{BLANKS}++)?(?P<name>\S++)(?:{BLANKS}++v\S++)?{BLANKS}++=>{BLANKS}++(?P<source>\S+)", re.MULTILINE
)
GEM = re.compile(
    rf"^{BLANKS}*+(?:gem|\w++\.add_(?:runtime_|development_)?dependency)\s*+\(?\s*+"
    r"[\"'](?P<name>[\w.-]+)[\"'](?P<rest>[^\n]*)",
    re.MULTILINE,
)
MAVEN = re.compile(
    r"<dependency>\s*<groupId>\s*(?P<group>[^<\s]+)\s*</groupId>\s*<artifactId>\s*(?P<name>[^<\s]+)\s*</artifactId>"
)
GRADLE = re.compile(
    (
        rf"^{BLANKS}*+(?:\w*[iI]mplementation|api|\w*[cC]ompile(?:Only)?|\w*[rR]untimeOnly|kapt|ksp|classpath"
        r"|annotationProcessor)\s*+\(?\s*+[\"'](?P<name>[\w.-]+:[\w.-]+)(?::[^\"']*)?[\"']"
    ),
    re.MULTILINE,
)
NUGET = re.compile(r"<PackageReference\s+Include=\"(?P<name>[^\"]+)\"")
NPM_SECTIONS = ("dependencies", "devDependencies", "peerDependencies", "optionalDependencies", "bundleDependencies")
Named = Mapping[str, str]
"""Name → where it comes from, as written; empty for the usual place."""


class Dependency(Word):
    """One package that a change adds."""

    ecosystem: str
    name: str
    source: str = ""
    """As written, where it is not the registry's."""
    licence: str = ""
    """As a lock file of the change says; empty where nobody can tell without network."""


def added_dependencies(difference: Difference) -> list[tuple[Touched, Dependency]]:
    """Every package that a manifest names now and did not name before, or takes from elsewhere now."""
    licences = _locked_licences(difference)
    found = []
    for touched in difference:
        if reader := _reader(touched.name):
            ecosystem, read = reader
            old, new = (_read(read, side.content if side else None) for side in (touched.before, touched.new))
            for name, source in new.items():
                if name not in old or (source and old[name] != source):
                    licence = licences.get((ecosystem, name.lower()), "")
                    found.append((touched, Dependency(ecosystem=ecosystem, name=name, source=source, licence=licence)))
    return found


def dependency_findings(difference: Difference, rules: DependencyRules) -> Iterator[Finding]:
    """What the policy says of added packages and of where they come from."""
    places: dict[bytes, tuple[str, Sequence[int]]] = {}
    for touched, added in added_dependencies(difference):
        if touched.path not in places:
            places[touched.path] = _text_by_line(touched)
        if added.source:
            yield operation_found(
                "operation.dependency-source",
                OperationKind.PACKAGE_SOURCES,
                touched.shown,
                _line(touched, added.name, places[touched.path]),
                f"{added.name} {added.source}",
                f"The package {added.name!r} would come from elsewhere than the registry.",
                "Name a released version of the package.",
            )
        if problem := package_problem(added, rules):
            yield Finding(
                rule="dependency.policy",
                path=touched.shown,
                line=_line(touched, added.name, places[touched.path]),
                problem=problem,
                remedy="Do without it, or use one that the policy allows.",
            )
    yield from _moved_locks(difference)
    for touched in difference:
        yield from lock_findings(touched)


def package_problem(added: Dependency, rules: DependencyRules) -> str:
    """Why a package may not be added, as a sentence; empty when it may."""
    name = f"{added.ecosystem}:{added.name}"
    if _listed(added, rules.denied_packages):
        return f"The policy denies the package {name}."
    listed = _listed(added, rules.allowed_packages)
    if rules.allowed_packages and not listed:
        return f"The policy allows only packages that it names, and {name} is not among them."
    if added.licence and (told := licence_problem(added.licence, rules)):
        return f"The package {name} has the licence {added.licence}: {told}"
    if rules.allowed_licences and not added.licence and not listed:
        return (
            f"The policy allows only licences that it names, and nobody can tell that of {name} without "
            f"network; name it in checks.allowed_packages."
        )
    return ""


def licence_problem(expression: str, rules: DependencyRules) -> str:
    """Why an SPDX expression does not fit the policy, as a clause; empty when it does. Of ``A OR B`` one must fit."""
    choices = [re.findall(r"[A-Za-z0-9][A-Za-z0-9.+-]*", choice) for choice in re.split(r"(?i)\bOR\b|/", expression)]
    problems = [
        _choice_problem([name for name in names if name.upper() not in ("AND", "WITH")], rules) for names in choices if names
    ]
    return "" if not problems or "" in problems else problems[0]


def _choice_problem(names: list[str], rules: DependencyRules) -> str:
    for name in names:
        if _matches(name, rules.denied_licences):
            return "the policy denies that licence."
    if rules.allowed_licences and not all(_matches(name, rules.allowed_licences) for name in names):
        return f"the policy allows only {', '.join(rules.allowed_licences)}."
    return ""


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name.lower(), pattern.lower()) for pattern in patterns)


def _listed(added: Dependency, patterns: tuple[str, ...]) -> bool:
    name = re.sub(r"[-_.]+", "-", added.name) if added.ecosystem == "pypi" else added.name
    return any(
        _matches(one, patterns) for one in (added.name, name, f"{added.ecosystem}:{added.name}", f"{added.ecosystem}:{name}")
    )


def _text_by_line(touched: Touched) -> tuple[str, Sequence[int]]:
    """The added lines as one text without capitals, and where in it each of them ends."""
    low = [text.lower() for _, text in touched.added]
    return "\n".join(low), [*accumulate(len(text) + 1 for text in low)]


def _line(touched: Touched, name: str, places: tuple[str, Sequence[int]]) -> int:
    """The first added line with the name; 0 where there is none."""
    text, ends = places
    at = text.find(name.rpartition(":")[2].lower())
    return touched.added[bisect_right(ends, at)][0] if 0 <= at < len(text) else 0


def _reader(path: str) -> tuple[str, Callable[[str], Named]] | None:
    name = path.rpartition("/")[2].lower()
    if re.fullmatch(r"(?:.*requirements.*|constraints.*)\.(?:txt|in)", name) or (
        "/requirements/" in f"/{path}" and name.endswith((".txt", ".in"))
    ):
        return "pypi", _requirements
    if name.endswith((".csproj", ".fsproj", ".vbproj")) or name == "directory.packages.props":
        return "nuget", lambda text: {found["name"]: "" for found in NUGET.finditer(text)}
    if name.endswith(".gemspec"):
        return "rubygems", _gems
    return READERS.get(name)


def _read(reader: Callable[[str], Named], content: bytes | None) -> Named:
    if not content:
        return {}
    try:
        return reader(text_of(content))
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        return {}  # a manifest that its own tool could not read, either: the checks will say so


def _requirements(text: str) -> Named:
    named = {}
    for line in text.splitlines():
        plain = re.split(r"\s#|\s--hash|\\$", line.strip())[0].strip()
        if plain and not plain.startswith(("#", "-r", "-c")):
            named.update(_requirement(plain.removeprefix("-e").removeprefix("--editable").strip()))
    return named


def _requirement(line: str) -> Named:
    if found := REQUIREMENT.match(line):
        rest = found["rest"] or ""
        return {found["name"].lower(): rest.strip() if rest.lstrip().startswith("@") else ""}
    egg = re.search(r"#egg=([\w.-]+)", line)
    return {egg[1].lower() if egg else line[:100]: line} if ELSEWHERE.search(line) else {}


def _pyproject(text: str) -> Named:
    told = tomllib.loads(text)
    project = told.get("project", {})
    lists = [project.get("dependencies", []), told.get("build-system", {}).get("requires", [])]
    lists += [*project.get("optional-dependencies", {}).values(), *told.get("dependency-groups", {}).values()]
    named: dict[str, str] = {}
    for line in (line for listed in lists for line in listed if isinstance(line, str)):
        named.update(_requirement(line))
    tool = told.get("tool", {})
    poetry = tool.get("poetry", {})
    groups = [poetry.get("dependencies", {}), poetry.get("dev-dependencies", {})]
    groups += [group.get("dependencies", {}) for group in poetry.get("group", {}).values()]
    for group in groups:
        named |= {name.lower(): _table_source(value) for name, value in group.items() if name != "python"}
    named |= {name.lower(): _table_source(value) for name, value in tool.get("uv", {}).get("sources", {}).items()}
    return named


def _pipfile(text: str) -> Named:
    told = tomllib.loads(text)
    return {
        name.lower(): _table_source(value) for part in ("packages", "dev-packages") for name, value in told.get(part, {}).items()
    }


def _cargo(text: str) -> Named:
    told, named = tomllib.loads(text), {}
    tables = [told, told.get("workspace", {}), *told.get("target", {}).values()]
    for table in tables:
        for part in ("dependencies", "dev-dependencies", "build-dependencies"):
            named |= {name: _table_source(value) for name, value in table.get(part, {}).items()}
    return named


def _table_source(value: Any) -> str:
    """Where a table says that a package comes from; a folder of the repository itself is nowhere else."""
    if not isinstance(value, dict):
        return ""
    return next((f"{key} = {value[key]}" for key in ("git", "url", "registry", "index", "file") if key in value), "")


def _package_json(text: str) -> Named:
    told = json.loads(text)
    named = {}
    for part in NPM_SECTIONS:
        section = told.get(part, {})
        if isinstance(section, dict):
            named |= {
                name: str(version) if ELSEWHERE.search(str(version)) or str(version).startswith("npm:") else ""
                for name, version in section.items()
            }
    forced = [told.get("resolutions"), told.get("overrides"), told.get("pnpm", {}).get("overrides")]
    return named | {name: version for part in forced for name, version in _forced(part) if ELSEWHERE.search(version)}


def _forced(section: Any) -> Iterator[tuple[str, str]]:
    """Versions that a package forces on its dependencies, and on theirs."""
    for name, version in section.items() if isinstance(section, dict) else ():
        if isinstance(version, dict):
            yield from _forced(version)
        else:
            yield str(name), str(version)


def _composer(text: str) -> Named:
    told = json.loads(text)
    return {name: "" for part in ("require", "require-dev") for name in told.get(part, {}) if "/" in name}


def _go(text: str) -> Named:
    named = {found["name"]: "" for found in GO.finditer(text) if "=>" not in found[0]}
    return named | {
        found["name"]: f"=> {found['source']}" for found in GO_REPLACE.finditer(text) if not found["source"].startswith("./")
    }


def _gems(text: str) -> Named:
    return {
        found["name"]: found["rest"].strip(" ,")
        if re.search(r"\b(?:git|github|source|path):|:git\s*=>|:github\s*=>", found["rest"])
        else ""
        for found in GEM.finditer(text)
    }


READERS: Mapping[str, tuple[str, Callable[[str], Named]]] = {
    "pyproject.toml": ("pypi", _pyproject),
    "pipfile": ("pypi", _pipfile),
    "package.json": ("npm", _package_json),
    "composer.json": ("composer", _composer),
    "cargo.toml": ("cargo", _cargo),
    "go.mod": ("go", _go),
    "gemfile": ("rubygems", _gems),
    "pom.xml": ("maven", lambda text: {f"{found['group']}:{found['name']}": "" for found in MAVEN.finditer(text)}),
    "build.gradle": ("maven", lambda text: {found["name"]: "" for found in GRADLE.finditer(text)}),
    "build.gradle.kts": ("maven", lambda text: {found["name"]: "" for found in GRADLE.finditer(text)}),
}


def _locked_licences(difference: Difference) -> dict[tuple[str, str], str]:
    """What the lock files of npm and Composer say of packages' licences."""
    told: dict[tuple[str, str], str] = {}
    for touched in difference:
        name = touched.name.rpartition("/")[2].lower()
        if name not in ("package-lock.json", "npm-shrinkwrap.json", "composer.lock") or touched.new is None:
            continue
        try:
            lock = json.loads(touched.new.content or b"{}")
            for where, package in lock.get("packages", {}).items() if isinstance(lock.get("packages"), dict) else ():
                if isinstance(package.get("license"), str):
                    told["npm", where.rpartition("node_modules/")[2].lower()] = package["license"]
            for package in lock["packages"] if isinstance(lock.get("packages"), list) else ():
                told["composer", package["name"].lower()] = " OR ".join(package.get("license", []))
        except (ValueError, AttributeError, TypeError, KeyError, RecursionError):
            continue
    return told


RESOLVED = re.compile(
    r"(?:\"resolved\":\s*\"|resolved\s+\"|tarball:\s*|source\s*=\s*\"(?:registry|sparse)\+"
    r"|url\s*=\s*\"|\bremote:\s*)(?:https?|git\+ssh|git|ssh)://(?P<host>[^/\"\s:]+)"
)


def _moved_locks(difference: Difference) -> Iterator[Finding]:
    """Packages that a lock file now takes from a host from which the base takes none."""
    for touched in difference:
        if not re.search(r"(?i)lock(?:\.json|\.ya?ml)?$|shrinkwrap\.json$", touched.name) or not touched.is_text:
            continue
        known = set(RESOLVED.findall(text_of(touched.old.content))) if touched.old and touched.old.content else set()
        hosts = [(number, found["host"]) for number, line in touched.added if (found := RESOLVED.search(line))]
        usual = known or {host for host, _ in Counter(host for _, host in hosts).most_common(1)}
        for number, host in dict((host, (number, host)) for number, host in reversed(hosts) if host not in usual).values():
            yield operation_found(
                "operation.lock-source",
                OperationKind.PACKAGE_SOURCES,
                touched.shown,
                number,
                host,
                f"The lock file takes a package from {host}, from where it takes no other.",
                "Make the lock file anew with the package manager.",
            )
