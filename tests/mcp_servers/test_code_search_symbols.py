"""``find_symbol`` and ``outline`` over files of every language that has a grammar, and the server as a process."""

import subprocess
import sys
from pathlib import Path

import mcp
import pytest
from mcp import StdioServerParameters

from tests.mcp_servers.code_search_client import Served

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "shop/client.py": "import time\n\nLIMIT = 3\n\n\nclass Client:\n    @property\n    def url(self):\n        return ''\n\n"
                      "    async def charge(self, card):\n        def inner():\n            pass\n        return inner\n",
    "shop/other.py": "from shop.client import Client\n\n\ndef use():\n    return Client().charge(1), Client\n",
    "web/app.js": "export const load = async (id) => {\n  return id;\n};\nclass Cart extends Base { add(item) { } }\n",
    "web/app.ts": "export interface Item { price(): number }\nexport type Id = string;\nenum Size { S, M }\n",
    "web/app.tsx": "export const View = (p: Props) => { return <b/>; };\n",
    "go/main.go": "package main\n\ntype Server struct{}\n\nfunc (s *Server) Serve(port int) error {\n\treturn nil\n}\n",
    "rs/lib.rs": "pub struct Pool;\nimpl Pool {\n    pub fn take(&self) -> u8 { 1 }\n}\n",
    "java/A.java": "public class Account {\n  public Account() {}\n  int total(int a) { return a; }\n}\n",
    "c/a.c": "static char *duplicate(const char *text)\n{\n    return 0;\n}\n",
    "c/b.cpp": "namespace bank { class Vault { int open() { return 1; } }; }\nint bank::Vault::shut() { return 2; }\n",
    "rb/a.rb": "module Shop\n  class Basket\n    def add(item)\n    end\n  end\nend\n",
    "php/a.php": "<?php\nclass Mailer {\n  public function send(string $to): bool { return true; }\n}\n",
    "cs/a.cs": "namespace N { public class Order { public int Total(int a) { return a; } } }\n",
    "имена/счёт.py": "def посчитать(счёт):\n    return счёт\n",
}
DEFINED = [("Client", "shop/client.py:6-14  class Client"), ("charge", "shop/client.py:11-14  method Client.charge"),
           ("url", "shop/client.py:7-9  method Client.url"), ("LIMIT", "shop/client.py:3-3  constant LIMIT"),
           ("load", "web/app.js:1-3  function load"), ("Cart.add", "web/app.js:4-4  method Cart.add"),
           ("Item", "web/app.ts:1-1  interface Item"), ("Id", "web/app.ts:2-2  type Id"), ("Size", "web/app.ts:3-3  enum Size"),
           ("View", "web/app.tsx:1-1  function View"), ("Serve", "go/main.go:5-7  method Serve"),
           ("take", "rs/lib.rs:3-3  method Pool.take"),
           ("Account.total", "java/A.java:3-3  method Account.total"), ("duplicate", "c/a.c:1-4  function duplicate"),
           ("shut", "c/b.cpp:2-2  method shut"), ("Basket#add", "rb/a.rb:3-4  method Basket.add"),
           ("send", "php/a.php:3-3  method Mailer.send"), ("Total", "cs/a.cs:1-1  method Order.Total"),
           ("посчитать", "имена/счёт.py:1-2  function посчитать")]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    return Served(tmp_path_factory.mktemp("symbols"), FILES)


@pytest.mark.parametrize(("name", "expected"), DEFINED)
async def test_a_definition_is_found_with_its_lines(served, name, expected):
    text = await served.text("find_symbol", name=name)
    assert text.startswith("1 definition named exactly") and expected in text.split("\n")


async def test_references_are_the_mentions_beside_the_definition(served):
    found = (await served.data("find_symbol", name="Client"))["definitions"][0]
    assert found["references"] == 3 and found["signature"] == "class Client"


async def test_a_name_is_found_in_another_case_by_its_beginning_and_by_a_part(served):
    assert "in another case" in await served.text("find_symbol", name="CLIENT")
    assert "whose name begins so" in await served.text("find_symbol", name="dupl")
    assert "function duplicate" in await served.text("find_symbol", name="plicat")
    assert "No definition" in await served.text("find_symbol", name="Client", kind="function")
    assert "in shop/client.py: see search_text" in await served.text("find_symbol", name="import time")


async def test_percent_and_underscore_are_letters_not_wildcards(served):
    assert "No definition" in await served.text("find_symbol", name="Cl%t")
    assert "No definition" in await served.text("find_symbol", name="_harge")


async def test_an_outline_is_nested_and_has_signatures(served):
    assert await served.text("outline", path="./shop/client.py") == (
        "shop/client.py (python, 14 lines)\n  3-3: LIMIT = 3\n  6-14: class Client\n    7-9: def url(self)\n"
        "    11-14: async def charge(self, card)\n      12-13: def inner()")


async def test_the_outline_of_a_folder_has_each_files_own_definitions(served):
    text = await served.text("outline", path="shop/")
    assert "shop/other.py (5 lines)\n  4-5: function use" in text and "method" not in text


async def test_a_signature_ends_before_the_comments_behind_it(tmp_path):
    commented = Served(tmp_path, {"a.py": "def f(x):  # why\n    # more\n    return x\n"})
    assert (await commented.data("find_symbol", name="f"))["definitions"][0]["signature"] == "def f(x)"


async def test_a_large_folder_shows_its_folders_first(tmp_path):
    large = Served(tmp_path, {f"part_{n % 3}/file_{n}.py": f"x{n} = 1\n" for n in range(90)})
    assert "part_1/ (30 files)" in await large.text("outline")


async def test_an_unknown_path_names_the_nearest(served):
    assert "Did you mean: shop/client.py" in await served.refusal("outline", path="src/client.py")
    assert "Did you mean: shop/client.py" in await served.refusal("outline", path="shop/clint.py")


async def test_names_that_could_break_a_line_are_shown_escaped(tmp_path):
    odd = Served(tmp_path, {})
    entries = b"".join(b"100644 blob %s\t%s\0" % (odd.mirror.write_blob(text).encode(), name) for name, text in
                       [(b"a\nfake.py:1:x.py", b"needle = 1\n"), (b"b\xff.py", b"needle = 2\n")])
    made = subprocess.run(["git", "--git-dir", odd.mirror.path, "mktree", "-z"], input=entries, capture_output=True, check=True)
    odd.mirror.commit(odd.workspace, made.stdout.decode().strip(), "Odd names")
    text = await odd.text("search_text", pattern="needle")
    assert "a\\x0afake.py:1:x.py:1:needle = 1" in text and "b\\xff.py:1:needle = 2" in text


async def test_every_tool_and_argument_is_described(served):
    async with mcp.Client(served.server) as client:
        tools = (await client.list_tools()).tools
    reading = {"search_text", "find_symbol", "outline", "repo_map", "search_code", "gather_context", "loosened_tests"}
    assert {tool.name for tool in tools if tool.annotations.read_only_hint} == reading
    assert {tool.name for tool in tools} == {*reading, "tidy_index"}
    for tool in tools:
        assert tool.description
        assert tool.name == "tidy_index" or all(
            argument.get("description") for argument in tool.input_schema["properties"].values()
        ), tool.name


async def test_the_server_runs_as_a_process_over_stdio(served):
    command = StdioServerParameters(command=sys.executable, cwd=ROOT, args=[
        "-m", "mcp_servers.code_search", "--mirrors", str(served.mirrors.root), "--mirror", "shop", "--workspace", "task"])
    async with mcp.Client(command) as client:
        found = await client.call_tool("find_symbol", {"name": "Client"})
    assert "shop/client.py:6-14  class Client" in found.content[0].text
    assert (served.mirrors.root.parent / "index" / "shop").is_dir()
