"""The way out through a proxy that is named for a forge; without one, the usual variables of the machine count."""

from collections.abc import Callable
from typing import Any

import requests
from github.Requester import Requester

Proxy = Callable[[], str]
"""The proxy's address with its login, read whenever it is needed; empty: none is named."""


def no_proxy() -> str:
    """None is named."""
    return ""


def send_through(session: requests.Session, proxy: Proxy) -> None:
    """Send whatever a session sends through the proxy that is named at that moment."""
    usual = session.merge_environment_settings

    def merged(*arguments: Any, **named: Any) -> Any:
        # The machine's variables would go before a session's own proxies, and its exceptions as well.
        told = usual(*arguments, **named)
        if address := proxy():
            told["proxies"] = {"http": address, "https": address}
        return told

    session.merge_environment_settings = merged  # type: ignore[method-assign]


def send_requests_through(requester: Requester, proxy: Proxy) -> None:
    """The same for PyGithub, which has no setting for it and makes its sessions as it goes."""
    usual = requester._Requester__connectionClass  # type: ignore[attr-defined]

    def connection(*arguments: Any, **named: Any) -> Any:
        made = usual(*arguments, **named)
        send_through(made.session, proxy)
        return made

    requester._Requester__connectionClass = connection  # type: ignore[attr-defined]
