"""Holds a principal against the rule of a route, and a credential for some repositories against what the route is about."""

from collections.abc import Iterable, Mapping, Sequence

from fastapi.routing import RouteContext, iter_route_contexts
from starlette.routing import BaseRoute, Match, Mount
from starlette.types import Scope

from contracts.access import Principal, Right, roles_with
from contracts.errors import Forbidden, NotFound
from contracts.record import TaskRecord
from services.access.matrix import RULES, Rule, Subject
from services.tasks import TaskService

Parameters = Mapping[str, str]


class RouteRules:
    """Finds the route that will answer a request, and its line of the matrix."""

    def __init__(self) -> None:
        self._known: list[RouteContext] = []

    def find(self, routes: Sequence[BaseRoute], scope: Scope) -> tuple[Rule | None, Parameters] | None:
        """The rule of the route that will answer, and the parameters of its path; None when no route does.

        A route without a line in the matrix comes back with no rule: nobody may use it.
        """
        if found := _found(self._known, scope):
            return found
        # Nothing answers, or a route came since: to take it for nothing would let anybody use it.
        self._known = list(iter_route_contexts(routes))
        return _found(self._known, scope)


def _found(routes: Iterable[RouteContext], scope: Scope) -> tuple[Rule | None, Parameters] | None:
    for route in routes:
        match, child = route.matches(scope)
        if match is Match.FULL:
            rule = RULES.get((scope["method"], route.path or ""))
            return rule, {} if isinstance(route.original_route, Mount) else child.get("path_params", {})
    return None


class Authoriser:
    """Says no with ``Forbidden``, and with ``NotFound`` to whatever lies outside the credential's repositories."""

    def __init__(self, tasks: TaskService) -> None:
        self._tasks = tasks

    async def check(self, principal: Principal, rule: Rule | None, parameters: Parameters) -> None:
        """Let a request pass, or raise."""
        if rule is None:
            raise Forbidden("Nobody may do this: it stands in no line of the matrix of routes and roles.")
        if rule.right is None:
            return
        own = rule.subject is Subject.TASK and principal.may_to_own(rule.right)
        if not principal.may(rule.right) and not own:
            raise Forbidden(_refusal(principal, rule.right))
        if principal.repositories:
            await self._within_repositories(principal, rule, parameters)
        if not principal.may(rule.right) and not await self._handed_in(principal, parameters["task_id"]):
            raise Forbidden(_refusal(principal, rule.right))

    async def _handed_in(self, principal: Principal, name: str) -> bool:
        return principal.is_one_of((await self._tasks.runs.get(name)).task.handed_in_by)

    async def _within_repositories(self, principal: Principal, rule: Rule, parameters: Parameters) -> None:
        if rule.subject is Subject.SERVICE:
            raise Forbidden("This is about the service as a whole, and the credential is for some repositories only.")
        if rule.subject is Subject.TASK:
            await self._task(principal, parameters["task_id"])
        elif rule.subject is Subject.PULL_REQUEST:
            name = parameters["pull_request_id"]
            if not principal.sees((await self._tasks.forge.get(name)).repo):
                raise NotFound(f"There is no pull request {name!r}.")
        elif rule.subject is Subject.ARTIFACT:
            await self._artifact(principal, parameters["sha256"])

    async def _task(self, principal: Principal, name: str) -> TaskRecord:
        record = await self._tasks.runs.get(name)
        if not principal.sees(record.task.request.repo):
            raise NotFound(f"There is no task {name!r}.")
        return record

    async def _artifact(self, principal: Principal, sha256: str) -> None:
        for name in await self._tasks.artifacts.tasks_with(sha256):
            try:
                await self._task(principal, name)
            except NotFound:
                continue
            return
        raise NotFound(f"There is no artifact {sha256!r}.")


def _refusal(principal: Principal, right: Right) -> str:
    held = ", ".join(sorted(principal.roles)) or "none"
    wanted = " or ".join(roles_with(right))
    return f"{principal.name} may not do this: it takes the role {wanted}, and theirs is {held}. Ask an administrator."
