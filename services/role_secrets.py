"""Which secrets each role of the service is given, and which it may read; nobody gets more.

The service in one process plays every role. A role of its own is given by its supervisor what stands here, finds in its
environment what it is named there, and reads no other secret file, not even to know what it must never tell.
"""

EVERY = ""
"""The service in one process."""
SUPERVISOR = "supervisor"
"""Holds what it hands on to others, and reads no file."""
MCP = "mcp-"
LENDER = "mcp-secrets"
"""Lends secrets by list; each of its holders has a token of its own for it, and it alone has the list and all tokens."""
FIELDS = {
    "api": {"token", "database_url", "secret_token"},
    "worker": {"mcp_token", "ledger_token", "database_url"},
    "ledger": {"openai_api_key", "providers", "ledger_token", "ledger_database_url", "secret_token"},
    "mcp-repo": {"mcp_token", "secret_token"},
    "mcp-third-party": {"mcp_token", "secret_token"},
    LENDER: {"secrets", "vault", "secret_tokens"},
}
"""Role → the settings with secrets in them that it is given."""
FIELDS_OF_MCP = {"mcp_token"}
PLAIN = {"providers", "database_url", "ledger_database_url", "secrets", "vault", "secret_tokens"}
"""Settings that may hold a secret, or say where one lies, though their type does not say so."""
FORGES = {EVERY, "mcp-repo"}
WEBHOOKS = {EVERY, "api"}
GUESTS = {EVERY, "mcp-third-party"}
SIGN_IN = {EVERY, "api"}
"""Who reads the secrets of forges and ticket systems, of webhooks, of third-party MCP servers, of the identity provider."""


def given(role: str) -> set[str]:
    """The settings with secrets that a role is given: none for one that is not named here."""
    return FIELDS.get(role, FIELDS_OF_MCP if role.startswith(MCP) else set())


def holds_all(role: str) -> bool:
    """Whether a process has every setting: it plays all roles, or starts the others."""
    return role in (EVERY, SUPERVISOR)


def keeps(role: str, name: str) -> bool:
    """Whether a role may read a token in the data folder: ``token``, ``mcp-token`` or ``ledger-token``."""
    return holds_all(role) or name.replace("-", "_") in given(role)
