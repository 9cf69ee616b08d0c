"""Words of the configuration: how a forge on a host is reached."""

from pathlib import Path
from typing import Literal
from urllib.parse import quote

from pydantic import Field, field_validator, model_validator

from contracts.word import StrictWord


class ForgeAccess(StrictWord):
    """One host of GitHub or GitLab. Secrets are named, never written here: files are read again whenever they are needed."""

    kind: Literal["github", "gitlab"]
    """What runs there."""
    api_url: str = ""
    """Where its API answers, when that is not the usual place: ``https://HOST/api/v3`` for GitHub's server, ``https://HOST``."""
    app_id: str = ""
    """The id of a GitHub App that is installed for the repositories."""
    app_key_file: str = ""
    """The file with the App's private key, as GitHub made it (PEM)."""
    app_key_secret: str = ""
    """The name of that key on the list of the setting ``secrets``, instead of a file."""
    token_file: str = ""
    """The file with a fine-grained personal access token (GitHub) or a project's token (GitLab)."""
    token_variable: str = ""
    """The environment variable that holds such a token."""
    token_secret: str = ""
    """The name of such a token on the list of the setting ``secrets``."""
    ca_file: str = ""
    """The file with the certificates to trust for this host, instead of the machine's."""
    proxy: str = ""
    """The proxy on the way to this host, for the API and git; empty: what ``HTTPS_PROXY`` and ``NO_PROXY`` say."""
    proxy_login_file: str = ""
    """The file with ``user:password`` for that proxy."""
    proxy_login_secret: str = ""
    """The name of that login on the list of the setting ``secrets``, instead of a file."""
    seconds_between_writes: float = Field(default=1.0, ge=0, le=60)
    """Seconds between two writes; GitHub asks for one."""

    @field_validator("api_url")
    @classmethod
    def _web_address(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("api_url must start with http:// or https://")
        return url.rstrip("/")

    @field_validator("proxy")
    @classmethod
    def _proxy_without_login(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("proxy must start with http:// or https://")
        if "@" in url:
            raise ValueError("proxy must not hold a login; put user:password into a file and name it in proxy_login_file")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _login_of_a_proxy(self) -> "ForgeAccess":
        if (self.proxy_login_file or self.proxy_login_secret) and not self.proxy:
            raise ValueError("proxy_login_file and proxy_login_secret are for a proxy; name it in proxy")
        if self.proxy_login_file and self.proxy_login_secret:
            raise ValueError("give either proxy_login_file or proxy_login_secret")
        return self

    @model_validator(mode="after")
    def _one_credential(self) -> "ForgeAccess":
        keys = bool(self.app_key_file) + bool(self.app_key_secret)
        given = [bool(self.app_id or keys), bool(self.token_file), bool(self.token_variable), bool(self.token_secret)]
        if sum(given) != 1:
            raise ValueError("give one credential: app_id with app_key_file, or token_file, token_variable or token_secret")
        if bool(self.app_id) + keys != 2 * bool(self.app_id):
            raise ValueError("a GitHub App needs both app_id and one of app_key_file and app_key_secret")
        if self.app_id and self.kind != "github":
            raise ValueError("only GitHub has Apps; give token_file")
        return self

    def url(self, host: str) -> str:
        """Where the API of a host answers."""
        if self.api_url or self.kind == "gitlab":
            return self.api_url or f"https://{host}"
        return "https://api.github.com" if host == "github.com" else f"https://{host}/api/v3"

    def proxy_with(self, login: str) -> str:
        """The proxy's address with a login, ``user:password``, in it."""
        user, _, password = login.partition(":")
        scheme, _, place = self.proxy.partition("://")
        return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{place}"

    @property
    def verify(self) -> bool | str:
        """What certificates are held against."""
        return str(Path(self.ca_file).expanduser()) if self.ca_file else True
