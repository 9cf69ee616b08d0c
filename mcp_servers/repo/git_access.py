"""How git shows a forge's token: in its environment, for that host alone. Never in a URL, never on a command line."""

import base64
from collections.abc import Mapping


def git_access(url: str, user: str, token: str, verify: bool | str = True, proxy: str = "") -> Mapping[str, str]:
    """``GIT_CONFIG_*`` variables for everything below ``url``, e.g. ``https://github.com``.

    ``verify`` may be the file of certificates to trust, ``proxy`` the address of one with its login; without it the machine's
    variables count. Redirects are not followed: they would take the token elsewhere.
    """
    place = f"http.{url.rstrip('/')}/"
    shown = base64.b64encode(f"{user}:{token}".encode()).decode()
    settings = {
        f"{place}.extraHeader": f"Authorization: Basic {shown}",
        f"{place}.followRedirects": "false",
    }
    if proxy:
        settings[f"{place}.proxy"] = proxy
    told = {"GIT_CONFIG_COUNT": str(len(settings))}
    if proxy:
        # The machine's exceptions are for its own proxy.
        told |= {"no_proxy": "", "NO_PROXY": ""}
    if isinstance(verify, str):
        # A setting for this host alone would give way to the machine's own variable of this name.
        told["GIT_SSL_CAINFO"] = verify
    for index, (name, value) in enumerate(settings.items()):
        told |= {f"GIT_CONFIG_KEY_{index}": name, f"GIT_CONFIG_VALUE_{index}": value}
    return told
