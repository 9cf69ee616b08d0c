"""A receiver of webhooks that keeps what came and answers what it is told to."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Caught:
    """What came, in the order in which it came."""

    url: str = ""
    status: int = 202
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    """Headers, their names in lower case, and raw bytes."""


@contextmanager
def webhook_catcher() -> Iterator[Caught]:
    """Listens on a free port."""
    caught = Caught()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            caught.requests.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(caught.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    caught.url = f"http://127.0.0.1:{server.server_port}/webhooks"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield caught
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
