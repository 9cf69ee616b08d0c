"""JSON over HTTP with nothing but the standard library, for the benchmark's own questions."""

import json
import urllib.request
from typing import Any


def post_json(url: str, body: Any = None, token: str = "") -> Any:
    """POST a JSON body and return the JSON that comes back. Raises ``urllib.error.HTTPError``."""
    headers = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
    return _asked(urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST"))


def get_json(url: str, token: str = "") -> Any:
    """GET JSON. Raises ``urllib.error.HTTPError``."""
    return _asked(urllib.request.Request(url, headers={"authorization": f"Bearer {token}"} if token else {}))


def _asked(request: urllib.request.Request) -> Any:
    # Loopback only: a proxy from the environment must not get in between.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer:
        return json.loads(answer.read())
