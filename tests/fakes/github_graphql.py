"""The little GraphQL that a fake GitHub speaks: what its REST API cannot tell or do."""

import json
from typing import TYPE_CHECKING, Any

from graphql import GraphQLError, build_schema, graphql_sync

from tests.fakes import github_shapes as shapes
from tests.fakes.forge_server import Asked, Told
from tests.fakes.github_routing import ROUTES
from tests.fakes.github_state import Grant, Pull, Thread

if TYPE_CHECKING:
    from tests.fakes.github import FakeGitHub

SDL = """
interface Node { id: ID! }
type Query { repository(owner: String!, name: String!): Repository node(id: ID!): Node }
type Repository { pullRequest(number: Int!): PullRequest }
type PullRequest { id: ID! isDraft: Boolean! reviewThreads(first: Int, after: String): ThreadConnection! }
type ThreadConnection { pageInfo: PageInfo! nodes: [PullRequestReviewThread] }
type PageInfo { hasNextPage: Boolean! endCursor: String }
enum DiffSide { LEFT RIGHT }
type PullRequestReviewThread implements Node { id: ID! isResolved: Boolean! isOutdated: Boolean! path: String! line: Int
  originalLine: Int diffSide: DiffSide! comments(first: Int, after: String): PullRequestReviewCommentConnection! }
type PullRequestReviewCommentConnection { pageInfo: PageInfo! nodes: [Comment] }
type Comment { databaseId: Int body: String! createdAt: String! author: Actor pullRequestReview: Review }
interface Actor { login: String! }
type User implements Actor { login: String! }
type Bot implements Actor { login: String! }
type Review { databaseId: Int }
input ResolveReviewThreadInput { threadId: ID! }
input MarkPullRequestReadyForReviewInput { pullRequestId: ID! }
type ResolvePayload { thread: PullRequestReviewThread }
type ReadyPayload { pullRequest: PullRequest }
type Mutation {
  resolveReviewThread(input: ResolveReviewThreadInput!): ResolvePayload
  markPullRequestReadyForReview(input: MarkPullRequestReadyForReviewInput!): ReadyPayload
}
"""
SCHEMA = build_schema(SDL)


@ROUTES.on("POST", "/graphql")
def graphql(fake: "FakeGitHub", asked: Asked, grant: Grant) -> Told:
    sent = json.loads(asked.body)
    done = graphql_sync(SCHEMA, sent["query"], _Root(fake, grant), variable_values=sent["variables"])
    if done.errors:
        kind = (done.errors[0].extensions or {}).get("type", "")
        return Told(200, {"data": done.data, "errors": [{"type": kind, "message": error.message} for error in done.errors]})
    return Told(200, {"data": done.data})


class _Root:
    """What GraphQL starts from."""

    def __init__(self, fake: "FakeGitHub", grant: Grant) -> None:
        self.fake, self.grant = fake, grant

    def repository(self, _info: Any, owner: str, name: str) -> Any:
        repo = self.fake.repositories.get(f"{owner}/{name}")
        if repo is None or self.grant.repository not in ("", repo.path):
            raise GraphQLError("Could not resolve to a Repository.", extensions={"type": "NOT_FOUND"})

        def pull_request(_info: Any, number: int) -> Any:
            return self._pull(self.fake.pull(repo.path, number))

        return {"pullRequest": pull_request}

    def node(self, _info: Any, id: str) -> Any:
        for repo in self.fake.repositories.values():
            if self.grant.repository in ("", repo.path):
                for thread in (one for found in repo.pulls.values() for one in found.threads):
                    if thread.id == id:
                        return {"__typename": "PullRequestReviewThread", **self._thread(thread)}
        raise GraphQLError("Could not resolve to a node.", extensions={"type": "NOT_FOUND"})

    def resolveReviewThread(self, _info: Any, input: dict[str, str]) -> Any:
        self._must_write()
        for repo in self.fake.repositories.values():
            for found in repo.pulls.values():
                for thread in found.threads:
                    if thread.id == input["threadId"]:
                        self.fake.set_resolved(repo, found, thread, self.grant.login)
                        return {"thread": self._thread(thread)}
        raise GraphQLError("Could not resolve to a node.", extensions={"type": "NOT_FOUND"})

    def markPullRequestReadyForReview(self, _info: Any, input: dict[str, str]) -> Any:
        self._must_write()
        for repo in self.fake.repositories.values():
            for found in repo.pulls.values():
                if shapes.node_id("PullRequest", found.number) == input["pullRequestId"]:
                    found.draft, found.updated_at = False, self.fake.now()
                    self.fake.events(repo, self.grant.login).pull_request(found, "ready_for_review")
                    return {"pullRequest": self._pull(found)}
        raise GraphQLError("Could not resolve to a node.", extensions={"type": "NOT_FOUND"})

    def _must_write(self) -> None:
        if self.grant.permissions.get("pull_requests") != "write":
            raise GraphQLError("Resource not accessible by integration", extensions={"type": "FORBIDDEN"})

    def _pull(self, found: Pull) -> Any:
        def threads(_info: Any, first: int = 50, after: str | None = None) -> Any:
            start = int(after or 0)
            page = found.threads[start : start + first]
            left = len(found.threads) > start + first
            return {
                "pageInfo": {"hasNextPage": left, "endCursor": str(start + first)},
                "nodes": [self._thread(one) for one in page],
            }

        return {"id": shapes.node_id("PullRequest", found.number), "isDraft": found.draft, "reviewThreads": threads}

    def _thread(self, thread: Thread) -> Any:
        def comments(_info: Any, first: int = 100, after: str | None = None) -> Any:
            start = int(after or 0)
            page = {"hasNextPage": len(nodes) > start + first, "endCursor": str(start + first)}
            return {"pageInfo": page, "nodes": nodes[start : start + first]}

        nodes = [
            {
                "databaseId": one.id,
                "body": one.body,
                "createdAt": one.created_at,
                "author": {
                    "__typename": "Bot" if one.author.endswith("[bot]") else "User",
                    "login": one.author.removesuffix("[bot]"),
                },
                "pullRequestReview": {"databaseId": one.review} if one.review else None,
            }
            for one in thread.comments
        ]
        return {
            "id": thread.id,
            "isResolved": thread.resolved,
            "isOutdated": False,
            "path": thread.path,
            "line": thread.line,
            "originalLine": thread.line,
            "diffSide": "RIGHT",
            "comments": comments,
        }
