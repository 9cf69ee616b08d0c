"""Paths that want to be somewhere else: out of the repository, in git's own folder, or on a list of denied ones."""

import itertools

ESCAPES = (
    "../", "..\\", "....//", "..././", "%2e%2e/", "%2e%2e%2f", "..%2f", "..%5c", "%252e%252e%252f", "..;/", "\uff0e\uff0e/",
    "..\uff0f", "\u2025/", ".\u200b./", "..\x00/", "./../", "x/../../", "/", "//", "///", "\\\\", "C:\\", "C:/", "file:///",
    "~/", "$HOME/", "~root/", "\\\\?\\C:\\", "/proc/self/root/", "/proc/self/cwd/../", "notes/../../", "link/../", "link/",
    "\t../", " ../", "..\r/", "..\n/", "\ufeff../", "..\u2215", "\u2024\u2024/", "\\x2e\\x2e/", "..\\x2f", "\x1b[2K../",
)  # fmt: skip
TARGETS = ("etc/passwd", ".git/hooks/pre-commit", ".patchwright.yaml", ".github/workflows/x.yml", "canary")
ENDINGS = ("", "\x00.md", "%00.md", "/.", " ", ".", "::$DATA", "\n")
FOLDERS_OF_GIT = (
    ".git", ".GIT", ".gIt", ".git ", ".git.", ".git..", ".git::$INDEX_ALLOCATION", "git~1", "GIT~1", ".g\u200cit", "\uff0egit",
    ".git\u200b", ".\u0131git".replace("\u0131", ""), ".g\u0131t", "./.git", "notes/.git", "notes/.GIT", "notes/git~1", ".git/.",
    ".git//", "notes/../.git", ".gi\u0074", ".\u2064git", ".git\u00a0", ".git\t", "\u2024git",
)  # fmt: skip
INSIDE_GIT = ("config", "hooks/pre-commit", "HEAD", "objects/info/alternates", "modules/x/config", "index")
DENIED = (
    ".github/workflows/a.yml", ".GitHub/workflows/a.yml", ".github/Workflows/a.yml", ".github//workflows/a.yml",
    ".gitlab-ci.yml", ".GitLab-CI.yml", ".patchwright.yaml", ".Patchwright.yaml", "./.patchwright.yaml", "deploy/run.sh",
    "src/x.py", "notes", "notes/", "notes/.", "notes/..", "notesx/a", "Notes/a.md", "NOTES/a.md", "", ".", "..", "/", "\x00",
    "\n", " ", "-rf", "--help", ":(top)etc", ":/", "*", "**", "notes/*", "notes/\u202egnp.exe", "notes/a\x07",
    "notes/" + "d/" * 300 + "f", "notes/" + "n" * 300, "a" * 5000, "CON", "NUL", "notes/a:b", "notes\u2215a", "\udcff",
    "notes/\udcff", "@{u}", "HEAD:notes/a", "refs/heads/main",
)  # fmt: skip


def hostile_paths() -> dict[str, list[str]]:
    """Paths by what they try; none of them may be written where only ``notes/**`` may."""
    climbing = [f"{escape * depth}{target}{ending}" for escape, depth, target, ending in itertools.product(
        ESCAPES, (1, 7), TARGETS, ENDINGS)]  # fmt: skip
    git = [f"{folder}/{inner}" for folder, inner in itertools.product(FOLDERS_OF_GIT, INSIDE_GIT)]
    return {"paths that climb": climbing, "git's own folder": git, "paths on no list": list(DENIED)}
