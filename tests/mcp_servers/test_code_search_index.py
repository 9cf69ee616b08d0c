"""The index: each blob is read once, whoever asks, and a crash costs nothing but time."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import mcp
import pytest

from contracts.workspace import Workspace
from mcp_servers.code_search import readers, store
from mcp_servers.code_search.analysis import analyse
from mcp_servers.code_search.index import CodeIndex, Stopped
from mcp_servers.code_search.store import Store
from mcp_servers.code_search.trees import Trees
from mcp_servers.object_store import NewBlob
from mcp_servers.scope import WORKSPACE
from tests.mcp_servers.code_search_client import Served

FILES = {f"pkg_{n % 7}/module_{n}.py": f"def function_{n}(value):\n    return value + {n}\n" for n in range(120)}
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def served(tmp_path):
    return Served(tmp_path, FILES)


def index_of(served):
    return CodeIndex(served.mirrors, "shop", served.folder / "index" / "shop")


def head(served):
    return served.mirror.tree_of(served.mirror.head(served.workspace))


async def test_a_commit_reads_exactly_the_blobs_it_brings(served):
    index = index_of(served)
    assert index.snapshot(head(served)).parsed == 120
    served.commit({"pkg_0/module_0.py": "def changed(): pass\n", "new/deep/er.py": "def brought(): pass\n",
                   "pkg_1/module_1.py": None, "copied.py": FILES["pkg_2/module_2.py"]})
    assert index.snapshot(head(served)).parsed == 2
    assert index_of(served).snapshot(head(served)).parsed == 0
    text = await served.text("find_symbol", name="brought")
    assert "new/deep/er.py:1-1" in text
    assert "No definition" in await served.text("find_symbol", name="function_1", path_glob="pkg_1/module_1.py")
    assert "copied.py:1-2" in await served.text("find_symbol", name="function_2")


async def test_a_second_task_on_the_mirror_finds_everything_indexed(served):
    await served.text("outline")
    other = Workspace(mirror="shop", name="other")
    served.mirror.start(other, served.mirror.head(served.workspace))
    tree = served.mirror.edit_tree(head(served), {"only.py": NewBlob(b"def only_there(): pass\n")})
    served.mirror.commit(other, tree, "Other")
    async with mcp.Client(served.server) as client:
        there = await client.call_tool("find_symbol", {"name": "only_there"}, meta={WORKSPACE: other.model_dump()})
    assert "only.py:1-1" in there.content[0].text
    assert "No definition" in await served.text("find_symbol", name="only_there")
    assert "No match" in await served.text("search_text", pattern="only_there")
    assert (await served.data("search_code", query="only there"))["results"] == []


async def test_answers_do_not_depend_on_what_was_indexed_before(served, tmp_path):
    calls = [("search_code", {"query": "function that adds a value"}), ("repo_map", {}),
             ("search_text", {"pattern": "value"}), ("find_symbol", {"name": "function_1"}),
             ("gather_context", {"query": "function 17", "paths": ["pkg_3/module_17.py"]})]
    fresh = [await served.text(tool, **arguments) for tool, arguments in calls]
    # The same tree again, in an index that saw another history first, in another order.
    worn = CodeIndex(served.mirrors, "shop", tmp_path / "worn" / "shop")
    for n in reversed(range(20)):
        served.commit({f"pkg_{n % 7}/module_{n}.py": f"def function_{n}(value, more):\n    return value  # adds function\n"})
        worn.snapshot(head(served))
    served.commit(FILES)
    served.folder = tmp_path / "worn"
    (served.folder / "shop").rename(served.folder / "index_shop")
    (served.folder / "index").mkdir()
    (served.folder / "index_shop").rename(served.folder / "index" / "shop")
    served.restart()
    assert [await served.text(tool, **arguments) for tool, arguments in calls] == fresh


async def test_a_crash_in_the_middle_of_an_append_leaves_nothing_wrong_behind(served, monkeypatch):
    index = index_of(served)
    index.snapshot(head(served))
    corpus = next((served.folder / "index").rglob("corpus-00000.txt"))
    before = corpus.stat().st_size
    served.commit({"half.py": "def half_written(): return 'unique_half'\n"})
    real_insert = store._insert

    def dying(connection, corpus, analyses):
        real_insert(connection, corpus, analyses)
        corpus.close()
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "_insert", dying)
    with pytest.raises(KeyboardInterrupt):
        index.snapshot(head(served))
    assert corpus.stat().st_size > before
    monkeypatch.setattr(store, "_insert", real_insert)
    served.commit({"whole.py": "def whole(): return 'unique_whole'\n", "half.py": None})
    assert index_of(served).snapshot(head(served)).parsed == 1
    assert "No match" in await served.text("search_text", pattern="unique_half")
    assert "whole.py:1:def whole" in await served.text("search_text", pattern="unique_whole")


async def test_a_killed_indexing_is_finished_by_the_next(served):
    program = """
import os, signal, sys
from pathlib import Path
from mcp_servers.code_search import index, store
from mcp_servers.object_store import Mirrors
index.BATCH_FILES = 50
add = store.Store.add
def killing(self, analyses):
    if self.blobs_after(0):
        corpus = self.segment(0).open("ab"); corpus.write(b"torn, no newline"); corpus.close()
        os.kill(os.getpid(), signal.SIGKILL)
    add(self, analyses)
store.Store.add = killing
index.CodeIndex(Mirrors(Path(sys.argv[1])), "shop", Path(sys.argv[2])).snapshot(sys.argv[3])
"""
    folder = served.folder / "index" / "shop"
    killed = subprocess.run([sys.executable, "-c", program, served.mirrors.root, folder, head(served)], timeout=60,
                            env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert killed.returncode == -signal.SIGKILL
    assert index_of(served).snapshot(head(served)).parsed == 70
    assert (await served.data("search_text", pattern="def function_", limit=2_000))["total"] == 120
    assert "No match" in await served.text("search_text", pattern="torn")


@pytest.mark.parametrize("damage", ["database", "corpus"])
async def test_a_damaged_index_is_built_again(served, damage):
    await served.text("outline")
    folder = served.folder / "index" / "shop" / f"v{store.VERSION}"
    if damage == "database":
        for path in folder.glob("index.sqlite*"):
            path.write_bytes(b"not a database at all" * 500) if path.name == "index.sqlite" else path.unlink()
    else:
        (folder / "corpus-00000.txt").write_bytes(b"")
    served.restart()
    assert "pkg_3/module_17.py:1-2" in await served.text("find_symbol", name="function_17")
    assert (await served.data("search_text", pattern="def function_17"))["total"] == 1


async def test_many_servers_at_once_read_every_blob_once(served):
    indexes = [index_of(served) for _ in range(4)]
    snapshots = await asyncio.gather(*(asyncio.to_thread(index.snapshot, head(served)) for index in indexes))
    assert sum(snapshot.parsed for snapshot in snapshots) == 120
    assert len(Store(served.folder / "index" / "shop").blobs_after(0)) == 120


async def test_the_corpus_goes_on_in_a_new_file_when_one_is_full(served, monkeypatch):
    monkeypatch.setattr(store, "SEGMENT_BYTES", 1_000)
    await served.text("outline")
    assert len(list((served.folder / "index").rglob("corpus-*.txt"))) > 3
    monkeypatch.setattr("mcp_servers.code_search.text_search._FED_BYTES", 0)
    assert (await served.data("search_text", pattern="def function_", limit=2_000))["total"] == 120


async def test_the_first_indexing_reports_progress(served, monkeypatch):
    monkeypatch.setattr("mcp_servers.code_search.index.BATCH_FILES", 10)
    monkeypatch.setattr("mcp_servers.code_search.server._PROGRESS_SECONDS", 0.001)
    heard = []

    async def hear(progress, total, message):
        heard.append((progress, total))

    async with mcp.Client(served.server) as client:
        await client.call_tool("outline", {}, progress_callback=hear)
    assert heard and all(0 < progress <= total == 120 for progress, total in heard)


async def test_a_tree_brought_up_by_differences_equals_the_tree_walked(served):
    trees = Trees()
    trees.of(served.mirror, head(served))
    for change in ({"pkg_0": "a file now\n"}, {"pkg_0/again.py": "x = 1\n", "z": "z\n"}, {"z/deep/a": "a\n"},
                   {"z": None, "z/deep/a": None}, {"link": NewBlob(b"pkg_0", 0o120000)}, {"link": "a file\n"},
                   {path: None for path in FILES}):
        served.commit(change)
        fast, walked = trees.of(served.mirror, head(served)), Trees().of(served.mirror, head(served))
        assert (fast.files, fast.others) == (walked.files, walked.others)


async def test_an_empty_tree_answers_every_tool(tmp_path):
    empty = Served(tmp_path, {})
    assert "no files yet" in await empty.text("outline")
    assert "no files yet" in await empty.text("repo_map")
    assert "No match" in await empty.text("search_text", pattern="a")
    assert "No definition" in await empty.text("find_symbol", name="a")
    assert "Nothing matches" in await empty.text("search_code", query="anything")
    assert "new.py: not there yet" in await empty.text("gather_context", query="make it", paths=["new.py"])


@pytest.mark.parametrize("dying", [False, True])
def test_reading_in_other_processes_gives_the_same_even_when_they_die(served, monkeypatch, dying):
    keys = list(dict.fromkeys(Trees().of(served.mirror, head(served)).files.values()))
    if dying:
        send = readers._send

        def kill_then_send(stream, message):
            started[0]._process.kill()
            send(stream, message)

        started = []
        start = readers._Reader.__init__
        monkeypatch.setattr(readers._Reader, "__init__", lambda self, mirror: (start(self, mirror), started.append(self))[0])
        monkeypatch.setattr(readers, "_send", kill_then_send)
    monkeypatch.setattr(readers, "_PORTION", 25)
    apart = [found for batch in readers.read_apart(served.mirror.path, keys, processes=2) for found in batch]
    assert apart == readers.read(served.mirror, keys)


async def test_an_indexing_that_nobody_waits_for_stops_and_keeps_what_it_has(served, monkeypatch):
    monkeypatch.setattr("mcp_servers.code_search.index.BATCH_FILES", 10)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        index_of(served).snapshot(head(served), stop=stop)
    assert index_of(served).snapshot(head(served)).parsed == 110


def test_a_bad_parse_still_gives_what_can_be_read():
    broken = analyse("0", "python", b"def good():\n    pass\n\nclass (((\n\ndef also_good(:\n\ndef last():\n    pass\n")
    assert {"good", "last"} <= {symbol.name for symbol in broken.symbols}
