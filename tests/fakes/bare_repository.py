"""The bare repository behind a fake forge, and what people do in it without a work tree."""

import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

NOBODY = "0" * 40


class BareRepository:
    """Branches and commits of one repository on a forge."""

    def __init__(self, folder: Path, path: str) -> None:
        self.path = path
        """``owner/name``."""
        self.bare = folder / f"{path}.git"

    def sha(self, branch: str) -> str:
        """Where a branch stands; empty when there is none."""
        return self._git("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}", check=False)

    def tree(self, commit: str) -> str:
        """The tree of a commit."""
        return self._git("rev-parse", f"{commit}^{{tree}}")

    def file(self, commit: str, path: str) -> str:
        """A file's text at a commit; empty when there is none."""
        return self._git("show", f"{commit}:{path}", check=False)

    def files(self, commit: str, folder: str) -> list[str]:
        """Paths below a folder at a commit, sorted."""
        return self._git("ls-tree", "-r", "--name-only", commit, "--", folder, check=False).splitlines()

    def heads(self) -> dict[str, str]:
        """Every branch and where it stands."""
        told = self._git("for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/heads")
        return {name: sha for sha, name in (line.split(" ", 1) for line in told.splitlines())}

    def commits(self, base: str, head: str) -> list[str]:
        """Commits of ``head`` that ``base`` lacks, the newest first."""
        return self._git("rev-list", f"{base}..{head}", check=False).split()

    def ahead(self, base: str, head: str) -> bool:
        """Whether there is anything to propose."""
        return bool(self.commits(base, head))

    def merges_cleanly(self, base: str, head: str) -> bool:
        """Whether two commits can be merged without a person."""
        return self._merged_tree(base, head) is not None

    def write(self, branch: str, author: str, files: Mapping[str, str | None], message: str, start: str = "main") -> str:
        """A commit on top of a branch; None for a file deletes it. The branch is made from ``start`` where it is missing."""
        parent = self.sha(branch) or self.sha(start)
        with tempfile.TemporaryDirectory() as folder:
            index = {"GIT_INDEX_FILE": f"{folder}/index"}
            self._git("read-tree", parent, environment=index)
            for path, text in files.items():
                self._stage(path, text, index)
            tree = self._git("write-tree", environment=index)
        return self._moved(branch, tree, author, message, parent)

    def merge(self, base: str, head: str, author: str, message: str) -> str:
        """Merge the commit ``head`` into the branch ``base``; the merge commit. There must be no conflict."""
        parent = self.sha(base)
        tree = self._merged_tree(parent, head)
        assert tree is not None, "it conflicts"
        return self._moved(base, tree, author, message, parent, head)

    def _stage(self, path: str, text: str | None, index: Mapping[str, str]) -> None:
        if text is None:
            self._git("update-index", "--force-remove", path, environment=index)
            return
        blob = self._git("hash-object", "-w", "--stdin", sent=text)
        self._git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}", environment=index)

    def _moved(self, branch: str, tree: str, author: str, message: str, *parents: str) -> str:
        who = {f"GIT_{role}_{part}": author for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
        known = [argument for parent in parents for argument in ("-p", parent)]
        made = self._git("commit-tree", tree, *known, "-m", message, environment=who)
        self._git("update-ref", f"refs/heads/{branch}", made)
        return made

    def _merged_tree(self, base: str, head: str) -> str | None:
        done = self._run("merge-tree", "--write-tree", "--no-messages", base, head)
        return done.stdout.split()[0] if done.returncode == 0 else None

    def _git(self, *arguments: str, environment: Mapping[str, str] | None = None, sent: str = "", check: bool = True) -> str:
        done = self._run(*arguments, environment=environment, sent=sent)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.strip() if done.returncode == 0 else ""

    def _run(
        self, *arguments: str, environment: Mapping[str, str] | None = None, sent: str = ""
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", "-C", str(self.bare), *arguments],
            input=sent,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **(environment or {})},
        )
