"""What is here on this machine, what each sandbox limit proves to be, what is missing and how to get it."""

import asyncio
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

import httpx2

from contracts.errors import InvalidInput, PatchwrightError
from services import settings as configuration
from services.sandbox_supply import bubblewrap_works, engine_of, what_to_install
from services.settings import Settings
from services.temporal_server import temporal_binary

GIBIBYTE = 1 << 30
LOW_DISK_GIB = 2
PROBE_SECONDS = 5
OPENAI_URL = "https://api.openai.com/v1"


class Standing(StrEnum):
    OK = "ok"
    NOTE = "note"
    """Not as good as it could be; Patchwright works."""
    MISSING = "missing"
    """Needed, and not here."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    name: str
    standing: Standing
    text: str
    remedy: str = ""
    """What to do, exactly; empty when nothing needs doing."""


async def examine(settings: Settings) -> list[Finding]:
    """Look at everything. A look that fails in a way nobody foresaw is a finding, too."""
    looks: list[Callable[[Settings], Awaitable[list[Finding]]]] = [
        _python,
        _git,
        _temporal,
        _sandboxes,
        _limits,
        _model,
        _disk,
        _data_folder,
        _secrets,
        _configuration,
    ]
    findings: list[Finding] = []
    for look in looks:
        try:
            findings += await look(settings)
        except Exception as error:
            name = look.__name__.strip("_").replace("_", " ")
            findings.append(
                Finding(name, Standing.MISSING, f"looking failed: {type(error).__name__}: {error}", "Report this as a bug.")
            )
    return findings


async def _python(_: Settings) -> list[Finding]:
    return [Finding("python", Standing.OK, f"{sys.version.split()[0]} at {sys.prefix}")]


async def _git(_: Settings) -> list[Finding]:
    if not shutil.which("git"):
        return [Finding("git", Standing.MISSING, "git was not found", "apt-get install -y git")]
    return [Finding("git", Standing.OK, await _said("git", "--version"))]


async def _temporal(settings: Settings) -> list[Finding]:
    if settings.temporal_address:
        return [await _cluster(settings)]
    binary = temporal_binary()
    if binary is None:
        return [
            Finding("temporal", Standing.MISSING, "the embedded server was not found", "remove .venv and run ./patchwright again")
        ]
    return [Finding("temporal", Standing.OK, f"embedded; {await _said(str(binary), '--version')}")]


async def _cluster(settings: Settings) -> Finding:
    host, _, port = settings.temporal_address.rpartition(":")
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, int(port)), PROBE_SECONDS)
        writer.close()
    except (OSError, ValueError, TimeoutError) as error:
        return Finding(
            "temporal",
            Standing.MISSING,
            f"{settings.temporal_address} does not answer: {error or 'time-out'}",
            "set PATCHWRIGHT_TEMPORAL_ADDRESS to host:port of a cluster that runs, or unset it for the embedded server",
        )
    return Finding("temporal", Standing.OK, f"{settings.temporal_address} answers")


async def _sandboxes(settings: Settings) -> list[Finding]:
    engine, bubblewrap = await asyncio.to_thread(engine_of, settings), await asyncio.to_thread(bubblewrap_works)
    usable = (engine.has_image and settings.sandbox != "bubblewrap") or (bubblewrap and settings.sandbox != "container")
    lacking = Standing.NOTE if usable else Standing.MISSING
    install = what_to_install(settings)
    findings = [
        Finding("container engine", Standing.OK, f"version {engine.version}")
        if engine.answers
        else Finding(
            "container engine",
            Standing.NOTE,
            f"none answers ({engine.problem[:150]})",
            "apt-get install -y docker.io, then start it",
        ),
        Finding("bubblewrap", Standing.OK, await _said("bwrap", "--version"))
        if bubblewrap
        else Finding("bubblewrap", Standing.NOTE, "not usable here", "apt-get install -y bubblewrap"),
    ]
    if engine.answers:
        findings.append(
            Finding("sandbox image", Standing.OK, settings.sandbox_image)
            if engine.has_image
            else Finding("sandbox image", Standing.NOTE, f"{settings.sandbox_image} is not built", "deploy/sandbox/build.sh")
        )
    if not usable:
        findings.append(
            Finding("sandbox", lacking, f"no sandbox for PATCHWRIGHT_SANDBOX={settings.sandbox}; nothing would run", install)
        )
    elif not (engine.has_image and settings.sandbox != "bubblewrap"):
        findings.append(
            Finding(
                "sandbox",
                Standing.NOTE,
                "bubblewrap, the reduced tier; what its limits prove to be stands below",
                f"for full limits: {engine_words()}",
            )
        )
    else:
        findings.append(Finding("sandbox", Standing.OK, "hardened containers"))
    return findings


def engine_words() -> str:
    """How to get the stronger tier."""
    return "apt-get install -y docker.io, start it, then deploy/sandbox/build.sh"


async def _limits(settings: Settings) -> list[Finding]:
    """What each limit of the sandbox proves to be when something tries to break it."""
    from mcp_servers.runner.selfcheck import selfcheck
    from services import mcp_wiring

    boxes = mcp_wiring.sandboxes(settings)
    try:
        report = await boxes.report()
        proofs = await selfcheck((await boxes.benches()).keeper)
    except PatchwrightError as error:
        return [Finding("sandbox limits", Standing.MISSING, f"could not be tried: {error.message}", what_to_install(settings))]
    gaps = [Finding(f"{report.tier.value} gap", Standing.NOTE, note) for note in report.notes]
    return gaps + [_limit(proof.name, proof.holds, proof.observed) for proof in proofs]


def _limit(name: str, holds: bool, observed: str) -> Finding:
    if holds:
        return Finding(f"limit: {name}", Standing.OK, observed)
    return Finding(f"limit: {name}", Standing.MISSING, f"does not hold: {observed}", f"for the full walls: {engine_words()}")


async def _model(settings: Settings) -> list[Finding]:
    key = settings.openai_api_key.get_secret_value()
    remedy = "set OPENAI_API_KEY, or OPENAI_BASE_URL to an OpenAI-compatible endpoint (the demo needs neither)"
    if not key and not settings.openai_base_url:
        return [Finding("model", Standing.NOTE, "none is configured", remedy)]
    url = settings.openai_base_url or OPENAI_URL
    try:
        async with httpx2.AsyncClient(timeout=PROBE_SECONDS) as http:
            answer = await http.get(f"{url}/models", headers={"Authorization": f"Bearer {key}"} if key else {})
    except httpx2.HTTPError as error:
        return [Finding("model", Standing.MISSING, f"{url} does not answer ({type(error).__name__})", remedy)]
    if answer.status_code in (401, 403):
        return [
            Finding(
                "model", Standing.MISSING, f"{url} refuses the key ({answer.status_code})", "set OPENAI_API_KEY to a valid key"
            )
        ]
    return [Finding("model", Standing.OK, f"{url} answers"), *_model_names(settings, answer)]


def _model_names(settings: Settings, answer: httpx2.Response) -> list[Finding]:
    try:
        offered = {str(model["id"]) for model in answer.json()["data"]}
    except (ValueError, KeyError, TypeError):
        # Not every compatible endpoint lists its models.
        return []
    wanted = {settings.model_default, *settings.models.values()}
    unknown = sorted(wanted - offered)
    if not unknown or not offered:
        return []
    return [
        Finding(
            "model names",
            Standing.NOTE,
            f"the endpoint does not list {', '.join(unknown)}",
            f"set PATCHWRIGHT_MODEL_DEFAULT or PATCHWRIGHT_MODELS to names it has, e.g. {sorted(offered)[0]}",
        )
    ]


async def _disk(settings: Settings) -> list[Finding]:
    free = shutil.disk_usage(_existing(settings.data_dir)).free / GIBIBYTE
    low = free < LOW_DISK_GIB
    return [
        Finding(
            "disk",
            Standing.NOTE if low else Standing.OK,
            f"{free:.1f} GiB free for {settings.data_dir}",
            "make room, or set PATCHWRIGHT_DATA_DIR to a larger disk" if low else "",
        )
    ]


async def _data_folder(settings: Settings) -> list[Finding]:
    folder = _existing(settings.data_dir)
    if not os.access(folder, os.W_OK):
        return [
            Finding(
                "data folder", Standing.MISSING, f"{folder} cannot be written", "set PATCHWRIGHT_DATA_DIR to a folder of yours"
            )
        ]
    return [
        Finding(
            "data folder", Standing.OK, str(settings.data_dir) + ("" if settings.data_dir.is_dir() else " (made on first use)")
        )
    ]


async def _secrets(settings: Settings) -> list[Finding]:
    """Whether what the configuration names as secrets can be read; they are read again whenever they are needed."""
    named: dict[str, Callable[[], object]] = {}
    for host, access in settings.forges.items():
        named[f"forge {host}"] = partial(settings.forge_app_key if access.app_id else settings.forge_token, host)
    for system in ("jira", "linear"):
        if getattr(settings.tickets, system) is not None:
            named[f"tickets {system}"] = partial(settings.ticket_token, system)
    for kind in settings.webhooks:
        named[f"webhooks {kind}"] = partial(settings.every_webhook_secret, kind)
    return [_readable(name, read) for name, read in named.items()]


def _readable(name: str, read: Callable[[], object]) -> Finding:
    try:
        told = read()
    except InvalidInput as missing:
        return Finding(name, Standing.MISSING, missing.message, "Write the secret there, for the service's user alone.")
    if not told:
        return Finding(name, Standing.MISSING, "the secret is empty", "Write the secret there.")
    return Finding(name, Standing.OK, "its secrets can be read")


async def _configuration(settings: Settings) -> list[Finding]:
    file = configuration.config_file(settings)
    findings = [
        Finding("configuration", Standing.OK, f"{file}{'' if file.is_file() else ' (not there; defaults and environment)'}")
    ]
    for name in configuration.unknown_variables():
        findings.append(Finding("configuration", Standing.NOTE, f"no setting is called {name}", "see ./patchwright config view"))
    return findings


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    while not path.exists():
        path = path.parent
    return path


async def _said(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, stdin=asyncio.subprocess.DEVNULL
    )
    said, _ = await process.communicate()
    return said.decode(errors="replace").strip().splitlines()[0] if said.strip() else "it says nothing"
