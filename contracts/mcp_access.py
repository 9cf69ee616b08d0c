"""Words of the configuration: how an MCP server of somebody else is reached, and how far it is trusted."""

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from contracts.egress import HostRule
from contracts.word import StrictWord

SERVER_NAME = r"^[a-z][a-z0-9-]{0,30}$"


class SecretPlace(StrictWord):
    """Where a secret is. It is never written here; a file is read again whenever it is needed."""

    file: str = ""
    """The file with the secret."""
    variable: str = ""
    """The environment variable that holds it."""
    secret: str = ""
    """Its name on the list of the setting `secrets`: the secrets server lends it whenever it is needed."""

    @model_validator(mode="after")
    def _one_place(self) -> "SecretPlace":
        if sum(map(bool, (self.file, self.variable, self.secret))) != 1:
            raise ValueError("give one of file, variable and secret")
        return self


class McpServerAccess(StrictWord):
    """One third-party MCP server. Its tools are `NAME__TOOL`; an agent may use those that its card names."""

    transport: Literal["stdio", "http", "sse"]
    """`stdio` runs it here in a sandbox; `http` (streamable HTTP) and `sse` reach one that runs elsewhere."""
    command: tuple[str, ...] = ()
    """For `stdio`: its program and arguments, as seen inside its sandbox."""
    folder: str = ""
    """For `stdio` without an image: the folder with its program, `/server` in the sandbox, pinned by digest."""
    image: str = ""
    """For `stdio` in a container: the image it runs in, pinned by digest."""
    url: str = ""
    """For `http` and `sse`: where it answers."""
    auth: SecretPlace | None = None
    """For `http` and `sse`: the bearer token it wants, as {"file": …}, {"variable": …} or {"secret": …}."""
    environment: dict[str, SecretPlace] = Field(default_factory=dict)
    """For `stdio`: variables that it alone is given, each {"file": …} or {"variable": …}."""
    egress_hosts: tuple[HostRule, ...] = ()
    """For `stdio`: hosts that it may reach, by name and by the proxy in `HTTPS_PROXY`, e.g. ["api.example.com"]; empty: none."""
    tools: tuple[str, ...] = Field(min_length=1)
    """The tools that may be used at all; whatever else it offers stays out of reach."""
    timeout_seconds: float = Field(default=30, gt=0, le=600)
    """Seconds for it to start, and for each call."""
    calls_per_minute: int = Field(default=60, ge=1, le=6_000)
    """Calls a minute, all tasks together; one too many waits up to `timeout_seconds`, then it is refused."""
    memory_mib: int = Field(default=512, ge=64, le=8_192)
    """For `stdio`: MiB of memory for one process of it, and for all of it in a container."""

    @field_validator("url")
    @classmethod
    def _web_address(cls, url: str) -> str:
        if url and (urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname):
            raise ValueError("url must start with http:// or https:// and name a host")
        if "@" in urlsplit(url).netloc:
            raise ValueError("url must not hold a login; name a file or variable in auth")
        return url

    @model_validator(mode="after")
    def _what_its_transport_needs(self) -> "McpServerAccess":
        if self.transport == "stdio":
            if not self.command or bool(self.folder) == bool(self.image) or self.url or self.auth:
                raise ValueError("stdio needs command, and either folder or image; url and auth are for http and sse")
            if lent := [name for name, place in self.environment.items() if place.secret]:
                raise ValueError(f"{lent[0]}: what the secrets server lends never goes into a sandbox; give file or variable")
        elif not self.url or self.command or self.folder or self.image or self.environment or self.egress_hosts:
            raise ValueError(f"{self.transport} needs url; command, folder, image, environment and egress_hosts are for stdio")
        return self
