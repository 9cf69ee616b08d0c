"""Start everything, show the story, say where to look, and clear away."""

import asyncio
import json
import logging
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from rich.console import Console
from rich.markup import escape

from contracts.errors import PatchwrightError
from contracts.task import TaskState
from services.cli.screen import errors, event_line, screen, state_text
from services.cli.service import Service
from services.demo.project import make_remote
from services.demo.script import script
from services.demo.story import DemoFailed, DemoStopped, Story
from services.sandbox_supply import ensure_sandbox, what_to_install
from services.scripted_model import serve
from services.settings import IsolatedSettings, Settings
from services.stopping import stop_signal

DEMO_SECONDS = 600
"""A demo that takes longer hangs."""
LOG_NAME = "log.txt"
LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
LOG_LINES = 25
LINE_CHARACTERS = 140
SAID_TO_TOOLS = re.compile(r"^\w+: (calls |\{)")
"""Model answers that the lines of their tools, or of what was made of them, tell better."""
STEP_WORDS = {
    "PrepareTask": "opens a workspace and reads how the project is tested",
    "PlanChanges": "the planner turns the ticket into a plan",
    "FetchContext": "looks up the code that the plan is about",
    "ApplyDiffs": "the coder carries out the plan, with a critic at its side",
    "JudgeChange": "holds the change against the gates",
    "RunCI": "runs the project's checks in the sandbox",
    "AddressFeedback": "the fixer mends what was found",
    "OpenPR": "pushes the branch and brings the pull request up to date",
}
HIDDEN = frozenset({"artifact", "commit", "step_finished"})
SCRIPTED = (
    "The model's answers are scripted; no model is asked. Everything else is real: Temporal, git, sandbox, MCP, HTTP, SQLite."
)


async def run_demo(settings: Settings, *, keep: bool, as_json: bool) -> int:
    """Run the demo and show it; the exit code. Only a sandbox and its limits are taken from ``settings``."""
    told = errors if as_json else screen
    if not await asyncio.to_thread(ensure_sandbox, settings, lambda text: told.print(text, markup=False)):
        errors.print(
            f"patchwright: the demo needs a sandbox and found none; nothing ran. Install {what_to_install(settings)}",
            markup=False,
            soft_wrap=True,
        )
        return 1
    folder = Path(tempfile.mkdtemp(prefix="patchwright-demo-"))
    try:
        code = await _Demo(settings, folder, told, keep, as_json).run()
        if code == 1:
            _show_log(told, folder / LOG_NAME)
        return code
    finally:
        if keep:
            told.print(f"Everything is still in {folder}", soft_wrap=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _show_log(told: Console, log: Path) -> None:
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    if lines:
        told.print("\nThe end of its log:")
        told.print("\n".join(lines[-LOG_LINES:]), markup=False, soft_wrap=True)


class _Demo:
    """One run of the demo."""

    def __init__(self, settings: Settings, folder: Path, told: Console, keep: bool, as_json: bool) -> None:
        self._settings = settings
        self._folder = folder
        self._told = told
        self._keep = keep
        self._as_json = as_json
        self._began = time.monotonic()

    async def run(self) -> int:
        from services import embedded

        stopping = stop_signal()
        self._told.print(f"[bold]Patchwright demo.[/] {SCRIPTED}", soft_wrap=True)
        remote = self._folder / "tally.git"
        base = make_remote(remote)
        self._told.print(f"Made a small project with a real bug and its remote: {remote}", soft_wrap=True)
        async with serve(script) as model, embedded.stack(self._own_settings(model.base_url), scripted=True) as stack:
            # What goes wrong is told as events; the log would only tear the picture apart.
            logging.basicConfig(filename=self._folder / LOG_NAME, level=logging.WARNING, format=LOG_FORMAT, force=True)
            started = f"Started Temporal, API and worker in {time.monotonic() - self._began:.1f} s."
            self._told.print(f"{started} Sandbox: {escape(stack.sandbox)}", soft_wrap=True)
            story = Story(Service(stack.url, stack.token), remote, base, self._show_event, self._show_deed)
            # A failure must not travel through the stack: its task groups would wrap it in groups of their own.
            failure = await self._played(story, stopping)
            if failure is None:
                self._end(story, stack, model.stats.answered)
            else:
                self._told.print(f"\n[red]{escape(failure.message)}[/]", soft_wrap=True)
            if self._keep and not isinstance(failure, DemoStopped):
                self._told.print("\nEverything stays up; stop with ctrl-C.")
                await stopping.wait()
        return {type(None): 0, DemoStopped: 130}.get(type(failure), 1)

    async def _played(self, story: Story, stopping: asyncio.Event) -> PatchwrightError | None:
        """Play in a thread until the end, ctrl-C or the time-out; what went wrong, if anything did."""
        playing = asyncio.create_task(asyncio.to_thread(story.play))
        stop = asyncio.create_task(stopping.wait())
        done, _ = await asyncio.wait({playing, stop}, timeout=DEMO_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if playing in done:
            try:
                return await playing
            except PatchwrightError as failure:
                return failure
        story.stopped.set()
        # The thread ends by itself as soon as the service ends its connection.
        playing.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        if stop in done:
            return DemoStopped("Stopped; everything that was started ends now.")
        return DemoFailed(f"The demo did not end within {DEMO_SECONDS} seconds.")

    def _own_settings(self, model_url: str) -> Settings:
        """Free ports and a folder of its own: the demo never meets a real service or its data."""
        given = self._settings
        return IsolatedSettings(
            data_dir=self._folder / "data",
            port=0,
            temporal_port=0,
            temporal_ui_port=0,
            openai_base_url=model_url,
            openai_api_key=SecretStr("scripted"),
            model_default="scripted",
            model_api="responses",
            sandbox=given.sandbox,
            sandbox_image=given.sandbox_image,
            limits=given.limits,
            log_level="error",
        )

    def _show_event(self, event: dict[str, Any]) -> None:
        kind, text = event["kind"], str(event["text"]).strip()
        if kind == "step_started":
            words = STEP_WORDS.get(event["step"], "")
            self._told.print(f"\n[bold cyan]{escape(text)}[/] [cyan]{words}[/]", soft_wrap=True)
        elif kind == "state":
            state, reason = str(event["data"].get("state", "")), str(event["data"].get("reason", ""))
            if TaskState(state).resting:
                self._told.print(f"\n{state_text(state)} {escape(reason)}", soft_wrap=True)
        elif kind not in HIDDEN and not (kind == "model_call" and SAID_TO_TOOLS.search(text)):
            line = text.splitlines()[0] if text else ""
            clipped = line if len(line) <= LINE_CHARACTERS else f"{line[:LINE_CHARACTERS]}…"
            self._told.print("  " + event_line({**event, "text": clipped}), soft_wrap=True)

    def _show_deed(self, text: str) -> None:
        self._told.print(f"\n[bold magenta]You:[/] {escape(text)}", soft_wrap=True)

    def _end(self, story: Story, stack: Any, served: int) -> None:
        view, pull_request = story.view, story.pull_request
        urls = {
            "task": stack.url + view["links"]["page"],
            "temporal": view["workflow"]["url"] or stack.temporal_ui_url,
            "pull_request": pull_request["url"],
            "diff": f"{stack.url}/prs/{pull_request['id']}/diff",
            "remote": str(story.remote),
        }
        if self._as_json:
            print(json.dumps(_evidence(story, served, urls)), flush=True)
            return
        calls = view["spending"]["model_calls"]
        self._told.print(
            f"\n[bold]{story.task} is {state_text(view['state'])}[/] {story.seconds} s after its ticket: "
            f"{len(story.commits())} commits on the branch, {calls} model calls (scripted)."
        )
        steps = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in story.steps().items())
        self._told.print(f"Took: {steps}", soft_wrap=True)
        gone = "" if self._keep else " (now gone: run ./patchwright demo --keep to look around)"
        self._told.print(f"\n[bold]Where to look[/]{gone}")
        for name, url in {**urls, **({"token": stack.token} if self._keep else {})}.items():
            self._told.print(f"  {name.replace('_', ' '):<13} {url}", markup=False, soft_wrap=True)
        self._told.print(f"\n{SCRIPTED}", soft_wrap=True)


def _evidence(story: Story, served: int, urls: dict[str, str]) -> dict[str, Any]:
    """The line for programs."""
    return {
        "task_id": story.task,
        "state": story.view["state"],
        "plan_sha256": story.view["plan"]["sha256"],
        "commits": story.commits(),
        "checks": story.checks(),
        "model_calls": story.view["spending"]["model_calls"],
        "model_calls_served": served,
        "steps": story.steps(),
        "seconds": story.seconds,
        "scripted": True,
        "urls": urls,
    }
