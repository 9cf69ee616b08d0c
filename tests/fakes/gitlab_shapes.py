"""GitLab's JSON, from the few facts that the fake keeps."""

from typing import Any

from tests.fakes.gitlab_state import OVER, Discussion, Issue, Job, Merge, Note, Project


class GitLabShapes:
    """Shapes that need to know the host and its users."""

    url: str
    users: list[str]
    undecided: int

    def user(self, name: str) -> dict[str, Any]:
        if name not in self.users:
            self.users.append(name)
        return {"id": 1 + self.users.index(name), "username": name, "name": name.title(), "state": "active"}

    def shape(self, project: Project, merge: Merge) -> dict[str, Any]:
        head, base, seen = project.head(merge), project.sha(merge.target), project.base_as_seen(merge)
        clean = not (head and base) or merge.state != "opened" or project.merges_cleanly(base, head)
        checking, self.undecided = self.undecided > 0, max(0, self.undecided - 1)
        return {
            **self.issue_shape(project, merge),
            "id": 9000 + merge.iid,
            "source_branch": merge.source,
            "target_branch": merge.target,
            "source_project_id": 1,
            "target_project_id": 1,
            "reviewers": [self.user(name) for name in merge.reviewers],
            "draft": merge.draft,
            "sha": head,
            "diff_refs": {"base_sha": seen, "head_sha": head, "start_sha": seen},
            "web_url": f"{self.url}/{project.path}/-/merge_requests/{merge.iid}",
            "merge_commit_sha": merge.merge_commit,
            "merge_status": "checking" if checking else "can_be_merged" if clean else "cannot_be_merged",
            "detailed_merge_status": "checking" if checking else _merge_status(project, merge, head, clean),
            "has_conflicts": not clean and not checking,
            "head_pipeline": _pipeline(project, merge, head),
        }

    def issue_shape(self, project: Project, issue: Issue) -> dict[str, Any]:
        return {
            "id": 8000 + issue.iid,
            "iid": issue.iid,
            "project_id": 1,
            "title": issue.title,
            "description": issue.description,
            "state": issue.state,
            "author": self.user(issue.author),
            "labels": issue.labels,
            "confidential": issue.confidential,
            "assignees": [self.user(name) for name in issue.assignees],
            "user_notes_count": sum(not note.system for note in issue.notes),
            "web_url": f"{self.url}/{project.path}/-/issues/{issue.iid}",
            "created_at": issue.created_at,
            "updated_at": issue.updated_at,
        }

    def note_shape(self, discussion: Discussion, note: Note, on: str = "MergeRequest") -> dict[str, Any]:
        told = {
            "id": note.id,
            "type": "DiffNote" if discussion.path else None if discussion.individual else "DiscussionNote",
            "body": note.body,
            "author": self.user(note.author),
            "created_at": note.created_at,
            "updated_at": note.updated_at,
            "system": note.system,
            "noteable_type": on,
            "resolvable": discussion.resolvable and not note.system,
        }
        if discussion.resolvable:
            told["resolved"] = discussion.resolved
        if discussion.path:
            told["position"] = {
                "position_type": "text",
                "new_path": discussion.path,
                "old_path": discussion.path,
                "new_line": discussion.line,
                "old_line": None,
            }
        return told

    def discussion_shape(self, discussion: Discussion) -> dict[str, Any]:
        return {
            "id": discussion.id,
            "individual_note": discussion.individual,
            "notes": [self.note_shape(discussion, note) for note in discussion.notes],
        }


def job_shape(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "sha": job.sha,
        "name": job.name,
        "status": job.status,
        "description": job.description or None,
        "target_url": job.url,
        "allow_failure": job.allow_failure,
    }


def _pipeline(project: Project, merge: Merge, head: str) -> dict[str, Any] | None:
    if merge.pipeline:
        return {"id": merge.pipeline, "sha": merge.pipeline_sha or head, "status": "failed"}
    found = [number for number, sha in project.pipelines.items() if sha == head]
    return {"id": found[-1], "sha": head, "status": project.pipeline_status(found[-1])} if found else None


def _merge_status(project: Project, merge: Merge, head: str, clean: bool) -> str:
    if merge.state != "opened":
        return "not_open"
    if not clean:
        return "conflict"
    if merge.draft:
        return "draft_status"
    pipeline = _pipeline(project, merge, head)
    if pipeline and pipeline["status"] not in OVER:
        return "ci_still_running"
    return "ci_must_pass" if pipeline and pipeline["status"] == "failed" else "mergeable"
