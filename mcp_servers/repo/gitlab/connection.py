"""One project's way to GitLab's API, over python-gitlab: serial, paced, conditional, with failures as ours."""

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import gitlab
import requests
from gitlab._backends.requests_backend import RequestsBackend, RequestsResponse
from gitlab.const import USER_AGENT as LIBRARY
from gitlab.exceptions import GitlabAuthenticationError, GitlabHttpError, GitlabParsingError, RedirectError
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from contracts.errors import CredentialRefused, ForgeUnavailable, InvalidInput, RateLimited
from contracts.redaction import NOTHING_HELD, Redactor
from mcp_servers.repo.gitlab.failures import failure_of
from mcp_servers.repo.pace import Pace
from mcp_servers.repo.proxies import Proxy, no_proxy, send_through
from mcp_servers.repo.remembered import Remembered, RememberedAnswers

PAGE = 100
MAX_PAGES = 50
LOG_BYTES = 4 << 20


class GitLabConnection:
    """Requests about one project. Blocks and is not to be shared between threads: whoever uses it takes turns."""

    def __init__(
        self,
        url: str,
        project: str,
        token: Callable[[], str],
        pace: Pace,
        *,
        verify: bool | str = True,
        timeout_seconds: int = 20,
        proxy: Proxy = no_proxy,
        renew: Callable[[], bool] = bool,
        clean: Redactor = NOTHING_HELD,
    ) -> None:
        """``renew``: forget a token that was refused, and whether the next may be another.

        ``clean``: what takes secrets out of whatever is written there.
        """
        self.project = project
        self._renew, self._clean = renew, clean
        self._token, self._pace = token, pace
        self._gitlab = gitlab.Gitlab(
            url,
            private_token=token(),
            ssl_verify=verify,
            timeout=timeout_seconds,
            backend=_Listening,
            user_agent=f"patchwright {LIBRARY}",
            keep_base_url=True,
        )
        self._backend: _Listening = self._gitlab._backend  # type: ignore[assignment]
        send_through(self._backend.client, proxy)
        self._answers = RememberedAnswers()
        self.spent = 0
        """Requests so far that GitLab had to work for."""

    def get(self, path: str, deed: str, **parameters: Any) -> Any:
        """One answer's JSON; from memory when GitLab says that nothing changed."""
        return self._read(self._placed(path), deed, parameters)[0]

    def pages(self, path: str, deed: str, **parameters: Any) -> list[Any]:
        """All items of a list."""
        found: list[Any] = []
        for page in range(1, MAX_PAGES + 1):
            answer, following = self._read(self._placed(path), deed, {**parameters, "per_page": PAGE, "page": page})
            found += answer
            if not following:
                break
        return found

    def look(self, path: str, deed: str, etag: str, parameters: Mapping[str, Any]) -> tuple[str, Any]:
        """One answer and its tag, nothing remembered here; None in its place when it is still the one of ``etag``."""
        sent = {"If-None-Match": etag} if etag else {}
        answer = self._asked("get", self._placed(path), deed, parameters, None, sent)
        return (etag, None) if answer.status_code == 304 else (answer.headers.get("ETag", ""), _parsed(answer, deed))

    def post(self, path: str, deed: str, **body: Any) -> Any:
        """Make something."""
        return self._write("post", self._placed(path), deed, body)

    def put(self, path: str, deed: str, **body: Any) -> Any:
        """Change something."""
        return self._write("put", self._placed(path), deed, body)

    def text(self, path: str, deed: str) -> tuple[str, bool]:
        """The end of a text, and whether its beginning was left out for its length."""
        content = self._asked("get", self._placed(path), deed, {}, None, {}).content
        return content[-LOG_BYTES:].decode("utf-8", "replace"), len(content) > LOG_BYTES

    # -- how ---------------------------------------------------------------------------------------------------

    def _placed(self, path: str) -> str:
        return path if path.startswith("/") else f"/projects/{quote(self.project, safe='')}/{path}".rstrip("/")

    def _read(self, path: str, deed: str, parameters: Mapping[str, Any]) -> tuple[Any, str]:
        key = f"{path}?{json.dumps(parameters, sort_keys=True)}"
        known = self._answers.of(key)
        answer = self._asked("get", path, deed, parameters, None, {"If-None-Match": known.etag} if known.etag else {})
        if answer.status_code == 304:
            return known.answer, known.following
        told, following = _parsed(answer, deed), answer.headers.get("X-Next-Page", "")
        self._answers.keep(key, Remembered(answer.headers.get("ETag", ""), told, following))
        return told, following

    def _write(self, verb: str, path: str, deed: str, body: Mapping[str, Any]) -> Any:
        clean = self._clean.redact_value(body)
        with self._pace.write():
            return _parsed(self._asked(verb, path, deed, {}, clean, {}), deed)

    def _asked(
        self,
        verb: str,
        path: str,
        deed: str,
        parameters: Mapping[str, Any],
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str],
    ) -> requests.Response:
        """Ask once, and once more where a lent token was replaced."""
        try:
            return self._asked_once(verb, path, deed, parameters, body, headers)
        except CredentialRefused:
            refused = self._backend.last
            if refused is None or refused.status_code != 401 or not self._renew():
                raise
        return self._asked_once(verb, path, deed, parameters, body, headers)

    def _asked_once(
        self,
        verb: str,
        path: str,
        deed: str,
        parameters: Mapping[str, Any],
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str],
    ) -> requests.Response:
        self._pace.refuse_while_limited()
        # A token that was rotated counts from the next request on.
        sent = {**headers, "PRIVATE-TOKEN": self._token()}
        try:
            answer = self._gitlab.http_request(
                verb,
                path,
                query_data=dict(parameters),
                post_data=dict(body) if body else None,
                obey_rate_limit=False,
                retry_transient_errors=False,
                extra_headers=sent,
            )
        except RedirectError:
            raise InvalidInput(f"GitLab moved {self.project}; give the repository's new address.") from None
        except (GitlabHttpError, GitlabAuthenticationError) as error:
            answer = self._backend.last
            if answer is None:
                raise ForgeUnavailable(f"GitLab did not answer {deed}.") from error
        except (requests.RequestException, GitlabParsingError) as error:
            raise ForgeUnavailable(f"GitLab did not answer {deed}: {type(error).__name__}. It is asked again.") from error
        self.spent += answer.status_code != 304
        if answer.status_code >= 400:
            failure = failure_of(deed, answer.status_code, answer.headers, _told(answer))
            raise self._pace.limited(failure) if isinstance(failure, RateLimited) else failure
        return answer


class _Listening(RequestsBackend):
    """python-gitlab's failures leave the headers out, and with them how long to wait."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.last: requests.Response | None = None
        # Reads alone are repeated: a write whose answer was lost is looked for first.
        retry = Retry(total=2, status=0, backoff_factor=0.2, allowed_methods={"GET"}, respect_retry_after_header=False)
        for scheme in ("http://", "https://"):
            self.client.mount(scheme, HTTPAdapter(max_retries=retry))
        self.client.auth = _nobody

    def http_request(self, *args: Any, **kwargs: Any) -> RequestsResponse:
        self.last = None
        told = super().http_request(*args, **kwargs)
        self.last = told.response
        return told


def _nobody(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keeps a ``.netrc`` of the machine out of it."""
    return request


def _parsed(answer: requests.Response, deed: str) -> Any:
    if not answer.content:
        return None
    try:
        return answer.json()
    except ValueError:
        raise ForgeUnavailable(f"GitLab answered {deed} with something that is no JSON.") from None


def _told(answer: requests.Response) -> str:
    try:
        told = answer.json()
    except ValueError:
        return answer.reason or ""
    if not isinstance(told, dict):
        return ""
    said = told.get("message") or told.get("error_description") or told.get("error") or ""
    return "; ".join(map(str, said)) if isinstance(said, list) else str(said)[:500]
