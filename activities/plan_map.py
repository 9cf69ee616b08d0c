"""Which step of the plan each file and each hunk of a change belongs to, kept for people and for the pull request."""

from collections.abc import Sequence

from activities.pull_request.hunks import hunks_of, reasons
from activities.shelf import Shelf
from contracts.approval import OutsidePaths, outside_paths
from contracts.artifact import ArtifactRef
from contracts.change import ChangedFile
from contracts.plan import ChangePlan
from contracts.plan_cover import covered, left_outside, scope_problem
from contracts.plan_map import MAP_STEP, MappedHunks, PlanMap, map_name
from contracts.steps import GateRequest
from contracts.word import Word

MOST_NAMED = 30
NAME_CHARACTERS = 300


class Scope(Word):
    """What the plan says of a change."""

    problem: str = ""
    """How far it goes outside, in a sentence for the person who is asked; empty within the policy."""
    outside: ArtifactRef | None = None
    outside_sha256: str = ""
    named: tuple[str, ...] = ()


async def judged_scope(shelf: Shelf, request: GateRequest, plan: ChangePlan, files: Sequence[ChangedFile], diff: str) -> Scope:
    """Map the change to its plan, keep the map, and say what a person has to be asked about."""
    mapped = covered(files, plan)
    allowed = [path for ref in request.allowed for path in (await shelf.read(OutsidePaths, ref)).paths]
    hunks = tuple(
        MappedHunks(path=one.path, steps=one.steps, why=one.why, places=one.places) for one in reasons(hunks_of(diff), plan)
    )
    kept = PlanMap(
        plan_sha256=request.plan_sha256,
        base_commit=request.preparation.opened.base_commit,
        commit=request.commit,
        files=mapped,
        hunks=hunks,
        allowed=tuple(sorted(set(allowed).intersection(path for file in mapped for path in file.outside))),
    )
    await shelf.keep_words(request.task.id, MAP_STEP, map_name(request.commit), kept)
    problem = scope_problem(mapped, request.preparation.policy, request.approved, frozenset(allowed))
    if not problem:
        return Scope()
    outside = outside_paths(request.plan_sha256, left_outside(mapped, frozenset(allowed)))
    ref = await shelf.keep_words(request.task.id, MAP_STEP, f"outside-{outside.sha256[:12]}.json", outside)
    named = tuple(path[:NAME_CHARACTERS] for path in outside.paths[:MOST_NAMED])
    return Scope(problem=problem, outside=ref, outside_sha256=outside.sha256, named=named)
