"""The plugin's own environment, made from its hashed lock on first use: what it needs must not decide what we run on."""

import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "deploy" / "locks" / "requirements-plugin.lock"
VENV = ROOT / ".venv-plugin"


def plugin_python() -> str:
    """The environment's Python. Raises ``RuntimeError`` with the installer's words when it cannot be made."""
    python, stamp = VENV / "bin" / "python", VENV / ".lock-digest"
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not (stamp.is_file() and stamp.read_text() == digest):
        print(f"Preparing {VENV.name} for the official plugin; this takes a minute the first time.", file=sys.stderr, flush=True)
        _run("venv", "--quiet", "--clear", "--python", sys.executable, str(VENV))
        _run("pip", "sync", "--quiet", "--require-hashes", "--python", str(python), str(LOCK))
        stamp.write_text(digest)
    return str(python)


def _run(*command: str) -> None:
    done = subprocess.run([sys.executable, "-m", "uv", *command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"The plugin's environment cannot be made: {done.stderr.strip()[-2000:]}")
