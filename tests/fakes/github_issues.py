"""Issues, the comments below them and below pull requests, and labels, as a fake GitHub's REST API tells and changes them."""

from typing import TYPE_CHECKING

from tests.fakes import github_shapes as shapes
from tests.fakes.forge_server import Asked, Refused, Told
from tests.fakes.github_routing import ISSUES, READS_ISSUES, ROUTES, by_update, paged
from tests.fakes.github_state import Comment, Grant, Issue, Repository

if TYPE_CHECKING:
    from tests.fakes.github import FakeGitHub


@ROUTES.on("GET", "/repos/{owner}/{repo}/issues", READS_ISSUES)
def issues(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository) -> Told:
    state, labels = asked.query.get("state", "open"), [name for name in asked.query.get("labels", "").split(",") if name]
    since, assignee = asked.query.get("since", ""), asked.query.get("assignee")

    def wanted(one: Issue) -> bool:
        return (
            state in ("all", one.state)
            and {name.casefold() for name in labels} <= {name.casefold() for name in one.labels}
            and one.updated_at >= since
            and (assignee is None or assignee in one.assignees)
        )

    found = by_update(asked, [one for one in (*repo.issues.values(), *repo.pulls.values()) if wanted(one)])
    return paged(fake, asked, [shapes.issue(fake.url, repo.path, one, repo.association(one.author)) for one in found])


@ROUTES.on("GET", "/repos/{owner}/{repo}/issues/{number}", READS_ISSUES)
def issue(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository, number: str) -> Told:
    found = fake.ticket(repo.path, number)
    return Told(200, shapes.issue(fake.url, repo.path, found, repo.association(found.author)))


@ROUTES.on("GET", "/repos/{owner}/{repo}/issues/{number}/comments", READS_ISSUES)
def comments(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository, number: str) -> Told:
    found = fake.ticket(repo.path, number).comments
    return paged(fake, asked, [shapes.issue_comment(fake.url, repo.path, int(number), one) for one in found])


@ROUTES.on("POST", "/repos/{owner}/{repo}/issues/{number}/comments", ISSUES)
def write_comment(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository, number: str) -> Told:
    made = fake.add_comment(repo, fake.ticket(repo.path, number), grant.login, asked.json["body"])
    return Told(201, shapes.issue_comment(fake.url, repo.path, int(number), made))


@ROUTES.on("GET", "/repos/{owner}/{repo}/issues/{number}/events", READS_ISSUES)
def issue_events(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository, number: str) -> Told:
    found = fake.ticket(repo.path, number).events
    return paged(fake, asked, [shapes.issue_event(fake.url, repo.path, one) for one in found])


@ROUTES.on("GET", "/repos/{owner}/{repo}/issues/comments/{comment}", READS_ISSUES)
def one_comment(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository, comment: str) -> Told:
    ticket, found = _found(repo, int(comment))
    return Told(200, shapes.issue_comment(fake.url, repo.path, ticket.number, found))


@ROUTES.on("PATCH", "/repos/{owner}/{repo}/issues/comments/{comment}", ISSUES)
def edit_comment(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository, comment: str) -> Told:
    _found(repo, int(comment))
    ticket, found = fake.change_comment(repo, int(comment), asked.json["body"])
    return Told(200, shapes.issue_comment(fake.url, repo.path, ticket.number, found))


@ROUTES.on("POST", "/repos/{owner}/{repo}/issues/{number}/labels", ISSUES)
def label(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository, number: str) -> Told:
    found = fake.ticket(repo.path, number)
    for name in asked.json["labels"]:
        fake.add_label(repo, found, grant.login, name)
    return Told(200, [shapes.label(fake.url, repo.path, name) for name in found.labels])


def _found(repo: Repository, comment: int) -> tuple[Issue, Comment]:
    for ticket in (*repo.issues.values(), *repo.pulls.values()):
        for one in ticket.comments:
            if one.id == comment:
                return ticket, one
    raise Refused(404, {"message": "Not Found"})
