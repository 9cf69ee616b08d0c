"""The matrix of routes and rights. What stands here can be done by whoever has the right; what does not stand here, by nobody.

A test walks the application's routes and holds each one to a line of this table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from contracts.access import OWN_RIGHTS, RIGHTS, Right, Role


class Subject(StrEnum):
    """What a route is about, so that a credential for some repositories reaches nothing of the others."""

    NOTHING = "nothing"
    """Nothing of anybody's."""
    LIST = "list"
    """Many things: the endpoint itself leaves out what the caller does not see."""
    TICKET = "ticket"
    """The ticket in the body: the endpoint itself holds its repository against the caller's."""
    TASK = "task"
    """The task of the path's ``task_id``."""
    PULL_REQUEST = "pull request"
    """The pull request of the path's ``pull_request_id``."""
    ARTIFACT = "artifact"
    """The artifact of the path's ``sha256``."""
    SERVICE = "service"
    """The service as a whole: not for credentials of some repositories."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Who may use a route."""

    right: Right | None
    """None: anybody, signed in or not."""
    subject: Subject = Subject.NOTHING
    why: str = ""
    """Why it is open, where it is."""

    def roles(self) -> dict[Role, str]:
        """``yes``, ``own`` (for tasks that one handed in) or ``–`` for each role."""
        right = self.right
        if right is None:
            return dict.fromkeys(Role, "yes")
        own = {role for role in Role if self.subject is Subject.TASK and right in OWN_RIGHTS.get(role, ())}
        return {role: "yes" if right in RIGHTS[role] else "own" if role in own else "–" for role in Role}


def _open(why: str) -> Rule:
    return Rule(None, why=why)


_LISTED = Rule(Right.READ, Subject.LIST)
_TASK = Rule(Right.READ, Subject.TASK)
_PULL = Rule(Right.READ, Subject.PULL_REQUEST)
_STEER = Rule(Right.STEER, Subject.TASK)
_ANSWER = Rule(Right.APPROVE, Subject.TASK)
_RESUME = Rule(Right.OPERATE, Subject.TASK)
_ADMIN = Rule(Right.ADMINISTER, Subject.SERVICE)
RULES: Mapping[tuple[str, str], Rule] = {
    ("GET", "/healthz"): _open("the process lives"),
    ("GET", "/readyz"): _open("it can start tasks"),
    ("GET", "/openapi.json"): _open("what the API is"),
    ("GET", "/docs"): _open("what the API is, for people"),
    ("GET", "/favicon.ico"): _open("our own file"),
    ("GET", "/assets"): _open("our own files"),
    ("HEAD", "/assets"): _open("our own files"),
    ("GET", "/login"): _open("the way in"),
    ("POST", "/login"): _open("the way in"),
    ("GET", "/login/oidc"): _open("the way in"),
    ("GET", "/login/oidc/callback"): _open("the way in"),
    ("POST", "/webhooks/{kind}"): _open("the sender's signature counts"),
    ("POST", "/logout"): Rule(Right.READ),
    ("GET", "/me"): Rule(Right.READ),
    ("POST", "/me/links"): Rule(Right.READ),
    ("GET", "/tasks"): _LISTED,
    ("POST", "/tasks"): Rule(Right.SUBMIT, Subject.TICKET),
    ("GET", "/tasks/{task_id}"): _TASK,
    ("GET", "/tasks/{task_id}/events"): _TASK,
    ("GET", "/tasks/{task_id}/artifacts"): _TASK,
    ("GET", "/tasks/{task_id}/plan"): _TASK,
    ("GET", "/tasks/{task_id}/audit"): Rule(Right.OPERATE, Subject.TASK),
    ("GET", "/tasks/{task_id}/evidence"): _TASK,
    ("GET", "/tasks/{task_id}/waivers"): _TASK,
    ("POST", "/tasks/{task_id}/waivers"): _ANSWER,
    ("GET", "/artifacts/{sha256}"): Rule(Right.READ, Subject.ARTIFACT),
    ("POST", "/tasks/{task_id}/signals/review"): _ANSWER,
    ("POST", "/tasks/{task_id}/signals/plan"): _ANSWER,
    ("POST", "/tasks/{task_id}/signals/paths"): _ANSWER,
    ("POST", "/tasks/{task_id}/signals/steer"): _STEER,
    ("POST", "/tasks/{task_id}/signals/pause"): _STEER,
    ("POST", "/tasks/{task_id}/signals/cancel"): _STEER,
    ("POST", "/tasks/{task_id}/signals/close"): _STEER,
    ("POST", "/tasks/{task_id}/signals/resume"): _RESUME,
    ("GET", "/prs"): _LISTED,
    ("GET", "/prs/{pull_request_id}"): _PULL,
    ("GET", "/prs/{pull_request_id}/diff"): _PULL,
    ("GET", "/deliveries"): Rule(Right.OPERATE, Subject.SERVICE),
    ("GET", "/policy"): Rule(Right.READ),
    ("POST", "/policy/reload"): _ADMIN,
    ("GET", "/tokens"): _ADMIN,
    ("POST", "/tokens"): _ADMIN,
    ("DELETE", "/tokens/{token_id}"): _ADMIN,
    ("POST", "/revocations"): _ADMIN,
    ("GET", "/"): _LISTED,
    ("GET", "/pulls"): _LISTED,
    ("GET", "/t/{task_id}"): _TASK,
    ("GET", "/t/{task_id}/audit"): Rule(Right.OPERATE, Subject.TASK),
    ("GET", "/pr/{pull_request_id}"): _PULL,
    ("POST", "/t/{task_id}/plan"): _ANSWER,
    ("POST", "/t/{task_id}/paths"): _ANSWER,
    ("POST", "/t/{task_id}/steer"): _STEER,
    ("POST", "/t/{task_id}/resume"): _RESUME,
    ("POST", "/t/{task_id}/{deed}"): _STEER,
    ("POST", "/pr/{pull_request_id}/review"): Rule(Right.APPROVE, Subject.PULL_REQUEST),
}
"""Each route of the application, by method and path, and who may use it."""
