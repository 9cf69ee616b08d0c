"""git as a child process: no shell, an environment of its own, and a time limit that its children feel, too.

Hooks of a local remote and ssh run below us. They see none of the service's variables: neither a key of the model's
provider nor a ``GIT_*`` that would send git to another repository.
"""

import os
import signal
import subprocess
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

PASSED_ON = (
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
)
"""Variables of the service that git needs to find programs, keys and the way out."""
# No system or user configuration, no prompts, no hooks, no lazy fetches: the mirror's own configuration is all there is.
FIXED = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",
    "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_PROTOCOL_FROM_USER": "0",
    "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
    "LC_ALL": "C",
}
SECONDS = 600


class GitFailed(Exception):
    """git ended with an error or ran out of time; what it said, as text."""

    def __init__(self, code: int, stdout: str, stderr: str) -> None:
        super().__init__(f"git ended with {code}: {stderr.strip() or stdout.strip() or 'it said nothing'}")
        self.stdout = stdout
        self.stderr = stderr


def git_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """All that git and what it starts may see."""
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ} | FIXED | dict(more or {})


def run_git(
    repository: Path,
    *arguments: str,
    credentials: Mapping[str, str] | None = None,
    seconds: float = SECONDS,
    answers: Collection[int] = (0,),
) -> bytes:
    """Run one git command in a bare repository and return its stdout. Raises ``GitFailed``.

    Strings from outside belong behind ``--end-of-options``. ``credentials`` are ``GIT_CONFIG_*`` variables; ``answers`` the
    exit codes that are no failure.
    """
    process = start_git(repository, *arguments, environment=git_environment(credentials), stderr=subprocess.PIPE)
    try:
        stdout, stderr = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        _end_group(process)
        raise GitFailed(process.returncode, "", f"fatal: timed out after {seconds:g} seconds") from None
    except BaseException:
        _end_group(process)
        raise
    if process.returncode not in answers:
        raise GitFailed(process.returncode, stdout.decode("utf-8", "replace"), stderr.decode("utf-8", "replace"))
    return stdout


def start_git(
    repository: Path, *arguments: str, environment: Mapping[str, str] | None = None, stderr: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """A git command in a session of its own, its stdout to be read by the caller."""
    return subprocess.Popen(
        ["git", "--git-dir", str(repository), *arguments],
        cwd=repository,
        env=environment or git_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        start_new_session=True,
    )


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
