"""The tools of the ``runner`` server."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from contracts.checks import ChecksRun
from contracts.deciding import decide
from contracts.deeds import CommandRun
from contracts.errors import GuardrailTripped
from contracts.mutation import MOST_MUTANTS
from contracts.proof import MOST_ROUNDS, ROUNDS, TestsRun
from contracts.sandbox import CommandResult
from mcp_servers.failures import answer, tell_failures
from mcp_servers.object_store import Mirrors
from mcp_servers.runner.checks import Checks
from mcp_servers.runner.commands import Commands
from mcp_servers.runner.mutating import Mutating
from mcp_servers.runner.output import cut
from mcp_servers.runner.progress import Progress
from mcp_servers.runner.proving import Proving
from mcp_servers.runner.sandboxes import Sandboxes
from mcp_servers.runner.selfcheck import selfcheck
from mcp_servers.scope import Scope, scope_of

INSTRUCTIONS = (
    "Runs commands and checks in a sandbox that holds the workspace's files at /work. There is no git folder, and no network "
    "but the hosts that the task's policy allows. Changes to files are committed to the workspace."
)
SHOWN_CHARACTERS = 16_000
"""Of a command's output in the text for a model; the structured result has it all."""
SHOWN_OF_FAILED_CHECK = 6_000
SHOWN_PATHS = 50
RUNS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False)
LOOKS = ToolAnnotations(read_only_hint=True, open_world_hint=False)


def build_server(mirrors: Mirrors, sandboxes: Sandboxes, default: Scope | None = None, closes: bool = False) -> MCPServer:
    """The server over mirrors and sandboxes; ``default`` is the workspace of clients that name none.

    ``closes``: the sandboxes end with the first session; otherwise whoever made them closes them.
    """

    @asynccontextmanager
    async def session(_: MCPServer[None]) -> AsyncIterator[None]:
        sandboxes.sweeper.start()
        try:
            yield
        finally:
            if closes:
                await sandboxes.close()

    server: MCPServer[None] = MCPServer("patchwright-runner", instructions=INSTRUCTIONS, log_level="WARNING", lifespan=session)
    runner = _Runner(mirrors, sandboxes, default)
    tools: list[tuple[Callable[..., Any], ToolAnnotations]] = [
        (runner.run_command, RUNS),
        (runner.run_checks, LOOKS),
        (runner.prove_tests, LOOKS),
        (runner.try_mutants, LOOKS),
        (runner.project_recipe, LOOKS),
        (runner.close_sandbox, RUNS),
        (runner.sandbox_report, LOOKS),
    ]
    for tool, annotations in tools:
        server.tool(annotations=annotations, structured_output=False)(tell_failures(tool))
    return server


class _Runner:
    def __init__(self, mirrors: Mirrors, sandboxes: Sandboxes, default: Scope | None) -> None:
        self._commands = Commands(mirrors, sandboxes)
        self._checks = Checks(mirrors, sandboxes)
        self._proving = Proving(mirrors, self._checks)
        self._mutating = Mutating(mirrors, sandboxes, self._checks)
        self._sandboxes = sandboxes
        self._default = default

    async def run_command(
        self,
        ctx: Context[Any, Any],
        command: Annotated[
            str, Field(description="Command line for 'sh -c', run in the repository's root.", min_length=1, max_length=100_000)
        ],
        timeout_seconds: Annotated[
            float, Field(description="Seconds until the command is killed (exit code 124).", gt=0, le=3_600)
        ] = 120,
    ) -> CallToolResult:
        """Run a shell command in a sandbox that holds the workspace's files, e.g. one test or a script.

        Says the exit code, the output (its middle left out when long), and which files it changed; those are committed to
        the workspace. Ignored files (.gitignore, caches, node_modules) stay in the sandbox but are not part of the
        workspace. There is no git repository, no standard input, and no network but the hosts that the task's policy allows,
        by way of the proxy in HTTPS_PROXY. Processes left in the background are killed when the command ends. Use
        apply_patch to edit files, and run_checks for the project's whole checks.
        """
        scope = scope_of(ctx, self._default)
        if not (decision := decide(scope.policy, CommandRun(command=command))).allowed:
            raise GuardrailTripped(decision.reason)
        async with Progress(ctx) as progress:
            result = await self._commands.run(scope, command, timeout_seconds, progress)
        return answer(command_text(result), result.model_dump(mode="json"))

    async def run_checks(
        self,
        ctx: Context[Any, Any],
        names: Annotated[list[str], Field(description="Names of the checks to run; empty for all of the project's checks.")] = [],  # noqa: B006
        commit: Annotated[
            str, Field(description="Commit to check; empty for the workspace's newest, which is what you want.")
        ] = "",
    ) -> CallToolResult:
        """Run the project's checks (tests, linters) on the newest commit of the workspace, in a fresh sandbox.

        Says for each check whether it passed, and the end of the output of those that failed. Files that the checks write
        are thrown away. The checks are those of .patchwright.yaml on the base branch, or what was recognised.
        """
        scope = scope_of(ctx, self._default)
        async with Progress(ctx) as progress:
            run = await self._checks.run(scope, names, commit, progress)
        return answer(checks_text(run), run.model_dump(mode="json"))

    async def prove_tests(
        self,
        ctx: Context[Any, Any],
        commit: Annotated[str, Field(description="The change's commit; empty for the workspace's newest.")] = "",
        names: Annotated[list[str], Field(description="Names of the checks to run; empty for all.")] = [],  # noqa: B006
        rounds: Annotated[
            int, Field(description="How often the tests run on the base, and on the change.", ge=1, le=MOST_ROUNDS)
        ] = ROUNDS,
    ) -> CallToolResult:
        """Run the checks on the base, on the base with the change's tests, on the change, and there with the base's tests.

        Shows whether the new tests fail without the change and pass with it, every time, and whether the original ones pass
        with it. For the service.
        """
        scope = scope_of(ctx, self._default)
        async with Progress(ctx) as progress:
            run = await self._proving.run(scope, commit, names, rounds, progress)
        return answer(proof_text(run), run.model_dump(mode="json"))

    async def try_mutants(
        self,
        ctx: Context[Any, Any],
        seconds: Annotated[float, Field(description="No further mutant is begun after so many seconds.", gt=0, le=3_600)],
        commit: Annotated[str, Field(description="The change's commit; empty for the workspace's newest.")] = "",
        names: Annotated[list[str], Field(description="Names of the checks to run; empty for all.")] = [],  # noqa: B006
        most: Annotated[int, Field(description="How many mutants are tried at most.", ge=1, le=MOST_MUTANTS)] = MOST_MUTANTS,
    ) -> CallToolResult:
        """Put small faults into the lines that a change adds, one at a time, and see which of them the checks notice.

        Which mutants come first is decided by the commit's tree. For the service.
        """
        scope = scope_of(ctx, self._default)
        async with Progress(ctx) as progress:
            run = await self._mutating.run(scope, commit, names, seconds, most, progress)
        return answer(f"{run.summary}\n{run.log}", run.model_dump(mode="json"))

    async def project_recipe(
        self,
        ctx: Context[Any, Any],
        commit: Annotated[str, Field(description="Commit to look at; empty for the workspace's newest.")] = "",
    ) -> CallToolResult:
        """How this repository is set up and checked. For the service."""
        recipe = await self._checks.recipe(scope_of(ctx, self._default), commit)
        checks = "\n".join(f"- {check.name}: {check.command}" for check in recipe.checks) or "no checks"
        return answer(
            f"{recipe.recognised or 'nothing recognised'}\n{checks}\n{recipe.note}".strip(), recipe.model_dump(mode="json")
        )

    async def close_sandbox(self, ctx: Context[Any, Any]) -> CallToolResult:
        """End what runs in the workspace's sandbox, and the sandbox; says what is proven gone. For the service."""
        gone = await self._sandboxes.end(scope_of(ctx, self._default).workspace)
        told = f"The sandbox is closed; gone: {', '.join(gone)}." if gone else "There was no live sandbox."
        return answer(told, {"closed": bool(gone), "gone": list(gone)})

    async def sandbox_report(
        self,
        prove: Annotated[bool, Field(description="Try every limit out in a sandbox of its own; takes some seconds.")] = False,
    ) -> CallToolResult:
        """Which sandbox this machine has, its limits and its gaps. For the service."""
        report = await self._sandboxes.report()
        findings = await selfcheck((await self._sandboxes.benches()).keeper) if prove else []
        structured = {
            "tier": report.tier.value,
            "version": report.version,
            "image": report.image,
            "notes": list(report.notes),
            "limits": self._sandboxes.limits.model_dump(),
            "findings": [finding.model_dump() for finding in findings],
        }
        lines = [f"{report.tier.value}: {report.version}, {report.image}", *report.notes, *(finding.line for finding in findings)]
        return answer("\n".join(lines), structured)


def command_text(result: CommandResult) -> str:
    """A finished command as a model reads it."""
    end = f"exit code {result.exit_code}"
    if result.timed_out:
        end += " (timed out; the command and everything it started were killed)"
    elif result.out_of_memory:
        end += " (out of memory)"
    parts = [f"{end}, {result.seconds:.1f} s", cut(result.output, SHOWN_CHARACTERS).rstrip() or "(no output)"]
    if result.changed:
        paths = ", ".join(result.changed[:SHOWN_PATHS])
        more = f" and {len(result.changed) - SHOWN_PATHS} more" if len(result.changed) > SHOWN_PATHS else ""
        parts.append(f"Changed: {paths}{more} (commit {result.commit[:12]}).")
    if result.note:
        parts.append(result.note)
    return "\n".join(parts)


def checks_text(run: ChecksRun) -> str:
    """Finished checks as a model reads them."""
    parts = [f"Commit {run.commit[:12]} in the {run.tier.value} sandbox:"]
    for check in run.runs:
        result = check.result
        verdict = (
            "passed" if result.exit_code == 0 else "TIMED OUT" if result.timed_out else f"FAILED (exit code {result.exit_code})"
        )
        parts.append(f"- {check.name}: {verdict}, {result.seconds:.1f} s")
        if result.exit_code:
            parts.append(
                f"  $ {result.command}\n{result.output[-SHOWN_OF_FAILED_CHECK:].strip() or '(no output)'}\n{result.note}".rstrip()
            )
    if not run.runs:
        parts.append("No check ran.")
    if run.note:
        parts.append(run.note)
    return "\n".join(parts)


def proof_text(run: TestsRun) -> str:
    """What was run for a proof as a model reads it."""
    if run.on_base is None:
        return "The change has no tests."
    parts = [f"Tests of the change: {', '.join(run.tests[:SHOWN_PATHS])}", "The base as it is:", checks_text(run.on_base)]
    for number, one in enumerate(run.on_base_with_tests, 1):
        parts += [f"The base with the new tests, run {number}:", checks_text(one)]
    for number, one in enumerate(run.on_change, 2):
        parts += [f"The change, run {number}:", checks_text(one)]
    if run.with_original_tests is not None:
        parts += ["The change with the original tests:", checks_text(run.with_original_tests)]
    return "\n".join(parts)
