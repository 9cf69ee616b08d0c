"""``test``, ``check``, ``lint``, ``bench``, ``lock``: for people who work on Patchwright itself."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from contracts.errors import InvalidInput
from services import settings as configuration
from services.cli.screen import errors, screen
from services.sandbox_supply import ensure_sandbox

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("contracts", "workflows", "activities", "mcp_servers", "services", "tests")
CHECKS = {
    "ruff": (sys.executable, "-m", "ruff", "check", *PACKAGES),
    "pyright": (sys.executable, "-m", "pyright", "--pythonpath", sys.executable),
    "import-linter": (sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"),
}
# The others are held to the first: development and comparisons never run on other versions than people do.
LOCKS = {
    "requirements.lock": ("pyproject.toml",),
    "requirements-dev.lock": ("pyproject.toml", "--extra", "dev", "--constraint", "deploy/locks/requirements.lock"),
    "requirements-plugin.lock": ("--group", "pyproject.toml:plugin", "--constraint", "deploy/locks/requirements.lock"),
}


def test(context: typer.Context) -> None:
    """Run the tests; whatever follows goes to pytest.

    ./patchwright test                       everything

    ./patchwright test --fast                without the slow ones

    ./patchwright test tests/services -k demo
    """
    if not ensure_sandbox(configuration.load(), say):
        say("no sandbox can be had here; the tests that need one will be skipped and say so.")
    _have_judges()
    _become_pytest(context.args)


def _have_judges() -> None:
    """Get the npm packages that judge what we say to forges, and an MCP server, once: 520 MB below tests/npm."""
    npm = ROOT / "tests" / "npm"
    if all((folder / "node_modules" / ".package-lock.json").is_file() for folder in (npm, npm / "mcp")):
        return
    say("getting the npm packages that judge what we say to forges …")
    if subprocess.run([sys.executable, "-m", "tests.fakes.node"], cwd=ROOT, check=False).returncode:
        say("they cannot be had here; the tests that need them will be skipped and say so.")


def check() -> None:
    """What CI runs before the tests: ruff, pyright, import-linter."""
    failed = [name for name in CHECKS if not _passes(name)]
    if failed:
        say(f"{', '.join(failed)} failed.")
        raise typer.Exit(1)
    screen.print("[green]All checks passed.[/]")


def lint(fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended.")] = False) -> None:
    """Run ruff alone."""
    raise typer.Exit(subprocess.run([*CHECKS["ruff"], *(("--fix",) if fix else ())], cwd=ROOT, check=False).returncode)


def bench(context: typer.Context) -> None:
    """Run the benchmarks of tests/bench, all or one; whatever follows the name goes to it.

    ./patchwright bench

    ./patchwright bench index --json
    """
    known = {path.stem.removeprefix("bench_"): path for path in sorted((ROOT / "tests" / "bench").glob("bench_*.py"))}
    wanted, *rest = context.args or [""]
    if wanted and wanted not in known:
        raise InvalidInput(f"there is no benchmark {wanted!r}; there are {', '.join(known)}")
    for name, path in known.items():
        if wanted in ("", name):
            errors.print(f"[bold]{name}[/]")
            if code := subprocess.run([sys.executable, str(path), *rest], cwd=ROOT, check=False).returncode:
                raise typer.Exit(code)


def lock(
    upgrade: Annotated[bool, typer.Option("--upgrade", help="Take newer versions of what pyproject.toml leaves open.")] = False,
) -> None:
    """Write the hashed locks anew from pyproject.toml, for every platform and without any registry's address."""
    for name, source in LOCKS.items():
        target = ROOT / "deploy" / "locks" / name
        compiled = subprocess.run(
            [
                sys.executable,
                "-m",
                "uv",
                "pip",
                "compile",
                *source,
                "--universal",
                "--generate-hashes",
                "--no-emit-index-url",
                "--quiet",
                "--custom-compile-command",
                "./patchwright lock",
                "--output-file",
                str(target),
                *(["--upgrade"] if upgrade else []),
            ],
            cwd=ROOT,
            check=False,
        )
        if compiled.returncode:
            raise typer.Exit(compiled.returncode)
        screen.print(f"Wrote {target.relative_to(ROOT)}")


def say(message: str) -> None:
    """Tell people, beside whatever goes to stdout."""
    errors.print(f"patchwright: {message}", markup=False, soft_wrap=True)


def _become_pytest(given: list[str]) -> NoReturn:
    arguments = [str(Path(a).absolute()) if _names_a_path(a) and not (ROOT / a).exists() else a for a in given if a != "--fast"]
    fast = ["-m", "not slow"] if "--fast" in given else []
    # Most of a test's time is waiting for other processes; files stay together, because they share what they start.
    if not any(_names_a_path(a) or a.startswith(("-n", "-k")) for a in given):
        fast += ["-n", "3", "--dist", "loadfile"]
    os.chdir(ROOT)
    sys.stdout.flush()
    # Hundreds of processes start from these files: each would compile them anew where nothing compiled is kept.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    os.execve(sys.executable, [sys.executable, "-m", "pytest", *fast, *arguments], environment)  # noqa: S606


def _names_a_path(argument: str) -> bool:
    path = argument.split("::")[0]
    return not argument.startswith("-") and (Path(path).exists() or (ROOT / path).exists())


def _passes(name: str) -> bool:
    screen.print(f"[bold]{name}[/]")
    return subprocess.run(CHECKS[name], cwd=ROOT, check=False).returncode == 0
