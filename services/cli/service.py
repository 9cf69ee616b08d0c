"""The HTTP client of a running service."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx2

from contracts.errors import NotFound, PatchwrightError
from services import settings as configuration
from services.settings import Settings

TIMEOUT_SECONDS = 30
ID_LENGTH = len("pw-") + 12
LOOPBACK = ("127.0.0.1", "localhost", "::1")
PAGE = 200
"""Tasks that are asked for at once."""
MAX_PAGES = 1_000


class NothingAnswers(PatchwrightError):
    """No service answers at the address."""

    code = "nothing-answers"


class Refused(PatchwrightError):
    """The service said no; the message is its own."""

    code = "refused"

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.answered = status


class Service:
    """The API of one service. Raises ``NothingAnswers`` and ``Refused``."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # A proxy from the environment must not get in between us and our own machine.
        trust = urlsplit(self.url).hostname not in LOOPBACK
        self._http = httpx2.Client(base_url=self.url, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=trust)

    def get(self, path: str, **query: Any) -> Any:
        """The JSON at a path."""
        return self._asked("GET", path, params={name: value for name, value in query.items() if value not in (None, "")})

    def post(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        """Send JSON and return the JSON that comes back, or None."""
        return self._asked("POST", path, json={} if body is None else body, headers=headers or {})

    def delete(self, path: str) -> Any:
        """Delete what is at a path and return the JSON that comes back, or None."""
        return self._asked("DELETE", path)

    def text(self, path: str) -> str:
        """What is at a path, as text."""
        return self._sent("GET", path).text

    def task_id(self, beginning: str) -> str:
        """The full id for a unique beginning. Raises ``NotFound``."""
        if len(beginning) >= ID_LENGTH:
            return beginning
        found = [task["id"] for task in self.tasks(q=beginning) if task["id"].startswith((beginning, f"pw-{beginning}"))]
        if len(found) == 1:
            return found[0]
        if not found:
            raise NotFound(f"No task's id begins with {beginning!r}; see ./patchwright list.")
        raise NotFound(f"{len(found)} tasks begin with {beginning!r}: {', '.join(found[:5])}. Write more of the id.")

    def tasks(self, **query: Any) -> Iterator[dict[str, Any]]:
        """All tasks, newest first, page by page."""
        cursor = ""
        for _ in range(MAX_PAGES):
            page = self.get("/tasks", cursor=cursor, limit=PAGE, **query)
            yield from page["tasks"]
            cursor = page.get("next_cursor") or ""
            if not cursor:
                return

    def past_events(self, task: str) -> list[dict[str, Any]]:
        """What has happened to a task so far, oldest first."""
        found: list[dict[str, Any]] = []
        for _ in range(MAX_PAGES):
            page = self.get(f"/tasks/{task}/events", after=found[-1]["seq"] if found else 0)["events"]
            if not page:
                break
            found += page
        return found

    @contextmanager
    def events(self, task: str, last_event_id: str = "") -> Iterator[Iterator[dict[str, Any]]]:
        """The task's events as they happen; ends when the connection does."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last_event_id} if last_event_id else {})
        timeout = httpx2.Timeout(TIMEOUT_SECONDS, read=60)
        try:
            with self._http.stream("GET", f"/tasks/{task}/events", headers=headers, timeout=timeout) as answer:
                if answer.is_error:
                    answer.read()
                    raise _refusal(answer)
                yield _server_sent(answer.iter_lines())
        except (httpx2.TransportError, httpx2.StreamError) as error:
            raise self._silent() from error

    def _asked(self, method: str, path: str, **options: Any) -> Any:
        answer = self._sent(method, path, **options)
        return answer.json() if answer.content else None

    def _sent(self, method: str, path: str, **options: Any) -> httpx2.Response:
        try:
            answer = self._http.request(method, path, **options)
        except httpx2.TransportError as error:
            raise self._silent() from error
        if answer.is_error:
            raise _refusal(answer)
        return answer

    def _silent(self) -> NothingAnswers:
        return NothingAnswers(f"Nothing answers at {self.url}: start it with ./patchwright up")


def connect(url: str = "") -> Service:
    """The client for ``--url``, else ``PATCHWRIGHT_URL``, else the service that runs on this machine."""
    settings = configuration.load()
    running = running_service(settings)
    wanted = (url or settings.url or running.get("url") or f"http://{settings.host}:{settings.port or 7080}").rstrip("/")
    token = settings.token.get_secret_value()
    if not token and wanted == running.get("url"):
        # The local token goes to the local service only, never to an address somebody typed.
        token = str(running.get("token", ""))
    return Service(wanted, token)


def running_service(settings: Settings) -> dict[str, Any]:
    """What ``up`` wrote about itself; empty when nothing did."""
    try:
        said = json.loads(settings.service_file.read_text())
        return said if isinstance(said, dict) else {}
    except (OSError, ValueError):
        return {}


def _server_sent(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Events of a stream; ``id`` is put beside the data as ``seq`` when the data has none."""
    name, data = "", []
    for line in lines:
        if line.startswith("id:"):
            name = line[3:].strip()
        elif line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            event = json.loads("\n".join(data))
            data = []
            # The stream says goodbye with an empty event.
            if isinstance(event, dict) and event:
                yield {"seq": name, **event}


def _refusal(answer: httpx2.Response) -> Refused:
    try:
        told = answer.json()
        detail = str(told.get("detail") or told.get("title") or "")
        wrong = [f"{e.get('pointer', '').removeprefix('#/')}: {e.get('detail', '')}" for e in told.get("errors") or ()]
    except (ValueError, AttributeError):
        detail, wrong = "", []
    if answer.status_code == 401:
        detail = detail or "The service wants a token."
        wrong = ["set PATCHWRIGHT_TOKEN to a token (./patchwright token create makes one; the service's own is the file `token` "
                 "in its data folder)"]
    text = detail or f"{answer.request.url} answered {answer.status_code} {answer.reason_phrase}."
    return Refused(text + (f"\n  {'; '.join(wrong[:5])}" if wrong else ""), answer.status_code)
