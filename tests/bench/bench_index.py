"""How long the index of a repository takes: at first, after one commit, and each search on it.

The repository is synthetic: two Python modules for each JavaScript one, asked by a real MCP client of ``code_search``.
"""

import asyncio
import random
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import mcp
import pygit2

from contracts.workspace import Workspace
from mcp_servers.code_search.server import build_server
from mcp_servers.object_store import EMPTY_TREE, Mirrors, NewBlob
from mcp_servers.scope import Scope
from tests.bench import form

DOMAINS = ("payments", "orders", "shipping", "catalog", "search", "accounts", "billing", "reports", "notify", "inventory")
VERBS = ("load", "store", "charge", "refund", "parse", "render", "validate", "merge", "schedule", "export", "retry", "resolve")
NOUNS = ("invoice", "customer", "ticket", "session", "token", "basket", "address", "voucher", "receipt", "webhook", "ledger",
         "rate")
ROUNDS = 7


def python_file(number: int, random_: random.Random) -> str:
    """A Python module of some sixty lines that uses a few others."""
    noun, verb = random_.choice(NOUNS), random_.choice(VERBS)
    uses = [random_.randrange(max(1, number)) for _ in range(3)]
    lines = [f'"""{verb.title()}s each {noun} of the shop, module {number}."""', "", "import logging"]
    lines += [f"from {DOMAINS[u % 10]}.module_{u} import {NOUNS[u % 12].title()}Service{u}" for u in uses]
    lines += ["", "log = logging.getLogger(__name__)", f"LIMIT_{number} = {number}", "", "",
              f"class {NOUNS[number % 12].title()}Service{number}:", f'    """Keeps {noun} records and their history."""', ""]
    for _ in range(6):
        verb, noun, other = random_.choice(VERBS), random_.choice(NOUNS), random_.choice(NOUNS)
        lines += [f"    def {verb}_{noun}_{random_.randrange(1000)}(self, {noun}, {other}=None):",
                  f'        """{verb.title()} one {noun}; the {other} may be missing."""',
                  f"        if {noun} is None:", f'            raise ValueError("no {noun} given")',
                  f"        for attempt in range({random_.randrange(2, 9)}):",
                  f'            log.info("{verb} %s after %s", {noun}, attempt)',
                  f"            {other} = {NOUNS[uses[0] % 12].title()}Service{uses[0]}().lookup({noun}, attempt)",
                  f"        return {other}", ""]
    return "\n".join(lines) + "\n"


def javascript_file(number: int, random_: random.Random) -> str:
    """A JavaScript module of some forty lines."""
    use = random_.randrange(max(1, number))
    lines = [f"// Views of the {random_.choice(NOUNS)} page, module {number}.",
             f"import {{ render{use} }} from '../{DOMAINS[use % 10]}/view_{use}.js';", ""]
    for part in range(6):
        verb, noun = random_.choice(VERBS), random_.choice(NOUNS)
        lines += [f"export function {verb}{noun.title()}{number}_{part}({noun}, options = {{}}) {{",
                  f"  const {noun}Id = {noun}.id || options.{random_.choice(NOUNS)};",
                  f"  if (!{noun}Id) throw new Error('no {noun} to {verb}');",
                  f"  return render{use}({noun}Id, options.{random_.choice(VERBS)});", "}", ""]
    return "\n".join([*lines, f"export const render{number} = (id) => `<b>${{id}}</b>`;"]) + "\n"


def repository(files: int) -> dict[str, NewBlob]:
    """Paths and contents of a synthetic shop: two Python modules for each JavaScript one."""
    random_ = random.Random(20)
    made = {}
    for number in range(files):
        domain = f"{DOMAINS[number % 10]}/part_{number // 200}"
        if number % 3 == 2:
            made[f"{domain}/view_{number}.js"] = NewBlob(javascript_file(number, random_).encode())
        else:
            made[f"{domain}/module_{number}.py"] = NewBlob(python_file(number, random_).encode())
    return made


async def _timed(client: mcp.Client, tool: str, arguments: dict[str, Any], rounds: int = ROUNDS) -> float:
    """Median seconds of a tool call. Raises when the tool fails."""
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        result = await client.call_tool(tool, arguments)
        seconds.append(time.perf_counter() - start)
        if result.is_error:
            raise RuntimeError(f"{tool}: {result.content}")
    return round(statistics.median(seconds), 4)


async def _measure(files: int, folder: Path) -> dict[str, Any]:
    mirrors = Mirrors(folder / "mirrors")
    mirror, workspace = mirrors.create("bench"), Workspace(mirror="bench", name="bench")
    contents = repository(files)
    pygit2.Repository(str(mirror.path)).TreeBuilder().write()
    tree = mirror.edit_tree(EMPTY_TREE, contents)
    mirror.start(workspace, _root_commit(mirror.path, tree))
    async with mcp.Client(build_server(mirrors, folder / "index", Scope(workspace))) as client:
        first = await _timed(client, "outline", {"path": ""}, rounds=1)
        changed = next(iter(contents))
        edited = NewBlob(contents[changed].content + b"\ndef a_new_function_of_the_commit():\n    return 1\n")
        mirror.commit(workspace, mirror.edit_tree(mirror.head(workspace), {changed: edited}), "Change one file")
        again = await _timed(client, "find_symbol", {"name": "a_new_function_of_the_commit"}, rounds=1)
        return {
            "files": files,
            "source_mib": round(sum(len(blob.content) for blob in contents.values()) / (1 << 20), 1),
            "first_index_seconds": first,
            "after_one_commit_seconds": again,
            "search_text_seconds": await _timed(client, "search_text", {"pattern": r"def charge_\w+_7\d\("}),
            "find_symbol_seconds": await _timed(client, "find_symbol", {"name": f"{NOUNS[7]}Service7"}),
            "search_code_seconds": await _timed(client, "search_code", {"query": "retry charging the customer's invoice"}),
            "first_repo_map_seconds": await _timed(client, "repo_map", {"token_budget": 1000}, rounds=1),
            "repo_map_seconds": await _timed(client, "repo_map", {"token_budget": 1000}),
            "index_mib": round(sum(p.stat().st_size for p in (folder / "index").rglob("*") if p.is_file()) / (1 << 20), 1),
        }


def _root_commit(mirror: Path, tree: str) -> str:
    who = pygit2.Signature("Bench", "bench@localhost", 1_700_000_000, 0)
    return str(pygit2.Repository(str(mirror)).create_commit(None, who, who, "Everything", tree, []))


def measure(files: int = 10_000) -> dict[str, Any]:
    """Seconds, by a real MCP client: first index, index after a commit of one file, tool calls; and size on disk in MiB."""
    with tempfile.TemporaryDirectory(prefix="bench-index-") as folder:
        return asyncio.run(_measure(files, Path(folder)))


ROWS = {
    "first_index_seconds": "first index: the first call of any tool",
    "after_one_commit_seconds": "index again after a commit of one file",
    "search_text_seconds": "search_text: a regular expression",
    "find_symbol_seconds": "find_symbol: a class by its name",
    "search_code_seconds": "search_code: a question in words",
    "first_repo_map_seconds": "repo_map: the first one",
    "repo_map_seconds": "repo_map: each further one",
}


def main() -> None:
    """Measure and print."""
    parser = form.options(__doc__ or "")
    parser.add_argument("--files", type=int, default=10_000, help="files of the repository (default: %(default)s)")
    options = parser.parse_args()
    on = form.machine()
    figures = measure(options.files)
    title = f"{options.files:,} files, {figures['source_mib']} MiB of source; index on disk {figures['index_mib']} MiB"
    made = form.table(title, ("", "seconds"), [(told, f"{figures[name]:.3f}") for name, told in ROWS.items()])
    form.report("index", figures, [made], options.json, on=on)


if __name__ == "__main__":
    main()
