"""A look at a merge request on GitLab. Its requests count whatever they find, so there are few of them.

One list tells of every merge request that is watched in a project: each word of people, each verdict and each push moves its
``updated_at``. Jobs and the target branch do not, and are looked at themselves.
"""

from typing import Any
from urllib.parse import quote

from contracts.errors import NotFound
from contracts.watching import Look, Watch
from mcp_servers.repo.gitlab.connection import PAGE, GitLabConnection
from mcp_servers.repo.looking import Comparison, Shared


def look(connection: GitLabConnection, number: int, watch: Watch, shared: Shared) -> Look:
    """Look once. Raises what the connection raises."""
    ask = shared.asking(connection.look)
    found = Comparison(ask, watch.seen)
    wanted = {"iids[]": _chunk(shared.numbers, number), "state": "all", "per_page": PAGE}
    listed = found.see("merge", "merge_requests", "looking at the merge requests", lambda told: _merge(told, number), **wanted)
    if listed is not None:
        watch = _told(watch, next((one for one in listed if one["iid"] == number), None), number)
    branch = f"repository/branches/{quote(watch.base_branch, safe='')}"
    found.see_if_there("base", branch, "looking at the target branch", lambda told: told["commit"]["id"])
    statuses = f"repository/commits/{watch.head_commit}/statuses"
    found.see_if_there("jobs", statuses, "looking at the jobs", _jobs, all="false", per_page=PAGE)
    pipelines = f"merge_requests/{number}/pipelines"
    found.see_if_there("pipelines", pipelines, "looking at the pipelines", _pipelines, per_page=20)
    return found.look(watch)


def _chunk(numbers: list[int], number: int) -> list[int]:
    """The part of the watched numbers that one page holds."""
    first = numbers.index(number) // PAGE * PAGE
    return numbers[first : first + PAGE]


def _told(watch: Watch, merge: dict[str, Any] | None, number: int) -> Watch:
    if merge is None:
        raise NotFound(f"GitLab has no merge request !{number} there; it may also be that the token cannot see it.")
    facts = {"head_branch": merge["source_branch"], "head_commit": merge["sha"] or "", "base_branch": merge["target_branch"]}
    return watch.model_copy(update=facts)


def _merge(told: list[dict[str, Any]], number: int) -> list[Any]:
    names = ("updated_at", "sha", "state", "draft", "user_notes_count", "has_conflicts", "target_branch")
    return [[one.get(name) for name in names] for one in told if one["iid"] == number]


def _jobs(told: list[dict[str, Any]]) -> list[Any]:
    return sorted([one["id"], one["status"]] for one in told)


def _pipelines(told: list[dict[str, Any]]) -> list[Any]:
    return sorted([one["id"], one["status"]] for one in told)
