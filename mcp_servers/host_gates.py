"""Who may be reached: gates that a way out asks about each host before anything goes there."""

from collections.abc import Callable, Iterable

from contracts.deciding import decide
from contracts.deeds import HostAccess
from contracts.egress import HostRule, allowing, must_be_name
from contracts.errors import GuardrailTripped, HostRefused
from contracts.policy import Policy

Gate = Callable[[str, int], bool]
"""(host in lower case, port) → whether it may lie in a private network. Raises ``HostRefused``."""


def by_policy(policy: Policy) -> Gate:
    """The hosts of a task's policy; none of them may lie in a private network."""

    def judged(host: str, port: int) -> bool:
        _form(host, port)
        decision = decide(policy, HostAccess(host=host, port=port))
        if not decision.allowed:
            raise HostRefused(decision.reason, f"{host}:{port}", decision.rule)
        return False

    return judged


def any_host(policy: Policy) -> bool:
    """Whether a policy allows a host at all."""
    return bool(policy.network.allowed_hosts) and not policy.modes.safe


def by_list(rules: Iterable[HostRule], setting: str) -> Gate:
    """The hosts of an operator's list; ``setting`` names it."""
    known = tuple(rules)

    def judged(host: str, port: int) -> bool:
        _form(host, port)
        try:
            return allowing(host, port, known).private
        except GuardrailTripped as refused:
            raise HostRefused(refused.message, f"{host}:{port}", setting) from None

    return judged


def nowhere(host: str, port: int) -> bool:
    """The gate of whoever may reach nothing."""
    _form(host, port)
    raise HostRefused("It may reach no host at all.", f"{host}:{port}", "code.no_network")


def _form(host: str, port: int) -> None:
    try:
        must_be_name(host)
    except GuardrailTripped as strange:
        raise HostRefused(strange.message, f"{host}:{port}", "code.host_form") from None
    if not 0 < port <= 65_535:
        raise HostRefused(f"{port} is no port.", f"{host}:{port}", "code.host_form")
