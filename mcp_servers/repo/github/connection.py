"""One repository's way to GitHub's API, over PyGithub's requester: serial, paced, conditional, with failures as ours."""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests
from github.Auth import Auth
from github.Requester import Requester
from urllib3.util.retry import Retry

from contracts.errors import ForgeUnavailable, PatchwrightError, RateLimited
from contracts.redaction import NOTHING_HELD, Redactor
from mcp_servers.repo.github.failures import failure_of, graphql_failure
from mcp_servers.repo.pace import LONGEST_SECONDS, Pace
from mcp_servers.repo.proxies import Proxy, no_proxy, send_requests_through, send_through
from mcp_servers.repo.remembered import Remembered, RememberedAnswers

API_VERSION = "2022-11-28"
PAGE = 100
MAX_PAGES = 50
LOG_BYTES = 4 << 20
KEPT_FOR_TASKS = 0.1
"""Share of the quota that looking at pull requests again leaves alone."""
USER_AGENT = "patchwright"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where GitHub answers."""

    api_url: str = "https://api.github.com"
    """``https://HOST/api/v3`` for a server of one's own."""
    verify: bool | str = True
    """The file of certificates to trust instead of the machine's."""
    timeout_seconds: int = 20
    proxy: Proxy = no_proxy
    """The way out, where the machine's variables do not tell it."""
    clean: Redactor = NOTHING_HELD
    """What takes secrets out of whatever is written there."""


class TokenSource(Protocol):
    """Where a repository's token comes from."""

    def token(self, repository: str) -> str:
        """A token that is valid now. Blocks."""
        ...

    def renew(self, repository: str) -> bool:
        """Forget the token; whether the next one may be another."""
        ...


class _Bearer(Auth):
    """PyGithub asks for the token with each request, so that it is never an old one."""

    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    @property
    def token_type(self) -> str:
        return "Bearer"

    @property
    def token(self) -> str:
        return self._token()


def requester(endpoint: Endpoint, token: Callable[[], str]) -> Requester:
    """PyGithub's requester as we want it: it repeats nothing but reads, and never sleeps."""
    # At DEBUG it would log bodies, and the answer that holds an installation's token is one.
    logging.getLogger("github.Requester").setLevel(logging.INFO)
    retry = Retry(total=2, status=0, backoff_factor=0.2, allowed_methods={"GET"}, respect_retry_after_header=False)
    made = Requester(
        auth=_Bearer(token),
        base_url=endpoint.api_url,
        timeout=endpoint.timeout_seconds,
        user_agent=USER_AGENT,
        per_page=PAGE,
        verify=endpoint.verify,
        retry=retry,
        pool_size=1,
        seconds_between_requests=None,
        seconds_between_writes=None,
        api_version=API_VERSION,
    )
    send_requests_through(made, endpoint.proxy)
    return made


class GitHubConnection:
    """Requests about one repository. Blocks: call it in a thread."""

    def __init__(self, endpoint: Endpoint, repository: str, tokens: TokenSource, pace: Pace) -> None:
        self.repository = repository
        self._endpoint, self._tokens, self._pace = endpoint, tokens, pace
        self._requester = requester(endpoint, lambda: tokens.token(repository))
        # PyGithub keeps the request under way in its connection object: one at a time.
        self._one_request = threading.Lock()
        self._answers = RememberedAnswers()
        self._scarce_until = 0.0
        self.spent = 0
        """Requests that counted against the quota."""

    def get(self, path: str, deed: str, **parameters: Any) -> Any:
        """One answer's JSON; from memory when GitHub says that nothing changed."""
        return self._read(self._placed(path), deed, parameters)[0]

    def pages(self, path: str, deed: str, key: str = "", **parameters: Any) -> list[Any]:
        """All items of a list; ``key`` names it where the answer is an object."""
        found: list[Any] = []
        for page in range(1, MAX_PAGES + 1):
            answer, link = self._read(self._placed(path), deed, {**parameters, "per_page": PAGE, "page": page})
            found += answer[key] if key else answer
            if 'rel="next"' not in link:
                break
        return found

    def look(self, path: str, deed: str, etag: str, parameters: Mapping[str, Any]) -> tuple[str, Any]:
        """One answer and its tag, nothing remembered here; None in its place when it is still the one of ``etag``."""
        self._keep_quota_for_tasks()
        sent = {"If-None-Match": etag} if etag else {}
        status, headers, answer = self._asked("GET", self._placed(path), deed, parameters, None, sent)
        return (etag, None) if status == 304 else (headers.get("etag", ""), answer)

    def post(self, path: str, deed: str, **body: Any) -> Any:
        """Make something."""
        return self._write("POST", self._placed(path), deed, body)

    def patch(self, path: str, deed: str, **body: Any) -> Any:
        """Change something."""
        return self._write("PATCH", self._placed(path), deed, body)

    def graphql(self, document: str, deed: str, **variables: Any) -> dict[str, Any]:
        """The data that a document asks for; a mutation is paced as a write."""
        sent = {"query": document, "variables": self._endpoint.clean.redact_value(variables)}
        with self._pace.write() if document.lstrip().startswith("mutation") else nullcontext():
            _, headers, answer = self._asked("POST", self._requester.graphql_url, deed, {}, sent)
        if errors := answer.get("errors"):
            raise self._noted(graphql_failure(deed, errors, headers))
        return answer["data"]

    def text(self, path: str, deed: str) -> tuple[str, bool]:
        """What GitHub keeps elsewhere as text, and whether its beginning was left out for its length."""
        status, headers, body = self._asked("GET", self._placed(path), deed, {}, None, raw=True)
        if status not in (301, 302, 307):
            return body[-LOG_BYTES:], len(body) > LOG_BYTES
        return self._fetched(headers.get("location", ""), deed)

    # -- how ---------------------------------------------------------------------------------------------------

    def _placed(self, path: str) -> str:
        return path if path.startswith("/") else f"/repos/{self.repository}/{path}".rstrip("/")

    def _read(self, path: str, deed: str, parameters: Mapping[str, Any]) -> tuple[Any, str]:
        key = f"{path}?{json.dumps(parameters, sort_keys=True)}"
        known = self._answers.of(key)
        sent = {"If-None-Match": known.etag} if known.etag else {}
        status, headers, answer = self._asked("GET", path, deed, parameters, None, sent)
        if status == 304:
            return known.answer, known.following
        self._answers.keep(key, Remembered(headers.get("etag", ""), answer, headers.get("link", "")))
        return answer, headers.get("link", "")

    def _write(self, verb: str, path: str, deed: str, body: Mapping[str, Any]) -> Any:
        clean = self._endpoint.clean.redact_value(body)
        with self._pace.write():
            return self._asked(verb, path, deed, {}, clean)[2]

    def _asked(
        self,
        verb: str,
        path: str,
        deed: str,
        parameters: Mapping[str, Any],
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None = None,
        raw: bool = False,
    ) -> tuple[int, dict[str, str], Any]:
        """Ask once; a token that was withdrawn early is renewed once."""
        try:
            return self._asked_once(verb, path, deed, parameters, body, headers, raw)
        except _Unauthorised as refused:
            if not self._tokens.renew(self.repository):
                raise refused.failure from None
        try:
            return self._asked_once(verb, path, deed, parameters, body, headers, raw)
        except _Unauthorised as refused:
            raise refused.failure from None

    def _asked_once(
        self,
        verb: str,
        path: str,
        deed: str,
        parameters: Mapping[str, Any],
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str] | None,
        raw: bool,
    ) -> tuple[int, dict[str, str], Any]:
        self._pace.refuse_while_limited()
        sent = {"Accept": "application/vnd.github+json", **(headers or {})}
        with self._one_request:
            try:
                status, told, text = self._requester.requestJson(verb, path, dict(parameters), sent, body)
            except (requests.RequestException, RuntimeError) as error:
                raise ForgeUnavailable(f"GitHub did not answer {deed}: {_plain(error)}. It is asked again.") from error
        self.spent += status != 304
        self._note_quota(told)
        answer = text if raw and status < 400 else _parsed(text, deed, status)
        if status == 401:
            raise _Unauthorised(failure_of(deed, status, told, answer))
        if status >= 400:
            raise self._noted(failure_of(deed, status, told, answer))
        return status, told, answer

    def _note_quota(self, headers: Mapping[str, str]) -> None:
        told = [headers.get(f"x-ratelimit-{name}", "") for name in ("remaining", "limit", "reset")]
        if headers.get("x-ratelimit-resource", "core") == "core" and all(one.isdigit() for one in told):
            left, limit, reset = map(int, told)
            self._scarce_until = reset if left < limit * KEPT_FOR_TASKS else 0.0

    def _keep_quota_for_tasks(self) -> None:
        """Looking is for what webhooks did not tell; it must not use up what tasks need."""
        if (wait := min(self._scarce_until - time.time(), LONGEST_SECONDS)) > 0:
            raise RateLimited("The rest of GitHub's quota is kept for tasks; it is looked again after its reset.", wait)

    def _noted(self, failure: PatchwrightError) -> PatchwrightError:
        """A limit is one for everybody who uses the credential."""
        return self._pace.limited(failure) if isinstance(failure, RateLimited) else failure

    def _fetched(self, location: str, deed: str) -> tuple[str, bool]:
        """Follow to where GitHub keeps it, without our credential: the address itself is the permission."""
        if urlsplit(location).scheme != urlsplit(self._endpoint.api_url).scheme:
            raise ForgeUnavailable(f"GitHub sent us to an address that cannot be used for {deed}.")
        try:
            with requests.Session() as session:
                session.auth = _nobody
                send_through(session, self._endpoint.proxy)
                answer = session.get(
                    location,
                    timeout=self._endpoint.timeout_seconds,
                    verify=self._endpoint.verify,
                    stream=True,
                    allow_redirects=False,
                )
                if answer.status_code != 200:
                    raise failure_of(deed, answer.status_code, {}, None)
                return _tail(answer)
        except requests.RequestException as error:
            raise ForgeUnavailable(f"GitHub's store did not answer {deed}: {_plain(error)}.") from None


class _Unauthorised(Exception):
    def __init__(self, failure: PatchwrightError) -> None:
        super().__init__()
        self.failure = failure


def _nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keeps a ``.netrc`` of the machine out of it."""
    return request


def _tail(answer: requests.Response) -> tuple[str, bool]:
    kept, cut = b"", False
    for piece in answer.iter_content(1 << 16):
        kept += piece
        if len(kept) > 2 * LOG_BYTES:
            kept, cut = kept[-LOG_BYTES:], True
    return kept[-LOG_BYTES:].decode("utf-8", "replace"), cut or len(kept) > LOG_BYTES


def _parsed(text: str, deed: str, status: int) -> Any:
    if not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        if status >= 400:
            return {"message": text[:200]}
        raise ForgeUnavailable(f"GitHub answered {deed} with something that is no JSON.") from None


def _plain(error: Exception) -> str:
    """The kind of failure; the text of urllib3's names addresses and objects."""
    cause = error.args[0] if error.args and isinstance(error.args[0], Exception) else error
    return type(getattr(cause, "reason", None) or cause).__name__
