"""A small HTTP proxy on a free port: CONNECT for TLS, whole addresses without it, and a login where one is wanted."""

import base64
import http.client
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@dataclass
class SeenProxy:
    """A running proxy."""

    address: str = ""
    login: str = ""
    """``user:password`` that it wants; empty: everybody may pass."""
    passed: list[str] = field(default_factory=list)
    """What went through: ``CONNECT host:port``, or a method and an address."""
    refused: int = 0


@contextmanager
def proxy(login: str = "") -> Iterator[SeenProxy]:
    """Runs while the block does."""
    seen = SeenProxy(login=login)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"seen": seen}))
    server.daemon_threads = True
    seen.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: SeenProxy

    def log_message(self, *_: object) -> None:
        pass

    def do_CONNECT(self) -> None:
        if not self._may_pass():
            return
        self.seen.passed.append(f"CONNECT {self.path}")
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as there:
            self.send_response(200)
            self.end_headers()
            _both_ways(self.connection, there)
        self.close_connection = True

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        if not self._may_pass():
            return
        self.seen.passed.append(f"{self.command} {self.path}")
        parts = urlsplit(self.path)
        there = http.client.HTTPConnection(parts.hostname or "", parts.port)
        headers = {name: value for name, value in self.headers.items() if not name.lower().startswith("proxy-")}
        there.request(self.command, f"{parts.path}?{parts.query}".rstrip("?"), body or None, headers)
        answer = there.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection", "date", "server"):
                self.send_header(name, value)
        if answer.status not in (204, 304):
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        there.close()

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _forward

    def _may_pass(self) -> bool:
        shown = self.headers.get("Proxy-Authorization", "").removeprefix("Basic ")
        if not self.seen.login or base64.b64decode(shown).decode() == self.seen.login:
            return True
        self.seen.refused += 1
        self.send_response(407)
        self.send_header("Proxy-Authenticate", 'Basic realm="proxy"')
        self.send_header("Content-Length", "0")
        self.end_headers()
        return False


def _both_ways(here: socket.socket, there: socket.socket) -> None:
    while True:
        ready, _, _ = select.select([here, there], [], [], 20)
        if not ready:
            return
        for one in ready:
            content = one.recv(1 << 16)
            if not content:
                return
            (there if one is here else here).sendall(content)
