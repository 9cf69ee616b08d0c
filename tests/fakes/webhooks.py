"""How a fake forge tells what happened there: signed requests from a thread of its own, as unreliable as one wants.

Nothing is sent before ``to`` was called. ``settled`` waits until everything that happened so far was told, or lost.
"""

import base64
import hashlib
import heapq
import hmac
import itertools
import json
import random
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

TIMEOUT_SECONDS = 10.0
"""GitHub waits no longer."""
Sign = Callable[["Delivery", bytes], Mapping[str, str]]
"""(what is sent, its raw bytes) → further headers."""


@dataclass
class Delivery:
    """One event on its way."""

    event: str
    payload: dict[str, Any]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: int = 0
    """What was answered last; 0 while nothing was."""
    sent: int = 0
    """Copies that went out."""
    seconds: float = 0.0
    """The longest time an answer took."""

    @property
    def action(self) -> str:
        """What happened, where the event tells that apart."""
        return str(self.payload.get("action") or self.payload.get("object_attributes", {}).get("action") or "")


class Webhooks:
    """Deliveries of one forge. ``dropped``, ``copies`` and ``spread_seconds`` say how well it does that."""

    def __init__(self, sign: Sign) -> None:
        self.url = ""
        self.secret = ""
        """What is signed with (GitHub), or shown (GitLab's older way)."""
        self.dropped = False
        """Whether everything is lost on the way."""
        self.copies = 1
        """How often each is delivered, under the same id."""
        self.spread_seconds = 0.0
        """Each copy arrives at a random moment within so many seconds: order is lost."""
        self.made: list[Delivery] = []
        """Everything that happened, oldest first."""
        self._sign = sign
        self._random = random.Random(4)
        self._order = itertools.count()
        self._waiting: list[tuple[float, int, Delivery]] = []
        self._under_way = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._session = requests.Session()
        self._session.trust_env = False

    def to(self, url: str, secret: str) -> None:
        """Tell everything to ``url`` from now on."""
        self.url, self.secret = url, secret

    def tell(self, event: str, payload: dict[str, Any]) -> None:
        """Something happened. Does not block."""
        made = Delivery(event, json.loads(json.dumps(payload)))
        self.made.append(made)
        if not self.url or self.dropped:
            return
        with self._changed:
            for _ in range(self.copies):
                at = time.monotonic() + self._random.uniform(0, self.spread_seconds)
                heapq.heappush(self._waiting, (at, next(self._order), made))
            if self._thread is None:
                self._thread = threading.Thread(target=self._deliver, daemon=True, name="webhooks")
                self._thread.start()
            self._changed.notify_all()

    def settled(self, seconds: float = 30.0) -> None:
        """Wait until nothing is on its way any more."""
        with self._changed:
            done = self._changed.wait_for(lambda: not self._waiting and not self._under_way, seconds)
        assert done, f"{len(self._waiting)} webhooks are still on their way"

    def again(self, made: Delivery) -> None:
        """Deliver one once more, as a person may ask a forge to."""
        with self._changed:
            self._under_way += 1
        self._send(made)

    def events(self) -> list[str]:
        """What happened so far, e.g. ``issue_comment.created``."""
        return [f"{one.event}.{one.action}".rstrip(".") for one in self.made]

    def _deliver(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._waiting))
                left = self._waiting[0][0] - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                    continue
                made = heapq.heappop(self._waiting)[2]
                self._under_way += 1
            self._send(made)

    def _send(self, made: Delivery) -> None:
        body = json.dumps(made.payload).encode()
        headers = {"Content-Type": "application/json", **self._sign(made, body)}
        began = time.monotonic()
        try:
            made.status = self._session.post(self.url, data=body, headers=headers, timeout=TIMEOUT_SECONDS).status_code
        except requests.RequestException:
            made.status = 0
        finally:
            made.seconds = max(made.seconds, time.monotonic() - began)
            made.sent += 1
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()


def github_signature(secret: str, body: bytes) -> str:
    """The header ``X-Hub-Signature-256``."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def standard_signature(secret: str, id: str, timestamp: str, body: bytes) -> str:
    """The header ``webhook-signature`` of Standard Webhooks; the secret is ``whsec_`` and base64."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = hmac.new(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(signed).decode()
