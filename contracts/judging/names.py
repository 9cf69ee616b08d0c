"""Names of files that mean something else than they show: to git, to another file system, to a shell or to a reader."""

import re
import unicodedata

MAX_PATH_BYTES = 4_096
MAX_NAME_BYTES = 255
MAX_FOLDERS = 64
"""Folders above a file at most; deeper ones exist to break tools."""
IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""What is not drawn; file systems that fold names leave some of it out."""
SLASHES = frozenset("\u2044\u2215\u2216\u29f5\u29f8\u29f9\ufe68\uff0f\uff3c\u2571\u2572\u27cb\u27cd")
"""What looks like a slash or a backslash."""
ENCODED = re.compile(r"%(?:25)*(?:2e|2f|5c|00|0a|0d|c0|c1|e0%80|f0%80)|%u00[25]|\\[uUx]00", re.IGNORECASE)
"""Dots, slashes and ends of lines as a URL would write them, overlong forms too."""
RESERVED = re.compile(
    r"(?:con|prn|aux|nul|clock\$|conin\$|conout\$|com[0-9\u00b9\u00b2\u00b3]|lpt[0-9\u00b9\u00b2\u00b3])(?:\..*)?"
)
SHORT_NAME = re.compile(r"[^./ ]{1,6}~[0-9]{1,2}(?:\.[^./ ]{0,3})?")
"""How FAT and NTFS call a file with a long name: ``GIT~1``, ``GITMOD~1``."""
GIT_SHORT_NAME = re.compile(r"(?:git|gi[0-9a-f]{4}|gitmod|gitatt|gitign|mailma)~[0-9]+")
VARIABLE = re.compile(r"(?:\$[A-Z_]+|\$\{[^}]*\}|%[A-Z_]+%|~[^/]*|\$\([^)]*\)|`[^`]*`)(?:/.*)?", re.DOTALL)
LOOKALIKES = frozenset(
    "\u0430\u0441\u0435\u043e\u0440\u0445\u0443\u0456\u0458\u0455\u0501\u051b\u0261\u0433\u043a\u043c\u043d\u0442"
    "\u0432\u0491\u0475\u04bb\u04cf"
    "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0425\u0423\u0406\u0408\u0405"
    "\u03b1\u03bf\u03c1\u03c5\u03bd\u03b9\u03ba\u03c4\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f"
    "\u03a1\u03a4\u03a5\u03a7"
    "\u01c3\u037e\u13aa\u13d4\u13a2\u13d2\u13da\u13c0\u13de\u13a1\u13d9\u13ac\u13e2\u13df\u13a0\u0131\u0251\u0564\u0585\u057d\u0570\u0578\u0578"
)
"""Letters of other alphabets that look like Latin ones."""
WORD = re.compile(r"[^\W\d_]+")


def form_problem(path: str) -> str:
    """Why no change may touch such a path, in whatever repository; empty when it may."""
    if not path:
        return "the path is empty."
    if path.startswith("/") or re.match(r"^[A-Za-z]:", path):
        return "the path is absolute; give it relative to the repository's root."
    if "\\" in path:
        return "the path has a backslash; use forward slashes."
    if problem := _unprintable(path):
        return problem
    if not within_bounds(path, folders=False):
        return f"the path is longer than {MAX_PATH_BYTES} bytes."
    if not within_bounds(path):
        return f"the path is more than {MAX_FOLDERS} folders deep."
    if ENCODED.search(path):
        return "the path has an encoded dot, slash or line end; write it plainly."
    return next((problem for name in path.split("/") if (problem := _name_problem(name))), "")


def within_bounds(path: str, folders: bool = True) -> bool:
    """Whether a path is no longer, and with ``folders`` no deeper, than any that could be used."""
    return len(path.encode("utf-8", "surrogateescape")) <= MAX_PATH_BYTES and not (folders and path.count("/") >= MAX_FOLDERS)


def portability_problem(path: str) -> str:
    """Why no new file may be called that: some machine could not hold it, or a reader would take it for another."""
    if VARIABLE.fullmatch(path):
        return "the path begins like a variable or a home folder; a shell would put something else there."
    if unicodedata.normalize("NFC", path) != path:
        return "the path is not in Unicode's composed form (NFC); other systems would spell it differently."
    return next((problem for name in path.split("/") if (problem := _unportable(name))), "")


def skeleton(name: str) -> str:
    """What a file system that folds case, compatibility and invisible characters could take a name for."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", IGNORABLE.sub("", name)).casefold())
    return folded.split(":")[0].rstrip(". ") or folded


def path_skeleton(path: str) -> str:
    """The skeletons of all parts of a path."""
    return "/".join(skeleton(name) for name in path.split("/"))


def _unprintable(path: str) -> str:
    categories = {unicodedata.category(character) for character in path}
    if "Cs" in categories:
        return "the path is not UTF-8."
    if categories & {"Cc", "Cf", "Zl", "Zp"}:
        return "the path has control or invisible characters."
    if categories & {"Cn", "Co"}:
        return "the path has characters that Unicode gives no meaning."
    if any(_unseen(path, found) for found in IGNORABLE.finditer(path)):
        return "the path has control or invisible characters."
    if SLASHES.intersection(path):
        return "the path has a character that looks like a slash."
    return ""


def _unseen(path: str, found: re.Match[str]) -> bool:
    """Whether it is more than the mark that makes an emoji colourful."""
    before = path[found.start() - 1] if found.start() else ""
    return not (found[0] == "\ufe0f" and before and unicodedata.category(before) == "So")


def _name_problem(name: str) -> str:
    if name in ("", ".", ".."):
        return "the path must not have empty, '.' or '..' parts."
    if len(name.encode()) > MAX_NAME_BYTES:
        return f"a part of the path is longer than {MAX_NAME_BYTES} bytes."
    if folds_to_git(name):
        return "the path names git's own folder."
    plain = unicodedata.normalize("NFKC", name).strip()
    if re.match(r"\.\.(?:\W|$)", plain) or not plain.strip(". "):
        return "a part of the path begins like '..', the folder above."
    return ""


def folds_to_git(name: str) -> bool:
    """Whether a file system that folds case or shortens names would take ``name`` for ``.git``."""
    folded = skeleton(name)
    return folded == ".git" or GIT_SHORT_NAME.fullmatch(folded) is not None


def _unportable(name: str) -> str:
    if name.endswith((".", " ")) or name.startswith(" "):
        return "a part of the path begins or ends with a blank, or ends with a dot; Windows would drop it."
    if any(character in '<>:"|?*' for character in name):
        return 'a part of the path has one of the characters <>:"|?*, which Windows does not take.'
    if name.startswith("-"):
        return "a part of the path begins with a dash; programs would take it for an option."
    if RESERVED.fullmatch(name.casefold()):
        return "a part of the path is a device's name on Windows."
    if SHORT_NAME.fullmatch(name):
        return "a part of the path looks like the short name of another file on Windows."
    if any(unicodedata.category(character) == "Zs" and character != " " for character in name):
        return "the path has a blank that is no ordinary one."
    if any(_mixed(word) for word in WORD.findall(name)):
        return "the path mixes Latin letters with ones of another alphabet that look like them."
    return ""


def _mixed(word: str) -> bool:
    latin = any("a" <= letter <= "z" or "A" <= letter <= "Z" for letter in word)
    return latin and not LOOKALIKES.isdisjoint(word)
