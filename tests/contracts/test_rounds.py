"""Rounds that change back what earlier ones changed are seen; honest work is not taken for a circle."""

from contracts.rounds import Round, goes_back, round_of

BLOBS = {name: name * 40 for name in "0abcdef"}


def diff(path: str, before: str, after: str, *lines: str) -> str:
    old = sum(line[0] in "- " for line in lines)
    new = sum(line[0] in "+ " for line in lines)
    names = ("/dev/null" if before == "0" else f"a/{path}", "/dev/null" if after == "0" else f"b/{path}")
    head = f"diff --git a/{path} b/{path}\nindex {BLOBS[before]}..{BLOBS[after]} 100644\n--- {names[0]}\n+++ {names[1]}\n"
    return head + f"@@ -1,{old} +1,{new} @@\n" + "\n".join(lines) + "\n"


def made(number: int, *parts: str) -> Round:
    return round_of(f"p{number}", f"p{number + 1}", "".join(parts))


FIRST = made(1, diff("a.py", "a", "b", "-timeout = 30", "+timeout = 60", " x"))


def test_the_same_lines_changed_back_are_a_circle_though_others_changed_too() -> None:
    second = made(2, diff("a.py", "b", "c", "-timeout = 60", "+timeout = 30", "+retries = 3", " x"))
    assert goes_back([FIRST], second) == ("a.py",)


def test_a_content_that_was_published_before_is_a_circle() -> None:
    second = made(2, diff("a.py", "b", "c", "-one thing", "+another thing"))
    assert goes_back([FIRST, second], made(3, diff("a.py", "c", "b", "-another", "+one"))) == ("a.py",)
    assert goes_back([FIRST], made(2, diff("a.py", "b", "a", "-q", "+w"))) == ("a.py",)


def test_a_file_that_was_made_and_is_deleted_again_is_a_circle() -> None:
    first = made(1, diff("new.py", "0", "d", "+something new"))
    assert goes_back([first], made(2, diff("new.py", "d", "0", "-something new"))) == ("new.py",)


def test_further_work_on_the_same_lines_is_none() -> None:
    assert goes_back([FIRST], made(2, diff("a.py", "b", "c", "-timeout = 60", "+timeout = 90", " x"))) == ()
    assert goes_back([FIRST], made(2, diff("b.py", "b", "c", "-timeout = 60", "+timeout = 30", " x"))) == ()
    assert goes_back([], FIRST) == ()


def test_braces_and_moved_lines_are_none() -> None:
    first = made(1, diff("a.py", "a", "b", "-}", "-moved along", "+{", "+moved along", "+fresh words"))
    assert goes_back([first], made(2, diff("a.py", "b", "c", "-{", "-moved along", "+}", "+moved along", "+other words"))) == ()


def test_attempts_at_the_same_round_are_none_and_only_the_last_of_them_is_remembered() -> None:
    attempt = made(2, diff("a.py", "b", "c", "-retries = 1", "+retries = 2"))
    again = made(2, diff("a.py", "b", "d", "-retries = 2", "+retries = 1"))
    assert goes_back([FIRST, attempt], again) == ()
    assert goes_back([attempt, again], made(3, diff("a.py", "d", "e", "-retries = 1", "+retries = 2"))) == ("a.py",)


def test_lines_that_look_like_headers_are_lines() -> None:
    first = made(1, diff("a.sql", "a", "b", "--- select one", "+++ select two"))
    assert goes_back([first], made(2, diff("a.sql", "b", "c", "--- x", "-++ select two", "+-- select one"))) == ("a.sql",)
    assert [file.path for file in first.files] == ["a.sql"]


def test_a_small_share_of_a_large_round_is_none() -> None:
    many = [f"-old line {n}" for n in range(20)] + [f"+new line {n}" for n in range(20)]
    first = made(1, diff("a.py", "a", "b", *many))
    assert goes_back([first], made(2, diff("a.py", "b", "c", "-new line 1", "+old line 1"))) == ()
