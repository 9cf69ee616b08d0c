"""The launcher: makes its environment once, wherever it stands and however it is called."""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOLS = (
    "sh",
    "cat",
    "cut",
    "sha256sum",
    "readlink",
    "dirname",
    "basename",
    "mkdir",
    "rm",
    "mv",
    "sleep",
    "sed",
    "tail",
    "id",
    "env",
)
SAY = "import sys; print('ran', sys.argv[1:], __import__('tiny').NAME)\n"
pytestmark = pytest.mark.skipif(not shutil.which("sha256sum"), reason="needs coreutils")


def wheel(folder: Path, version: str) -> str:
    """A wheel without code of anybody else, and the line that locks it."""
    path = folder / f"tiny-{version}-py3-none-any.whl"
    info = f"tiny-{version}.dist-info"
    files = {
        "tiny.py": f"NAME = 'tiny {version}'\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }

    def digest(text):
        return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()

    record = "".join(f"{name},sha256={digest(text)},{len(text)}\n" for name, text in files.items())
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(name, text)
    return f"tiny @ {path.as_uri()} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}\n"


@pytest.fixture
def project(tmp_path):
    """The launcher in a folder with a space in its name, with locks that name one wheel on disk."""
    folder = tmp_path / "a project"
    (folder / "deploy" / "locks").mkdir(parents=True)
    (folder / "services" / "cli").mkdir(parents=True)
    (folder / "services" / "__init__.py").touch()
    (folder / "services" / "cli" / "__init__.py").touch()
    (folder / "services" / "cli" / "__main__.py").write_text(SAY)
    shutil.copy(ROOT / "patchwright", folder / "patchwright")
    for name, version in (("requirements.lock", "1.0"), ("requirements-dev.lock", "2.0")):
        (folder / "deploy" / "locks" / name).write_text(wheel(tmp_path, version))
    return folder


@pytest.fixture
def without_uv(tmp_path):
    """A PATH with a Python and little else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).symlink_to(shutil.which(tool))
    (folder / "python3").symlink_to(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")
    return {"PATH": str(folder), "HOME": str(tmp_path)}


def run(launcher, *arguments, cwd="/", environment=None):
    return subprocess.run(
        [launcher, *arguments], cwd=cwd, env=environment or dict(os.environ), capture_output=True, text=True, timeout=120
    )


def test_the_first_run_prepares_and_the_second_is_quiet(project, without_uv):
    first = run(project / "patchwright", "list", "two words", environment=without_uv)
    assert first.stdout == "ran ['list', 'two words'] tiny 1.0\n", first.stderr
    assert "preparing" in first.stderr
    second = run(project / "patchwright", "list", environment=without_uv)
    assert (second.stdout, second.stderr) == ("ran ['list'] tiny 1.0\n", "")


def test_it_works_with_what_is_on_this_machine_through_a_symlink_and_from_a_hostile_folder(project, tmp_path):
    link = tmp_path / "elsewhere" / "pw"
    link.parent.mkdir()
    link.symlink_to("../a project/patchwright")
    (link.parent / "services").mkdir()
    (link.parent / "services" / "__init__.py").write_text("raise SystemExit('imported from the current folder')")
    (link.parent / "tiny.py").write_text("raise SystemExit('imported from the current folder')")
    done = run("./pw", "list", cwd=link.parent)
    assert done.stdout == "ran ['list'] tiny 1.0\n", done.stderr


def test_development_commands_get_the_development_lock_and_later_commands_keep_it(project):
    assert run(project / "patchwright", "list").stdout.endswith("tiny 1.0\n")
    assert run(project / "patchwright", "test").stdout.endswith("tiny 2.0\n")
    again = run(project / "patchwright", "list")
    assert (again.stdout, again.stderr) == ("ran ['list'] tiny 2.0\n", "")


def test_nothing_is_taken_away_from_an_environment_that_the_launcher_did_not_make(project):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", project / ".venv"], check=True)
    packages = next((project / ".venv" / "lib").glob("python3*/site-packages"))
    (packages / "somebodys-1.0.dist-info").mkdir()
    (packages / "somebodys-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: somebodys\nVersion: 1.0\n")
    (packages / "somebodys-1.0.dist-info" / "RECORD").write_text("somebodys.py,,\n")
    (packages / "somebodys.py").touch()
    uv = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    assert run(project / "patchwright", "list", environment=uv).stdout.endswith("tiny 2.0\n")
    assert (packages / "somebodys.py").is_file()


def test_a_changed_lock_is_synced(project, tmp_path):
    assert run(project / "patchwright", "list").stdout.endswith("tiny 1.0\n")
    (project / "deploy" / "locks" / "requirements.lock").write_text(wheel(tmp_path, "3.0"))
    assert run(project / "patchwright", "list").stdout.endswith("tiny 3.0\n")


def test_a_wheel_that_is_not_the_locked_one_is_refused(project, tmp_path):
    lock = project / "deploy" / "locks" / "requirements.lock"
    lock.write_text(lock.read_text()[:-9] + "00000000\n")
    done = run(project / "patchwright", "list")
    assert done.returncode == 1
    assert "this failed" in done.stderr
    assert not done.stdout
    assert not (project / ".venv-lock").exists()


def test_first_runs_at_the_same_time_make_one_environment(project):
    running = [
        subprocess.Popen([project / "patchwright", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    told = [process.communicate(timeout=120) for process in running]
    assert [out for out, _ in told] == ["ran ['list'] tiny 1.0\n"] * 4
    assert sum("preparing" in err for _, err in told) == 1


def test_a_run_that_was_killed_leaves_nothing_in_the_way(project):
    gone = subprocess.Popen(["true"])
    gone.wait()
    (project / ".venv-lock").mkdir()
    (project / ".venv-lock" / "pid").write_text(str(gone.pid))
    (project / ".venv").mkdir()
    assert run(project / "patchwright", "list").stdout.endswith("tiny 1.0\n")


def test_without_a_python_it_says_what_to_install(project, without_uv):
    (Path(without_uv["PATH"]) / "python3").unlink()
    done = run(project / "patchwright", "list", environment=without_uv)
    assert done.returncode == 1
    assert "Python 3.11 or newer" in done.stderr
    assert "apt-get install" in done.stderr


def test_an_older_python_is_passed_over(project, without_uv):
    old = Path(without_uv["PATH"]) / "python3.13"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    assert run(project / "patchwright", "list", environment=without_uv).stdout.endswith("tiny 1.0\n")


@pytest.mark.slow
@pytest.mark.parametrize("tool", ["uv", "pip"])
def test_addresses_of_a_registry_are_never_shown(project, without_uv, tool):
    (project / "deploy" / "locks" / "requirements.lock").write_text(
        "tiny @ http://user:secret@registry.invalid:9/tiny-1.0-py3-none-any.whl --hash=sha256:" + "0" * 64 + "\n"
    )
    beside = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": without_uv["HOME"]}
    done = run(project / "patchwright", "list", environment=without_uv if tool == "pip" else beside)
    assert done.returncode == 1
    assert "registry.invalid" not in done.stderr
    assert "secret" not in done.stderr
