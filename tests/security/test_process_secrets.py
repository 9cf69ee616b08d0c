"""Each role's process, looked into while it works: environment and memory hold its own secrets and nobody else's."""

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from services.scripted_model.server import serve
from tests.fakes.forge_stories import WANTED, gitlab_stage
from tests.fakes.stack import Service, WritesFiles
from tests.fakes.tallies import Tally

ROOT = Path(__file__).parents[2]
CHUNK = 1 << 24
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may read the memory of processes that do not let themselves be read"),
]


@dataclass(frozen=True)
class Canary:
    """A secret that nobody has seen before, and who may hold it."""

    name: str
    value: str
    holders: frozenset[str]
    in_environment_of: frozenset[str] = field(default_factory=frozenset)
    """Who gets it as a variable, because the operator wrote it into one."""

    def forms(self) -> Iterator[bytes]:
        """As it is, base64 at each offset, UTF-16."""
        raw = self.value.encode()
        yield raw
        yield self.value.encode("utf-16-le")
        for offset in range(3):
            packed = base64.b64encode(b"\0" * offset + raw)
            yield packed[4 if offset else 0 : -4]


def canary(name: str, *holders: str, prefix: str = "", variable: bool = False) -> Canary:
    read_there = frozenset(holders) - {"supervisor"} if variable else frozenset[str]()
    return Canary(name, f"{prefix}{os.urandom(18).hex()}", frozenset(holders), read_there)


def planted(token: str) -> dict[str, Canary]:
    """Every kind of secret that settings can name. The supervisor holds what it hands on, and no file."""
    found = [
        Canary("forge token", token, frozenset({"mcp-repo"})),
        canary("forge token in a variable", "mcp-repo", "supervisor", prefix="glpat-", variable=True),
        canary("key of an App", "mcp-repo"),
        canary("lent forge token", "mcp-secrets", "mcp-repo"),
        canary("lent to nobody", "mcp-secrets"),
        canary("login of a proxy", "mcp-repo"),
        canary("token of jira", "mcp-repo"),
        canary("token of linear", "mcp-repo", "supervisor", variable=True),
        canary("model key", "ledger", "supervisor", prefix="sk-"),
        canary("provider key", "ledger", "supervisor", prefix="sk-"),
        canary("provider key in a file", "ledger", prefix="sk-"),
        canary("provider key in a variable", "ledger", "supervisor", prefix="sk-", variable=True),
        canary("webhook secret", "api"),
        canary("webhook secret in a variable", "api", "supervisor", variable=True),
        canary("API token", "api", "supervisor"),
        canary("MCP token", "worker", "mcp-fs", "mcp-repo", "mcp-code-search", "mcp-runner", "mcp-http", "supervisor"),
        canary("ledger token", "worker", "ledger", "supervisor"),
        # What is none of ours stays where the operator put it, and goes no further.
        Canary("somebody else's variable", os.urandom(18).hex(), frozenset({"supervisor"}), frozenset({"supervisor"})),
    ]
    return {one.name: one for one in found}


def configured(folder: Path, stage: Any, secrets: dict[str, Canary], model: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The configuration file, and the environment that ``up`` is started with."""

    def kept(name: str) -> str:
        place = folder / name.replace(" ", "-")
        place.write_text(secrets[name].value)
        return str(place)

    proxied = {"proxy": "http://127.0.0.1:9", "proxy_login_file": kept("login of a proxy")}
    written = {
        **stage.settings(folder / "stage"),
        "documentation_hosts": ["docs.example.org"],
        "secrets": {
            "forge/lent": {"file": kept("lent forge token"), "holders": [{"who": "repo", "purposes": ["forge"]}]},
            "spare": {"file": kept("lent to nobody"), "holders": [{"who": "api", "purposes": ["spare"]}]},
        },
        "webhooks": {"gitlab": {"secrets": [{"file": kept("webhook secret")}, {"variable": "HOOK_SECRET"}]}},
        "tickets": {"jira": {"url": "https://jira.example.org", "token_file": kept("token of jira")},
                    "linear": {"token_variable": "LINEAR_TOKEN"}, "label": ""},
        "providers": {
            "in-a-file": {"base_url": model, "api_key_file": kept("provider key in a file")},
            "in-a-variable": {"base_url": model, "api_key_variable": "OTHER_PROVIDER_KEY"},
            "written": {"base_url": model, "api_key": secrets["provider key"].value},
        },
    }  # fmt: skip
    written["forges"] |= {
        "gitlab.example.org": {"kind": "gitlab", "token_variable": "OTHER_FORGE_TOKEN", **proxied},
        "lent.example.org": {"kind": "gitlab", "token_secret": "forge/lent"},
        "github.example.org": {"kind": "github", "app_id": "7", "app_key_file": kept("key of an App")},
    }
    variables = {
        "OPENAI_API_KEY": "model key", "OTHER_PROVIDER_KEY": "provider key in a variable", "LINEAR_TOKEN": "token of linear",
        "OTHER_FORGE_TOKEN": "forge token in a variable", "HOOK_SECRET": "webhook secret in a variable",
        "PATCHWRIGHT_TOKEN": "API token", "PATCHWRIGHT_MCP_TOKEN": "MCP token", "PATCHWRIGHT_LEDGER_TOKEN": "ledger token",
        "AWS_SECRET_ACCESS_KEY": "somebody else's variable",
    }  # fmt: skip
    return written, {name: secrets[told].value for name, told in variables.items()}


@asynccontextmanager
async def up(folder: Path, stage: Any, secrets: dict[str, Canary]) -> AsyncIterator[Service]:
    """``./patchwright up --processes``, as an operator starts it."""
    async with serve(WritesFiles()) as model:
        written, told = configured(folder, stage, secrets, model.base_url)
        (folder / "config.yaml").write_text(json.dumps(written))
        ours = {"DATA_DIR": str(folder / "data"), "CONFIG": str(folder / "config.yaml"), "PORT": "0", "TEMPORAL_PORT": "0",
                "TEMPORAL_UI_PORT": "0", "LOG_LEVEL": "warning"}  # fmt: skip
        environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "DOCKER_HOST") if name in os.environ}, **told,
            **{f"PATCHWRIGHT_{name}": value for name, value in ours.items()}, "OPENAI_BASE_URL": model.base_url,
            "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        log = (folder / "log").open("wb")
        process = subprocess.Popen([sys.executable, "-P", "-m", "services.cli", "up", "--processes"], stdout=log, stderr=log,
                                   env=environment, cwd=folder)  # fmt: skip
        try:
            service = folder / "data" / "service.json"
            async with asyncio.timeout(120):
                while not service.is_file():
                    assert process.poll() is None, (folder / "log").read_text()
                    await asyncio.sleep(0.1)
            said = json.loads(service.read_text())
            async with httpx2.AsyncClient(
                base_url=said["url"], headers={"authorization": f"Bearer {said['token']}"}, timeout=60
            ) as http:
                yield Service(type("Running", (), said), http, model)  # type: ignore[arg-type]
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait, 60)
            log.close()


def processes(data: Path) -> dict[str, list[int]]:
    """Role → its process and every child of it."""
    told = json.loads((data / "processes.json").read_text())
    mains = {**{name: role["pid"] for name, role in told["roles"].items()}, "supervisor": told["supervisor"]}
    below: dict[int, list[int]] = {}
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            try:
                parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            below.setdefault(parent, []).append(int(place.name))

    def family(pid: int) -> Iterator[int]:
        yield pid
        for child in below.get(pid, ()):
            if child not in mains.values():
                yield from family(child)

    return {name: list(family(pid)) for name, pid in mains.items()}


def memory(pid: int) -> Iterator[bytes]:
    """Every mapping that can be read, in pieces that overlap."""
    with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb", buffering=0) as held:
        for line in maps.read().splitlines():
            place, rights = line.split()[:2]
            start, end = (int(part, 16) for part in place.split("-"))
            if not rights.startswith("r") or line.endswith(("[vvar]", "[vsyscall]")) or end - start > 1 << 33:
                continue
            while start < end:
                try:
                    held.seek(start)
                    piece = held.read(min(CHUNK, end - start))
                except (OSError, ValueError, OverflowError):
                    break
                if not piece:
                    break
                yield piece
                start += len(piece) - 256 if len(piece) == CHUNK else len(piece)


def found_in(pieces: Iterator[bytes], secrets: dict[str, Canary]) -> set[str]:
    looked_for = {name: tuple(one.forms()) for name, one in secrets.items()}
    found: set[str] = set()
    for piece in pieces:
        found |= {name for name, forms in looked_for.items() if name not in found and any(form in piece for form in forms)}
    return found


async def test_each_role_holds_its_own_secrets_alone(tmp_path: Path, tally: Callable[[str], Tally]) -> None:
    in_memory, in_environment = tally("secrets in a process's memory"), tally("secrets in a process's environment")
    with gitlab_stage(tmp_path / "forge") as stage:
        secrets = planted(stage.server.token)
        async with up(tmp_path, stage, secrets) as service:
            task = await service.submit(stage.remote, "Add adds", description=WANTED, kind="bugfix")
            await service.until(task, "awaiting_review", seconds=120)
            families = processes(tmp_path / "data")
            held: dict[str, set[str]] = {}
            for role, pids in families.items():
                for pid in pids:
                    try:
                        seen = found_in(memory(pid), secrets)
                        shown = found_in(iter([Path(f"/proc/{pid}/environ").read_bytes()]), secrets)
                    except (FileNotFoundError, ProcessLookupError):
                        continue
                    held.setdefault(role, set()).update(seen)
                    for one in secrets.values():
                        stray = one.name in seen and role not in one.holders
                        in_memory.case(f"{one.name} in {role} ({pid})", "it is there" if stray else "")
                        shows = one.name in shown and role not in one.in_environment_of
                        in_environment.case(f"{one.name} in {role} ({pid})", "it is there" if shows else "")
    needed = {"mcp-repo": "forge token", "ledger": "provider key", "api": "webhook secret", "worker": "ledger token"}
    for role, own in needed.items():
        assert own in held[role], "whoever needs a secret has it, or nothing was looked into"
    in_environment.settle(at_least=18 * 9)
    in_memory.settle(at_least=18 * 9)
