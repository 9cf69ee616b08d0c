"""``search_text`` gives what ripgrep gives over an exported copy of the same tree."""

import subprocess

import pytest

from mcp_servers.code_search import text_search
from mcp_servers.object_store import Entry, NewBlob
from tests.mcp_servers.code_search_client import Served

FILES = {
    "src/app.py": "import os\n\ndef Main(argument):\n    return os.getenv('HOME') or argument\n\n\n"
                  "class Application:\n    pass\n",
    "src/web/view.ts": "export const view = (id: string) => `<b>${id}</b>`;\nfunction main() {}\n",
    "src/web/view.tsx": "export const App = () => <p>main</p>;\n",
    ".github/workflows/ci.yml": "on: push\njobs:\n  main:\n    runs-on: ubuntu\n",
    ".gitignore": "ignored.txt\n",
    "ignored.txt": "main although ignored\n",
    "windows.txt": "first line\r\nmain line\r\nlast main\r\n",
    "latin.txt": b"caf\xe9 main\nnaive \xff main\n",
    "unended.txt": "no newline at the end: main",
    "bom.txt": b"\xef\xbb\xbfmain behind a mark\n",
    "utf16.txt": "sixteen bits main\nzweite Zeile\n".encode("utf-16"),
    "empty.txt": "",
    "ünïcode/日本語.md": "# 支払い\n\n支払いを再試行する main\nGroße Straße\n",
    "space name.txt": "main with space\n",
    "copy/one.txt": "the same main\n",
    "copy/two.txt": "the same main\n",
    "long.txt": "x" * 2_000 + " main " + "y" * 2_000 + "\n",
    "blank.txt": "\n\n\n",
}
PATTERNS = ["main", "Main", r"\bmain\b", r"^\s*def \w+", r"main$", r"^main", r"^$", r"(?i)MAIN", r"m.{2}n|class", r"[a-z]+\(",
            "支払", r"straße", r"\w+é?", r"caf", r"os\.getenv", r"\S+\s+main", "x{50}", "nothing has this",
            r"\d", r".", r"naive .+ main"]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    return Served(tmp_path_factory.mktemp("text"), FILES)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    for path, content in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def by_ripgrep(folder, *arguments):
    command = [text_search.ripgrep(), "--no-config", "--hidden", "--no-ignore", "--line-number", "--no-heading", "--null",
               "--color", "never", *arguments, "."]
    out = subprocess.run(command, cwd=folder, capture_output=True).stdout
    found = set()
    for line in out.split(b"\n")[:-1]:
        path, _, rest = line.partition(b"\0")
        found.add((path.decode().removeprefix("./"), int(rest.partition(b":")[0])))
    return found


async def by_tool(served, **arguments):
    data = await served.data("search_text", limit=2_000, **arguments)
    return {(match["path"], match["line"]) for match in data["matches"]}


@pytest.mark.parametrize("fed_bytes", [0, 1 << 22], ids=["from the corpus", "fed by path"])
@pytest.mark.parametrize("pattern", PATTERNS)
async def test_the_lines_are_those_of_ripgrep(served, exported, monkeypatch, pattern, fed_bytes):
    monkeypatch.setattr(text_search, "_FED_BYTES", fed_bytes)
    assert await by_tool(served, pattern=pattern) == by_ripgrep(exported, "--smart-case", "-e", pattern)


@pytest.mark.parametrize("case", ["sensitive", "insensitive"])
async def test_case_is_as_asked(served, exported, case):
    flag = {"sensitive": "--case-sensitive", "insensitive": "--ignore-case"}[case]
    assert await by_tool(served, pattern="Main", case=case) == by_ripgrep(exported, flag, "-e", "Main")


async def test_fixed_text_is_no_expression(served, exported):
    expected = by_ripgrep(exported, "-F", "-e", "(id: string) =>")
    assert await by_tool(served, pattern="(id: string) =>", fixed=True) == expected != set()


@pytest.mark.parametrize("file_type", ["py", "ts", "md", "yaml"])
async def test_file_types_are_those_of_ripgrep(served, exported, file_type):
    expected = by_ripgrep(exported, "--smart-case", "--type", file_type, "-e", "main")
    assert await by_tool(served, pattern="main", file_type=file_type) == expected != set()


@pytest.mark.parametrize("glob", ["*.py", "src/**", "*.{ts,tsx}", "!src/**", "**/web/*", "*.txt"])
async def test_globs_select_what_they_select_for_ripgrep(served, exported, glob):
    expected = by_ripgrep(exported, "--smart-case", "-g", glob, "-e", "main")
    assert await by_tool(served, pattern="main", path_glob=glob) == expected != set()


async def test_lines_are_grouped_by_file_with_their_context(served):
    text = await served.text("search_text", pattern="class Application", context_lines=1)
    assert text == "1 matching line in 1 file.\n\nsrc/app.py-6-\nsrc/app.py:7:class Application:\nsrc/app.py-8-    pass"


async def test_what_is_cut_is_said(served):
    text = await served.text("search_text", pattern="main", limit=2)
    data = await served.data("search_text", pattern="main", limit=2)
    assert "the first 2 are shown" in text and len(data["matches"]) == 2 and data["cut"] and data["total"] > 10


async def test_more_hits_than_are_counted_still_come_in_the_order_of_paths(served, monkeypatch):
    everything = await served.data("search_text", pattern="main", limit=2_000)
    monkeypatch.setattr(text_search, "MAX_COUNTED", 5)
    monkeypatch.setattr(text_search, "_FED_BYTES", 0)
    few = await served.data("search_text", pattern="main", limit=3)
    assert few["matches"] == everything["matches"][:3]


async def test_a_bad_pattern_is_refused_in_the_words_of_ripgrep(served):
    assert "unclosed group" in await served.refusal("search_text", pattern="main(")
    assert "look-around" in await served.refusal("search_text", pattern="(?=main)")
    assert "line by line" in await served.refusal("search_text", pattern="a\\nb")
    assert "Did you mean py" in await served.refusal("search_text", pattern="a", file_type="pyt")
    assert "empty" in await served.refusal("search_text", pattern="")


async def test_a_pattern_is_never_an_option(served, exported):
    assert await by_tool(served, pattern="--files") == set()
    assert await by_tool(served, pattern="-v") == set()


async def test_what_is_not_searched_is_said_with_the_reason(tmp_path):
    link = {"link.txt": NewBlob(b"src/a.txt", 0o120000), "module": Entry("module", "1" * 40, 0o160000)}
    odd = Served(tmp_path, {"a.txt": "needle\n", "picture.png": b"\x89PNG\0needle", "huge.csv": b"needle\n" * 700_000, **link,
                            "model.bin": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
                            "app.min.js": "var needle=1;" * 2_000})
    text = await odd.text("search_text", pattern="needle")
    assert "a.txt:1:needle" in text and "app.min.js:1:" in text and "picture" not in text
    assert "Not searched: 1 file (binary), 1 file (larger than 4 MiB)." in text
    assert "Git LFS pointer" in await odd.text("outline", path="model.bin")
    assert "minified" in await odd.text("outline", path="app.min.js")
    assert "symbolic link" in await odd.refusal("outline", path="link.txt")
    assert "submodule" in await odd.refusal("outline", path="module")
