"""Changes as people make them every day, in many languages, with what looks dangerous and is not."""

import base64
import hashlib
import json
import random
from collections.abc import Iterator

from contracts.judging.difference import Touched
from tests.security.hostile_diffs import changed

SEEDED = random.Random(5)


def _hash(text: str, kind: str = "sha256") -> str:
    return hashlib.new(kind, text.encode()).hexdigest()


def _sri(text: str) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(text.encode()).digest()).decode()


def _uuid() -> str:
    raw = _hash(str(SEEDED.random()))
    return f"{raw[:8]}-{raw[8:12]}-4{raw[13:16]}-a{raw[17:20]}-{raw[20:32]}"


def _npm_lock(*names: str) -> str:
    entries = {
        f"node_modules/{n}": {
            "version": "1.0.0",
            "resolved": f"https://registry.example/{n}/-/{n}-1.0.0.tgz",
            "integrity": _sri(n),
            "license": "MIT",
        }
        for n in names
    }
    return json.dumps({"lockfileVersion": 3, "packages": entries}, indent=2) + "\n"


def _poetry_lock(*names: str) -> str:
    return "\n".join(
        (f'[[package]]\nname = "{n}"\nversion = "1.0"\nfiles = [\n    {{file = "{n}-1.0.whl", hash = "sha256:{_hash(n)}"}},\n]\n')
        for n in names
    )


def _requirements(*names: str) -> str:
    return "\n".join(f"{n}==1.0.0 \\\n    --hash=sha256:{_hash(n)}" for n in names) + "\n"


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(SEEDED.randrange(256) for _ in range(4_000))
JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF\0" + bytes(SEEDED.randrange(256) for _ in range(4_000))
WOFF2 = b"wOF2\0\1\0\0" + bytes(SEEDED.randrange(256) for _ in range(4_000))
PICTURE = base64.b64encode(PNG).decode()
ONE_FILE: dict[str, tuple[str, str | bytes, str | bytes | None]] = {
    "a function mended": (
        "src/total.py",
        "def total(items):\n    return sum(item.price * item.count for item in items)\n",
        "def total(items):\n    return sum(item.price for item in items)\n",
    ),
    "a login": (
        "src/login.py",
        (
            "def login(username: str, password: str) -> Token:\n    user = users.find(username)\n "
            "   if not verify_password(password, user.password_hash):\n        raise Refused\n   "
            " return Token(user.id, secrets.token_urlsafe(32))\n"
        ),
        None,
    ),
    "settings from the environment": (
        "src/settings.py",
        (
            'API_KEY = os.environ["API_KEY"]\nSECRET_KEY = os.getenv("SECRET_KEY", "")\nDB_PASSWORD '
            '= config("DB_PASSWORD")\nTOKEN_URL = "https://auth.example.com/oauth/token"\n'
        ),
        None,
    ),
    "a client with a token": (
        "src/client.ts",
        (
            "export async function load(token: string) {\n  const answer = await fetch(`${BASE}/items`, "
            "{ headers: { Authorization: `Bearer ${token}` } });\n  return answer.json();\n}\n"
        ),
        None,
    ),
    "a handler in Go": (
        "internal/api/items.go",
        (
            "package api\n\nfunc (s *Server) Items(w http.ResponseWriter, r *http.Request) {\n\ttoken "
            ':= r.Header.Get("X-Auth-Token")\n\tresp, err := http.Get(s.upstream + "/items")\n\tif '
            "err != nil {\n\t\thttp.Error(w, err.Error(), 502)\n\t\treturn\n\t}\n\tdefer resp.Body.Close()\n}\n"
        ),
        None,
    ),
    "a struct in Rust": (
        "src/lib.rs",
        (
            "#[derive(Debug, Clone)]\npub struct Credentials {\n    pub access_key: String,\n    "
            "pub secret_key: SecretString,\n}\n"
        ),
        None,
    ),
    "a service in Java": (
        "src/main/java/org/acme/TokenService.java",
        (
            "package org.acme;\n\npublic class TokenService {\n    private static final String PASSWORD_FIELD "
            '= "password";\n    private final String tokenPrefix = "Bearer ";\n\n    public String '
            "token(String apiKey) { return tokenPrefix + apiKey; }\n}\n"
        ),
        None,
    ),
    "a model in Ruby": (
        "app/models/user.rb",
        (
            "class User < ApplicationRecord\n  has_secure_password\n  validates :password, length: "
            "{ minimum: 12 }\n  has_secure_token :auth_token\nend\n"
        ),
        None,
    ),
    "a controller in PHP": (
        "src/Controller/Login.php",
        (
            "<?php\nfinal class Login\n{\n    public function __invoke(Request $request): Response\n "
            "   {\n        $password = $request->get('password');\n        return new Response(password_hash($password, "
            "PASSWORD_DEFAULT));\n    }\n}\n"
        ),
        None,
    ),
    "a query": ("db/queries/users.sql", "SELECT id, password_hash, api_token FROM users WHERE token_expires_at > now();\n", None),
    "a migration": (
        "alembic/versions/3f9a1c2b7d4e_users.py",
        (
            'revision = "3f9a1c2b7d4e"\ndown_revision = "a1b2c3d4e5f6"\n\n\ndef upgrade():\n    op.add_column("users", '
            'sa.Column("token", sa.String(64)))\n'
        ),
        None,
    ),
    "a script": (
        "scripts/build.sh",
        (
            '#!/usr/bin/env bash\nset -euo pipefail\ncd "$(dirname "$0")/.."\nrm -rf dist build\npython '
            '-m build\nchmod +x dist/tool\ncurl -fsS "$HEALTH_URL" > /dev/null\n'
        ),
        None,
    ),
    "a Makefile": (
        "Makefile",
        "test:\n\tpytest -q\n\nlint:\n\truff check .\n\nclean:\n\trm -rf build dist .pytest_cache\n",
        "test:\n\tpytest\n",
    ),
    "a package with scripts": (
        "package.json",
        json.dumps(
            {
                "name": "a",
                "scripts": {"build": "vite build", "test": "vitest run", "lint": "eslint ."},
                "dependencies": {"react": "^19.0.0", "zod": "3.23.8"},
            },
            indent=2,
        ),
        json.dumps({"name": "a", "scripts": {"test": "vitest"}, "dependencies": {"react": "^18.0.0"}}, indent=2),
    ),
    "a project of Python": (
        "pyproject.toml",
        (
            '[project]\nname = "a"\ndependencies = ["httpx==0.28.1", "pydantic>=2"]\n\n[project.optional-dependencies]\ndev '
            '= ["pytest==8.3.0"]\n\n[tool.ruff]\nline-length = 120\n'
        ),
        '[project]\nname = "a"\ndependencies = ["httpx==0.27.0"]\n',
    ),
    "modules of Go": (
        "go.mod",
        "module example.com/a\n\ngo 1.23\n\nrequire (\n\tgithub.com/go-chi/chi/v5 v5.1.0\n\tgolang.org/x/sync v0.8.0\n)\n",
        "module example.com/a\n\ngo 1.22\n",
    ),
    "sums of Go": (
        "go.sum",
        "".join(
            f"github.com/a/b{n} v1.0.{n} h1:{base64.b64encode(hashlib.sha256(str(n).encode()).digest()).decode()}\n"
            for n in range(40)
        ),
        "",
    ),
    "a manifest of Cargo": (
        "Cargo.toml",
        (
            '[package]\nname = "a"\nversion = "0.2.0"\n\n[dependencies]\nserde = { version = "1", '
            'features = ["derive"] }\nlocal = { path = "../local" }\n'
        ),
        '[package]\nname = "a"\nversion = "0.1.0"\n',
    ),
    "a lock of Cargo": (
        "Cargo.lock",
        "\n".join(
            (
                f'[[package]]\nname = "p{n}"\nversion = "1.0.{n}"\nsource = "registry+https://github.com/rust-lang/crates.io-index'
                f'"\nchecksum = "{_hash(str(n))}"\n'
            )
            for n in range(20)
        ),
        None,
    ),
    "a lock of npm": ("package-lock.json", _npm_lock("react", "zod", "vite"), _npm_lock("react")),
    "a lock of Yarn": (
        "yarn.lock",
        "".join(
            f'"p{n}@^1.0.0":\n  version "1.0.{n}"\n  resolved "https://registry.example/p{n}/p{n}-1.0.{n}.tgz#'
            f'{_hash(str(n), "sha1")}"\n  integrity {_sri(str(n))}\n\n'
            for n in range(20)
        ),
        None,
    ),
    "a lock of pnpm": (
        "pnpm-lock.yaml",
        "lockfileVersion: '9.0'\npackages:\n"
        + "".join(f"  p{n}@1.0.0:\n    resolution: {{integrity: {_sri(str(n))}}}\n" for n in range(20)),
        None,
    ),
    "a lock of Poetry": ("poetry.lock", _poetry_lock("httpx", "anyio", "idna"), _poetry_lock("httpx")),
    "pinned requirements": ("requirements.txt", _requirements("httpx", "anyio", "idna"), _requirements("httpx")),
    "a Gemfile": (
        "Gemfile",
        'source "https://rubygems.example"\n\ngem "rails", "~> 8.0"\ngem "pg"\n',
        'source "https://rubygems.example"\n\ngem "rails", "~> 7.1"\n',
    ),
    "a pom": (
        "pom.xml",
        (
            "<project>\n<dependencies>\n<dependency>\n<groupId>org.slf4j</groupId>\n<artifactId>slf4j-api</artifactId>\n<vers"
            "ion>2.0.16</version>\n</dependency>\n</dependencies>\n</project>\n"
        ),
        "<project></project>\n",
    ),
    "a build of Gradle": (
        "build.gradle.kts",
        (
            'plugins { kotlin("jvm") version "2.0.0" }\n\ndependencies {\n    implementation("org.slf4j:slf4j-api:2.0.16")\n '
            '   testImplementation(kotlin("test"))\n}\n'
        ),
        None,
    ),
    "ids in a fixture": (
        "tests/fixtures/orders.json",
        json.dumps([{"id": _uuid(), "etag": _hash(str(n), "md5"), "commit": _hash(str(n), "sha1")} for n in range(30)], indent=1),
        None,
    ),
    "placeholders in a test": (
        "tests/test_auth.py",
        (
            'TOKEN = "test-token-123"\nPASSWORD = "correct-horse-battery-staple"\nSECRET = "s3cr3t"\n\n\ndef '
            'test_login(client):\n    assert client.post("/login", json={"username": "ada", "password": '
            '"hunter2"}).status_code == 200\n    assert client.get("/me", headers={"Authorization": '
            '"Bearer fake-token"}).json()["name"] == "ada"\n'
        ),
        None,
    ),
    "examples of documentation": (
        "docs/configuration.md",
        (
            "Set `AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE` and\n`AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKE"
            "Y`.\n\n    export GITHUB_TOKEN=ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n    export "
            "OPENAI_API_KEY=sk-your-key-here\n    psql postgresql://postgres:postgres@localhost:5432/app\n"
        ),
        None,
    ),
    "how to install": (
        "README.md",
        (
            "## Install\n\n    curl -fsSL https://example.com/install.sh | sh\n\nor `sudo apt install "
            "tool`. Never `chmod 777` anything.\n"
        ),
        "# Tool\n",
    ),
    "a token that everybody knows": (
        "docs/jwt.md",
        (
            "An example: `eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNT"
            "E2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c`\n"
        ),
        None,
    ),
    "an example of an environment": (
        ".env.example",
        (
            "DATABASE_URL=postgres://user:password@localhost:5432/app\nSECRET_KEY=change-me\nAPI_TOKEN=\nREDIS_URL=redis://lo"
            "calhost:6379/0\n"
        ),
        None,
    ),
    "what git ignores": (".gitignore", "node_modules/\ndist/\n*.log\n.env\n.coverage\n", "node_modules/\n"),
    "attributes of git": (
        ".gitattributes",
        "* text=auto\n*.png binary\n*.sh text eol=lf\npackage-lock.json linguist-generated\n",
        "* text=auto\n",
    ),
    "an editor's rules": (".editorconfig", "root = true\n\n[*]\nindent_style = space\n", None),
    "a configuration": (
        "config/app.yml",
        (
            "server:\n  port: 8080\n  timeout: 30\nauth:\n  token_ttl: 3600\n  password_min_length: "
            "12\n  secret_name: app/production/db\n"
        ),
        "server:\n  port: 8000\n",
    ),
    "a configuration in TOML": (
        "config/settings.toml",
        '[auth]\ntoken_header = "X-Api-Token"\nkey_path = "/run/secrets/signing-key"\n\n[db]\nurl = "${DATABASE_URL}"\n',
        None,
    ),
    "a template of a page": (
        "templates/login.html",
        (
            '<form method="post">\n<input type="hidden" name="csrf_token" value="{{ csrf_token() '
            '}}">\n<input type="password" name="password" autocomplete="current-password">\n</form>\n'
        ),
        None,
    ),
    "a page with integrity": (
        "public/index.html",
        f'<script src="https://cdn.example/app.js" integrity="{_sri("app")}" crossorigin="anonymous"></script>\n',
        None,
    ),
    "a style with a picture": ("src/app.css", f".logo {{ background: url(data:image/png;base64,{PICTURE}); }}\n", None),
    "a component": (
        "src/components/Login.tsx",
        (
            "export function Login({ onLogin }: Props) {\n  const [password, setPassword] = useState('');\n "
            ' return <input type="password" value={password} onChange={(e) => setPassword(e.target.value)} '
            "/>;\n}\n"
        ),
        None,
    ),
    "a picture in code": ("src/logo.ts", f"export const LOGO = 'data:image/png;base64,{PICTURE}';\n", None),
    "a picture": ("assets/logo.png", PNG, JPEG),
    "a photo": ("docs/images/photo.jpg", JPEG, None),
    "a font": ("assets/fonts/inter.woff2", WOFF2, None),
    "a drawing": (
        "assets/icon.svg",
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><path d="M12 2L2 7l10 5 10-5-10-5z"/></svg>\n',
        None,
    ),
    "a snapshot": (
        "src/__snapshots__/a.test.ts.snap",
        f'exports[`renders 1`] = `<div data-id="{_uuid()}" class="css-{_hash("a")[:8]}"></div>`;\n',
        None,
    ),
    "Chinese names": (
        "docs/\u6587\u6863/\u8bf4\u660e.md",
        "# \u8bf4\u660e\n\n\u8fd9\u662f\u4e00\u4e2a\u4f8b\u5b50\u3002\n",
        None,
    ),
    "Cyrillic text": (
        "locales/ru.json",
        json.dumps(
            {
                "login": "\u0412\u043e\u0439\u0442\u0438",
                "password": "\u041f\u0430\u0440\u043e\u043b\u044c",
                "token": "\u0422\u043e\u043a\u0435\u043d \u0434\u043e\u0441\u0442\u0443\u043f\u0430",
            },
            ensure_ascii=False,
        ),
        None,
    ),
    "Arabic text": (
        "locales/ar.json",
        json.dumps({"login": "\u062a\u0633\u062c\u064a\u0644 \u0627\u0644\u062f\u062e\u0648\u0644"}, ensure_ascii=False),
        None,
    ),
    "emoji": (
        "src/status.py",
        (
            'DONE = "\u2705 done"\nFAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"\nHEART = '
            '"\u2764\ufe0f"\nFLAG = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"\n'
        ),
        None,
    ),
    "Greek in code": (
        "src/physics.py",
        "def energy(\u03bc: float, \u0394t: float) -> float:\n    return \u03bc * \u0394t\n",
        None,
    ),
    "a test of a parser": (
        "tests/test_urls.py",
        (
            'def test_a_password_is_taken_out():\n    assert redact("https://user:secret@example.com/x") '
            '== "https://***@example.com/x"\n    assert host("postgres://u:p@db/x") == "db"\n'
        ),
        None,
    ),
    "a certificate": (
        "certs/ca.pem",
        "-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(PNG[:900]).decode() + "-----END CERTIFICATE-----\n",
        None,
    ),
    "a public key": (
        "keys/deploy.pub",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + base64.b64encode(PNG[100:130]).decode() + " deploy@example\n",
        None,
    ),
    "a check for keys": (
        "src/scan.py",
        'MARKER = "-----BEGIN PRIVATE KEY-----"\n\n\ndef holds_key(text: str) -> bool:\n    return MARKER in text\n',
        None,
    ),
    "a changelog": ("CHANGELOG.md", "## 1.2.0\n\n- The token is read from the environment (#123, 4f5e6d7c8b9a)\n", "## 1.1.0\n"),
    "a workflow of words": ("docs/deploy.md", "Run `kubectl apply -f k8s/` after `terraform apply`.\n", None),
    "a notebook": (
        "notebooks/a.ipynb",
        json.dumps(
            {
                "cells": [
                    {
                        "cell_type": "code",
                        "id": "a1b2c3d4",
                        "outputs": [{"data": {"image/png": PICTURE[:2000]}}],
                        "source": ["plot(x)"],
                    }
                ]
            }
        ),
        None,
    ),
    "an interface": (
        "api/openapi.yaml",
        (
            "openapi: 3.1.0\ncomponents:\n  securitySchemes:\n    bearer:\n      type: http\n    "
            "  scheme: bearer\npaths:\n  /token:\n    post:\n      summary: A token for a password\n"
        ),
        None,
    ),
    "a message": (
        "proto/auth.proto",
        'syntax = "proto3";\nmessage LoginRequest {\n  string username = 1;\n  string password = 2;\n}\n',
        None,
    ),
    "a C header": (
        "include/auth.h",
        "#ifndef AUTH_H\n#define AUTH_H\n#define TOKEN_LENGTH 32\nint check_password(const char *password);\n#endif\n",
        None,
    ),
    "a C# class": (
        "src/Auth/TokenOptions.cs",
        (
            "namespace Acme.Auth;\n\npublic sealed record TokenOptions\n{\n    public string SigningKeyPath "
            '{ get; init; } = "/run/keys/signing";\n    public int PasswordMinimumLength { get; init; '
            "} = 12;\n}\n"
        ),
        None,
    ),
    "a Kotlin screen": (
        "app/src/main/kotlin/Login.kt",
        'val passwordHint = stringResource(R.string.password_hint)\nval tokenKey = stringPreferencesKey("access_token")\n',
        None,
    ),
    "a Swift client": (
        "Sources/App/Client.swift",
        'let query: [String: Any] = [kSecClass as String: kSecClassGenericPassword]\nlet tokenKey = "com.acme.token"\n',
        None,
    ),
    "constants": (
        "src/constants.py",
        (
            f'EMPTY_TREE = "{_hash("tree", "sha1")}"\nNAMESPACE = uuid.UUID("{_uuid()}")\nSCHEMA_SHA256 '
            f'= "{_hash("schema")}"\nCACHE_KEY = "items:v2:{{user_id}}"\n'
        ),
        None,
    ),
    "a licence of our own": ("src/new.py", "# Copyright (c) 2026 The Project\n# SPDX-License-Identifier: MIT\n\nX = 1\n", None),
    "a subprocess": (
        "src/git.py",
        (
            'def head(path):\n    return subprocess.run(["git", "rev-parse", "HEAD"], cwd=path, check=True, '
            "capture_output=True).stdout\n"
        ),
        None,
    ),
    "a request": (
        "src/fetch.py",
        (
            "def rates(session):\n    answer = session.get(RATES_URL, timeout=10)\n    answer.raise_for_status()\n "
            '   return answer.json()["rates"]\n'
        ),
        None,
    ),
    "a regular expression": (
        "src/rules.py",
        (
            'TOKEN = re.compile(r"ghp_[A-Za-z0-9]{36}")\nKEY = re.compile(r"AKIA[0-9A-Z]{16}")\nURL '
            '= re.compile(r"https?://[^:]+:[^@]+@")\n'
        ),
        None,
    ),
    "mathematics": (
        "src/hashing.py",
        (
            "K = [0x428A2F98, 0x71374491, 0xB5C0FBCF, 0xE9B5DBA5, 0x3956C25B, 0x59F111F1]\nprime "
            "= 0xFFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD1\n"
        ),
        None,
    ),
}


def ordinary_diffs() -> Iterator[tuple[str, tuple[Touched, ...]]]:
    """Name and change; no gate may say anything against any of them."""
    for name, (path, new, old) in ONE_FILE.items():
        yield name, (changed(path, new, old),)
    text = "def helper():\n    return 1\n"
    yield "a file renamed", (changed("src/old.py", None, text), changed("src/new_name.py", text))
    yield "a file removed", (changed("src/unused.py", None, text),)
    yield (
        "code with its test",
        (
            changed("src/a.py", "def a():\n    return 2\n", "def a():\n    return 1\n"),
            changed("tests/test_a.py", "def test_a():\n    assert a() == 2\n"),
        ),
    )
    yield "a new script", (changed("scripts/tidy", "#!/bin/sh\nset -e\nfind . -name '*.orig' -delete\n", mode=0o100755),)
