"""Whether this machine has a sandbox for untrusted code, and what to do when it has none.

A container engine with our image comes first, bubblewrap second. As root on Debian, bubblewrap is installed after saying so.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from services.settings import Settings

ENGINE_SECONDS = 5
INSTALL_SECONDS = 300
INSTALL_BUBBLEWRAP = "apt-get install -y bubblewrap"
BUILD_IMAGE = "deploy/sandbox/build.sh"


@dataclass(frozen=True, slots=True)
class Engine:
    """The container engine as it answers now."""

    answers: bool
    has_image: bool = False
    version: str = ""
    problem: str = ""


def engine_of(settings: Settings) -> Engine:
    """Ask the container engine; never raises."""
    import docker
    from docker.errors import DockerException, ImageNotFound

    try:
        client = docker.from_env(timeout=ENGINE_SECONDS)
    except (DockerException, OSError) as error:
        return Engine(False, problem=str(error).splitlines()[0])
    try:
        version = str(client.version().get("Version", ""))
        client.images.get(settings.sandbox_image)
        return Engine(True, True, version)
    except ImageNotFound:
        return Engine(True, False, version)
    except (DockerException, OSError) as error:
        return Engine(False, problem=str(error).splitlines()[0])
    finally:
        client.close()


def bubblewrap_works() -> bool:
    """Whether bubblewrap is here and the kernel lets it make its namespaces."""
    if not shutil.which("bwrap"):
        return False
    tried = subprocess.run(
        ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"], capture_output=True, timeout=20, check=False
    )
    return tried.returncode == 0


def ensure_sandbox(settings: Settings, say: Callable[[str], None]) -> bool:
    """Whether a sandbox can be had, after installing bubblewrap where that is ours to do (root on Debian), saying so."""
    if settings.sandbox != "bubblewrap" and engine_of(settings).has_image:
        return True
    if settings.sandbox == "container":
        return False
    if shutil.which("bwrap") or not _may_install():
        return bubblewrap_works()
    say(f"no sandbox was found; installing bubblewrap with `{INSTALL_BUBBLEWRAP}`.")
    return _installed() and bubblewrap_works()


def what_to_install(settings: Settings) -> str:
    """How to get a sandbox here, in words that can be typed."""
    engine = f"Docker: `apt-get install -y docker.io`, start it, then `{BUILD_IMAGE}`"
    if settings.sandbox == "container":
        return engine
    if shutil.which("bwrap"):
        return (
            "bubblewrap is here but the kernel refuses it namespaces; allow them "
            "(`sysctl -w kernel.unprivileged_userns_clone=1`), "
            f"or use {engine}"
        )
    return f"bubblewrap: `sudo {INSTALL_BUBBLEWRAP}` (your system's package of that name), or {engine}"


def _may_install() -> bool:
    return os.geteuid() == 0 and Path("/etc/debian_version").is_file() and shutil.which("apt-get") is not None


def _installed() -> bool:
    for command in (INSTALL_BUBBLEWRAP.split(), ["apt-get", "update"], INSTALL_BUBBLEWRAP.split()):
        full = ["env", "DEBIAN_FRONTEND=noninteractive", *command]
        done = subprocess.run(full, timeout=INSTALL_SECONDS, check=False, capture_output=True, stdin=subprocess.DEVNULL)
        if done.returncode == 0 and shutil.which("bwrap"):
            return True
    return False
