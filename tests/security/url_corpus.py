"""Addresses that mean to lead elsewhere than they seem to, and ordinary ones; built from rules, so that each class is whole."""

from itertools import product

ALLOWED = ("docs.example.org", "*.readthedocs.example", "http://wiki.example.org:8080")
TARGETS = {"loopback": "127.0.0.1", "metadata": "169.254.169.254", "private": "10.0.0.1", "intranet": "192.168.1.1"}


def in_numbers(address: str) -> list[str]:
    """One IPv4 address in the notations that resolvers and browsers take."""
    a, b, c, d = (int(part) for part in address.split("."))
    whole = (a << 24) | (b << 16) | (c << 8) | d
    return [
        address,
        str(whole),
        hex(whole),
        f"0{whole:o}",
        f"0x{a:x}.0x{b:x}.0x{c:x}.0x{d:x}",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"{a}.{(b << 16) | (c << 8) | d}",
        f"{a}.{b}.{(c << 8) | d}",
        f"0x{a:x}.{b}.0{c:o}.{d}",
        f"0000{a:o}.{b}.{c}.{d}",
        f"{address}.",
        f"[::ffff:{address}]",
        f"[::ffff:{a:02x}{b:02x}:{c:02x}{d:02x}]",
        f"[::{address}]",
        f"[64:ff9b::{address}]",
        f"[2002:{a:02x}{b:02x}:{c:02x}{d:02x}::]",
        f"{address}.nip.io",
        address.replace(".", "。"),
        "".join(chr(ord(ch) - ord("0") + 0xFF10) if ch.isdigit() else ch for ch in address),
        address.replace(".", "%2e"),
        f"{whole + (1 << 32)}",
        "".join(chr(0x2460 + int(ch) - 1) if ch in "123456789" else ch for ch in address),
    ]


ALIKE = {"d": "ԁⅾｄ", "o": "оοօｏ0", "c": "сϲｃ", "s": "ѕｓ5", "e": "еҽｅ3", "x": "хⅹｘ", "a": "аɑａ", "m": "ｍ", "p": "рρｐ",
         "l": "ӏⅼ1I|ｌ", "r": "гｒ", "g": "ɡցｇ", ".": "。．｡․‧"}  # fmt: skip
METADATA = ("169.254.169.254", "metadata.google.internal", "metadata", "instance-data", "100.100.100.200", "192.0.0.192",
            "169.254.170.2", "fd00:ec2::254", "metadata.azure.com", "kubernetes.default.svc", "host.docker.internal")  # fmt: skip


def neighbours(host: str) -> list[str]:
    """Names one letter away: look-alikes at each place, letters too many or too few, invisible ones, endings."""
    alike = [host[:at] + other + host[at + 1 :] for at, one in enumerate(host) for other in ALIKE.get(one, "")]
    unseen = [host[:at] + mark + host[at:] for at in range(1, len(host)) for mark in ("\u200b", "\u00ad", "\u2060")]
    fewer = [host[:at] + host[at + 1 :] for at in range(len(host))]
    encoded = [host[:at] + f"%{ord(one):02x}" + host[at + 1 :] for at, one in enumerate(host)]
    ends = (".evil.example", "-evil.example", "%00.evil.example", "\x00", ".local", ".internal", "_")
    endings = [f"{host}{end}" for end in ends]
    return [*alike, *unseen, *fewer, *encoded, *endings]


def hostile_urls() -> dict[str, list[str]]:
    """By class; none of them may lead to a connection."""
    evil, good = "evil.example", "docs.example.org"
    return {
        "neighbours": [f"https://{host}/" for host in neighbours(good)],
        "metadata": [f"{scheme}://{host}/latest/" for scheme, host in product(("http", "https"), METADATA)],
        "numbers": [
            f"{scheme}://{host}/"
            for scheme, target in product(("http", "https"), TARGETS.values())
            for host in in_numbers(target)
        ],
        "IPv6": [
            f"https://{host}/"
            for host in (
                "[::1]",
                "[::]",
                "[0:0:0:0:0:0:0:1]",
                "[fe80::1%25eth0]",
                "[fd00::1]",
                "[ff02::1]",
                "[::ffff:0:127.0.0.1]",
                "[64:ff9b:1::1]",
                "::1",
                "[2606:2800:220:1::1]",
            )
        ],
        "userinfo": [
            f"https://{who}{evil}/"
            for who in (
                f"{good}@",
                f"{good}:443@",
                "user:pass@",
                f"{good}%40",
                f"{good}%2f@",
                f"a@{good}@",
                f"{good};@",
                f"{good}&@",
                f"{good}%00@",
            )
        ]
        + [
            f"https://user@{good}/",
            f"https://:@{good}/",
            f"https://@{good}/",
            f"https://{good}@/",
            f"https://{good}?@{evil}/",
            f"https://{good}#@{evil}/",
            f"https://{good}:@{evil}",
        ],
        "look-alikes": [
            f"https://{host}/"
            for host in (
                "dοcs.example.org",
                "docs.exаmple.org",
                "ｄocs.example.org",
                "docs。example。org",
                "docs.example.org。",
                "docs․example.org",
                "ⓓocs.example.org",
                "docs.example.org\u200b",
                "docs\u00ad.example.org",
                "doc\u0455.example.org",
                "xn--dcs-tcd.example.org",
                "docs.example.orɡ",
                "docs.example․org",
                "docs\u2024example.org",
                "ℬ.readthedocs.example",
                "docs.example.ºrg",
            )
        ],
        "suffixes": [
            f"https://{host}/"
            for host in (
                f"{good}.{evil}",
                f"evil{good}",
                f"evil-{good}",
                "readthedocs.example",
                "evilreadthedocs.example",
                f"{good}.",
                "readthedocs.example.evil.example",
                ".readthedocs.example",
                "a..readthedocs.example",
                "-.readthedocs.example",
                "*.readthedocs.example",
                "a.readthedocs.example.",
                f"x.{good}",
                "example.org",
                "org",
                "localhost",
                "localhost.localdomain",
                "metadata.google.internal",
                "kubernetes.default.svc",
                "host.docker.internal",
                "instance-data",
                "0",
                "127.1",
            )
        ],
        "backslashes": [
            f"https:{text}"
            for text in (
                f"\\\\{evil}\\@{good}/",
                f"//{good}\\@{evil}/",
                f"//{evil}\\@{good}/",
                f"//{good}\\.{evil}/",
                f"/\\{evil}/",
                f"\\/{good}/",
                f"//{good}\\{evil}",
                f"//{good}/\\{evil}",
                f"///{good}/",
                f"////{evil}/",
                f"{good}/",
                f"/{good}/",
            )
        ],
        "blanks": [
            f"https://{text}"
            for text in (
                f"{good}\t/",
                f"\t{good}/",
                f"{good}\n/",
                f"{good}\r\nHost: {evil}/",
                f"{good} @{evil}/",
                f" {good}/",
                f"{good}/a b",
                f"{good}/\r\nX-Evil: 1",
                f"{good}/%0d%0aX-Evil:%201",
                f"{good}/%00",
                f"{good}/\x00",
                f"{good}\u00a0/",
                f"{good}\u3000/",
                f"{good}/\u2028",
                f"{good}/\u202e",
                f"{good}/\x7f",
                f"{good}/%0A",
                "do\tcs.example.org/",
                "do\ncs.example.org/",
                f"{good}/\x1b[0m",
                f"{good}\u2029/",
            )
        ]
        + [f" https://{good}/", f"https://{good}/ ", f"\x01https://{good}/", f"ht\ntps://{good}/"],
        "schemes": [
            f"{scheme}{good}/"
            for scheme in (
                "http://",
                "ftp://",
                "file://",
                "file:///etc/passwd#",
                "gopher://",
                "dict://",
                "ldap://",
                "ws://",
                "wss://",
                "jar:https://",
                "view-source:https://",
                "javascript://",
                "data:text/html,",
                "blob:https://",
                "//",
                "https:",
                "https:/",
                "https//",
                "",
                "url:https://",
                "https+unix://",
                "httpss://",
                "tftp://",
                "netdoc://",
                "about:",
            )
        ],
        "ports": [
            f"https://{good}:{port}/"
            for port in (
                "22",
                "80",
                "8443",
                "0",
                "65536",
                "99999",
                "443443",
                "-1",
                "4 43",
                "443@",
                "٤٤٣",
                "",
                "0x1bb",
                "443:443",
                "+443",
                "6379",
                "2375",
            )
        ]
        + [
            "http://wiki.example.org/",
            "http://wiki.example.org:80/",
            "https://wiki.example.org:8080/",
            "http://docs.example.org:443/",
        ],
        "percent": [
            f"https://{host}/"
            for host in (
                "docs%2eexample%2eorg",
                "%64ocs.example.org",
                "docs.example.org%2f",
                f"{good}%23.{evil}",
                f"{good}%5c.{evil}",
                f"{good}%252f",
                f"{evil}%2f.readthedocs.example",
                f"{evil}%23.readthedocs.example",
                f"{evil}?.readthedocs.example",
                f"{evil}#.readthedocs.example",
                f"{evil}/.readthedocs.example",
                f"{evil}:80#@a.readthedocs.example",
                f"{evil};.readthedocs.example",
                f"{evil}&.readthedocs.example",
                f"{evil},a.readthedocs.example",
                f"{evil}|.readthedocs.example",
            )
        ],
        "length": [
            f"https://{good}/{'a' * 3_000}",
            f"https://{'a.' * 130}readthedocs.example/",
            f"https://{'a' * 64}.readthedocs.example/",
        ],
    }


HOSTILE_ADDRESSES = (
    "127.0.0.1",
    "127.1.2.3",
    "0.0.0.0",
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "168.63.129.16",
    "192.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "192.88.99.1",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:8.8.8.8",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "fec0::1",
    "100::1",
    "3fff::1",
    "not-an-address",
    "",
)
"""What a name must not lead to, even a name on the list."""

BENIGN = (
    "https://docs.example.org",
    "https://docs.example.org/",
    "https://docs.example.org/3/library/re.html",
    "https://docs.example.org/3/library/re.html#re.sub",
    "https://docs.example.org/?q=a+b&lang=en",
    "https://DOCS.Example.org/A",
    "https://docs.example.org:443/x",
    "https://a.readthedocs.example/en/latest/",
    "https://a.b.readthedocs.example/x",
    "https://my-project.readthedocs.example/en/v1.2_3/~user/",
    "https://docs.example.org/@scope/package",
    "https://docs.example.org/a@b",
    "https://docs.example.org/wiki/日本語",
    "https://docs.example.org/wiki/Stra%C3%9Fe",
    "https://docs.example.org/a%20b",
    "https://docs.example.org/x?next=https://elsewhere.example/",
    "https://docs.example.org/a/../b",
    "https://docs.example.org//a",
    "https://docs.example.org/List<String>",
    "https://docs.example.org/x;v=1",
    "http://wiki.example.org:8080/page",
    "HTTPS://docs.example.org/".lower(),
    "https://docs.example.org/%E2%9C%93",
    "https://docs.example.org/x?redirect=127.0.0.1",
    "https://docs.example.org/x?a[]=1",
    "https://docs.example.org/(a)",
    "https://docs.example.org/a:b",
    "https://docs.example.org/x!",
    "https://docs.example.org/$x",
    "https://xn--bcher-kva.readthedocs.example/",
)
