"""Which hosts may be reached: a list of names, and one strict judgement of addresses against it.

An address is not repaired and not guessed at: what two parsers could read in two ways is refused. Names are judged here;
what they resolve to is judged where the connection is made.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from pydantic import Field, field_validator, model_validator

from contracts.errors import GuardrailTripped
from contracts.word import StrictWord

Scheme = Literal["https", "http"]
DEFAULT_PORTS: dict[str, int] = {"https": 443, "http": 80}
MAX_URL = 2_048
"""Characters of an address; a longer one is a message, not an address."""
LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
HOST = re.compile(rf"{LABEL}(?:\.{LABEL})*", re.ASCII)
WRITTEN_RULE = re.compile(r"(?:(https?)://)?((?:\*\.)?[A-Za-z0-9_.-]+)(?::(\d{1,5}))?/?", re.ASCII)
URL = re.compile(r"(https?)://([A-Za-z0-9_.-]+)(?::(\d{1,5}))?((?:/[^?#]*)?)((?:\?[^#]*)?)(?:#.*)?", re.ASCII)
UNSEEN = re.compile(r"[\x00-\x20\x7f-\xa0\u00ad\u200b-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff\ud800-\udfff\\]")
"""Control characters, blanks of every kind, what nobody sees, and the backslash that browsers read as a slash."""
ENCODED_CONTROL = re.compile(r"%(?:0[0-9a-f]|1[0-9a-f]|7f)", re.ASCII | re.IGNORECASE)
NUMBER = re.compile(r"\d+|0x[0-9a-f]*", re.ASCII)
OF_NOBODY = tuple(ipaddress.ip_network(net) for net in (
    "168.63.129.16/32", "192.88.99.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.175.48.0/24",
    "::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2002::/16",
    "2001:db8::/32", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10"))
"""Beyond what is not global anyway: metadata of a cloud with a public address, and what carries another address inside."""


class HostRule(StrictWord):
    """A host that may be reached, written as ``docs.python.org``, ``*.readthedocs.io`` or ``http://wiki.example.com:8080``."""

    host: str = Field(min_length=1, max_length=253)
    """A name in lower case, or ``*.`` and a suffix of at least two labels; the suffix itself is not meant by it."""
    scheme: Scheme = "https"
    """``http`` allows the unencrypted scheme only."""
    port: int = Field(default=0, ge=0, le=65_535)
    """0 is the scheme's own port."""
    private: bool = False
    """Whether it may lie in a private network; never loopback, link-local or multicast."""

    @model_validator(mode="before")
    @classmethod
    def _written(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        if (parts := WRITTEN_RULE.fullmatch(value.strip())) is None:
            raise ValueError(f"{value!r} is no host: write docs.python.org, *.readthedocs.io or http://wiki.example.com:8080")
        scheme, host, port = parts.groups()
        return {"host": host, "scheme": scheme or "https", "port": int(port or 0)}

    @field_validator("host")
    @classmethod
    def _name(cls, host: str) -> str:
        host = host.lower()
        name = host.removeprefix("*.")
        if not HOST.fullmatch(name) or _is_number(name):
            raise ValueError(f"{host!r} is no host name; addresses in numbers are not allowed (write IDN names as xn--…)")
        if name != host and "." not in name:
            raise ValueError(f"{host!r} means a whole top-level domain; give at least two labels after '*.'")
        return host

    @property
    def written(self) -> str:
        """As a person would write it."""
        scheme = "" if self.scheme == "https" else f"{self.scheme}://"
        return f"{scheme}{self.host}{f':{self.port}' if self.port else ''}{' (private)' if self.private else ''}"

    @property
    def opens(self) -> int:
        """The port it is about."""
        return self.port or DEFAULT_PORTS[self.scheme]

    def covers(self, host: str, port: int) -> bool:
        """Whether a host in lower case and a port are meant by it."""
        named = host.endswith(self.host[1:]) and len(host) >= len(self.host) if self.host.startswith("*.") else host == self.host
        return named and port == self.opens


@dataclass(frozen=True)
class Destination:
    """An address that was judged, in the one form in which it is asked for."""

    scheme: Scheme
    host: str
    port: int
    target: str
    """Path and query, ASCII."""
    private: bool
    """Whether its rule lets it lie in a private network."""

    @property
    def url(self) -> str:
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}{self.target}"


def destination(url: str, rules: Iterable[HostRule]) -> Destination:
    """Where an address leads when a rule allows it. Raises ``GuardrailTripped`` that says why not."""
    if len(url) > MAX_URL:
        raise GuardrailTripped(f"The address has {len(url):,} characters; at most {MAX_URL:,} are asked for.")
    if UNSEEN.search(url) or ENCODED_CONTROL.search(url):
        raise GuardrailTripped("The address holds a blank, a backslash, or a character that nobody sees; write it plainly.")
    if (parts := URL.fullmatch(url)) is None:
        raise GuardrailTripped("Write the address as https://HOST/PATH: a host name in ASCII, without user name or password.")
    scheme, host, port, path, query = parts.groups()
    if not path and "@" in url:
        raise GuardrailTripped("An '@' stands where a user name could be meant; write a '/' after the host.")
    host, number = host.lower(), int(port or DEFAULT_PORTS[scheme])
    rule = allowing(host, number, (rule for rule in rules if rule.scheme == scheme))
    target = quote((path or "/") + query, safe="/?%:@!$&'()*+,;=~[]|-._")
    return Destination("http" if scheme == "http" else "https", host, number, target, rule.private)


def allowing(host: str, port: int, rules: Iterable[HostRule]) -> HostRule:
    """The rule that allows a host and port. Raises ``GuardrailTripped``."""
    must_be_name(host)
    for rule in rules:
        if rule.covers(host, port):
            return rule
    raise GuardrailTripped(f"{host}:{port} is not on the list of hosts that may be reached; an operator can add it.")


def must_be_name(host: str) -> None:
    """Raises ``GuardrailTripped`` for what is no host name in lower case, or an address in numbers of any kind."""
    if not HOST.fullmatch(host) or len(host) > 253 or _is_number(host):
        raise GuardrailTripped(f"{host[:100]!r} is no host name; hosts are reached by name alone.")


def reachable(address: str, private: bool = False) -> bool:
    """Whether a resolved IP address may be connected to; ``private``: its rule lets it lie in a private network."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        return False
    if private and ip.is_private and not any(ip in net for net in OF_NOBODY if str(net) != "fc00::/7"):
        return not ip.is_reserved
    return ip.is_global and not ip.is_reserved and not any(ip in net for net in OF_NOBODY)


def _is_number(host: str) -> bool:
    # Whatever ends in a number is an IPv4 address to a browser, in decimal, octal or hexadecimal.
    return NUMBER.fullmatch(host.rsplit(".", 1)[-1]) is not None
