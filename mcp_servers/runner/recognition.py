"""Recognises how a repository is tested when it does not say so itself."""

import configparser
import json
import re
import tomllib
from collections import defaultdict
from dataclasses import dataclass, field
from shlex import quote
from typing import Any

from contracts.sandbox import CheckCommand, Recipe
from mcp_servers.object_store import Entry, Mirror

SKIPPED = {
    "node_modules",
    "vendor",
    "third_party",
    ".venv",
    "venv",
    "site-packages",
    "dist",
    "build",
    "target",
    "fixtures",
    "testdata",
    "examples",
}
PYTHON_MARKERS = {"pyproject.toml", "setup.py", "setup.cfg", "tox.ini", "pytest.ini", "requirements.txt", "conftest.py"}
TEST_FILE = re.compile(r"(test_.*|.*_test|tests?)\.py$")
NODE_TEST_FILE = re.compile(r"(.*[._-]test|test[._-].*|test|.*\.spec)\.(js|mjs|cjs)$")
MOST_ROOTS = 8
MOST_DEPTH = 3
READ_AT_MOST = 40
"""Test files looked into to learn whether they use pytest."""
NO_TESTS = (
    "No tests were recognised. Add a .patchwright.yaml with 'checks:' to the base branch to say how this repository is tested."
)


@dataclass
class Found:
    """What was recognised so far."""

    checks: list[CheckCommand] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, kind: str, folder: str, command: str) -> None:
        """One check in one folder; the root is the empty folder."""
        name = f"{kind} ({folder})" if folder else kind
        self.checks.append(CheckCommand(name=name[:100], command=f"cd {quote(folder)} && {command}" if folder else command))


def recognised(mirror: Mirror, commit: str, programs: frozenset[str]) -> Recipe:
    """The recipe that the files of ``commit`` suggest. ``programs``: what the sandbox has."""
    tree = _Tree(mirror, commit)
    found = Found()
    _python(tree, found)
    _node(tree, found, programs)
    if not found.checks:
        _others(tree, found, programs)
    if not found.checks:
        found.notes.insert(0, NO_TESTS)
        _syntax(tree, found, programs)
    return Recipe(
        checks=tuple(found.checks), recognised=", ".join(dict.fromkeys(found.kinds)), note=" ".join(dict.fromkeys(found.notes))
    )


class _Tree:
    """The files of a commit by folder, without what belongs to others."""

    def __init__(self, mirror: Mirror, commit: str) -> None:
        self._mirror = mirror
        self.files: dict[str, Entry] = {}
        self.by_name: dict[str, list[str]] = defaultdict(list)
        """File name → folders that have it."""
        for entry in mirror.entries(commit):
            *folders, name = entry.path.split("/")
            if entry.is_file and not SKIPPED.intersection(folders):
                self.files[entry.path] = entry
                self.by_name[name].append("/".join(folders))

    def text(self, path: str) -> str:
        """The content of a file; empty when there is none or it is no text to read."""
        entry = self.files.get(path)
        if entry is None or self._mirror.size(entry.oid) > 1 << 20:
            return ""
        return self._mirror.read(entry.oid).decode("utf-8", "replace")

    def below(self, folder: str) -> list[str]:
        """The paths below a folder."""
        return [path for path in self.files if not folder or path.startswith(f"{folder}/")]

    def roots(self, names: set[str]) -> list[str]:
        """Folders that have one of the files, not too deep, the shallowest first."""
        folders = {folder for name in names for folder in self.by_name.get(name, ())}
        return sorted((f for f in folders if not f or f.count("/") < MOST_DEPTH), key=lambda f: (f.count("/") if f else -1, f))


def _python(tree: _Tree, found: Found) -> None:
    tests = [path for path in tree.files if TEST_FILE.match(path.rsplit("/", 1)[-1]) and path.endswith(".py")]
    tests = [path for path in tests if path.rsplit("/", 1)[-1] not in ("test.py", "tests.py") or "/" in path or len(tests) == 1]
    if not tests:
        return
    markers = tree.roots(PYTHON_MARKERS - {"conftest.py"})
    roots = [""] if "" in markers or not markers else [r for r in markers if any(t.startswith(f"{r}/") for t in tests)] or [""]
    if len(roots) > MOST_ROOTS:
        found.notes.append(
            f"Only the first {MOST_ROOTS} of {len(roots)} Python packages are tested; say in .patchwright.yaml which matter."
        )
    for root in _outermost(roots)[:MOST_ROOTS]:
        own = [t for t in tests if not root or t.startswith(f"{root}/")]
        kind, command = _python_command(tree, root, own)
        found.add(kind, root, command)
        found.kinds.append(f"python ({kind})")
        if f"{root}/requirements.txt".lstrip("/") in tree.files or _declares_dependencies(tree, root):
            found.notes.append(
                "Third-party Python packages are not installed by themselves: name them in 'setup:' with "
                "'setup_network: true' in .patchwright.yaml when the tests need them."
            )


def _outermost(roots: list[str]) -> list[str]:
    """Without the folders inside another one of the list."""
    return [r for r in roots if not any(r != other and (not other or r.startswith(f"{other}/")) for other in roots)]


def _python_command(tree: _Tree, root: str, tests: list[str]) -> tuple[str, str]:
    at = f"{root}/" if root else ""
    source = any(re.fullmatch(rf"{re.escape(at)}src/([^/]+\.py|[^/]+/__init__\.py)", path) for path in tree.below(f"{at}src"))
    prefix = "PYTHONPATH=src " if source else ""
    if _pytest_is_used(tree, at, tests):
        return "pytest", f"{prefix}python3 -m pytest -q"
    folders = {test.removeprefix(at).rpartition("/")[0] for test in tests}
    if folders == {""}:
        return "unittest", f"{prefix}python3 -m unittest discover -v"
    if len(folders) == 1:
        folder = folders.pop()
        top = " -t ." if f"{at}{folder}/__init__.py" in tree.files and "/" not in folder else ""
        return "unittest", f"{prefix or 'PYTHONPATH=. '}python3 -m unittest discover -v -s {quote(folder)} -p '*test*.py'{top}"
    # unittest does not find tests in several places by itself; pytest runs the same classes.
    return "pytest", f"{prefix}python3 -m pytest -q"


def _pytest_is_used(tree: _Tree, at: str, tests: list[str]) -> bool:
    if any(f"{at}{name}" in tree.files for name in ("pytest.ini", ".pytest.ini", "conftest.py")):
        return True
    if any(path.endswith("/conftest.py") for path in tree.below(at.rstrip("/"))):
        return True
    if "[tool.pytest" in tree.text(f"{at}pyproject.toml") or "[tool:pytest]" in tree.text(f"{at}setup.cfg"):
        return True
    if "pytest" in tree.text(f"{at}tox.ini") + tree.text(f"{at}requirements-dev.txt") + tree.text(f"{at}requirements.txt"):
        return True
    texts = [tree.text(path) for path in tests[:READ_AT_MOST]]
    return any("pytest" in text for text in texts) or not any("unittest" in text for text in texts)


def _declares_dependencies(tree: _Tree, root: str) -> bool:
    at = f"{root}/" if root else ""
    try:
        project: Any = tomllib.loads(tree.text(f"{at}pyproject.toml")).get("project", {})
    except (tomllib.TOMLDecodeError, AttributeError):
        project = {}
    setup = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        setup.read_string(tree.text(f"{at}setup.cfg"))
        declared = setup.get("options", "install_requires", fallback="").strip()
    except configparser.Error:
        declared = ""
    return bool(isinstance(project, dict) and project.get("dependencies")) or bool(declared)


def _node(tree: _Tree, found: Found, programs: frozenset[str]) -> None:
    packages = [(root, package) for root in tree.roots({"package.json"}) if (package := _package(tree, root)) is not None]
    if not packages:
        return
    if "node" not in programs:
        found.notes.append(
            "This looks like a Node project, but the sandbox has no node: install nodejs, or name an image in .patchwright.yaml."
        )
        return
    tested = [(root, package) for root, package in packages if _test_script(package) or _node_tests(tree, root)]
    tested = [pair for pair in tested if pair[0] in set(_outermost([root for root, _ in tested]))]
    if len(tested) > MOST_ROOTS:
        found.notes.append(
            f"Only the first {MOST_ROOTS} of {len(tested)} Node packages are tested; say in .patchwright.yaml which matter."
        )
    for root, package in tested[:MOST_ROOTS]:
        _node_check(tree, found, root, package, programs)


def _node_check(tree: _Tree, found: Found, root: str, package: dict[str, Any], programs: frozenset[str]) -> None:
    script = _test_script(package)
    needs = package.get("devDependencies") or package.get("dependencies")
    if needs and not re.match(r"(node|npm run)\b", script or "node"):
        found.notes.append(
            f"The tests of {root or 'this package'} ({script}) need packages that are not there: add 'setup: [npm ci]' and "
            "'setup_network: true' to .patchwright.yaml on the base branch."
        )
        return
    if script and "npm" in programs:
        found.add("npm test", root, "npm test --silent")
        found.kinds.append("node (npm test)")
    elif script:
        found.add("node test", root, f'PATH="$PWD/node_modules/.bin:$PATH" sh -c {quote(script)}')
        found.kinds.append("node (test script)")
    else:
        found.add("node --test", root, "node --test")
        found.kinds.append("node (node --test)")


def _package(tree: _Tree, root: str) -> dict[str, Any] | None:
    try:
        package = json.loads(tree.text(f"{root}/package.json".lstrip("/")).removeprefix("\ufeff") or "null")
    except (ValueError, RecursionError):
        return None
    return package if isinstance(package, dict) else None


def _test_script(package: dict[str, Any]) -> str:
    scripts = package.get("scripts")
    script = scripts.get("test", "") if isinstance(scripts, dict) else ""
    return script if isinstance(script, str) and "no test specified" not in script else ""


def _node_tests(tree: _Tree, root: str) -> bool:
    return any(NODE_TEST_FILE.match(path.rsplit("/", 1)[-1]) for path in tree.below(root))


def _others(tree: _Tree, found: Found, programs: frozenset[str]) -> None:
    makefile = tree.text("Makefile") or tree.text("makefile") or tree.text("GNUmakefile")
    if re.search(r"^test\s*:(?!=)", makefile, re.MULTILINE) and "make" in programs:
        found.add("make test", "", "make test")
        found.kinds.append("make (test)")
    elif "go.mod" in tree.files and "go" in programs:
        found.add("go test", "", "go test ./...")
        found.kinds.append("go (go test)")
    elif "Cargo.toml" in tree.files and "cargo" in programs:
        found.add("cargo test", "", "cargo test --offline")
        found.kinds.append("rust (cargo test)")


def _syntax(tree: _Tree, found: Found, programs: frozenset[str]) -> None:
    """Something is shown even without tests: the files can at least be read by their language."""
    commands: list[str] = []
    if any(path.endswith(".py") for path in tree.files):
        commands.append("python3 -m compileall -q -x '(^|/)(node_modules|vendor|third_party|testdata|fixtures)/' .")
    if "node" in programs and any(path.endswith((".js", ".mjs", ".cjs")) for path in tree.files):
        commands.append(
            r"find . \( -name node_modules -o -name vendor -o -name third_party -o -name dist \) -prune -o -type f "
            r"\( -name '*.mjs' -o -name '*.cjs' -o -name '*.js' \) -print0 | xargs -0 -r -n 1 node --check"
        )
    if commands:
        found.checks.append(CheckCommand(name="syntax", command=" && ".join(commands)))
        found.kinds.append("syntax only")
