"""Made-up credentials of well-known kinds, and the places where people and models leave them."""

import base64
import json
import random
import string
from collections.abc import Callable, Iterator

ALNUM = string.ascii_letters + string.digits
LOWER = string.ascii_lowercase + string.digits
HEX = "0123456789abcdef"
UPPER = string.ascii_uppercase + string.digits
SEEDED = random.Random(20261121)


def some(count: int, letters: str = ALNUM) -> str:
    return "".join(SEEDED.choice(letters) for _ in range(count))


def uuid() -> str:
    return "-".join(some(count, HEX) for count in (8, 4, 4, 4, 12))


def _jwt() -> str:
    parts = (json.dumps({"alg": "HS256", "typ": "JWT"}), json.dumps({"sub": some(12), "iat": 1_700_000_000}))
    return ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts) + "." + some(43)


def _pem(kind: str) -> str:
    body = "\n".join(some(64) for _ in range(6))
    return f"-----BEGIN {kind}-----\n{body}\n-----END {kind}-----"


FORMATS: dict[str, Callable[[], str]] = {
    "GitHub classic": lambda: "ghp_" + some(36),
    "GitHub OAuth": lambda: "gho_" + some(36),
    "GitHub app": lambda: "ghs_" + some(36),
    "GitHub refresh": lambda: "ghr_" + some(76),
    "GitHub fine": lambda: f"github_pat_{some(22)}_{some(59)}",
    "GitLab personal": lambda: "glpat-" + some(20),
    "GitLab runner": lambda: "glrt-" + some(20),
    "GitLab deploy": lambda: "gldt-" + some(20),
    "GitLab trigger": lambda: "glptt-" + some(40, HEX),
    "AWS key": lambda: "AKIA" + some(16, string.ascii_uppercase + "234567"),
    "AWS session key": lambda: "ASIA" + some(16, string.ascii_uppercase + "234567"),
    "AWS secret": lambda: f'aws_secret_access_key = "{some(40, ALNUM + "/+")}"',
    "Google key": lambda: "AIza" + some(35, ALNUM + "-_"),
    "Google secret": lambda: "GOCSPX-" + some(28),
    "Google access": lambda: "ya29." + some(68, ALNUM + "-_"),
    "Azure storage": lambda: f"DefaultEndpointsProtocol=https;AccountName=acme;AccountKey={some(86, ALNUM + '+/')}==;",
    "Azure bus": lambda: f"Endpoint=sb://acme.example/;SharedAccessKeyName=Root;SharedAccessKey={some(43)}=",
    "Azure client": lambda: f"{some(3)}8Q~{some(34)}",
    "Azure SAS": lambda: f"https://acme.example/c?sv=2022-11-02&se=2030&sp=r&sig={some(43)}%3D",
    "Slack bot": lambda: f"xoxb-{some(12, string.digits)}-{some(12, string.digits)}-{some(24)}",
    "Slack user": lambda: f"xoxp-{some(11, string.digits)}-{some(11, string.digits)}-{some(12, string.digits)}-{some(32, HEX)}",
    "Slack app": lambda: f"xapp-1-A{some(10, UPPER)}-{some(13, string.digits)}-{some(64, HEX)}",
    "Slack hook": lambda: f"https://hooks.slack.com/services/T{some(8, UPPER)}/B{some(10, UPPER)}/{some(24)}",
    "Stripe live": lambda: "sk_live_" + some(24),
    "Stripe long": lambda: "sk_live_51" + some(97),
    "Stripe restricted": lambda: "rk_live_" + some(24),
    "Stripe test": lambda: "sk_test_" + some(24),
    "Stripe hook": lambda: "whsec_" + some(32),
    "npm": lambda: "npm_" + some(36),
    "npmrc": lambda: f"//npm.example/:_authToken={uuid()}",
    "PyPI": lambda: "pypi-AgEIcHlwaS5vcmc" + some(150, ALNUM + "-_"),
    "RubyGems": lambda: "rubygems_" + some(48, HEX),
    "Docker": lambda: "dckr_pat_" + some(27, ALNUM + "-_"),
    "Twilio": lambda: "SK" + some(32, HEX),
    "SendGrid": lambda: f"SG.{some(22)}.{some(43)}",
    "Mailgun": lambda: "key-" + some(32, HEX),
    "Mailchimp": lambda: some(32, HEX) + "-us12",
    "OpenAI": lambda: f"sk-{some(20)}T3BlbkFJ{some(20)}",
    "OpenAI project": lambda: f"sk-proj-{some(74, ALNUM + '-_')}T3BlbkFJ{some(73, ALNUM + '-_')}",
    "Anthropic": lambda: f"sk-ant-api03-{some(93, ALNUM + '-_')}AA",
    "Hugging Face": lambda: "hf_" + some(34, string.ascii_letters),
    "Groq": lambda: "gsk_" + some(52),
    "Replicate": lambda: "r8_" + some(37),
    "Databricks": lambda: "dapi" + some(32, HEX),
    "DigitalOcean": lambda: "dop_v1_" + some(64, HEX),
    "Doppler": lambda: "dp.pt." + some(43),
    "Vault": lambda: "hvs." + some(90, ALNUM + "-_"),
    "Terraform": lambda: f"{some(14)}.atlasv1.{some(67)}",
    "Grafana": lambda: f"glsa_{some(32)}_{some(8, HEX)}",
    "New Relic": lambda: "NRAK-" + some(27, UPPER),
    "Sentry": lambda: "sntryu_" + some(64, HEX),
    "Linear": lambda: "lin_api_" + some(40),
    "Notion": lambda: "secret_" + some(43),
    "Airtable": lambda: f"pat{some(14)}.{some(64, HEX)}",
    "Figma": lambda: "figd_" + some(40),
    "Postman": lambda: f"PMAK-{some(24, HEX)}-{some(34, HEX)}",
    "Pulumi": lambda: "pul-" + some(40, HEX),
    "Shopify": lambda: "shpat_" + some(32, HEX),
    "Square": lambda: "sq0atp-" + some(22),
    "PlanetScale": lambda: "pscale_tkn_" + some(43),
    "Supabase": lambda: "sbp_" + some(40, HEX),
    "Tailscale": lambda: f"tskey-auth-{some(12)}CNTRL-{some(32)}",
    "Telegram": lambda: f"{some(9, '123456789')}:AA{some(33)}",
    "Discord hook": lambda: f"https://discord.com/api/webhooks/{some(18, '123456789')}/{some(68)}",
    "Atlassian": lambda: "ATATT3xFfGF0" + some(172),
    "Dynatrace": lambda: f"dt0c01.{some(24, UPPER)}.{some(64, UPPER)}",
    "age": lambda: "AGE-SECRET-KEY-1" + some(58, UPPER),
    "JWT": _jwt,
    "PEM": lambda: _pem("PRIVATE KEY"),
    "PEM of RSA": lambda: _pem("RSA PRIVATE KEY"),
    "OpenSSH": lambda: _pem("OPENSSH PRIVATE KEY"),
    "PGP": lambda: _pem("PGP PRIVATE KEY BLOCK"),
    "PostgreSQL": lambda: f"postgresql://app:{some(16)}@db.acme-corp.net:5432/app",
    "MongoDB": lambda: f"mongodb+srv://root:{some(18)}@cluster0.acme-corp.net/x",
    "Redis": lambda: f"redis://:{some(20)}@cache.acme-corp.net:6379/0",
    "AMQP": lambda: f"amqps://svc:{some(16)}@mq.acme-corp.net/v",
    "basic authentication": lambda: f"https://deploy:{some(20)}@git.acme-corp.net/r.git",
    "Spaces": lambda: "DO00" + some(16, UPPER),
    "App Configuration": lambda: f"Endpoint=https://x.azconfig.io;Id={some(4)};Secret={some(43)}=",
    "Neon": lambda: "napi_" + some(64, LOWER),
    "Deno": lambda: "ddp_" + some(36),
    "Depot": lambda: "depot_org_" + some(64, HEX),
    "Packagist": lambda: "packagist_ack_" + some(40, HEX),
    "Infisical": lambda: f"st.{some(24, HEX)}.{some(32, HEX)}.{some(32, HEX)}",
    "Honeycomb": lambda: "hcaik_01" + some(56, LOWER),
    "PostHog": lambda: "phx_" + some(43),
    "New Relic ingest": lambda: some(36, HEX) + "FFFFNRAL",
    "MaxMind": lambda: f"{some(6)}_{some(29)}_mmk",
    "DevCycle": lambda: f"dvc_server_{some(32, HEX)}_{some(8, HEX)}",
    "Inngest": lambda: "signkey-prod-" + some(64, HEX),
    "Pinecone": lambda: f"pcsk_{some(5)}_{some(63)}",
    "Tavily": lambda: "tvly-dev-" + some(32),
    "Firecrawl": lambda: "fc-" + some(32, HEX),
    "Cerebras": lambda: "csk-" + some(48, LOWER),
    "Langfuse": lambda: "sk-lf-" + uuid(),
    "ElevenLabs": lambda: "sk_" + some(48, HEX),
    "E2B": lambda: "e2b_" + some(40, HEX),
    "Jina": lambda: "jina_" + some(60),
    "Apify": lambda: "apify_api_" + some(36),
    "ClickUp": lambda: f"pk_{some(8, '123456789')}_{some(32, UPPER)}",
    "Trello": lambda: "ATTA" + some(64, HEX) + some(8, HEX).upper(),
    "HubSpot": lambda: "pat-na1-" + uuid(),
    "Salesforce": lambda: f"00D{some(12)}!{some(96)}",
    "Nylas": lambda: "nyk_v0_" + some(64),
    "VK": lambda: "vk1.a." + some(180),
    "Paddle": lambda: f"pdl_live_apikey_01{some(24, LOWER)}_{some(22)}_{some(3)}",
    "Mailgun in parts": lambda: f"{some(32, HEX)}-{some(8, HEX)}-{some(8, HEX)}",
    "JDBC": lambda: f"jdbc:mysql://db.acme-corp.net/app?user=svc&password={some(16)}7",
    "MySQL for Go": lambda: f"svc:{some(20)}@tcp(db.acme-corp.net:3306)/app",
    "netrc": lambda: f"machine api.acme-corp.net login ci password {some(24)}",
    "header": lambda: f"X-Api-Key: {some(40)}",
    "login of Docker": lambda: f"docker login -u svc -p {some(20)} registry.acme-corp.net",
}
NAMES = (
    "DB_PASSWORD",
    "LINODE_TOKEN",
    "VULTR_API_KEY",
    "ALGOLIA_ADMIN_KEY",
    "TYPEFORM_TOKEN",
    "webhook_secret",
    "FERNET_KEY",
    "INGESTION_API_KEY",
    "jwtSecret",
    "clientSecret",
    "smtp_password",
    "azure_devops_pat",
    "ansible_become_pass",
    "SECRET_KEY",
    "adminApiKey",
    "MAXMIND_LICENSE_KEY",
)
"""What people call credentials that have no form of their own."""
NAMED_PLACES: dict[str, tuple[str, Callable[[str, str], str]]] = {
    "Python": ("src/settings.py", lambda n, s: f"{n} = {s!r}\n"),
    "TypeScript": ("src/client.ts", lambda n, s: f'export const {n}: string = "{s}";\n'),
    "Go": ("internal/x.go", lambda n, s: f'package x\n\nconst {n} = "{s}"\n'),
    "environment": ("prod.env", lambda n, s: f"{n}={s}\n"),
    "JSON": ("config/app.json", lambda n, s: json.dumps({n: s}) + "\n"),
    "call": ("src/x.py", lambda n, s: f"client = Client({n}={s!r})\n"),
    "comment": ("src/y.py", lambda n, s: f"# {n}: {s}\n"),
}


def named() -> Iterator[tuple[str, str, bytes]]:
    """Kind and place, path, content: values that begin with a letter, with a digit, of hexadecimal digits alone."""
    for name in NAMES:
        for place, (path, write) in NAMED_PLACES.items():
            for value in (f"k{some(14)}4X9{some(12)}", f"7{some(14)}b2Q{some(12)}", f"a4{some(28, HEX)}07"):
                yield f"{name} in {place}", path, write(name, value).encode()
PLACES: dict[str, tuple[str, Callable[[str], bytes]]] = {
    "Python": ("src/settings.py", lambda s: f"VALUE = {s!r}\n".encode()),
    "TypeScript": ("src/client.ts", lambda s: f"const value = {json.dumps(s)};\n".encode()),
    "YAML": ("config/app.yaml", lambda s: f"first: 1\nvalue: {json.dumps(s)}\n".encode()),
    "environment": (".env", lambda s: f"VALUE={s}\n".encode()),
    "documentation": ("docs/guide.md", lambda s: f"Call it with:\n\n    {s}\n".encode()),
    "test": ("tests/test_client.py", lambda s: f"def test_it():\n    assert call({s!r})\n".encode()),
    "comment": ("src/x.go", lambda s: f"package x\n\n/* {s} */\n".encode()),
    "UTF-16": ("notes.cs", lambda s: f'var v = "{s}";\n'.encode("utf-16")),
    "notebook": ("a.ipynb", lambda s: json.dumps({"cells": [{"source": [f"v = {s!r}"]}]}).encode()),
    "base64": ("config/k.yaml", lambda s: f"data: {base64.b64encode(s.encode()).decode()}\n".encode()),
    "picture": ("assets/p.png", lambda s: b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(9) + s.encode() + bytes(9)),
}


def planted() -> Iterator[tuple[str, str, bytes]]:
    """Kind and place, path, content."""
    for kind, make in FORMATS.items():
        for place, (path, write) in PLACES.items():
            yield f"{kind} in {place}", path, write(make())
