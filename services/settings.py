"""Every setting of the service, where it came from, and the only place that reads the environment.

A value is taken from the environment (``PATCHWRIGHT_<NAME>``, or ``OPENAI_BASE_URL`` and ``OPENAI_API_KEY``), else from the
configuration file (``$PATCHWRIGHT_CONFIG``, or ``config.yaml`` in the data folder; YAML or TOML), else from the default here.
Nested values take two underscores: ``PATCHWRIGHT_LIMITS__MEMORY_MIB=4096``.
"""

import logging
import os
import pwd
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import (
    AliasChoices,
    BaseModel,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
    YamlConfigSettingsSource,
)

from contracts.access import Person
from contracts.egress import HostRule
from contracts.errors import InvalidInput
from contracts.mcp_access import SERVER_NAME, McpServerAccess, SecretPlace
from contracts.policy import Policy
from contracts.pool import Pool, PoolSizes
from contracts.sandbox import SandboxLimits
from contracts.secret import SecretGrant, SecretName, VaultAccess
from contracts.word import StrictWord
from services import role_secrets
from services.access.rules import OidcAccess
from services.forge_access import ForgeAccess
from services.ledger.providers import DEFAULT_PROVIDER, ModelProvider, ModelRoute, Recovery
from services.ticket_rules import TicketAccess, TicketRules
from services.webhook_access import KnownSecret, WebhookAccess, WebhookKind, WebhookSecret

PREFIX = "PATCHWRIGHT_"
CONFIG_VARIABLE = "PATCHWRIGHT_CONFIG"
REDACTED = "(set, not shown)"
OPENAI_URL = "https://api.openai.com/v1"
NAMING = ("api", "ledger", "mcp-repo", "mcp-third-party", role_secrets.LENDER)
"""Roles that look variables up by names that an operator wrote."""
TENANTS = "tenants"
"""The folder of tenants' folders."""
log = logging.getLogger(__name__)
Port = Annotated[int, Field(ge=0, le=65_535)]
Origin = Literal["default", "file", "environment", "caller"]


def _login_name() -> str:
    """Who runs this process."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return "local"


class ModelPrice(StrictWord):
    """What a model costs, in US dollars for a million tokens."""

    input_per_million: float = Field(ge=0)
    output_per_million: float = Field(ge=0)


class Settings(BaseSettings):
    """The effective settings. Frozen; make another one with other keyword arguments."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True, protected_namespaces=(),
        use_attribute_docstrings=True, populate_by_name=True, hide_input_in_errors=True,
    )

    tenant: str = Field(default="", pattern=r"^([a-z][a-z0-9-]{0,30})?$")
    """Whom this service works for, where several are kept apart: names the Temporal namespace `patchwright-TENANT`, the folder
    `tenants/TENANT` below the data folder and the Postgres schema `tenant_TENANT`; empty: there is only one."""
    data_dir: Path = Field(default_factory=lambda: Path(platformdirs.user_data_dir("patchwright")))
    """The folder that holds everything the service keeps: mirrors, run store, artifacts, token."""
    host: str = Field(default="127.0.0.1", min_length=1)
    """The address API and pages listen at; anything but a loopback address opens the service to others."""
    port: Port = 7080
    """The port of API and pages, 0 to 65535; 0 takes a free one."""
    public_url: str = ""
    """Where people reach the service behind a proxy, e.g. https://patchwright.example.com; empty: where it listens."""
    url: str = ""
    """Where the command line finds the service, e.g. http://127.0.0.1:7080; empty asks the data folder."""
    token: SecretStr = SecretStr("")
    """The bearer token of the API, at least 16 characters; empty makes one and keeps it in the data folder."""
    token_person: Person = Field(default_factory=_login_name)
    """Whom that token stands for, who is an administrator; by default the login name of whoever runs the service."""
    oidc: OidcAccess | None = None
    """The identity provider that people sign in at, as JSON, e.g. {"issuer": "https://id.example.com", "client_id": "pw"}."""
    session_hours: float = Field(default=168, gt=0, le=8_760)
    """Hours after which somebody must sign in again, whatever they do."""
    session_idle_hours: float = Field(default=24, gt=0, le=8_760)
    """Hours of silence after which a session is over."""
    requests_per_minute: float = Field(default=6_000, ge=0)
    """Requests of one person or machine to one API process; beyond them it is asked to wait. 0: as many as they like."""
    failed_logins: int = Field(default=20, ge=1, le=10_000)
    """Wrong tokens from one address within five minutes; after them it has to wait, and is not listened to."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed, as JSON, e.g. ["10.0.0.2"]."""

    temporal_address: str = ""
    """host:port of a Temporal cluster; empty starts an embedded dev server."""
    temporal_namespace: str = Field(default="default", min_length=1)
    """The Temporal namespace."""
    temporal_port: Port = 7233
    """The port of the embedded Temporal server, 0 to 65535; 0 takes a free one."""
    temporal_ui_port: Port = 8233
    """The port of the embedded Temporal Web UI, 0 to 65535; 0 takes a free one."""
    temporal_ui_url: str = ""
    """Where people reach the Web UI of a Temporal cluster of your own, e.g. http://127.0.0.1:8080; empty shows no links."""
    task_queue: str = Field(default="patchwright", min_length=1, max_length=200)
    """The Temporal task queue that workers listen at."""
    pools: PoolSizes = PoolSizes()
    """How much of each kind this process does at once, as JSON, e.g. {"agents": 4, "sandbox": 1}."""
    serve_pools: tuple[Pool, ...] = Field(default=tuple(Pool), min_length=1)
    """Which pools this process works for, as JSON, e.g. ["sandbox"]; each pool needs at least one process."""
    drain_seconds: float = Field(default=30, ge=0, le=600)
    """Seconds that work in progress may go on when the service is told to stop, 0 to 600; then it is given back."""
    deployment_version: str = Field(default="", pattern=r"^[A-Za-z0-9._-]{0,100}$")
    """The name of this build for Temporal's worker deployments, e.g. 0.1.0-7b557c1; empty pins no task to a build."""
    database_url: str = Field(default_factory=lambda earlier: f"sqlite+aiosqlite:///{earlier['data_dir'] / 'patchwright.db'}")
    """The run store as a SQLAlchemy URL, e.g. postgresql+asyncpg://patchwright@db/patchwright."""

    mcp_urls: dict[str, str] = Field(default_factory=dict)
    """Where MCP servers answer that are processes of their own, as JSON: {"repo": "http://repo:7341/mcp"}."""
    mcp_host: str = Field(default="127.0.0.1", min_length=1)
    """The address an MCP server listens at that is a process of its own."""
    mcp_port: Port = 7341
    """The port of such a server, 0 to 65535; 0 takes a free one."""
    mcp_token: SecretStr = SecretStr("")
    """The bearer token of such servers, at least 16 characters; empty makes one and keeps it in the data folder."""

    mcp_servers: dict[Annotated[str, Field(pattern=SERVER_NAME)], McpServerAccess] = Field(default_factory=dict)
    """MCP servers of other people, as JSON: {"docs": {"transport": "http", "url": "https://…/mcp", "tools": ["search"]}}."""
    mcp_lock_file: str = ""
    """The file that pins every MCP server, with yours in it; empty: `mcp.lock` beside the code."""
    documentation_hosts: tuple[HostRule, ...] = ()
    """Hosts whose pages agents may read, as JSON, e.g. ["docs.python.org"]; a task's policy must allow them, too. Empty: none."""

    secrets: dict[SecretName, SecretGrant] = Field(default_factory=dict)
    """Secrets lent by list, as JSON: {"github": {"file": "/keys/gh", "holders": [{"who": "repo", "purposes": ["forge"]}]}}."""
    vault: VaultAccess | None = None
    """The vault that some of them lie in, as JSON: {"url": "https://vault.example.com", "token_file": "/run/vault-token"}."""
    secret_token: SecretStr = SecretStr("")
    """What this process proves with who it is where secrets are lent by a process of its own, at least 16 characters."""
    secret_tokens: dict[str, SecretStr] = Field(default_factory=dict)
    """For the role mcp-secrets alone: each holder's such token, as JSON, e.g. {"repo": "…", "ledger": "…"}."""

    forge_poll_seconds: float = Field(default=60, ge=0.1, le=3_600)
    """Seconds after which whatever no webhook told is found out by asking GitHub and GitLab, at most 3600."""
    forges: dict[str, ForgeAccess] = Field(default_factory=dict)
    """GitHub and GitLab hosts, as JSON: {"github.com": {"kind": "github", "app_id": "1", "app_key_file": "/keys/app.pem"}}."""

    webhooks: dict[WebhookKind, WebhookAccess] = Field(default_factory=dict)
    """What webhooks are signed with, as JSON: {"github": {"secrets": [{"file": "/etc/patchwright/github-webhook"}]}}."""
    tickets: TicketRules = TicketRules()
    """Which tickets become tasks, as JSON, e.g. {"label": "patchwright", "repositories": {"jira:ENG": "https://…"}}."""

    openai_base_url: str = Field(
        default="", validation_alias=AliasChoices("openai_base_url", "PATCHWRIGHT_OPENAI_BASE_URL", "OPENAI_BASE_URL"))
    """The OpenAI-compatible endpoint, e.g. http://127.0.0.1:1234/v1; empty means OpenAI's own."""
    openai_api_key: SecretStr = Field(
        default=SecretStr(""), validation_alias=AliasChoices("openai_api_key", "PATCHWRIGHT_OPENAI_API_KEY", "OPENAI_API_KEY"))
    """The key for that endpoint."""
    model_default: str = Field(default="gpt-5.1", min_length=1)
    """The model for every agent that names no other."""
    models: dict[str, str] = Field(default_factory=dict)
    """Model names per agent, as JSON, e.g. {"planner": "gpt-5.1", "coder": "gpt-5.1-codex"}."""
    model_api: Literal["auto", "responses", "chat"] = "auto"
    """Which API the endpoint speaks: auto, responses or chat."""
    model_timeout_seconds: float = Field(default=600, gt=0, le=7_200)
    """Seconds to wait for one model answer."""
    model_retries: int = Field(default=6, ge=0, le=50)
    """How often a failed model call (429, 5xx, cut connection) is repeated before the step fails, 0 to 50."""
    model_recovery: Recovery = "none"
    """How that endpoint can be asked again for a lost answer: none, idempotency-key or background (see the ledger's page)."""
    prices: dict[str, ModelPrice] = Field(default_factory=dict)
    """US dollars for a million tokens per model, as JSON: {"gpt-5.1": {"input_per_million": 1.25, "output_per_million": 10}}."""
    budget_per_day_usd: float | None = Field(default=None, ge=0)
    """US dollars that all tasks together may spend on models in a day (UTC); unset: as much as they need."""
    budget_per_requester_usd: float | None = Field(default=None, ge=0)
    """US dollars that the tasks of one requester may spend on models in a day (UTC); unset: as much as they need."""
    providers: dict[str, ModelProvider] = Field(default_factory=dict)
    """More model endpoints by name, as JSON: {"local": {"base_url": "http://127.0.0.1:1234/v1", "max_concurrent": 2}}."""
    model_routes: dict[str, tuple[ModelRoute, ...]] = Field(default_factory=dict)
    """Where a model's name leads, first choice first, as JSON: {"big": [{"model": "gpt-5.1"}, {"provider": "local"}]}."""
    ledger_url: str = ""
    """A model ledger that runs elsewhere, e.g. http://127.0.0.1:7090/v1; empty: the service runs its own."""
    ledger_host: str = Field(default="127.0.0.1", min_length=1)
    """The address our ledger listens at."""
    ledger_port: Port = 0
    """The port of our ledger, 0 to 65535; 0 takes a free one."""
    ledger_token: SecretStr = SecretStr("")
    """The bearer token of the ledger, at least 16 characters; empty makes one and keeps it in the data folder."""
    ledger_database_url: str = Field(default_factory=lambda earlier: f"sqlite:///{earlier['data_dir'] / 'ledger.db'}")
    """The ledger's own database as a SQLAlchemy URL, e.g. postgresql+asyncpg://ledger@db/ledger."""
    ledger_keep_days: int = Field(default=30, ge=1, le=3_650)
    """Days after which the ledger forgets the text of an answer; what it cost is kept."""

    sandbox: Literal["auto", "container", "bubblewrap"] = "auto"
    """Where untrusted code runs: auto, container or bubblewrap."""
    sandbox_image: str = Field(default="patchwright-sandbox:1", min_length=1)
    """The container image for repositories that name none."""
    setup_hosts: tuple[HostRule, ...] = ()
    """Hosts that a recipe's setup with network may reach, as JSON, e.g. ["packages.example.org"]; empty: whatever it likes."""
    egress_dir: str = ""
    """A folder that we and the container engine see under one path, for sandboxes' way out; empty: a temporary one."""
    limits: SandboxLimits = SandboxLimits()
    """Limits of one sandbox, as JSON, e.g. {"memory_mib": 4096}."""
    policy_file: str = ""
    """A YAML file with the organisation's policy in sections; read again at SIGHUP and `POST /policy/reload`. Empty: none."""
    default_policy: Policy = Policy()
    """Limits of every task, as JSON, e.g. {"plan_approval": true}; they narrow the policy file where there is one."""

    keep_days: float = Field(default=30, ge=1, le=3_650)
    """Days for which what an ended task left in the mirrors is kept, 1 to 3650; branches on remotes are never touched."""

    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much is logged: debug, info, warning or error."""
    otlp_endpoint: str = ""
    """Where traces and metrics go over OTLP/HTTP, e.g. http://127.0.0.1:4318; empty sends none."""

    _role: str = PrivateAttr(default=role_secrets.EVERY)

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, folder: Path, known: ValidationInfo) -> Path:
        whole = folder.expanduser().absolute()
        tenant = known.data.get("tenant", "")
        own = Path(TENANTS) / tenant
        # A role of ours is told the folder of its tenant; everybody else the folder of all.
        return whole / own if tenant and whole.parts[-2:] != own.parts else whole

    @field_validator("temporal_namespace")
    @classmethod
    def _of_the_tenant(cls, namespace: str, known: ValidationInfo) -> str:
        tenant = known.data.get("tenant", "")
        own = f"patchwright-{tenant}" if tenant else namespace
        if namespace not in ("default", own):
            raise ValueError(f"the tenant names the namespace, which is {own}; leave this out")
        return own

    @field_validator("database_url", "ledger_database_url")
    @classmethod
    def _apart(cls, url: str, known: ValidationInfo) -> str:
        return _of_tenant(url, known.data.get("tenant", ""), known.data.get("data_dir"))

    @field_validator("token", "mcp_token", "ledger_token", "secret_token")
    @classmethod
    def _long_enough(cls, token: SecretStr) -> SecretStr:
        if 0 < len(token.get_secret_value()) < 16:
            raise ValueError("the token is shorter than 16 characters")
        return token

    @field_validator("openai_base_url", "otlp_endpoint", "url", "public_url", "temporal_ui_url", "ledger_url")
    @classmethod
    def _web_address(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("it must start with http:// or https://")
        return url.rstrip("/")

    @field_validator("webhooks")
    @classmethod
    def _repositories_of_forges(cls, webhooks: dict[WebhookKind, WebhookAccess]) -> dict[WebhookKind, WebhookAccess]:
        for kind in ("jira", "linear"):
            if kind in webhooks and any(secret.repositories for secret in webhooks[kind].secrets):
                raise ValueError(f"{kind} tells of no repositories; leave them out of its secrets")
        return webhooks

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource, dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        chosen = init_settings().get("data_dir") or env_settings().get("data_dir") or platformdirs.user_data_dir("patchwright")
        file = _file_source(settings_cls, Path(chosen).expanduser())
        return (init_settings, env_settings, file) if file else (init_settings, env_settings)

    def models_for(self, agent: str, card_model: str = "default") -> str:
        """The model of an agent: named in ``models``, else its card's (a name, or an alias in ``models``), else the default."""
        if agent in self.models:
            return self.models[agent]
        return self.model_default if card_model == "default" else self.models.get(card_model, card_model)

    @property
    def base_dir(self) -> Path:
        """The data folder as it was configured: that of all tenants."""
        return self.data_dir.parents[1] if self.tenant else self.data_dir

    def access_token(self) -> str:
        """The bearer token of the API: the configured one, else the one in the data folder, made on first use (mode 0600)."""
        if configured := self.token.get_secret_value():
            return configured
        return _kept_token(self.data_dir / "token")

    def mcp_access_token(self) -> str:
        """The bearer token of MCP servers that are processes of their own, as ``access_token``."""
        return self.mcp_token.get_secret_value() or _kept_token(self.data_dir / "mcp-token")

    @property
    def role(self) -> str:
        """Whose settings these are: a role of the service, or empty for the service in one process."""
        return self._role

    def for_role(self, role: str) -> "Settings":
        """The same settings with the secrets of one role alone; every other one has its default."""
        told: dict[str, Any] = {}
        if not role_secrets.holds_all(role):
            secret = {name for name in type(self).model_fields if isinstance(getattr(self, name), SecretStr)} | role_secrets.PLAIN
            told = {name: self._default(name) for name in secret - role_secrets.given(role)}
        made = self.model_copy(update=told)
        made._role = role
        return made

    def _default(self, name: str) -> Any:
        field = type(self).model_fields[name]
        return field.get_default(call_default_factory=True, validated_data={"data_dir": self.data_dir})

    def plain(self) -> dict[str, Any]:
        """Every setting as JSON for a process of ours, secrets in plain text."""
        told = self.model_dump(mode="json")
        for name in told:
            if isinstance(secret := getattr(self, name), SecretStr):
                told[name] = secret.get_secret_value()
        told["secret_tokens"] = {who: token.get_secret_value() for who, token in self.secret_tokens.items()}
        told["providers"] = {name: _plain_provider(provider) for name, provider in self.providers.items()}
        return told

    @property
    def policy_path(self) -> Path | None:
        """Where the organisation's policy is, if anywhere."""
        return Path(self.policy_file).expanduser() if self.policy_file else None

    @property
    def processes_file(self) -> Path:
        """Where ``up --processes`` says which process plays which role."""
        return self.data_dir / "processes.json"

    def ledger_access_token(self) -> str:
        """The bearer token of the ledger, as ``access_token``."""
        return self.ledger_token.get_secret_value() or _kept_token(self.data_dir / "ledger-token")

    def model_providers(self) -> dict[str, ModelProvider]:
        """Every provider by name, with its key and the defaults of the settings filled in. Raises ``InvalidInput``."""
        usual = ModelProvider(api=self.model_api, recovery=self.model_recovery)
        named = {DEFAULT_PROVIDER: usual, **self.providers}
        for alias, routes in self.model_routes.items():
            if strange := [route.provider for route in routes if route.provider not in named]:
                raise InvalidInput(f"model_routes: {alias!r} leads to {strange[0]!r}; the providers are {', '.join(named)}.")
        return {name: self._filled(name, provider) for name, provider in named.items()}

    def provider_key(self, name: str) -> str:
        """The key of a provider, as it is right now; empty when it has none. Raises ``InvalidInput``."""
        provider = self.providers.get(name, ModelProvider())
        key = _provider_key(name, provider)
        return key if key or provider.base_url else self.openai_api_key.get_secret_value()

    def _filled(self, name: str, provider: ModelProvider) -> ModelProvider:
        return provider.model_copy(update={
            "base_url": provider.base_url or self.openai_base_url or OPENAI_URL,
            "api_key": SecretStr("" if provider.api_key_secret else self.provider_key(name)),
            "timeout_seconds": provider.timeout_seconds or self.model_timeout_seconds,
        })

    def forge_token(self, host: str) -> str:
        """The token of a forge's host, as it is right now. Raises ``InvalidInput``."""
        access = self.forges[host]
        return _secret_at(access.token_file, access.token_variable, f"forges: the token of {host}")

    def oidc_secret(self) -> str:
        """This service's secret at the identity provider, as it is now; empty for a public client. Raises ``InvalidInput``."""
        if self.oidc is None or not (self.oidc.secret_file or self.oidc.secret_variable):
            return ""
        what = "oidc: the client's secret"
        return _secret_file(self.oidc.secret_file, what) if self.oidc.secret_file else _secret_variable(
            self.oidc.secret_variable, what)

    def forge_app_key(self, host: str) -> str:
        """The private key of the GitHub App for a host. Raises ``InvalidInput``."""
        return _secret_at(self.forges[host].app_key_file, "", f"forges: the App's key for {host}")

    def named_variables(self, role: str) -> set[str]:
        """The environment variables with secrets that a role of the service looks up by name."""
        if role == "api":
            named = [secret.variable for access in self.webhooks.values() for secret in access.secrets]
            named += [self.oidc.secret_variable] if self.oidc else []
        elif role == "mcp-repo":
            written_to = [access for access in (self.tickets.jira, self.tickets.linear) if access is not None]
            named = [access.token_variable for access in (*self.forges.values(), *written_to)]
        elif role == "ledger":
            named = [provider.api_key_variable for provider in self.providers.values()]
        elif role == "mcp-third-party":
            places = [place for access in self.mcp_servers.values() for place in (access.auth, *access.environment.values())]
            named = [place.variable for place in places if place is not None]
        elif role == "mcp-secrets":
            named = [grant.variable for grant in self.secrets.values()]
        else:
            named = []
        return {name for name in named if name}

    def secret_variables(self) -> set[str]:
        """Every environment variable that may hold a secret: those that are named for a role, and those of settings."""
        named = {name for role in NAMING for name in self.named_variables(role)}
        secret = {name for name in type(self).model_fields if isinstance(getattr(self, name), SecretStr)} | role_secrets.PLAIN
        return named | {variable_of(name) for name in secret} | {"PATCHWRIGHT_OPENAI_API_KEY"}

    def webhook_secrets(self, kind: WebhookKind) -> list[KnownSecret]:
        """The secrets of one kind of sender as they are right now; one that cannot be read is left out and told in the log."""
        found = []
        for secret in self.webhooks[kind].secrets:
            try:
                found.append(_webhook_secret(kind, secret))
            except InvalidInput as missing:
                log.warning("%s", missing.message)
        return found

    def every_webhook_secret(self, kind: WebhookKind) -> bool:
        """Whether each secret of a kind says something. Raises ``InvalidInput`` that names one that cannot be read."""
        return all(_webhook_secret(kind, secret).value for secret in self.webhooks[kind].secrets)

    def ticket_token(self, system: Literal["jira", "linear"]) -> str:
        """The token for comments in a ticket system, as it is right now. Raises ``InvalidInput``."""
        access: TicketAccess | None = getattr(self.tickets, system)
        if access is None:
            raise InvalidInput(f"tickets: nothing says how comments are written in {system}.")
        what = f"tickets: the token of {system}"
        return _secret_at(access.token_file, access.token_variable, what)

    def mcp_secret(self, place: SecretPlace, what: str) -> str:
        """A secret of a third-party MCP server, as it is right now. Raises ``InvalidInput`` that says what it is for."""
        return _secret_at(place.file, place.variable, f"mcp_servers: {what}")

    def forge_proxy(self, host: str) -> str:
        """The proxy on the way to a forge's host, with its login; empty when none is named. Raises ``InvalidInput``."""
        access = self.forges[host]
        if not access.proxy_login_file and not access.proxy_login_secret:
            return access.proxy
        return access.proxy_with(_secret_at(access.proxy_login_file, "", f"forges: the proxy's login for {host}"))

    @property
    def secrets_audit_file(self) -> Path:
        """Where the secrets server writes down who asked for what."""
        return self.data_dir / "secrets" / "hand-outs.jsonl"

    @property
    def service_file(self) -> Path:
        """Where a running ``up`` says at which address it answers."""
        return self.data_dir / "service.json"


class IsolatedSettings(Settings):
    """Settings from keyword arguments and defaults alone, whatever the environment and files say: for the demo and tests."""

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource, dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


@dataclass(frozen=True, slots=True)
class EffectiveValue:
    """One setting as ``config view`` shows it."""

    name: str
    """Dotted, e.g. ``limits.memory_mib``."""
    value: Any
    """JSON value; secrets are replaced."""
    origin: Origin
    variable: str
    """The environment variable that sets it."""


def load(**overrides: Any) -> Settings:
    """The effective settings. Raises ``InvalidInput`` that names each bad variable or key and says what to write."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        raise InvalidInput("\n".join(_problems(error))) from None
    except SettingsError as error:
        raise InvalidInput(_unreadable(error)) from None


def effective_values(settings: Settings) -> list[EffectiveValue]:
    """Every setting with its origin, secrets redacted, in the order of the class."""
    environment, file = _given(settings)
    values = []
    for name in type(settings).model_fields:
        for path, value in _leaves(name, getattr(settings, name)):
            inner = path.split(".")
            origin: Origin = "environment" if _holds(environment, inner) else "file" if _holds(file, inner) else "default"
            values.append(EffectiveValue(path, value, origin, variable_of(path)))
    return values


def machine_environment() -> dict[str, str]:
    """The environment of this process, for whoever passes a chosen part of it on."""
    return dict(os.environ)


def config_file(settings: Settings) -> Path:
    """The configuration file that is (or would be) read."""
    return _config_path(settings.base_dir)[0]


def unknown_variables() -> list[str]:
    """Environment variables with our prefix that no setting reads: most likely misspelt."""
    known = {variable_of(name) for name in Settings.model_fields} | {CONFIG_VARIABLE, "PATCHWRIGHT_OPENAI_BASE_URL",
                                                                       "PATCHWRIGHT_OPENAI_API_KEY"}
    return sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper().split("__")[0] not in known)


def variable_of(path: str) -> str:
    """The environment variable of a (dotted) setting."""
    name = path.replace(".", "__").upper()
    return name if path.startswith("openai_") else PREFIX + name


def _config_path(data_dir: Path) -> tuple[Path, bool]:
    """The configuration file, and whether somebody asked for it by name."""
    named = os.environ.get(CONFIG_VARIABLE, "")
    return (Path(named).expanduser(), True) if named else (data_dir / "config.yaml", False)


def _file_source(settings_cls: type[BaseSettings], data_dir: Path) -> PydanticBaseSettingsSource | None:
    path, asked_for = _config_path(data_dir)
    if not path.is_file():
        if asked_for:
            raise InvalidInput(f"{CONFIG_VARIABLE} names {path}, which is not a file; write the path of a YAML or TOML file.")
        return None
    source = TomlConfigSettingsSource if path.suffix == ".toml" else YamlConfigSettingsSource
    try:
        return source(settings_cls, path)
    except (ValueError, TypeError, SettingsError) as error:
        raise InvalidInput(f"{path} cannot be read as settings: {_one_line(error)}. Write one `name: value` a line.") from None
    except Exception as error:
        # PyYAML's errors share no base class with ValueError.
        if type(error).__module__.startswith("yaml"):
            raise InvalidInput(f"{path} is not valid YAML: {_one_line(error)}") from None
        raise


def _given(settings: Settings) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the environment and the file say, before defaults."""
    if isinstance(settings, IsolatedSettings):
        return {}, {}
    environment = EnvSettingsSource(Settings)()
    file = _file_source(Settings, settings.base_dir)
    return _by_field(environment), _by_field(file() if file else {})


def _by_field(given: dict[str, Any]) -> dict[str, Any]:
    """Aliases (``OPENAI_API_KEY``) under the names of their fields."""
    return {key.lower().removeprefix("patchwright_"): value for key, value in given.items()}


def _leaves(name: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, SecretStr):
        return [(name, REDACTED if value.get_secret_value() else "")]
    if isinstance(value, BaseModel):
        return [leaf for inner in type(value).model_fields for leaf in _leaves(f"{name}.{inner}", getattr(value, inner))]
    if isinstance(value, dict):
        return [(name, {k: _shown(v) for k, v in value.items()})]
    if name in ("database_url", "ledger_database_url"):
        return [(name, _without_password(str(value)))]
    return [(name, str(value) if isinstance(value, Path) else value)]


def _shown(value: Any) -> Any:
    """A nested value as JSON, its secrets replaced."""
    if isinstance(value, SecretStr):
        return REDACTED if value.get_secret_value() else ""
    if isinstance(value, BaseModel):
        return {name: _shown(getattr(value, name)) for name in type(value).model_fields}
    return [_shown(inner) for inner in value] if isinstance(value, list | tuple) else value


def _without_password(url: str) -> str:
    head, separator, tail = url.partition("://")
    user, at, host = tail.rpartition("@")
    return f"{head}{separator}{user.split(':')[0]}:***@{host}" if at and ":" in user else url


def _holds(given: Any, path: list[str]) -> bool:
    for part in path:
        if not isinstance(given, dict) or part not in given:
            return False
        given = given[part]
    return True


def _problems(error: ValidationError) -> list[str]:
    """One line for each bad value: which variable, what is wrong, what to write."""
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        if problem["type"] == "default_factory_not_called":
            continue
        path = ".".join(str(part) for part in problem["loc"])
        name = path.split(".")[0].lower().removeprefix("patchwright_")
        if problem["type"] == "extra_forbidden":
            lines.append(f"There is no setting {path!r}; `./patchwright config view` lists all of them.")
            continue
        field = Settings.model_fields.get(name)
        wrong = problem["msg"].removeprefix("Value error, ")
        lines.append(f"{variable_of(path.lower())}: {wrong[0].lower()}{wrong[1:]}. It is: {field.description if field else path}")
    return lines


def _unreadable(error: SettingsError) -> str:
    """A nested value that is not JSON."""
    name = next((field for field in Settings.model_fields if f'"{field}"' in str(error)), "")
    if not name:
        return _one_line(error)
    return f"{variable_of(name)}: it is not valid JSON. It is: {Settings.model_fields[name].description}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _of_tenant(url: str, tenant: str, data_dir: Path | None) -> str:
    """A database's URL for one tenant alone. Raises ``ValueError`` where another tenant could have the same."""
    scheme, _, rest = url.partition("://")
    if not tenant:
        return url
    if scheme.startswith("sqlite"):
        if data_dir is None or ".." in rest or not rest.lstrip("/").startswith(f"{data_dir}/".lstrip("/")):
            raise ValueError("with a tenant, SQLite files are in the tenant's own folder; leave this out")
        return url
    own = f"schema=tenant_{tenant.replace('-', '_')}"
    named = [part for part in rest.partition("?")[2].split("&") if part.startswith("schema=")]
    if named and named != [own]:
        raise ValueError(f"the tenant names the schema, which is {own}; leave it out")
    return url if named else f"{url}{'&' if '?' in rest else '?'}{own}"


def _secret_file(path: str, what: str) -> str:
    try:
        return Path(path).expanduser().read_text().strip()
    except OSError as error:
        raise InvalidInput(f"{what} is to be in {path}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{what} is to be in {path}, which is no text.") from None


def _secret_variable(name: str, what: str) -> str:
    if not (secret := os.environ.get(name, "")):
        raise InvalidInput(f"{what} is to be in {name}, which is not set.")
    return secret


def _secret_at(file: str, variable: str, what: str) -> str:
    """A secret in a file or a variable; whoever is lent one asks the secrets server instead."""
    if file:
        return _secret_file(file, what)
    if variable:
        return _secret_variable(variable, what)
    raise InvalidInput(f"{what} is lent by the secrets server, to the process that needs it alone.")


def _webhook_secret(kind: str, secret: WebhookSecret) -> KnownSecret:
    told = _secret_at(secret.file, secret.variable, f"webhooks: a secret of {kind}")
    return KnownSecret(told.encode(), secret.repositories)


def _provider_key(name: str, provider: ModelProvider) -> str:
    """A provider's key, from wherever it is named."""
    if provider.api_key_secret:
        raise InvalidInput(f"providers: the key of {name!r} is lent by the secrets server, to the ledger alone.")
    if provider.api_key_variable:
        if not (key := os.environ.get(provider.api_key_variable, "")):
            raise InvalidInput(f"providers: the key of {name!r} is to be in {provider.api_key_variable}, which is not set.")
        return key
    if provider.api_key_file:
        return _secret_file(provider.api_key_file, f"providers: the key of {name!r}")
    return provider.api_key.get_secret_value()


def _plain_provider(provider: ModelProvider) -> dict[str, Any]:
    return {**provider.model_dump(mode="json"), "api_key": provider.api_key.get_secret_value()}


def _kept_token(path: Path) -> str:
    """Read the token file, or make it; two processes that start at once end with the same token."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".token-{secrets.token_hex(4)}")
    if not path.is_file():
        draft.touch(mode=0o600)
        draft.write_text(secrets.token_urlsafe(32) + "\n")
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text().strip()
