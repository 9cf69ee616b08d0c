"""Opening a workspace: the mirror is brought up to date, the base commit is fixed, and what is odd is said aloud."""


from pydantic import ValidationError

from contracts.errors import Conflict, InvalidInput, NotFound, RepositoryUnusable
from contracts.workspace import OpenedWorkspace, Workspace
from mcp_servers.object_store import Mirror, Mirrors, base_ref, mirror_name
from mcp_servers.repo.notes import survey
from mcp_servers.repo.remotes import Credentials, fetch, local_path, no_credentials

SHOWN_BRANCHES = 20
USUAL_BRANCHES = ("main", "master", "trunk", "develop")


def open_workspace(
    mirrors: Mirrors, remote: str, base_branch: str, name: str, credentials: Credentials = no_credentials
) -> OpenedWorkspace:
    """Open a workspace at the tip of a branch; asked again, it gives the same answer even if the remote moved.

    Raises ``RepositoryUnusable``, ``RemoteUnavailable``, ``InvalidInput`` and, when the name is taken by a workspace
    of another branch, ``Conflict``.
    """
    refuse_unreadable(remote)
    workspace = _workspace(mirror_name(remote), name)
    mirror = mirrors.create(workspace.mirror)
    if not (record := mirror.text(_record_ref(workspace))):
        opened = _open(mirror, workspace, remote, base_branch, credentials)
        mirror.pin(_record_ref(workspace), mirror.write_blob(opened.model_dump_json().encode()))
        record = mirror.text(_record_ref(workspace))
    opened = OpenedWorkspace.model_validate_json(record)
    if base_branch and opened.base_branch != base_branch:
        raise Conflict(f"The workspace {name} was opened from branch {opened.base_branch!r}, not {base_branch!r}; "
                       "use another name for another branch.")
    return opened


def fetched_tip(mirror: Mirror, remote: str, branch: str, credentials: Credentials = no_credentials) -> str:
    """Where a branch of the remote stands right now. Raises ``RepositoryUnusable`` when it is gone, ``RemoteUnavailable``."""
    fetch(mirror, remote, credentials)
    return _tip(mirror, remote, branch)


def opened_record(mirror: Mirror, workspace: Workspace) -> OpenedWorkspace | None:
    """What opening the workspace found; None when it was never opened here."""
    record = mirror.text(_record_ref(workspace))
    return OpenedWorkspace.model_validate_json(record) if record else None


def refuse_unreadable(remote: str) -> None:
    """Refuse what git would only answer with a riddle: paths that are missing, relative, files or plain folders."""
    path = local_path(remote)
    if path is None:
        return
    if not path.is_absolute():
        raise InvalidInput(f"The repository path {remote!r} is relative; give an absolute path or a URL.")
    if not path.exists():
        raise RepositoryUnusable(f"There is no folder {path}; check the path of the repository.")
    if path.is_file():
        raise RepositoryUnusable(f"{path} is a file, not a repository. If it is a git bundle, clone it and give that folder.")
    if not (path / ".git").exists() and not ((path / "HEAD").is_file() and (path / "objects").is_dir()):
        root = next((parent for parent in path.parents if (parent / ".git").exists()), None)
        hint = f"the root is {root}: give that." if root else "run `git init` and commit there, or give another path."
        raise RepositoryUnusable(f"{path} is not the root of a git repository; {hint}")


def _open(mirror: Mirror, workspace: Workspace, remote: str, base_branch: str, credentials: Credentials) -> OpenedWorkspace:
    default_branch = fetch(mirror, remote, credentials)
    branch = base_branch or _start_branch(mirror, remote, default_branch)
    base = mirror.pin(base_ref(workspace), _tip(mirror, remote, branch))
    mirror.pin(workspace.ref, base)
    files, notes = survey(mirror, base)
    return OpenedWorkspace(workspace=workspace, base_branch=branch, base_commit=base, remote=remote, files=files, notes=notes,
                           default_branch=default_branch or branch)


def _start_branch(mirror: Mirror, remote: str, default_branch: str) -> str:
    branches = mirror.branches()
    if not branches:
        raise RepositoryUnusable(f"The repository {remote} has no commits yet; push a first commit and try again.")
    if default_branch in branches:
        return default_branch
    if len(branches) == 1:
        return branches[0]
    if usual := next((name for name in USUAL_BRANCHES if name in branches), ""):
        return usual
    raise RepositoryUnusable(f"The repository {remote} names no default branch; give `base_branch`. {_listed(branches)}")


def _tip(mirror: Mirror, remote: str, branch: str) -> str:
    branches = mirror.branches()
    if not branches:
        raise RepositoryUnusable(f"The repository {remote} has no commits yet; push a first commit and try again.")
    if branch not in branches:
        raise RepositoryUnusable(f"The repository {remote} has no branch {branch!r}. {_listed(branches)}")
    try:
        return mirror.resolve(f"refs/remotes/origin/{branch}")
    except NotFound:
        raise RepositoryUnusable(f"The branch {branch!r} of {remote} does not point at a commit.") from None


def _listed(branches: list[str]) -> str:
    more = f", and {len(branches) - SHOWN_BRANCHES} more" if len(branches) > SHOWN_BRANCHES else ""
    return f"Its branches: {', '.join(sorted(branches)[:SHOWN_BRANCHES])}{more}."


def _workspace(mirror: str, name: str) -> Workspace:
    try:
        return Workspace(mirror=mirror, name=name)
    except ValidationError:
        raise InvalidInput(f"{name!r} cannot name a workspace: use letters, digits, '.', '_' and '-', at most 100.") from None


def _record_ref(workspace: Workspace) -> str:
    return f"refs/opened/{workspace.name}"
