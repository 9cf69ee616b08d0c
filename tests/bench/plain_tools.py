"""The tools of every contestant but ours, in plain Python on an ordinary folder. Standard library only."""

import subprocess
from pathlib import Path

from tests.bench.turns_words import documentation

INSTRUCTIONS = "You are the coder of Patchwright.\n\nCarry out what the user asks for with the tools you have."


class PlainTools:
    """The three tools, the documentation laid out in their folder first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for path, text in documentation().items():
            self.write_file(path, text)

    def read_file(self, path: str) -> str:
        """Read a text file: a line about it, then its lines as NUMBER, TAB, TEXT."""
        text = (self.folder / path).read_text()
        lines = text.splitlines()
        numbered = "\n".join(f"{number:>6}\t{line}" for number, line in enumerate(lines, 1))
        return f"{path}: lines 1-{len(lines)} of {len(lines)}, {len(text)} bytes\n{numbered}"

    def write_file(self, path: str, content: str) -> str:
        """Create a file or replace its whole content."""
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(content)
        return f"Wrote {path}."

    def run_command(self, command: str) -> str:
        """Run a shell command in the root."""
        done = subprocess.run(["sh", "-c", command], cwd=self.folder, capture_output=True, text=True, check=False)
        return f"Exit code {done.returncode}.\n{done.stdout}{done.stderr}"
