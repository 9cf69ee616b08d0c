"""Pull requests, their reviews and remarks, as a fake GitHub's REST API tells and changes them."""

from typing import TYPE_CHECKING

from tests.fakes import github_shapes as shapes
from tests.fakes.forge_server import Asked, Refused, Told
from tests.fakes.github_routing import PULLS, READS_PULLS, ROUTES, by_update, paged
from tests.fakes.github_state import Grant, Pull, Repository

if TYPE_CHECKING:
    from tests.fakes.github import FakeGitHub


@ROUTES.on("GET", "/repos/{owner}/{repo}/pulls", READS_PULLS)
def pulls(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository) -> Told:
    head, state = asked.query.get("head", ""), asked.query.get("state", "open")
    found = [pull for pull in by_update(asked, list(repo.pulls.values())) if state in ("all", pull.state)]
    if ":" in head:
        found = [pull for pull in found if f"{repo.path.split('/')[0]}:{pull.head}" == head]
    return paged(fake, asked, [fake.simple(repo, pull) for pull in found])


@ROUTES.on("POST", "/repos/{owner}/{repo}/pulls", PULLS)
def open_pull(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository) -> Told:
    wanted = asked.json

    def refused(message: str) -> Refused:
        return Refused(
            422,
            {
                "message": "Validation Failed",
                "documentation_url": "d",
                "errors": [{"resource": "PullRequest", "code": "custom", "message": message}],
            },
        )

    if not repo.sha(wanted["head"]):
        raise Refused(
            422,
            {
                "message": "Validation Failed",
                "documentation_url": "d",
                "errors": [{"resource": "PullRequest", "field": "head", "code": "invalid"}],
            },
        )
    if not repo.ahead(wanted["base"], wanted["head"]):
        raise refused(f"No commits between {wanted['base']} and {wanted['head']}")
    if any(pull.head == wanted["head"] and pull.base == wanted["base"] and pull.state == "open" for pull in repo.pulls.values()):
        raise refused(f"A pull request already exists for {repo.path.split('/')[0]}:{wanted['head']}.")
    made = Pull(
        repo.next_number(),
        wanted["title"],
        wanted["body"],
        grant.login,
        fake.now(),
        fake.now(),
        head=wanted["head"],
        base=wanted["base"],
        draft=wanted.get("draft", False),
    )
    repo.pulls[made.number] = made
    fake.events(repo, grant.login).pull_request(made, "opened")
    return Told(201, fake.whole(repo, made))


@ROUTES.on("GET", "/repos/{owner}/{repo}/pulls/{number}", READS_PULLS)
def pull(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository, number: str) -> Told:
    return Told(200, fake.whole(repo, fake.pull(repo.path, number)))


@ROUTES.on("PATCH", "/repos/{owner}/{repo}/pulls/{number}", PULLS)
def edit_pull(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository, number: str) -> Told:
    found = fake.pull(repo.path, number)
    repo.head(found)
    wanted = asked.json
    if (state := wanted.pop("state", found.state)) != found.state:
        fake.set_state(repo, found, grant.login, state)
    changes = {name: {"from": getattr(found, name)} for name in wanted}
    for name, value in wanted.items():
        setattr(found, name, value)
    found.updated_at = fake.now()
    if changes:
        fake.events(repo, grant.login).pull_request(found, "edited", changes=changes)
    return Told(200, fake.whole(repo, found))


@ROUTES.on("GET", "/repos/{owner}/{repo}/pulls/{number}/reviews", READS_PULLS)
def reviews(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository, number: str) -> Told:
    found = fake.pull(repo.path, number).reviews
    return paged(fake, asked, [shapes.review(fake.url, repo.path, int(number), one) for one in found])


@ROUTES.on("POST", "/repos/{owner}/{repo}/pulls/{number}/comments/{comment}/replies", PULLS)
def reply(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository, number: str, comment: str) -> Told:
    made = fake.reply(repo.path, int(number), grant.login, comment, asked.json["body"])
    found = fake.pull(repo.path, number).threads
    thread, one = next((thread, one) for thread in found for one in thread.comments if one.id == made)
    return Told(201, shapes.review_comment(fake.url, repo.path, int(number), one, thread))


@ROUTES.on("GET", "/repos/{owner}/{repo}/pulls/{number}/comments", READS_PULLS)
def remarks(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository, number: str) -> Told:
    found = [(thread, one) for thread in fake.pull(repo.path, number).threads for one in thread.comments]
    found.sort(key=lambda pair: pair[1].id)
    return paged(fake, asked, [shapes.review_comment(fake.url, repo.path, int(number), one, on) for on, one in found])


@ROUTES.on("POST", "/repos/{owner}/{repo}/pulls/{number}/requested_reviewers", PULLS)
def ask_reviewers(fake: "FakeGitHub", asked: Asked, grant: Grant, repo: Repository, number: str) -> Told:
    found = fake.pull(repo.path, number)
    for name in asked.json.get("reviewers", []):
        if name not in repo.people:
            raise Refused(422, {"message": "Reviews may only be requested from collaborators."})
        if name not in found.reviewers:
            found.reviewers.append(name)
            found.updated_at = fake.now()
            events = fake.events(repo, grant.login)
            events.pull_request(found, "review_requested", requested_reviewer=events.user(name))
    return Told(201, fake.simple(repo, found))
