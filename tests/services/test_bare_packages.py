"""What a process does not load, looked at from within a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def said(code: str) -> str:
    """What a new Python says that runs this."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


BARE = "import sys\nfrom services.bare_packages import doing_without, make_bare\nmake_bare('mcp')\n"


def test_a_module_of_a_bare_package_comes_without_the_package() -> None:
    code = "from mcp.shared.exceptions import MCPError\nprint(MCPError.__name__, 'mcp.server' in sys.modules)"
    assert said(BARE + code) == "MCPError False"


def test_whoever_wants_the_package_gets_all_of_it() -> None:
    code = "from mcp import Client, ClientSession\nprint(Client.__name__, ClientSession.__name__)"
    assert said(BARE + code) == "Client ClientSession"


def test_the_runner_of_agents_needs_no_server_of_mcp() -> None:
    code = "import activities.agent_run.run, activities.remote_server\n"
    code += "print([name for name in ('mcp.server', 'starlette.applications', 'cryptography') if name in sys.modules])"
    assert said(BARE + code) == "[]"


def test_what_is_loaded_already_stays_as_it_is() -> None:
    assert said("import mcp\n" + BARE + "print(mcp is sys.modules['mcp'], mcp.Client.__name__)") == "True Client"


def test_a_library_does_without_what_is_hidden_from_it_and_others_find_it_again() -> None:
    code = "with doing_without('rich'):\n    import structlog\n"
    code += "import rich.console\nprint(structlog.dev.rich, rich.console.Console.__name__)"
    assert said(BARE + code) == "None Console"


def test_an_unknown_package_is_named() -> None:
    from services.bare_packages import make_bare

    with pytest.raises(ModuleNotFoundError, match="no_such_package"):
        make_bare("no_such_package")
