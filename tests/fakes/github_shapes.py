"""GitHub's JSON as its OpenAPI description wants it, from the few facts that the fake keeps."""

import base64
from typing import Any
from urllib.parse import quote

NOW = "2026-11-21T10:00:00Z"
OF_USER = (
    "followers",
    "following{/other_user}",
    "gists{/gist_id}",
    "starred{/owner}{/repo}",
    "subscriptions",
    "organizations:orgs",
    "repos",
    "events{/privacy}",
    "received_events",
)
OF_REPOSITORY = (
    "archive",
    "assignees",
    "blobs",
    "branches",
    "collaborators",
    "comments",
    "commits",
    "compare",
    "contents",
    "contributors",
    "deployments",
    "downloads",
    "events",
    "forks",
    "git_commits",
    "git_refs",
    "git_tags",
    "hooks",
    "issue_comment",
    "issue_events",
    "issues",
    "keys",
    "labels",
    "languages",
    "merges",
    "milestones",
    "notifications",
    "pulls",
    "releases",
    "stargazers",
    "statuses",
    "subscribers",
    "subscription",
    "tags",
    "teams",
    "trees",
)


def node_id(kind: str, number: int) -> str:
    return base64.b64encode(f"{kind}:{number}".encode()).decode()


def user(url: str, name: str) -> dict[str, Any]:
    number = sum(map(ord, name))
    api = f"{url}/users/{quote(name)}"
    made = {
        "login": name,
        "id": number,
        "node_id": node_id("User", number),
        "avatar_url": f"{url}/avatars/{number}",
        "gravatar_id": "",
        "url": api,
        "html_url": f"{url}/{quote(name)}",
        "type": "Bot" if name.endswith("[bot]") else "User",
        "site_admin": False,
    }
    for part in OF_USER:
        field, _, place = part.partition(":")
        bare = field.split("{")[0]
        made[f"{bare}_url"] = f"{api}/{place or field}"
    return made


def repository(url: str, path: str, number: int) -> dict[str, Any]:
    owner, name = path.split("/")
    api = f"{url}/repos/{path}"
    made: dict[str, Any] = {
        "id": number,
        "node_id": node_id("Repository", number),
        "name": name,
        "full_name": path,
        "owner": user(url, owner),
        "private": False,
        "html_url": f"{url}/{path}",
        "description": None,
        "fork": False,
        "url": api,
        "clone_url": f"{url}/{path}.git",
        "git_url": f"git://127.0.0.1/{path}.git",
        "ssh_url": f"git@127.0.0.1:{path}.git",
        "svn_url": f"{url}/{path}",
        "mirror_url": None,
        "homepage": None,
        "language": None,
        "forks_count": 0,
        "forks": 0,
        "stargazers_count": 0,
        "watchers_count": 0,
        "watchers": 0,
        "size": 1,
        "default_branch": "main",
        "open_issues_count": 0,
        "open_issues": 0,
        "is_template": False,
        "topics": [],
        "has_issues": True,
        "has_projects": True,
        "has_wiki": True,
        "has_pages": False,
        "has_downloads": True,
        "has_discussions": False,
        "archived": False,
        "disabled": False,
        "visibility": "public",
        "pushed_at": NOW,
        "created_at": NOW,
        "updated_at": NOW,
        "license": None,
        "allow_forking": True,
        "web_commit_signoff_required": False,
    }
    return made | {f"{part}_url": f"{api}/{part}" for part in OF_REPOSITORY}


def label(url: str, path: str, name: str) -> dict[str, Any]:
    return {
        "id": sum(map(ord, name)),
        "node_id": node_id("Label", len(name)),
        "url": f"{url}/repos/{path}/labels/{name}",
        "name": name,
        "description": "",
        "color": "ededed",
        "default": False,
    }


def pull_request(url: str, repo: dict[str, Any], pull: Any, head_sha: str, base_sha: str) -> dict[str, Any]:
    path = repo["full_name"]
    api, html = f"{url}/repos/{path}/pulls/{pull.number}", f"{url}/{path}/pull/{pull.number}"
    issue = f"{url}/repos/{path}/issues/{pull.number}"
    links = {
        "self": api,
        "html": html,
        "issue": issue,
        "comments": f"{issue}/comments",
        "review_comments": f"{api}/comments",
        "review_comment": f"{url}/repos/{path}/pulls/comments{{/number}}",
        "commits": f"{api}/commits",
        "statuses": f"{url}/repos/{path}/statuses/{head_sha}",
    }

    def side(branch: str, sha: str) -> dict[str, Any]:
        return {"label": f"{repo['owner']['login']}:{branch}", "ref": branch, "sha": sha, "user": repo["owner"], "repo": repo}

    return {
        "url": api,
        "id": 1000 + pull.number,
        "node_id": node_id("PullRequest", pull.number),
        "html_url": html,
        "diff_url": f"{html}.diff",
        "patch_url": f"{html}.patch",
        "issue_url": issue,
        "commits_url": links["commits"],
        "review_comments_url": links["review_comments"],
        "review_comment_url": links["review_comment"],
        "comments_url": links["comments"],
        "statuses_url": links["statuses"],
        "number": pull.number,
        "state": pull.state,
        "locked": False,
        "title": pull.title,
        "user": user(url, pull.author),
        "body": pull.body,
        "labels": [label(url, path, name) for name in pull.labels],
        "milestone": None,
        "active_lock_reason": None,
        "created_at": pull.created_at,
        "updated_at": pull.updated_at,
        "closed_at": None if pull.state == "open" else NOW,
        "merged_at": NOW if pull.merged else None,
        "merge_commit_sha": pull.merge_commit,
        "assignee": None,
        "assignees": [],
        "requested_reviewers": [user(url, name) for name in pull.reviewers],
        "requested_teams": [],
        "head": side(pull.head, head_sha),
        "base": side(pull.base, base_sha),
        "_links": {name: {"href": link} for name, link in links.items()},
        "author_association": "CONTRIBUTOR",
        "auto_merge": None,
        "draft": pull.draft,
    }


def whole_pull_request(simple: dict[str, Any], pull: Any, mergeable: bool | None, state: str) -> dict[str, Any]:
    return simple | {
        "merged": pull.merged,
        "mergeable": mergeable,
        "rebaseable": None,
        "mergeable_state": state,
        "merged_by": None,
        "comments": len(pull.comments),
        "review_comments": sum(len(thread.comments) for thread in pull.threads),
        "maintainer_can_modify": False,
        "commits": 1,
        "additions": 1,
        "deletions": 1,
        "changed_files": 1,
    }


def issue(url: str, path: str, one: Any, association: str) -> dict[str, Any]:
    """An issue; a pull request is one, too, and says so."""
    api, html = f"{url}/repos/{path}/issues/{one.number}", f"{url}/{path}/issues/{one.number}"
    assignees = [user(url, name) for name in one.assignees]
    made: dict[str, Any] = {
        "id": 3000 + one.number,
        "node_id": node_id("Issue", one.number),
        "url": api,
        "repository_url": f"{url}/repos/{path}",
        "labels_url": f"{api}/labels{{/name}}",
        "comments_url": f"{api}/comments",
        "events_url": f"{api}/events",
        "html_url": html,
        "number": one.number,
        "state": one.state,
        "title": one.title,
        "body": one.body,
        "user": user(url, one.author),
        "labels": [label(url, path, name) for name in one.labels],
        "assignee": assignees[0] if assignees else None,
        "assignees": assignees,
        "milestone": None,
        "locked": False,
        "comments": len(one.comments),
        "closed_at": None if one.state == "open" else NOW,
        "created_at": one.created_at,
        "updated_at": one.updated_at,
        "author_association": association,
        "active_lock_reason": None,
        "reactions": reactions(api),
    }
    if hasattr(one, "head"):
        pull, page = f"{url}/repos/{path}/pulls/{one.number}", f"{url}/{path}/pull/{one.number}"
        made["html_url"] = page
        made["pull_request"] = {"url": pull, "html_url": page, "diff_url": f"{page}.diff", "patch_url": f"{page}.patch"}
    return made


def reactions(api: str) -> dict[str, Any]:
    """Nobody reacted."""
    kinds = ("+1", "-1", "laugh", "confused", "heart", "hooray", "eyes", "rocket")
    return {"url": f"{api}/reactions", "total_count": 0, **dict.fromkeys(kinds, 0)}


def issue_event(url: str, path: str, one: Any) -> dict[str, Any]:
    """A label or an assignee that was added to an issue."""
    made = {
        "id": one.id,
        "node_id": node_id("Event", one.id),
        "url": f"{url}/repos/{path}/issues/events/{one.id}",
        "actor": user(url, one.person),
        "event": "labeled" if one.label else "assigned",
        "commit_id": None,
        "commit_url": None,
        "created_at": one.created_at,
        "performed_via_github_app": None,
    }
    if one.label:
        return made | {"label": {"name": one.label, "color": "ededed"}}
    return made | {"assignee": user(url, one.assignee), "assigner": user(url, one.person)}


def issue_comment(url: str, path: str, number: int, comment: Any) -> dict[str, Any]:
    return {
        "id": comment.id,
        "node_id": node_id("IssueComment", comment.id),
        "url": f"{url}/repos/{path}/issues/comments/{comment.id}",
        "html_url": f"{url}/{path}/pull/{number}#issuecomment-{comment.id}",
        "body": comment.body,
        "user": user(url, comment.author),
        "created_at": comment.created_at,
        "updated_at": comment.updated_at,
        "issue_url": f"{url}/repos/{path}/issues/{number}",
        "author_association": "NONE",
        "performed_via_github_app": None,
        "reactions": reactions(f"{url}/repos/{path}/issues/comments/{comment.id}"),
    }


def review(url: str, path: str, number: int, one: Any) -> dict[str, Any]:
    html, api = f"{url}/{path}/pull/{number}#pullrequestreview-{one.id}", f"{url}/repos/{path}/pulls/{number}"
    return {
        "id": one.id,
        "node_id": node_id("PullRequestReview", one.id),
        "user": user(url, one.author),
        "body": one.body,
        "state": one.state,
        "html_url": html,
        "pull_request_url": api,
        "author_association": "MEMBER",
        "_links": {"html": {"href": html}, "pull_request": {"href": api}},
        "submitted_at": one.created_at,
        "commit_id": one.commit,
    }


def review_comment(url: str, path: str, number: int, comment: Any, thread: Any) -> dict[str, Any]:
    api, html = f"{url}/repos/{path}/pulls/comments/{comment.id}", f"{url}/{path}/pull/{number}#discussion_r{comment.id}"
    pull, first = f"{url}/repos/{path}/pulls/{number}", thread.comments[0].id
    made = {
        "url": api,
        "id": comment.id,
        "node_id": node_id("PullRequestReviewComment", comment.id),
        "diff_hunk": "@@ -1 +1 @@",
        "path": thread.path,
        "position": 1,
        "original_position": 1,
        "line": thread.line,
        "original_line": thread.line,
        "side": "RIGHT",
        "start_line": None,
        "original_start_line": None,
        "start_side": None,
        "reactions": reactions(api),
        "commit_id": "a" * 40,
        "original_commit_id": "a" * 40,
        "user": user(url, comment.author),
        "body": comment.body,
        "created_at": comment.created_at,
        "updated_at": comment.updated_at,
        "html_url": html,
        "pull_request_url": pull,
        "author_association": "MEMBER",
        "_links": {"self": {"href": api}, "html": {"href": html}, "pull_request": {"href": pull}},
        "pull_request_review_id": comment.review or None,
    }
    return made if comment.id == first else made | {"in_reply_to_id": first}


def app(url: str, slug: str, name: str = "") -> dict[str, Any]:
    return {
        "id": 7,
        "slug": slug,
        "node_id": node_id("App", 7),
        "owner": user(url, "makers"),
        "name": name or slug,
        "description": None,
        "external_url": url,
        "html_url": f"{url}/apps/{slug}",
        "created_at": NOW,
        "updated_at": NOW,
        "permissions": {"metadata": "read"},
        "events": [],
    }


def check_run(url: str, path: str, run: Any) -> dict[str, Any]:
    api = f"{url}/repos/{path}/check-runs/{run.id}"
    return {
        "id": run.id,
        "node_id": node_id("CheckRun", run.id),
        "head_sha": run.sha,
        "external_id": "",
        "url": api,
        "html_url": f"{url}/{path}/runs/{run.id}",
        "details_url": run.details_url or f"{url}/{path}/runs/{run.id}",
        "status": run.status,
        "conclusion": run.conclusion,
        "started_at": NOW,
        "completed_at": NOW if run.status == "completed" else None,
        "name": run.name,
        "check_suite": {"id": 1},
        "output": {
            "title": run.title,
            "summary": run.summary,
            "text": None,
            "annotations_count": len(run.notes),
            "annotations_url": f"{api}/annotations",
        },
        "app": app(url, run.app),
        "pull_requests": [],
    }


def status(url: str, path: str, one: Any) -> dict[str, Any]:
    return {
        "url": f"{url}/repos/{path}/statuses/{one.sha}",
        "avatar_url": None,
        "id": one.id,
        "node_id": node_id("StatusContext", one.id),
        "state": one.state,
        "description": one.description,
        "target_url": one.url or None,
        "context": one.context,
        "created_at": NOW,
        "updated_at": NOW,
    }


def installation(url: str, owner: str, slug: str, permissions: dict[str, str]) -> dict[str, Any]:
    return {
        "id": 99,
        "account": user(url, owner),
        "access_tokens_url": f"{url}/app/installations/99/access_tokens",
        "repositories_url": f"{url}/installation/repositories",
        "html_url": f"{url}/settings/installations/99",
        "app_id": 7,
        "app_slug": slug,
        "target_id": 1,
        "target_type": "Organization",
        "permissions": permissions,
        "events": [],
        "created_at": NOW,
        "updated_at": NOW,
        "single_file_name": None,
        "repository_selection": "selected",
        "suspended_by": None,
        "suspended_at": None,
    }


def branch(url: str, path: str, name: str, sha: str, contexts: list[str]) -> dict[str, Any]:
    api = f"{url}/repos/{path}"
    protection = {
        "enabled": bool(contexts),
        "required_status_checks": {"enforcement_level": "non_admins" if contexts else "off", "contexts": contexts, "checks": []},
    }
    return {
        "name": name,
        "commit": commit(url, path, sha),
        "_links": {"html": f"{url}/{path}/tree/{name}", "self": f"{api}/branches/{name}"},
        "protected": bool(contexts),
        "protection": protection,
        "protection_url": f"{api}/branches/{name}/protection",
    }


def commit(url: str, path: str, sha: str) -> dict[str, Any]:
    api = f"{url}/repos/{path}"
    git_user = {"name": "p", "email": "p@example.com", "date": NOW}
    return {
        "url": f"{api}/commits/{sha}",
        "sha": sha,
        "node_id": node_id("Commit", 1),
        "html_url": f"{url}/{path}/commit/{sha}",
        "comments_url": f"{api}/commits/{sha}/comments",
        "commit": {
            "url": f"{api}/git/commits/{sha}",
            "author": git_user,
            "committer": git_user,
            "message": "m",
            "comment_count": 0,
            "tree": {"sha": sha, "url": f"{api}/git/trees/{sha}"},
            "verification": {"verified": False, "reason": "unsigned", "signature": None, "payload": None, "verified_at": None},
        },
        "author": None,
        "committer": None,
        "parents": [],
    }


def workflow(url: str, path: str, number: int, file: str) -> dict[str, Any]:
    api = f"{url}/repos/{path}/actions/workflows/{number}"
    return {
        "id": number,
        "node_id": node_id("Workflow", number),
        "name": file.rsplit("/", 1)[-1],
        "path": file,
        "state": "active",
        "created_at": NOW,
        "updated_at": NOW,
        "url": api,
        "html_url": f"{url}/{path}/blob/main/{file}",
        "badge_url": f"{url}/{path}/workflows/badge.svg",
    }


def content(url: str, path: str, file: str, text: str) -> dict[str, Any]:
    api = f"{url}/repos/{path}/contents/{file}"
    return {
        "type": "file",
        "encoding": "base64",
        "size": len(text.encode()),
        "name": file.rsplit("/", 1)[-1],
        "path": file,
        "content": base64.encodebytes(text.encode()).decode(),
        "sha": "a" * 40,
        "url": api,
        "git_url": f"{url}/repos/{path}/git/blobs/a",
        "html_url": f"{url}/{path}/blob/main/{file}",
        "download_url": None,
        "_links": {"self": api, "git": None, "html": None},
    }


def workflow_run(url: str, repository: dict[str, Any], workflow: int, number: int, sha: str) -> dict[str, Any]:
    api = f"{url}/repos/{repository['full_name']}/actions/runs/{number}"
    return {
        "id": number,
        "node_id": node_id("WorkflowRun", number),
        "head_branch": "b",
        "head_sha": sha,
        "path": ".github/workflows/ci.yml",
        "run_number": 1,
        "event": "workflow_dispatch",
        "display_title": "t",
        "status": "queued",
        "conclusion": None,
        "workflow_id": workflow,
        "url": api,
        "html_url": api,
        "pull_requests": [],
        "created_at": NOW,
        "updated_at": NOW,
        **{f"{name}_url": api for name in ("jobs", "logs", "check_suite", "artifacts", "cancel", "rerun", "workflow")},
        "head_commit": None,
        "repository": repository,
        "head_repository": repository,
    }
