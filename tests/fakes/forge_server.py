"""An HTTP server that a fake forge answers through: real git over smart HTTP, REST routes, and faults on demand.

A fault hits requests by method and path, a given number of times. ``lose`` does what was asked and cuts the connection
instead of answering; ``drop`` cuts it at once; ``answer`` says something else.
"""

import json
import os
import re
import socket
import ssl
import subprocess
import threading
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

GIT = re.compile(r"^/(?P<repository>.+?)\.git/(?P<service>info/refs|git-upload-pack|git-receive-pack)$")


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes = b""
    raw_path: str = ""
    """As it came, with what is escaped in it."""
    lists: dict[str, list[str]] = field(default_factory=dict)
    """The query where a name may come more than once."""
    status: int = 0
    """What was answered; 0 while nothing was."""

    @property
    def json(self) -> Any:
        return json.loads(self.body or b"null")


@dataclass
class Told:
    """One answer."""

    status: int = 200
    json: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def encoded(self) -> bytes:
        if self.body is not None:
            return self.body
        return b"" if self.json is None else json.dumps(self.json).encode()


class Refused(Exception):
    """A handler's answer that is a failure."""

    def __init__(self, status: int, json: Any, **headers: str) -> None:
        super().__init__(str(json))
        self.told = Told(status, json, {name.replace("_", "-"): value for name, value in headers.items()})


@dataclass
class Fault:
    kind: Literal["lose", "drop", "answer"]
    method: str
    path: str
    times: int = 1
    told: Told = field(default_factory=Told)

    def hits(self, asked: Asked) -> bool:
        return (
            self.times > 0
            and re.fullmatch(self.method, asked.method) is not None
            and re.search(self.path, asked.path) is not None
        )


class FakeForge:
    """What a fake forge is beside its routes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = threading.RLock()
        self.pushing = threading.Lock()
        self.seen: list[Asked] = []
        self.faults: list[Fault] = []
        self.url = ""
        self.validator = ""
        """Where a validating proxy listens that has this server behind it; REST requests go through it."""
        self.violations: list[str] = []
        """What the proxy found wrong."""
        self.etags = True
        self.undecided = 0
        """So many times yet it says that it does not know whether a pull request merges."""
        self.lost_write = -1
        """The writing request, counted from 0, whose answer is lost; -1 when none is, or it was."""

    def answer(self, asked: Asked) -> Told:
        """What the forge says."""
        raise NotImplementedError

    def may_use_git(self, asked: Asked, repository: str, writes: bool) -> bool:
        """Whether git may go on."""
        raise NotImplementedError

    def is_validated(self, asked: Asked) -> bool:
        """Whether a request is one that the proxy knows."""
        return False

    def heads(self, repository: str) -> dict[str, str]:
        """Every branch of a repository and where it stands."""
        return {}

    def git_login(self, asked: Asked) -> str:
        """Who a git request comes from."""
        return ""

    def moved(self, repository: str, login: str, branch: str, before: str, after: str) -> None:
        """A branch was pushed; ``after`` is empty when it was deleted."""

    def took_push(self, repository: str, login: str, before: Mapping[str, str]) -> None:
        """Find out what a push moved."""
        with self.lock:
            after = self.heads(repository)
            for branch in sorted({*before, *after}):
                if before.get(branch) != after.get(branch):
                    self.moved(repository, login, branch, before.get(branch, ""), after.get(branch, ""))

    def lose(self, method: str, path: str, times: int = 1) -> None:
        self.faults.append(Fault("lose", method, path, times))

    def drop(self, method: str, path: str, times: int = 1) -> None:
        self.faults.append(Fault("drop", method, path, times))

    def fail(self, method: str, path: str, status: int, json: Any = None, times: int = 1, **headers: str) -> None:
        told = Told(status, json, {name.replace("_", "-"): value for name, value in headers.items()})
        self.faults.append(Fault("answer", method, path, times, told))

    def fault_of(self, asked: Asked) -> Fault | None:
        with self.lock:
            if self.lost_write >= 0 and is_write(asked):
                self.lost_write -= 1
                if self.lost_write == -1:
                    return Fault("lose", "", "")
            for fault in self.faults:
                if fault.hits(asked):
                    fault.times -= 1
                    return fault
        return None

    def writes(self, path: str = "") -> list[Asked]:
        """Writing requests that were seen, GraphQL's mutations among them."""
        return [one for one in self.seen if is_write(one) and re.search(path, one.path)]


def is_write(asked: Asked) -> bool:
    """Whether a request changes something; reading over GraphQL and what git does before a push do not."""
    if asked.path.endswith("graphql"):
        return str(asked.json["query"]).lstrip().startswith("mutation")
    return asked.method != "GET" and not asked.path.endswith("git-upload-pack")


class ForgeServer:
    """Serves a fake forge on a free port, with TLS when a certificate is given."""

    def __init__(self, forge: FakeForge, certificate: Path | None = None) -> None:
        self.forge = forge
        handler = type("Handler", (_Handler,), {"forge": forge})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if certificate else "http"
        forge.url = f"{scheme}://{'localhost' if certificate else '127.0.0.1'}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> FakeForge:
        self._thread.start()
        return self.forge

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    forge: FakeForge

    def log_message(self, *_: object) -> None:
        pass

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        lists = parse_qs(parts.query, keep_blank_values=True)
        query = {name: values[-1] for name, values in lists.items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        asked = Asked(self.command, unquote(parts.path), query, headers, self._body(), parts.path, lists)
        validated = "x-validated" in headers
        if not validated:
            self.forge.seen.append(asked)
            if self.forge.validator and self.forge.is_validated(asked):
                return self._through_validator(asked)
        fault = self.forge.fault_of(asked)
        if fault and fault.kind == "drop":
            return self._cut()
        told = fault.told if fault and fault.kind == "answer" else self._told(asked)
        asked.status = told.status
        if fault and fault.kind == "lose":
            return self._cut()
        return self._send(told)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve

    def _told(self, asked: Asked) -> Told:
        if git := GIT.match(asked.path):
            return self._git(asked, git["repository"], git["service"])
        with self.forge.lock:
            try:
                return self.forge.answer(asked)
            except Refused as refused:
                return refused.told

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, told: Told) -> None:
        body = b"" if told.status in (204, 304) else told.encoded()
        self.send_response(told.status)
        for name, value in {"Content-Type": "application/json", **told.headers}.items():
            self.send_header(name, value)
        if told.status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _through_validator(self, asked: Asked) -> None:
        request = urllib.request.Request(self.forge.validator + self.path, data=asked.body or None, method=asked.method)
        for name, value in asked.headers.items():
            if name not in ("host", "content-length", "connection", "accept-encoding"):
                request.add_header(name, value)
        request.add_header("x-validated", "yes")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())
        try:
            answer = opener.open(request, timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        except OSError:
            return self._cut()
        body = answer.read()
        if found := answer.headers.get("sl-violations"):
            self.forge.violations.append(f"{asked.method} {asked.path}: {found}")
        if "stoplight.io" in body.decode("utf-8", "replace")[:300]:
            self.forge.violations.append(f"{asked.method} {asked.path} {asked.body[:300]!r}: {body.decode()[:1500]}")
        kept = {
            name: value
            for name, value in answer.headers.items()
            if name.lower() not in ("transfer-encoding", "content-length", "connection", "sl-violations")
        }
        return self._send(Told(answer.status, headers=kept, body=body))

    def _git(self, asked: Asked, repository: str, service: str) -> Told:
        writes = service == "git-receive-pack" or asked.query.get("service") == "git-receive-pack"
        if not self.forge.may_use_git(asked, repository, writes):
            return Told(401, {"message": "no"}, {"WWW-Authenticate": 'Basic realm="git"'})
        environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "GIT_PROJECT_ROOT": str(self.forge.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": f"/{repository}.git/{service}",
            "REQUEST_METHOD": asked.method,
            "QUERY_STRING": urlsplit(self.path).query,
            "REMOTE_USER": "somebody",
            "CONTENT_TYPE": asked.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(asked.body)),
            "HTTP_CONTENT_ENCODING": asked.headers.get("content-encoding", ""),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_PROTOCOL": asked.headers.get("git-protocol", ""),
        }
        if service == "git-receive-pack":
            # One at a time: what each of them moved is seen by comparing.
            with self.forge.pushing:
                before = self.forge.heads(repository)
                done = _backend(asked, environment)
                self.forge.took_push(repository, self.forge.git_login(asked), before)
        else:
            done = _backend(asked, environment)
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        status = int(headers.pop("Status", "200").split()[0])
        return Told(status, headers=headers, body=body)


def _backend(asked: Asked, environment: dict[str, str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", "http-backend"], input=asked.body, capture_output=True, env=environment, check=True)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:  # type: ignore[override]
        return None


Route = Callable[..., Told]


class Routes:
    """Routes by method and pattern; ``{name}`` is one segment, ``{name*}`` several."""

    def __init__(self) -> None:
        self._routes: list[tuple[str, re.Pattern[str], Any, Route]] = []

    def on(self, method: str, pattern: str, needs: Any = None) -> Callable[[Route], Route]:
        expression = re.sub(r"\{(\w+)\\\*\}", r"(?P<\1>.+?)", re.escape(pattern).replace(r"\{", "{").replace(r"\}", "}"))
        expression = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", expression)

        def keep(route: Route) -> Route:
            self._routes.append((method, re.compile(expression), needs, route))
            return route

        return keep

    def find(self, asked: Asked, path: str) -> tuple[Route, Any, dict[str, str]] | None:
        for method, pattern, needs, route in self._routes:
            if method == asked.method and (match := pattern.fullmatch(path)):
                return route, needs, {name: unquote(value) for name, value in match.groupdict().items()}
        return None
