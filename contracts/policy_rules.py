"""The parts of a policy that have rules of their own: tools by role, hosts, modes. Each can only be narrowed."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Annotated, Any

from pydantic import Field, StringConstraints, field_validator

from contracts.word import StrictWord

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
"""A role or a tool, as cards and servers spell it."""
HOST = r"^(\*\.)?([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?\.)*[a-z_]([a-z0-9_-]*[a-z0-9_])?$"
"""Its last label begins with no digit: what ends in a number is an address to whoever resolves it."""
Host = Annotated[str, StringConstraints(pattern=HOST, max_length=253)]
Command = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=200)]
NOTHING = "-"
"""A pattern that no package and no licence matches: two lists that have nothing in common allow nothing."""
ToolsByRole = Annotated[dict[Name, tuple[Name, ...]], Field(json_schema_extra={"additionalProperties": False})]
"""Its JSON Schema says, too, that there are no other keys than names: a pattern of keys alone would let all others be."""


class ToolRules(StrictWord):
    """Which tools agents may call. What a role may never call stands in the code, see ``contracts.deciding``."""

    denied: tuple[Name, ...] = ()
    """Tools that no agent may call."""
    by_role: ToolsByRole = Field(default_factory=dict)
    """For the roles named here: all that they may call, of what their role may call at all."""
    granted: ToolsByRole = Field(default_factory=dict)
    """Tools of servers that are not ours, by the roles that may call them. Only the organisation's policy can grant."""
    denied_commands: tuple[Command, ...] = ()
    """Command lines that no agent may run (``*`` for anything). A sign, not a wall: the wall is the sandbox."""

    def narrowed(self, by: "ToolRules") -> "ToolRules":
        """What both allow."""
        granted = self.granted
        if "granted" in by.model_fields_set:
            granted = {role: _both(tools, by.granted.get(role, ())) for role, tools in granted.items()}
        roles = {role: _both(tools, by.by_role.get(role, tools)) for role, tools in self.by_role.items()}
        return ToolRules(
            denied=union(self.denied, by.denied),
            by_role={**by.by_role, **roles},
            granted=granted,
            denied_commands=union(self.denied_commands, by.denied_commands),
        )


class NetworkRules(StrictWord):
    """Which hosts may be reached on behalf of a task, by name and at the port of https; sandboxes have no other network."""

    allowed_hosts: tuple[Host, ...] = ()
    """Host names; ``*.example.com`` stands for every name below it, and not for ``example.com``. Empty: none."""

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _no_numbers(cls, hosts: Any) -> Any:
        for host in hosts if isinstance(hosts, list | tuple) else ():
            if isinstance(host, str) and host.rpartition(".")[2][:1].isdigit():
                raise ValueError(f"{host!r} is an IP address; name the host, so that it can be looked up and pinned")
        # Strict JSON takes a list for a tuple only where no code has looked at it before.
        return tuple(hosts) if isinstance(hosts, list) else hosts

    def narrowed(self, by: "NetworkRules") -> "NetworkRules":
        """What both allow; a policy that says nothing of hosts narrows nothing."""
        if "allowed_hosts" not in by.model_fields_set:
            return self
        met = [
            one if host_matches(one, other) else other
            for one in self.allowed_hosts
            for other in by.allowed_hosts
            if host_matches(one, other) or host_matches(other, one)
        ]
        return NetworkRules(allowed_hosts=union(met))


class ModeRules(StrictWord):
    """Ways of working that take much away at once."""

    analysis_only: bool = False
    """Look and plan only: nothing is written, run or published."""
    safe: bool = False
    """Agents run no commands of their own, no host is reached, and every plan waits for a person."""

    def narrowed(self, by: "ModeRules") -> "ModeRules":
        """A mode that one of them asks for holds."""
        return ModeRules(analysis_only=self.analysis_only or by.analysis_only, safe=self.safe or by.safe)


class DependencyRules(StrictWord):
    """Which packages and licences a change may bring in. Patterns take ``*``; case does not count."""

    allowed_packages: tuple[Pattern, ...] = ()
    """With any: only these may be added, as ``name`` or ``ecosystem:name``, e.g. ``npm:@types/*``."""
    denied_packages: tuple[Pattern, ...] = ()
    """Packages that may never be added."""
    allowed_licences: tuple[Pattern, ...] = ()
    """With any: only these SPDX ids, for added files and packages. A package whose licence nobody can tell is allowed by name."""
    denied_licences: tuple[Pattern, ...] = ()
    """SPDX ids that neither added files nor packages may have, e.g. ``AGPL-*``."""

    def narrowed(self, by: "DependencyRules") -> "DependencyRules":
        """What both allow, denied by either."""
        return DependencyRules(
            allowed_packages=_narrower(self.allowed_packages, by.allowed_packages),
            denied_packages=union(self.denied_packages, by.denied_packages),
            allowed_licences=_narrower(self.allowed_licences, by.allowed_licences),
            denied_licences=union(self.denied_licences, by.denied_licences),
        )


def _narrower(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    """What two lists of patterns both allow; an empty one allows everything."""
    if not one or not other:
        return one or other
    met = [name for name in other if any(fnmatchcase(name.lower(), pattern.lower()) for pattern in one)]
    met += [name for name in one if any(fnmatchcase(name.lower(), pattern.lower()) for pattern in other)]
    return union(met) or (NOTHING,)


def host_matches(host: str, pattern: str) -> bool:
    """Whether a host name, or a narrower pattern, lies within a pattern."""
    return host == pattern or (pattern.startswith("*.") and host.endswith(pattern[1:]) and host != pattern[1:])


def union(*lists: Sequence[str]) -> tuple[str, ...]:
    """Everything once, in the order of its first place."""
    return tuple(dict.fromkeys(item for given in lists for item in given))


def _both(one: Sequence[str], other: Sequence[str]) -> tuple[str, ...]:
    return tuple(item for item in one if item in other)
