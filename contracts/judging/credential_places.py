"""Credentials that only the place where they stand tells: headers, command lines and the files of well-known tools."""

from collections.abc import Sequence

from contracts.judging.credential_formats import Format, form

WORD = r"[^\s\"'`$<>{}()|;&]"
"""A letter of a value in a shell, but for what the shell would put there itself."""


PLACES: Sequence[Format] = (
    form(
        "token in a header",
        "x-",
        r"(?i:x-(?:[a-z]{2,20}-){0,2}(?:api-?key|token|secret|auth))[\"'`]?\s{0,3}[:=,]\s{0,3}[\"'`]?"
        r"(?P<secret>[A-Za-z0-9._~+/=-]{20,200})",
    ),
    form("password on a command line", "sshpass", rf"\bsshpass\s{{1,3}}-p\s{{0,3}}[\"']?(?P<secret>{WORD}{{8,80}})"),
    form(
        "password on a command line",
        "mysql mariadb",
        rf"\b(?:mysql|mysqldump|mysqladmin|mariadb)\s[^\n|;]{{0,120}}?\s?(?:-p|--password=)[\"']?(?P<secret>{WORD}{{8,80}})",
    ),
    form(
        "password on a command line",
        "login",
        rf"\b(?:docker|podman|buildah|helm|oc|az)\s{{1,3}}(?:registry\s{{1,3}})?login\b[^\n|;]{{0,120}}?"
        rf"\s(?:-p|--password|--token)[ =][\"']?(?P<secret>{WORD}{{8,200}})",
    ),
    form(
        "password on a command line",
        "password= token= passwd= _pwd=",
        rf"(?m)(?:^|[\s;&|\"'`])(?:export\s{{1,3}})?[A-Z_]{{0,30}}(?:PASSWORD|PASSWD|_TOKEN|_PWD)=[\"']?"
        rf"(?P<secret>{WORD}{{12,200}})[\"']?\s{{1,3}}[a-z]",
    ),
    form(
        "password in a netrc file",
        "machine default",
        r"\b(?:machine\s{1,3}\S{1,200}|default)\s{1,9}login\s{1,3}\S{1,100}\s{1,9}password\s{1,3}(?P<secret>[^\s\"'$<]{8,200})",
    ),
    form(
        "hash of a password",
        "$apr1$ $2y$",
        r"(?m)^[\s\"'#/*]{0,9}(?:[\w-]{1,30}\s?[:=]\s{0,2}[\"']?)?[\w.-]{1,40}:"
        r"(?P<secret>\$(?:apr1\$[./A-Za-z0-9]{1,8}\$|2y\$\d\d\$)[./A-Za-z0-9]{22,53})",
    ),
    form(
        "WireGuard key",
        "privatekey presharedkey",
        r"(?i:PrivateKey|PresharedKey)\s{0,3}=\s{0,3}(?P<secret>[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=)",
    ),
    form("password of a data source", "@tcp( @unix(", r"[\w.-]{1,60}:(?P<secret>[^\s:@/\"'`{}$<>%]{6,100})@(?:tcp|unix)\("),
    form("password of Maven", "<password>", r"<password>\s{0,3}(?P<secret>[^\s<>${}]{8,200})\s{0,3}</password>"),
    form("login of Docker", "auth", r"\"_?auth\\?\"\s{0,3}:\s{0,3}\\?\"(?P<secret>[A-Za-z0-9+/]{16,400}={0,2})\\?\""),
    form("login of npm", "_auth", r"(?m)(?:^|[\s:\"'`])_auth\s{0,3}=\s{0,3}[\"']?(?P<secret>[A-Za-z0-9+/]{16,400}={0,2})"),
)
"""Those of what stands before them; ``CHECKS`` of the credentials hold most of them to more than that."""
