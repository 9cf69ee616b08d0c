"""Who may come in: the bearer token for tools, a signed cookie for browsers."""

import hashlib
import hmac
import secrets
import time

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

SESSION_SECONDS = 30 * 24 * 3600


class Sessions:
    """Signs sessions with a key made from the token, so that a new token ends all of them."""

    def __init__(self, token: str) -> None:
        if not token:
            raise ValueError("the API needs a token")
        self._token_sha256 = hashlib.sha256(token.encode()).digest()
        self._key = hmac.digest(self._token_sha256, b"patchwright session", "sha256")
        # Cookies know no ports: two services on one machine must not overwrite each other's.
        self.cookie = f"patchwright_{hashlib.sha256(self._key).hexdigest()[:8]}"

    def is_token(self, offered: str) -> bool:
        """Whether this is the token, in a time that tells nothing about it."""
        return hmac.compare_digest(hashlib.sha256(offered.encode("utf-8", "replace")).digest(), self._token_sha256)

    def open(self) -> str:
        """The cookie of a new session."""
        unsigned = f"{secrets.token_urlsafe(12)}.{int(time.time()) + SESSION_SECONDS}"
        return f"{unsigned}.{self._sign(unsigned)}"

    def let_in(self, request: Request, where: str) -> Response:
        """Open a session and go on to a path of ours."""
        answer = RedirectResponse(where, 303)
        answer.set_cookie(self.cookie, self.open(), max_age=SESSION_SECONDS, httponly=True, samesite="strict",
                          secure=request.url.scheme == "https")
        return answer

    def is_open(self, cookie: str) -> bool:
        """Whether we made this cookie and its time has not passed."""
        unsigned, _, signature = cookie.rpartition(".")
        if not unsigned or not self._same(signature, self._sign(unsigned)):
            return False
        return int(unsigned.rpartition(".")[2]) > time.time()

    def form_token(self, cookie: str) -> str:
        """What a form of this session must carry back."""
        return self._sign(f"form {cookie}")

    def is_form_token(self, cookie: str, offered: str) -> bool:
        """Whether a form came from a page of this session."""
        return self._same(offered, self.form_token(cookie))

    def _sign(self, text: str) -> str:
        return hmac.digest(self._key, text.encode("utf-8", "replace"), "sha256").hex()

    @staticmethod
    def _same(one: str, other: str) -> bool:
        return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))
