"""Repositories nobody prepared, worked on by a model that knows the tools by ``docs/tools.md`` alone."""

import http.server
import os
import subprocess
import threading
import time
import unicodedata
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.foreign_model import Part, Says, call, calls, mended, plan
from tests.fakes.foreign_service import ForeignService, git_bytes, in_a_task_of_its_own, patch, untouched
from tests.fakes.stack import git, remote

pytestmark = pytest.mark.slow
DONE = Says(text="Did what the ticket says.")
PLAIN: dict[str, str | bytes] = {
    "a.py": "def f():\n    return 1\n",
    "README.md": "# r\n",
    "tests/test_a.py": "from a import f\n\n\ndef test_f():\n    assert f() == 1\n",
}
READ_ME = Part([plan("README.md")], [call("write_file", path="README.md", content="# new\n"), DONE])
NODE: dict[str, str | bytes] = {
    "package.json": '{"name": "n", "version": "1.0.0", "type": "module", "scripts": {"test": "node --test"}}\n',
    "index.js": "export const add = (a, b) => a - b;\n",
    "test/add.test.js": "import test from 'node:test';\nimport assert from 'node:assert';\nimport { add } from '../index.js';\n"
    "test('zero', () => assert.equal(add(1, 0), 1));\n",
}
MENDED_JS = calls(
    ("write_file", {"path": "index.js", "content": "export const add = (a, b) => a + b;\n"}),
    (
        "apply_patch",
        {
            "patch": patch(
                "*** Update File: test/add.test.js",
                "@@",
                " test('zero', () => assert.equal(add(1, 0), 1));",
                "+test('two', () => assert.equal(add(1, 1), 2));",
            )
        },
    ),
    ("run_command", {"command": "mkdir -p node_modules/x && echo 1 > node_modules/x/index.js && npm test"}),
    ("run_checks", {}),
)


@pytest.fixture(scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ForeignService]:
    async with in_a_task_of_its_own(tmp_path_factory.mktemp("data")) as running:
        yield running


async def test_a_python_library_with_src_layout_and_pytest_goes_the_whole_way(service: ForeignService, tmp_path: Path) -> None:
    repo = remote(
        tmp_path,
        {
            "pyproject.toml": '[project]\nname = "slug"\nversion = "1"\n[tool.pytest.ini_options]\ntestpaths = ["tests"]\n',
            "src/slug/__init__.py": "from slug.core import slugify\n",
            "src/slug/core.py": 'def slugify(text):\n    return text.lower().replace(" ", "-")\n',
            "tests/test_core.py": 'from slug import slugify\n\n\ndef test_spaces():\n    assert slugify("A b") == "a-b"\n',
        },
    )
    edit = patch(
        "*** Update File: src/slug/core.py",
        "@@ def slugify(text):",
        '-    return text.lower().replace(" ", "-")',
        '+    return "-".join(text.lower().split())',
        "*** Update File: tests/test_core.py",
        "@@",
        " def test_spaces():",
        '     assert slugify("A b") == "a-b"',
        "+",
        "+",
        "+def test_many():",
        '+    assert slugify("A  b") == "a-b"',
    )
    played = await service.play(
        "Squeeze spaces",
        repo,
        Part(
            planner=[
                call("repo_map"),
                calls(("list_files", {"pattern": "**/*.py"}), ("find_symbol", {"name": "slugify"})),
                plan("src/slug/core.py", "tests/test_core.py"),
            ],
            coder=[
                call("apply_patch", patch=edit),
                call("run_command", command="PYTHONPATH=src python3 -m pytest -q; echo x > scratch.txt"),
                call("transfer_to_critic"),
                call("run_command", command="rm scratch.txt"),
                Says(text="Slugs squeeze spaces."),
            ],
            critic=[call("diff"), Says(text="Take scratch.txt out.", calls=(("transfer_to_coder", {}),))],
            fixer=[call("write_file", path="README.md", content="# slug\n"), call("run_checks"), mended("Added a README.")],
        ),
        review=True,
    )
    assert played.changed() == {"M src/slug/core.py", "M tests/test_core.py", "A README.md"}, "no caches, no leftovers"
    commits = git(repo, "log", "--format=%an|%s", f"main..{played.branch}").splitlines()
    assert commits == ["Patchwright|Address review: Squeeze spaces", "Patchwright|Squeeze spaces"]
    told = (await played.pull_request())["description"]
    assert "Slugs squeeze spaces." in told
    assert "Added a README." in told, "the description tells the whole change, not the last round alone"
    saved = [event["text"] for event in await service.events(played.task) if event["kind"] == "commit"]
    assert [text.split()[0] for text in saved] == ["apply_patch", "run_command", "run_command", "write_file"]


@pytest.mark.parametrize(
    ("title", "files", "edits", "check"),
    [
        (
            "unittest",
            {
                "c/__init__.py": "def add(a, b):\n    return a - b\n",
                "tests/__init__.py": "",
                "tests/test_c.py": "import unittest\nfrom c import add\n\n\nclass T(unittest.TestCase):\n    def test_a(self):\n"
                "        self.assertEqual(add(1, 0), 1)\n",
            },
            calls(
                (
                    "apply_patch",
                    {
                        "patch": patch(
                            "*** Update File: c/__init__.py",
                            "@@ def add(a, b):",
                            "-    return a - b",
                            "+    return a + b",
                            "*** Update File: tests/test_c.py",
                            "@@ class T(unittest.TestCase):",
                            "     def test_a(self):",
                            "-        self.assertEqual(add(1, 0), 1)",
                            "+        self.assertEqual(add(1, 1), 2)",
                        )
                    },
                ),
                ("run_checks", {}),
            ),
            "unittest: passed",
        ),
        ("node", NODE, MENDED_JS, "npm test: passed"),
        (
            "monorepo",
            {
                **{f"js/{path}": text for path, text in NODE.items()},
                "py/pyproject.toml": "[project]\nname = 'p'\nversion = '1'\n",
                "py/p/__init__.py": "X = 1\n",
                "py/tests/test_p.py": "from p import X\n\n\ndef test_x():\n    assert X == 1\n",
            },
            calls(
                ("write_file", {"path": "py/p/__init__.py", "content": "X = 2\n"}),
                (
                    "write_file",
                    {"path": "py/tests/test_p.py", "content": "from p import X\n\n\ndef test_x():\n    assert X == 2\n"},
                ),
                ("write_file", {"path": "js/index.js", "content": "export const add = (a, b) => a + b;\n"}),
                ("run_checks", {}),
            ),
            "npm test (js): passed",
        ),
        (
            "no tests",
            {"a.py": "print(1)\n"},
            calls(("write_file", {"path": "a.py", "content": "print(2)\n"}), ("run_checks", {})),
            "No tests were recognised",
        ),
    ],
)
async def test_projects_of_several_kinds_are_recognised_edited_and_checked(
    service: ForeignService, tmp_path: Path, title: str, files: dict[str, str | bytes], edits: Says, check: str
) -> None:
    repo = remote(tmp_path, files)
    played = await service.play(title, repo, Part([call("outline"), plan(*files)], [edits, DONE]), review=True, kind="refactor")
    played.output(check)
    assert "FAILED" not in "\n".join(played.outputs), "calls of one answer are made in their order"
    assert not [path for path in played.changed() if "node_modules" in path or "__pycache__" in path]


async def test_a_repository_without_anything_to_check_says_so_to_the_end(service: ForeignService, tmp_path: Path) -> None:
    played = await service.play("words", remote(tmp_path, {"README.md": "x"}), READ_ME, review=True)
    assert "no check could be run" in played.reason
    assert "No check ran" in (await played.pull_request())["description"]


NFD, NFC = (unicodedata.normalize(form, "résumé.txt") for form in ("NFD", "NFC"))


def odd_repository(folder: Path) -> Path:
    """Names, bytes and modes that tools trip over."""
    work = folder / "work"
    deep = "/".join(f"d{n}" for n in range(30))
    bare = remote(
        folder,
        {
            "документы/план.md": "привет\n",
            "日本語/テスト.py": "x = 1\n",
            "عربي.txt": "سلام\n",
            "😀/emoji 🎉.txt": "hi\n",
            NFD: "cv\n",
            "with space/a b.txt": "one\n",
            "crlf.txt": b"one\r\ntwo\r\nthree\r\n",
            "mixed.txt": b"one\r\ntwo\nthree\r\n",
            "nonl.txt": b"a\nb",
            "latin1.txt": "café\nline two\n".encode("latin-1"),
            "bin.dat": bytes(range(256)),
            "long.js": f"var x = '{'y' * 200_000}';\nvar z = 1;\n",
            "huge.csv": b"1,2,3,4,5,6,7,8\n" * 1_000_000,
            f"{deep}/deep.txt": "deep\n",
            "plain": "file\n",
            "del.txt": "bye\n",
            "old.py": "def f():\n    return 1\n",
            "lfs.bin": "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        },
    )
    (work / "run.sh").write_text("#!/bin/sh\necho hi\n")
    (work / "run.sh").chmod(0o755)
    Path(os.fsdecode(os.fsencode(work) + b"/caf\xe9.txt")).write_bytes(b"latin name\n")
    for name, target in (("link", "plain"), ("evil", "/etc/passwd"), ("outside", "../../../x"), ("linked", "with space")):
        (work / name).symlink_to(target)
    (work / ".gitmodules").write_text('[submodule "vendor/sub"]\n\tpath = vendor/sub\n\turl = ../sub\n')
    git(work, "add", "-A")
    git(work, "update-index", "--add", "--cacheinfo", "160000,1234567890123456789012345678901234567890,vendor/sub")
    git(work, "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "-qm", "Odd")
    git(work, "push", "-q", str(bare), "main")
    return bare


async def test_odd_names_bytes_links_and_modes_survive_and_what_cannot_be_edited_is_told(
    service: ForeignService, tmp_path: Path
) -> None:
    repo = odd_repository(tmp_path)
    readable = ["документы/план.md", "😀/emoji 🎉.txt", NFC, "latin1.txt", "huge.csv", "long.js", "crlf.txt", "caf\\xe9.txt"]
    unreadable = ["evil", "outside", "linked/a b.txt", "vendor/sub", "vendor/sub/s.txt", "nope"]
    edits = [
        ["*** Update File: документы/план.md", "@@", "-привет", "+привет, мир"],
        ["*** Update File: crlf.txt", "@@", " one", "-two", "+TWO", "+two and a half", " three"],
        ["*** Update File: mixed.txt", "@@", " one", "-two", "+TWO"],
        ["*** Update File: nonl.txt", "@@", " a", "-b", "+c"],
        ["*** Update File: long.js", "@@", "-var z = 1;", "+var z = 2;"],
        ["*** Update File: latin1.txt", "@@", "-line two", "+line three"],
        ["*** Update File: run.sh", "@@", "-echo hi", "+echo ho"],
        [f"*** Update File: {NFC}", "@@", "-cv", "+cv2"],
        [
            "*** Delete File: plain",
            "*** Add File: plain/now.txt",
            "+x",
            "*** Delete File: del.txt",
            "*** Update File: old.py",
            "*** Move to: new.py",
            "@@ def f():",
            "-    return 1",
            "+    return 2",
        ],
    ]
    refused = [
        ("write_file", {"path": path, "content": "x"})
        for path in ("evil", "linked/x.txt", "vendor/sub/x.txt", "lfs.bin", ".git/config")
    ]
    played = await service.play(
        "odd names",
        repo,
        Part(
            [
                calls(*(("read_file", {"path": path}) for path in readable + unreadable)),
                calls(("list_files", {}), ("outline", {}), ("search_text", {"pattern": "привет"})),
                plan("документы/план.md"),
            ],
            [
                calls(*(("apply_patch", {"patch": patch(*edit)}) for edit in edits)),
                calls(*refused),
                call("run_command", command="./run.sh && printf 'n\\n' >> 'with space/a b.txt' && printf 'n\\n' > '新 file.md'"),
                DONE,
            ],
        ),
        kind="refactor",
        review=True,
    )
    assert played.changed() == {
        *(
            f"M {path}"
            for path in (
                "документы/план.md",
                "crlf.txt",
                "mixed.txt",
                "nonl.txt",
                "long.js",
                "latin1.txt",
                "run.sh",
                NFD,
                "with space/a b.txt",
            )
        ),
        *(f"D {path}" for path in ("plain", "del.txt", "old.py")),
        *(f"A {path}" for path in ("plain/now.txt", "new.py", "新 file.md")),
    }
    assert played.file("crlf.txt") == b"one\r\nTWO\r\ntwo and a half\r\nthree\r\n"
    assert played.file("mixed.txt") == b"one\r\nTWO\nthree\r\n"
    assert played.file("nonl.txt") == b"a\nc"
    assert played.file("latin1.txt") == b"caf\xe9\nline three\n"
    assert played.git_bytes("ls-tree", played.branch, "run.sh").startswith(b"100755")
    for told in ("symbolic link to '/etc/passwd'", "submodule", "Git LFS pointer", "git's own folder", "latin name"):
        played.output(told)
    notes = await service.story(played.task)
    assert "vendor/sub" in notes
    assert "lfs.bin" in notes


async def test_a_work_tree_a_file_url_another_branch_and_a_commit_without_files_serve_as_well(
    service: ForeignService, tmp_path: Path
) -> None:
    folders = [tmp_path / name for name in ("tree", "url", "branch", "bare")]
    for folder in folders:
        folder.mkdir()
    tree, url, branch = (remote(folder, PLAIN, "main" if folder.name != "branch" else "trunk") for folder in folders[:3])
    git(branch, "branch", "rel/1.x")
    played = await service.play("work tree", tree.parent / "work", READ_ME, review=True)
    assert git(tree.parent / "work", "status", "--short") == "", "somebody's work tree is left alone"
    assert played.changed() == {"M README.md"}
    assert (await service.play("file url", url, READ_ME, at=f"file://{url}", review=True)).changed() == {"M README.md"}
    assert (await service.play("trunk", branch, READ_ME)).changed("trunk") == {"M README.md"}
    based = await service.play("base branch", branch, READ_ME, base_branch="rel/1.x")
    assert (await based.pull_request())["base_branch"] == "rel/1.x"
    nothing = await service.play(
        "no files",
        remote(folders[3], {}),
        Part(
            [calls(("list_files", {}), ("repo_map", {}), ("outline", {}), ("search_code", {"query": "x"})), plan("a.md")],
            [call("write_file", path="a.md", content="hi\n"), DONE],
        ),
    )
    assert nothing.changed() == {"A a.md"}


@contextmanager
def over_http(root: Path, *, push: bool) -> Iterator[str]:
    """git's own smart HTTP backend behind Python's server."""

    class Backend(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            path, _, query = self.path.partition("?")
            body = (
                self.rfile.read(int(self.headers.get("content-length") or 0))
                if "chunked" not in self.headers.get("transfer-encoding", "")
                else b"".join(iter(self._chunk, b""))
            )
            answered = subprocess.run(
                ["git", "http-backend"],
                input=body,
                capture_output=True,
                check=True,
                env={
                    **os.environ,
                    "GIT_PROJECT_ROOT": str(root),
                    "GIT_HTTP_EXPORT_ALL": "1",
                    "PATH_INFO": path,
                    "QUERY_STRING": query,
                    "REQUEST_METHOD": self.command,
                    "CONTENT_TYPE": self.headers.get("content-type", ""),
                    "CONTENT_LENGTH": str(len(body)),
                    "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
                    "GIT_PROTOCOL": self.headers.get("git-protocol", ""),
                    **({"REMOTE_USER": "ada"} if push else {}),
                },
            ).stdout
            head, _, content = answered.partition(b"\r\n\r\n")
            fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
            self.send_response(int(fields.pop("Status", "200").split()[0]))
            for name, value in {**fields, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET

        def _chunk(self) -> bytes:
            size = int(self.rfile.readline().strip() or b"0", 16)
            content = self.rfile.read(size)
            self.rfile.readline()
            return content

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/remote.git"
    finally:
        server.shutdown()


async def test_over_smart_http_a_branch_is_pushed_or_the_refusal_is_told_and_the_work_kept(
    service: ForeignService, tmp_path: Path
) -> None:
    repo = remote(tmp_path, PLAIN)
    with over_http(tmp_path, push=True) as url:
        played = await service.play("http", repo, READ_ME, at=url, review=True)
    assert played.changed() == {"M README.md"}
    with over_http(tmp_path, push=False) as url:
        halted = await service.play("http without push", repo, READ_ME, at=url)
    assert halted.state == "halted"
    assert "cannot be written to" in halted.reason
    assert "403" in halted.reason
    assert halted.shown["pull_request"] is None


@pytest.mark.parametrize(
    ("yaml", "state", "told"),
    [
        (
            "setup: ['echo ready > .ready']\nchecks:\n  - {name: unit, command: 'test -f .ready && python3 -m pytest -q'}\n",
            "awaiting_review",
            "1 of 1",
        ),
        ("checks: [unclosed\n", "failed", "not valid YAML"),
        ("check:\n  - {name: x, command: y}\n", "failed", "unknown key 'check'"),
        ("checks:\n  - {name: red, command: 'exit 3'}\n", "halted", "red (as on the base commit) failed"),
        (
            "checks:\n  - {name: slow, command: 'sleep 60', timeout_seconds: 1}\n",
            "halted",
            "slow (timed out, as on the base commit)",
        ),
        ("checks:\n  - {name: odd, command: 'no-such-program-here'}\n", "halted", "command not found"),
        ("setup: ['exit 4']\nchecks:\n  - {name: t, command: 'true'}\n", "halted", "setup failed"),
        ("paths: ['src/**']\nchecks:\n  - {name: t, command: 'true'}\n", "halted", "allows only src/**"),
    ],
)
async def test_a_recipe_of_the_repository_is_kept_or_its_fault_is_told(
    service: ForeignService, tmp_path: Path, yaml: str, state: str, told: str
) -> None:
    repo = remote(tmp_path, {**PLAIN, ".patchwright.yaml": yaml})
    played = await service.play(f"recipe {yaml[:40]!r}", repo, READ_ME, policy={"max_fix_rounds": 0})
    assert played.state == state, played.reason
    assert told in played.reason, played.reason
    assert untouched(repo) is (state != "awaiting_review")


def hundred_thousand_files(folder: Path) -> Path:
    """A bare repository of 100,000 files, half of them code, in one commit."""
    bare = folder / "big.git"
    git(folder, "init", "-q", "--bare", "-b", "main", str(bare))
    stream = [b"commit refs/heads/main\ncommitter Ada <ada@example.com> 1700000000 +0000\ndata 5\nBegin\n"]
    test = b"from pkg0.mod0.f1 import handler_1\n\n\ndef test_one():\n    assert handler_1(1) == 2\n"
    files = [(b"tests/test_one.py", test), (b"pytest.ini", b"[pytest]\ntestpaths = tests\n")]
    for n in range(99_998):
        code = b"def handler_%d(value):\n    return value + %d\n" % (n, n % 97)
        files.append(
            (
                b"pkg%d/mod%d/f%d.%s" % (n // 5_000, n // 100 % 50, n, b"py" if n % 2 else b"txt"),
                code if n % 2 else b"line %d\n" % n,
            )
        )
    stream += [b"M 100644 inline %s\ndata %d\n%s\n" % (path, len(text), text) for path, text in files]
    subprocess.run(["git", "fast-import", "--quiet"], cwd=bare, input=b"".join(stream), check=True)
    return bare


async def test_a_repository_of_a_hundred_thousand_files_is_searched_edited_checked_and_proposed(
    service: ForeignService, tmp_path: Path
) -> None:
    repo = hundred_thousand_files(tmp_path)
    edit = patch(
        "*** Update File: pkg0/mod0/f1.py",
        "@@ def handler_1(value):",
        "-    return value + 1",
        "+    return value + 2",
        "*** Update File: tests/test_one.py",
        "@@",
        "-    assert handler_1(1) == 2",
        "+    assert handler_1(1) == 3",
    )
    started = time.monotonic()
    played = await service.play(
        "a hundred thousand",
        repo,
        Part(
            [
                calls(
                    ("find_symbol", {"name": "handler_99997"}),
                    ("search_text", {"pattern": "handler_77777"}),
                    ("list_files", {"pattern": "tests/**"}),
                ),
                plan("pkg0/mod0/f1.py", "tests/test_one.py"),
            ],
            [call("apply_patch", patch=edit), DONE],
        ),
        seconds=240,
    )
    assert played.state == "awaiting_review", played.reason
    assert played.changed() == {"M pkg0/mod0/f1.py", "M tests/test_one.py"}
    played.output("pkg15/mod27/f77777.py:1:")
    played.output("pkg19/mod49/f99997.py:1-2")
    assert time.monotonic() - started < 120
    assert git_bytes(repo, "rev-parse", "main") == git_bytes(repo, "rev-parse", f"{played.branch}^")
