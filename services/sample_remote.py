"""A remote for a project of our own making: a bare repository with one commit, for the demo and for chaos runs."""

from collections.abc import Mapping
from pathlib import Path

import pygit2

BRANCH = "main"


def make_sample_remote(path: Path, files: Mapping[str, str], author: tuple[str, str], message: str) -> str:
    """Make a bare repository with these files in its only commit, by an author (name, mail); the commit's id."""
    repository = pygit2.init_repository(str(path), bare=True, initial_head=BRANCH)
    index = pygit2.Index()
    for name, text in files.items():
        index.add(pygit2.IndexEntry(name, repository.create_blob(text.encode()), pygit2.enums.FileMode.BLOB))
    who = pygit2.Signature(*author)
    return str(repository.create_commit(f"refs/heads/{BRANCH}", who, who, f"{message}\n", index.write_tree(repository), []))
