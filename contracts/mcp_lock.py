"""``mcp.lock``: what each MCP server is pinned to, and what is different about one that does not keep to it.

A server says who it is by its face: its instructions and its tools with their schemas, in one canonical form. What a model
reads of a server is what stands in the lock; a server whose face or program is another one is refused.
"""

import difflib
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from contracts.errors import ToolDrift
from contracts.tool_text import suspicions, visible
from contracts.word import Word

THIRD_PARTY = "third_party"
"""Our server that passes on the tools of third-party servers; each of those has a pin of its own, and it has none."""
PASSED_ON = "__"
"""Between the name of a third-party server and the name of its tool, where both are one name."""
DIFF_LINES = 40
"""Lines of a difference that are shown for each thing that changed."""


def canonical(value: Any) -> str:
    """JSON of one form: keys sorted, no spaces, every character as itself."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def sha256_of(value: Any) -> str:
    """Hex digest of the canonical JSON; a lone surrogate counts as itself."""
    return hashlib.sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()


class ServerFace(Word):
    """What a server says of itself when it is connected."""

    name: str = ""
    """As it introduces itself; not part of the digest."""
    version: str = ""
    """As it introduces itself; not part of the digest."""
    instructions: str = ""
    tools: tuple[dict[str, Any], ...] = ()
    """Each tool as it goes over the wire, sorted by name."""

    @property
    def sha256(self) -> str:
        """Digest of instructions, tools and schemas."""
        return sha256_of({"instructions": self.instructions, "tools": self.tools})


def face(tools: Iterable[Mapping[str, Any]], instructions: str | None, name: str = "", version: str = "") -> ServerFace:
    """A server's face; what is null or empty in a tool is the same as what is left out."""
    told = sorted(({key: value for key, value in tool.items() if value not in (None, {}, [])} for tool in tools), key=_name)
    return ServerFace(name=name, version=version, instructions=instructions or "", tools=tuple(told))


class LockedServer(Word):
    """One server of the lock."""

    origin: Literal["ours", "third-party"]
    package: str = ""
    """Name of the package, image or address it comes from."""
    version: str = ""
    digest: str = ""
    """``sha256:…`` of its program's files or its image; empty where it runs elsewhere and nobody here can know."""
    egress_hosts: tuple[str, ...] = ()
    """Hosts that it may reach, of a third-party server that runs here; sorted."""
    sha256: str
    """Of its face."""
    instructions: str = ""
    tools: tuple[dict[str, Any], ...] = ()

    @property
    def face(self) -> ServerFace:
        """The face it is pinned to."""
        return ServerFace(version=self.version, instructions=self.instructions, tools=self.tools)

    @property
    def pinned(self) -> tuple[str | tuple[str, ...], ...]:
        """What makes it this one."""
        return (self.digest, self.sha256, *([self.egress_hosts] if self.egress_hosts else []))

    def tool_sha256(self, name: str) -> str:
        """Digest of one tool with its schemas, for evidence; empty when there is no such tool."""
        return next((sha256_of(tool) for tool in self.tools if _name(tool) == name), "")


class McpLock(Word):
    """The whole file."""

    version: Literal[1] = 1
    servers: dict[str, LockedServer] = Field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """Digest of every pin: says in evidence which tools a change was made with."""
        return sha256_of({name: server.pinned for name, server in sorted(self.servers.items())})

    def check(self, name: str, found: ServerFace, digest: str | None = None, hosts: Sequence[str] | None = None) -> None:
        """Hold a server against its pin. ``digest``: of its program; ``hosts``: that it may reach. None: not known from here.

        Raises ``ToolDrift`` with the difference.
        """
        locked = self.servers.get(name)
        if locked is None:
            raise ToolDrift(f"mcp.lock does not name the MCP server {name!r}; look at it: ./patchwright mcp audit")
        if problems := drift(locked, found, digest, hosts):
            told = "\n".join(problems)
            raise ToolDrift(
                f"The MCP server {name!r} is not the one that mcp.lock names; it is not used.\n{told}\n"
                f"If this is what you want, pin it: ./patchwright mcp lock {name}"
            )

    def passed_on(self, server: str, allowed: Sequence[str]) -> tuple[dict[str, Any], ...]:
        """The pinned tools of a third-party server that the allow-list names, under the names that agents know them by.

        What a model needs of them, and no more: their results are text, and their hints about themselves prove nothing.
        """
        locked = self.servers.get(server)
        tools = [tool for tool in (locked.tools if locked else ()) if _name(tool) in allowed]
        told = [{key: tool[key] for key in ("title", "description") if key in tool} for tool in tools]
        return tuple(
            {**words, "name": f"{server}{PASSED_ON}{_name(tool)}", "inputSchema": tool.get("inputSchema", {"type": "object"})}
            for words, tool in zip(told, tools, strict=True)
        )

    def check_passed_on(self, tools: Iterable[Mapping[str, Any]]) -> None:
        """Hold tools that are passed on against the pins of the servers they come from. Raises ``ToolDrift``."""
        for tool in face(tools, None).tools:
            server, _, own = tool["name"].partition(PASSED_ON)
            pinned = self.passed_on(server, (own,))
            if tool not in pinned:
                change = _difference(_pretty(pinned[0]) if pinned else "", _pretty(tool))
                named = visible(tool["name"])
                raise ToolDrift(f"The tool {named!r} is not the one that mcp.lock names; it is not used.\n{change}")


def drift(
    locked: LockedServer, found: ServerFace, digest: str | None = None, hosts: Sequence[str] | None = None
) -> tuple[str, ...]:
    """What is different from the pin, one readable piece each; empty when nothing is."""
    problems = []
    if hosts is not None and tuple(hosts) != locked.egress_hosts:
        problems.append(_changed("the hosts that it may reach changed", "\n".join(locked.egress_hosts), "\n".join(hosts)))
    if digest is not None and digest != locked.digest:
        problems.append(f"its program changed:\n  - {locked.digest or '(none)'}\n  + {digest or '(none)'}")
    if found.sha256 == locked.sha256 == locked.face.sha256:
        return tuple(problems)
    if locked.sha256 != locked.face.sha256:
        problems.append("mcp.lock was edited by hand: its digest is not that of what it says")
    if found.instructions != locked.instructions:
        problems.append(_changed("its instructions changed", locked.instructions, found.instructions))
    before, now = ({_name(tool): tool for tool in tools} for tools in (locked.tools, found.tools))
    if len(now) != len(found.tools):
        problems.append("it offers two tools of one name")
    problems += [f"tool {visible(name)!r} is gone" for name in before if name not in now]
    problems += [_changed(f"tool {visible(name)!r} is new", "", _pretty(now[name])) for name in now if name not in before]
    for name in before:
        if name in now:
            problems += _tool_changes(name, before[name], now[name])
    return tuple(problems)


def warnings_of(found: ServerFace) -> tuple[str, ...]:
    """What a person should look at before a server is pinned: where, and why."""
    told = [f"instructions: {reason}" for reason in suspicions(found.instructions)]
    for tool in found.tools:
        text = "\n".join(_texts(tool))
        told += [f"tool {visible(tool['name'])!r}: {reason}" for reason in suspicions(text)]
    return tuple(told)


def _tool_changes(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return [
        _changed(f"tool {visible(name)!r}: its {_word(key)} changed", _pretty(before.get(key)), _pretty(now.get(key)))
        for key in sorted({*before, *now})
        if before.get(key) != now.get(key)
    ]


def _changed(what: str, before: str, now: str) -> str:
    warned = "".join(f"\n  ! the new text {reason}" for reason in suspicions(now) if reason not in suspicions(before))
    return f"{what}:\n{_difference(before, now)}{warned}"


def _difference(before: str, now: str) -> str:
    lines = difflib.unified_diff(visible(before).splitlines(), visible(now).splitlines(), lineterm="", n=1)
    shown = [f"  {line}" for line in lines if not line.startswith(("---", "+++", "@@"))]
    more = [f"  … and {len(shown) - DIFF_LINES} lines more"] if len(shown) > DIFF_LINES else []
    return "\n".join([*(line[:400] for line in shown[:DIFF_LINES]), *more])


def _pretty(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)


def _word(key: str) -> str:
    return {"inputSchema": "input schema", "outputSchema": "output schema"}.get(key, key)


def _texts(value: Any) -> list[str]:
    """Every string of a tool that a model may read, names of arguments included."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for key, inner in value.items() for text in (str(key), *_texts(inner))]
    return [text for inner in value for text in _texts(inner)] if isinstance(value, list | tuple) else []


def _name(tool: Mapping[str, Any]) -> str:
    return str(tool.get("name", ""))
