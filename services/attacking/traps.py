"""What stands outside a sandbox while it is attacked: whatever these see has got out."""

import contextlib
import secrets
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

CANARY = "patchwright-canary-"


@dataclass
class Traps:
    """Listeners, a file and a process of the host."""

    port: int
    """TCP and UDP, on the host's loopback."""
    abstract: str
    unix: str
    file: Path
    sentinel: subprocess.Popen[bytes]
    canary: str
    """What the file holds."""
    heard: list[str] = field(default_factory=list)

    def problem(self) -> str:
        """What got out so far; empty when nothing did."""
        if self.heard:
            return self.heard[0]
        if self.sentinel.poll() is not None:
            return "a process of the host was killed"
        if not self.file.is_file() or self.file.read_text() != self.canary:
            return "a file of the host was changed"
        return ""


@contextlib.contextmanager
def traps_set() -> Iterator[Traps]:
    """Set them; everything is taken away again when the block ends."""
    with contextlib.ExitStack() as kept:
        folder = Path(kept.enter_context(tempfile.TemporaryDirectory(prefix="pw-traps-")))
        folder.chmod(0o755)
        canary = CANARY + secrets.token_hex(16)
        file = folder / "canary"
        file.write_text(canary)
        file.chmod(0o644)
        sentinel = subprocess.Popen(["sleep", "3600"], stdin=subprocess.DEVNULL, env={})
        kept.callback(_ended, sentinel)
        tcp = kept.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = tcp.getsockname()[1]
        udp = kept.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", port))
        abstract = CANARY + secrets.token_hex(8)
        unix = str(folder / "service.sock")
        traps = Traps(port, abstract, unix, file, sentinel, canary)
        for name, door in (("TCP", tcp), ("abstract socket", _unix(b"\0" + abstract.encode())), ("unix socket", _unix(unix))):
            kept.enter_context(door)
            threading.Thread(target=_accept, args=(name, door, traps), daemon=True).start()
        Path(unix).chmod(0o777)
        threading.Thread(target=_receive, args=(udp, traps), daemon=True).start()
        kept.callback(_woken, port, abstract, unix)
        yield traps


def _unix(where: str | bytes) -> socket.socket:
    door = socket.socket(socket.AF_UNIX)
    door.bind(where)
    door.listen()
    return door


def _accept(name: str, door: socket.socket, traps: Traps) -> None:
    with contextlib.suppress(OSError):
        other, _ = door.accept()
        with other:
            traps.heard.append(f"the host's {name} was reached")


def _receive(door: socket.socket, traps: Traps) -> None:
    with contextlib.suppress(OSError):
        door.recvfrom(1)
        traps.heard.append("the host's UDP port was reached")


def _woken(port: int, abstract: str, unix: str) -> None:
    """Let the listeners end: nobody else ever comes to them."""
    ways: tuple[tuple[int, int, tuple[str, int] | str | bytes], ...] = (
        (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", port)), (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", port)),
        (socket.AF_UNIX, socket.SOCK_STREAM, b"\0" + abstract.encode()), (socket.AF_UNIX, socket.SOCK_STREAM, unix),
    )  # fmt: skip
    for family, kind, where in ways:
        with contextlib.suppress(OSError), socket.socket(family, kind) as door:
            door.connect(where)
            door.send(b"x")


def _ended(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


