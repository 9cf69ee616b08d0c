"""The patch matcher: what fits one place is applied there exactly, everything else changes nothing and says why."""

import difflib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import InvalidInput
from mcp_servers.fs.patch_matching import patched
from mcp_servers.fs.patch_syntax import Deed, parse_patch
from mcp_servers.fs.text_file import TextFile, decoded

SHOP = """\
class Cart:
    def total(self):
        return sum(self.items)

    def count(self):
        return len(self.items)


class Basket:
    def total(self):
        return sum(self.items)
"""


def apply(old: str, body: str) -> str:
    text = f"*** Begin Patch\n*** Update File: shop.py\n{body}\n*** End Patch"
    (patch,) = parse_patch(text)
    return patched(patch, TextFile(old)).text


def apply_unified(old: str, diff: str) -> str:
    (patch,) = parse_patch(diff)
    return patched(patch, TextFile(old)).text


def refusal(old: str, body: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        apply(old, body)
    return caught.value.message


def test_a_hunk_that_fits_one_place_is_applied_there():
    new = apply(SHOP, "@@\n     def count(self):\n-        return len(self.items)\n+        return 0")
    assert new == SHOP.replace("len(self.items)", "0")


def test_an_ambiguous_context_is_refused_and_names_the_candidate_lines():
    told = refusal(SHOP, "@@\n     def total(self):\n-        return sum(self.items)\n+        return 0")
    assert "Hunk 1 of shop.py fits 2 places (lines 2, 10)" in told
    assert "Nothing was changed" in told


def test_an_anchor_chooses_between_equal_places():
    hunk = "\n     def total(self):\n-        return sum(self.items)\n+        return 0"
    assert apply(SHOP, f"@@ class Basket:{hunk}").splitlines()[2] == "        return sum(self.items)"
    assert apply(SHOP, f"@@ class Basket:{hunk}").splitlines()[10] == "        return 0"
    assert apply(SHOP, f"@@ class Cart:{hunk}").splitlines()[2] == "        return 0"
    assert apply(SHOP, f"@@ class Cart:{hunk}").splitlines()[10] == "        return sum(self.items)"


def test_nested_anchors_are_followed_from_the_outside_in():
    new = apply(SHOP, "@@ class Basket:\n@@     def total(self):\n-        return sum(self.items)\n+        return 1")
    assert new.splitlines()[10] == "        return 1"
    assert new.splitlines()[2] == "        return sum(self.items)"


def test_an_anchor_that_is_no_line_of_the_file_is_refused_with_similar_lines():
    told = refusal(SHOP, "@@ class Caart:\n-        return len(self.items)\n+        return 0")
    assert "no line is its anchor '@@ class Caart:'" in told
    assert "1\tclass Cart:" in told


def test_an_anchor_that_leaves_two_places_is_still_ambiguous():
    old = "def f():\n    a()\n    x()\n    a()\n    y()\n"
    assert "fits 2 places (lines 2, 4)" in refusal(old, "@@ def f():\n-    a()\n+    b()")


def test_braces_on_their_own_line_do_not_end_the_block_of_an_anchor():
    old = "int f()\n{\n    return 1;\n}\nint g()\n{\n    return 1;\n}\n"
    assert apply(old, "@@ int f()\n-    return 1;\n+    return 2;") == old.replace("1", "2", 1)


def test_lines_that_stand_only_above_the_anchor_are_refused():
    told = refusal(SHOP, "@@ class Basket:\n-        return len(self.items)\n+        return 0")
    assert "above its anchor" in told


def test_an_unmatched_context_is_refused_with_the_nearest_lines():
    told = refusal(SHOP, "@@\n     def count(self):\n-        return length(self.items)\n+        return 0")
    assert "'        return length(self.items)' where line 6 is '        return len(self.items)'" in told
    assert "5\t    def count(self):" in told


def test_a_difference_of_white_space_is_named_as_such():
    assert "white space only" in refusal(SHOP, "@@\n     def count(self):\n-      return len(self.items)\n+        return 0")


def test_a_hunk_without_context_is_refused():
    assert "has no context" in refusal(SHOP, "@@\n+import os")


def test_a_gap_before_the_next_part_is_no_context():
    old = "a\nb\n\nc\n"
    assert apply(old, "@@\n-b\n+B\n\n\n") == "a\nB\n\nc\n"
    assert "has no context" in refusal(old, "@@\n+new\n\n")


def test_an_empty_line_without_sign_counts_as_context():
    assert apply("a\n\nb\na\nb\n", "@@\n a\n\n-b\n+B") == "a\n\nB\na\nb\n"


def test_hunks_may_share_context_lines():
    old = "1\n2\n3\n4\n5\n"
    assert apply(old, "@@\n 1\n-2\n+two\n 3\n@@\n 3\n-4\n+four\n 5") == "1\ntwo\n3\nfour\n5\n"


def test_hunks_that_change_the_same_line_are_refused():
    assert "change the same lines" in refusal("1\n2\n3\n", "@@\n 1\n-2\n+a\n@@\n-2\n+b\n 3")


def test_hunks_need_not_be_in_order():
    assert apply("1\n2\n3\n", "@@\n-3\n+three\n@@\n-1\n+one") == "one\n2\nthree\n"


def test_end_of_file_chooses_the_last_of_equal_places():
    assert apply("a\nb\na\n", "@@\n-a\n+z\n*** End of File") == "a\nb\nz\n"
    assert "the file ends at line 2" in refusal("a\nb\n", "@@\n-a\n+z\n*** End of File")


def test_crlf_files_match_and_stay_crlf():
    assert apply("a\r\nb\r\nc\r\n", "@@\n a\n-b\n+x\n+y\n c") == "a\r\nx\r\ny\r\nc\r\n"


def test_lf_files_stay_lf_when_the_patch_came_with_crlf():
    text = "*** Begin Patch\r\n*** Update File: f\r\n@@\r\n-a\r\n+b\r\n*** End Patch\r\n"
    assert patched(parse_patch(text)[0], TextFile("a\n")).text == "b\n"


def test_a_file_with_mixed_endings_keeps_each_lines_ending():
    assert apply("a\r\nb\nc\r\n", "@@\n-b\n+B") == "a\r\nB\nc\r\n"


@pytest.mark.parametrize(("old", "new"), [("a\nb", "a\nB"), ("a\nb\n", "a\nB\n")])
def test_the_end_of_the_file_stays_as_it_was(old: str, new: str):
    assert apply(old, "@@\n a\n-b\n+B") == new


def test_a_line_added_behind_a_missing_newline_does_not_join_it():
    assert apply("a\nb", "@@\n b\n+c") == "a\nb\nc"


def test_a_patch_that_was_cut_off_is_refused():
    with pytest.raises(InvalidInput, match="cut off"):
        parse_patch("*** Begin Patch\n*** Update File: a\n@@\n-a\n+b")


@pytest.mark.parametrize(("text", "told"), [
    ("", "not a patch"), ("hello", "not a patch"), ("*** Begin Patch\n*** End Patch", "names no file"),
    ("*** Begin Patch\n*** Update File: a\n*** End Patch", "no hunk"),
    ("*** Begin Patch\n*** Update File: a\n@@\n-a\nb\n*** End Patch", "starts with 'b'"),
    ("*** Begin Patch\n*** Add File: a\nhello\n*** End Patch", "starts with '\\+'"),
    ("*** Begin Patch\n*** Add File: a\n+x\n*** Delete File: a\n*** End Patch", "twice"),
    ("*** Begin Patch\nUpdate a\n*** End Patch", "was expected"),
    ("*** Begin Patch\n*** Update File: a\n@@ class A\n*** End Patch", "no lines below"),
    ("--- a/x\n+++ b/x\n", "no hunk"), ("diff --git a/x b/x\nold mode 100644\nnew mode 100755\n", "mode alone"),
    ("diff --git a/x b/x\nGIT binary patch\n", "binary"),
])
def test_a_malformed_patch_says_what_is_wrong(text: str, told: str):
    with pytest.raises(InvalidInput, match=told):
        parse_patch(text)


def test_an_envelope_may_hold_several_files_and_deeds():
    patches = parse_patch("```\n*** Begin Patch\n*** Add File: new.txt\n+one\n+\n+two\n\n*** Delete File: old.txt\n"
                          "*** Update File: a b.txt\n*** Move to: c.txt\n@@\n-x\n+y\n*** End Patch\n```")
    assert [(p.deed, p.path, p.move_to) for p in patches] == [
        (Deed.ADD, "new.txt", ""), (Deed.DELETE, "old.txt", ""), (Deed.UPDATE, "a b.txt", "c.txt")]
    assert patches[0].content == "one\n\ntwo\n"


def test_two_updates_of_one_file_become_one():
    (patch,) = parse_patch("*** Begin Patch\n*** Update File: a\n@@\n-1\n+one\n*** Update File: a\n@@\n-2\n+two\n*** End Patch")
    assert patched(patch, TextFile("1\n2\n")).text == "one\ntwo\n"


def test_a_git_diff_names_adds_deletes_and_renames():
    patches = parse_patch(
        'diff --git a/x.sh b/x.sh\nnew file mode 100755\nindex 0..1\n--- /dev/null\n+++ b/x.sh\n@@ -0,0 +1 @@\n+echo\n'
        'diff --git a/old b/old\ndeleted file mode 100644\n--- a/old\n+++ /dev/null\n@@ -1 +0,0 @@\n-bye\n'
        'diff --git a/p b/q\nsimilarity index 100%\nrename from p\nrename to q\n'
        'diff --git a/empty b/empty\nnew file mode 100644\nindex 0..0\n'
        'diff --git "a/\\303\\251.txt" "b/\\303\\251.txt"\n--- "a/\\303\\251.txt"\n+++ "b/\\303\\251.txt"\n@@ -1 +1 @@\n-a\n+b\n')
    assert [(p.deed.value, p.path, p.move_to, p.executable) for p in patches] == [
        ("add", "x.sh", "", True), ("delete", "old", "", False), ("update", "p", "q", False), ("add", "empty", "", False),
        ("update", "é.txt", "", False)]


def test_a_unified_diffs_line_number_chooses_between_equal_places_but_never_moves_a_hunk():
    old = "a\nx\nb\nx\nc\n"
    assert apply_unified(old, "--- a/f\n+++ b/f\n@@ -4 +4 @@\n-x\n+y\n") == "a\nx\nb\ny\nc\n"
    with pytest.raises(InvalidInput, match="fits 2 places"):
        apply_unified(old, "--- a/f\n+++ b/f\n@@ -3 +3 @@\n-x\n+y\n")


def test_an_empty_context_line_at_the_end_of_a_diff_is_context():
    assert apply_unified("\n", "--- a/f\n+++ b/f\n@@ -1 +1,2 @@\n+a\n \n") == "a\n\n"


def test_blanks_behind_the_end_of_an_envelope_do_no_harm():
    assert len(parse_patch("*** Begin Patch\n*** Delete File: a\n*** End Patch\n \n")) == 1


def test_a_unified_diff_without_prefixes_keeps_folders_named_a():
    (patch,) = parse_patch("--- a/f.txt\n+++ a/f.txt\n@@ -1 +1 @@\n-x\n+y\n")
    assert (patch.path, patch.move_to) == ("a/f.txt", "")


def test_removed_lines_that_begin_with_dashes_are_no_file_header():
    old = "-- one\ntwo\n-- three\n"
    diff = "--- a/f\n+++ b/f\n@@ -1,3 +1,3 @@\n--- one\n+++ uno\n two\n--- three\n+++ tres\n"
    assert apply_unified(old, diff) == "++ uno\ntwo\n++ tres\n"


LINES = st.lists(st.sampled_from(["", "a", "b", "  a", "}", "é", "\tx", "-- q", "@@ z", "+p", "*** End"]), max_size=12)


@settings(max_examples=300, deadline=None)
@given(old=LINES, new=LINES, old_ends=st.booleans(), new_ends=st.booleans())
def test_what_difflib_says_is_different_is_what_a_unified_diff_changes(old, new, old_ends, new_ends):
    before, after = "\n".join(old) + ("\n" if old_ends and old else ""), "\n".join(new) + ("\n" if new_ends and new else "")
    diff = git_style_diff(before, after)
    if not diff or not before:
        return
    assert apply_unified(before, diff) == after


@settings(max_examples=300, deadline=None)
@given(old=LINES.filter(bool), new=LINES, crlf=st.booleans())
def test_an_envelope_patch_either_makes_the_new_file_or_is_refused(old, new, crlf):
    """With the whole file as context every patch is unique, so it must apply; and CRLF survives."""
    ending = "\r\n" if crlf else "\n"
    before, after = "".join(line + ending for line in old), "".join(line + ending for line in new)
    body = "\n".join(line[0] + line[2:] for line in difflib.ndiff(old, new) if line[0] in " -+")
    if before == after:
        return
    text = f"*** Begin Patch\n*** Update File: f\n@@\n{body}\n*** End Patch"
    assert patched(parse_patch(text)[0], TextFile(before)).text == after


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_no_text_makes_the_parser_crash(text):
    envelope = f"*** Begin Patch\n*** Update File: f\n{text}\n*** End Patch"
    for candidate in (text, envelope, f"--- a/f\n+++ b/f\n@@ -1 +1 @@\n{text}"):
        try:
            for patch in parse_patch(candidate):
                patched(patch, TextFile("a\nb\n"))
        except InvalidInput:
            pass


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40))
def test_every_file_decodes_and_encodes_to_the_same_bytes(content):
    file = decoded(content)
    assert file.encoded("f") == content
    assert "".join(line.text + line.ending for line in file.lines) == file.text


def git_style_diff(before: str, after: str) -> str:
    mark = "\\ No newline at end of file\n"
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    lines = difflib.unified_diff(old, new, "a/f", "b/f", n=3)
    return "".join(line if line.endswith("\n") else f"{line}\n{mark}" for line in lines)
