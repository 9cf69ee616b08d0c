"""What a bubblewrap sandbox sees of the host: its programs read-only, a Python with pytest, and a minimal ``/etc``.

The small files are staged once per process in a folder that an unprivileged user can read; nothing of the service's
configuration, home folders or environment is in it.
"""

import atexit
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mcp_servers.runner.orphans import process_namespace, started
from mcp_servers.runner.sandbox import DEPS

OURS = "/opt/patchwright"
STAGE = "patchwright-toolchain-"
LENT = ("pytest", "_pytest", "py", "pluggy", "iniconfig", "packaging", "pygments")
"""pytest and what it needs, all pure Python: lent to projects whose Python has none."""
SYSTEM_FOLDERS = ("/usr", "/nix/store", "/gnu/store")
MERGED_FOLDERS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
# fmt: off
SHOWN_ETC = (
    "/etc/alternatives", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/ssl/certs", "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/certs", "/etc/pki/ca-trust/extracted", "/etc/localtime", "/etc/mime.types", "/etc/python3",
    "/etc/crypto-policies",
)
# fmt: on
NETWORK_ETC = ("/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf")
LENDER = """import sys
from importlib.machinery import PathFinder


class Lent:
    # Asked after everything else: what the project or the system has of its own comes first.
    @staticmethod
    def find_spec(name, path=None, target=None):
        return PathFinder.find_spec(name, ["/opt/patchwright/lent"]) if path is None else None


sys.meta_path.append(Lent)
"""
PYTEST = '#!/bin/sh\nexec /opt/patchwright/bin/python3 -m pytest "$@"\n'


@dataclass(frozen=True)
class Toolchain:
    """Mounts of a sandbox."""

    arguments: tuple[str, ...]
    """For bwrap; ``{fd:PATH}`` stands for an open descriptor of a path that only this process can reach."""
    python: str
    """The interpreter behind ``python`` and ``python3``; empty when there is none."""
    notes: tuple[str, ...] = ()


def host_toolchain(by_others: bool, binds_descriptors: bool) -> Toolchain:
    """The host's toolchain. ``by_others``: another user than ours must reach the paths."""
    arguments: list[str] = []
    notes: list[str] = []
    for folder in SYSTEM_FOLDERS:
        if Path(folder).is_dir():
            arguments += ["--ro-bind", folder, folder]
    for name in MERGED_FOLDERS:
        path = Path(name)
        if path.is_symlink():
            arguments += ["--symlink", str(path.readlink()), name]
        elif path.is_dir():
            arguments += ["--ro-bind", name, name]
    for shown in (*SHOWN_ETC, *(str(p) for p in Path("/etc").glob("python3.*"))):
        arguments += ["--ro-bind-try", shown, shown]
    python = _system_python()
    if not python:
        bound, python = _own_python(by_others, binds_descriptors)
        arguments += bound
        if not python:
            notes.append(
                "There is no Python of the system (3.11 or newer) and the service's own cannot be shown to an "
                "unprivileged user: install python3."
            )
    stage = _stage(python)
    arguments += ["--ro-bind", str(stage / "ours"), OURS]
    for name in ("passwd", "group", "hosts"):
        arguments += ["--ro-bind", str(stage / name), f"/etc/{name}"]
    return Toolchain(tuple(arguments), python, tuple(notes))


def _system_python() -> str:
    """A Python the sandbox sees anyway and that is new enough for the pytest we lend."""
    for candidate in ("/usr/local/bin/python3", "/usr/bin/python3"):
        if Path(candidate).exists() and str(Path(candidate).resolve()).startswith("/usr/"):
            asked = subprocess.run(
                [candidate, "-I", "-c", "import sys; print(sys.version_info >= (3, 11))"],
                capture_output=True,
                text=True,
                timeout=20,
                check=False,
                env={},
            )
            if asked.stdout.strip() == "True":
                return candidate
    return ""


def _own_python(by_others: bool, binds_descriptors: bool) -> tuple[list[str], str]:
    """The interpreter this service runs on, where the sandbox can be shown it."""
    base = Path(sys.base_prefix).resolve()
    python = str(base / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}")
    if not by_others or _reachable(base):
        return ["--ro-bind", str(base), str(base)], python
    if binds_descriptors:
        return ["--ro-bind-fd", f"{{fd:{base}}}", str(base)], python
    return [], ""


def _reachable(path: Path) -> bool:
    """Whether everybody may walk to a path."""
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


def sweep() -> None:
    """Remove the folders of processes that died."""
    for stage in Path(tempfile.gettempdir()).glob(f"{STAGE}*-*-*-*"):
        pid, begun, namespace, _ = stage.name.removeprefix(STAGE).split("-", 3)
        ours = stage.lstat().st_uid == os.geteuid() and namespace == process_namespace()
        if ours and pid.isdigit() and started(int(pid)) != begun:
            shutil.rmtree(stage, ignore_errors=True)


def _stage(python: str) -> Path:
    """A folder with the small files the sandbox sees; removed when the process ends."""
    stage = Path(tempfile.mkdtemp(prefix=f"{STAGE}{os.getpid()}-{started(os.getpid())}-{process_namespace()}-"))
    atexit.register(shutil.rmtree, stage, ignore_errors=True)
    (stage / "passwd").write_text(
        f"root:x:0:0:root:/root:/bin/sh\nsandbox:x:1000:1000:sandbox:{DEPS}/home:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
    )
    (stage / "group").write_text("root:x:0:\nsandbox:x:1000:\nnogroup:x:65534:\n")
    (stage / "hosts").write_text("127.0.0.1 localhost sandbox\n::1 localhost\n")
    ours = stage / "ours"
    (ours / "bin").mkdir(parents=True)
    if python:
        _stage_python(ours, python)
    stage.chmod(0o755)
    return stage


def _stage_python(ours: Path, python: str) -> None:
    """A virtual environment around an interpreter that finds our pytest after everything else."""
    version = subprocess.run(
        [python, "-I", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
        env={},
    ).stdout.strip()
    site = ours / "lib" / f"python{version}" / "site-packages"
    site.mkdir(parents=True)
    (site / "patchwright_lender.py").write_text(LENDER)
    (site / "patchwright_lender.pth").write_text("import patchwright_lender\n")
    (ours / "pyvenv.cfg").write_text(
        f"home = {Path(python).parent}\ninclude-system-site-packages = true\nversion = {version}\nexecutable = {python}\n"
    )
    for name in ("python", "python3", f"python{version}"):
        (ours / "bin" / name).symlink_to(python)
    for name in ("pytest", "py.test"):
        (ours / "bin" / name).write_text(PYTEST)
        (ours / "bin" / name).chmod(0o755)
    for name in LENT:
        _lend(name, ours / "lent")


def _lend(name: str, target: Path) -> None:
    found = importlib.util.find_spec(name)
    if found is None or not found.origin:
        return
    target.mkdir(exist_ok=True)
    if not found.submodule_search_locations:
        shutil.copy(found.origin, target)
        return
    source = Path(found.submodule_search_locations[0])
    shutil.copytree(source, target / name)  # with its byte code: the copy keeps the times that it names
    for information in source.parent.glob(f"{name}-*.dist-info"):
        shutil.copytree(information, target / information.name, dirs_exist_ok=True)
