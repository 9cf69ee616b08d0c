"""Code says which step of a plan covers which file: what none covers needs a person, and what is ordinary needs none."""

import time

import pytest

from contracts.change import ChangedFile, FileStatus
from contracts.plan import ChangePlan, PlannedEdit, plan_problems
from contracts.plan_cover import CoveredFile, covered, left_outside, scope_problem
from contracts.policy import OutsidePlan, Policy

PLAN = ChangePlan(
    goal="g",
    edits=tuple(
        PlannedEdit(path=path)
        for path in (
            "src/shop/cart.py", "docs", "web/Cart.tsx", "services/api/package.json", "migrations/*.sql", "go.mod",
            "lib/pay/__init__.py",
        )
    ),
    tests=("tests/test_checkout.py::test_one", "./tests/b.py", "tests/e2e/**"),
)  # fmt: skip
STRICT = Policy(max_unplanned_files=0, max_unplanned_lines=0)


def changed(path: str, status: FileStatus = FileStatus.MODIFIED, old_path: str = "", added: int = 1) -> ChangedFile:
    return ChangedFile(path=path, status=status, old_path=old_path, added=added)


def of(path: str, *rest: object) -> CoveredFile:
    return covered([changed(path, *rest)], PLAN)[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(("path", "steps", "how"), [
    ("src/shop/cart.py", (1,), "named by the plan"),
    ("docs/new/page.md", (2,), "in a folder that the plan names"),
    ("migrations/0007.sql", (5,), "matched by a pattern of the plan"),
    ("tests/test_checkout.py", (), "a test that the plan names"),
    ("tests/b.py", (), "a test that the plan names"),
    ("tests/e2e/deep/flow.py", (), "a test that the plan names"),
    ("tests/shop/test_cart.py", (1,), "test of a file that the plan names"),
    ("src/shop/test_cart.py", (1,), "test of a file that the plan names"),
    ("tests/test_shop_cart.py", (1,), "test of a file that the plan names"),
    ("tests/test_pay.py", (7,), "test of a file that the plan names"),
    ("web/Cart.test.ts", (3,), "test of a file that the plan names"),
    ("web/__tests__/cart.spec.tsx", (3,), "test of a file that the plan names"),
    ("web/__snapshots__/Cart.test.tsx.snap", (3,), "snapshot of a test of the plan"),
    ("services/api/package-lock.json", (4,), "lock file of a manifest that the plan names"),
    ("pnpm-lock.yaml", (4,), "lock file of a manifest that the plan names"),
    ("go.sum", (6,), "lock file of a manifest that the plan names"),
])  # fmt: skip
def test_a_step_covers_its_file_and_what_comes_with_it(path: str, steps: tuple[int, ...], how: str) -> None:
    found = of(path)
    assert (found.steps, found.how, found.outside) == (steps, how, ())


@pytest.mark.parametrize("path", [
    "src/shop/cart.pyc", "docs2/page.md", "src/shop/Cart.py", "src/shop", "src/shop/cart.py/x"[:-2] + "2",
    "migrations/deep/0007.sql", "migrations/0007.sql.sh",
    "deploy/test_cart.py",  # neither beside it nor among tests
    "tests/test_cart.sh", "tests/test_cart.rb",  # of another language
    "tests/test_other.py", "tests/conftest.py", "conftest.py",
    "services/web/package-lock.json", "services/api/yarn.lock.sh", "uv.lock", "services/api/deep/package-lock.json",
    "web/__snapshots__/Other.test.tsx.snap", "__snapshots__/x.snap", "src/shop/__snapshots__/run.sh",
    "tests/e2e", "", "docs/../src/other.py"[5:],
])  # fmt: skip
def test_a_name_that_only_looks_like_a_planned_one_is_outside(path: str) -> None:
    assert of(path).outside == (path,)


def test_a_rename_touches_two_paths() -> None:
    renamed = FileStatus.RENAMED
    assert of("src/shop/basket.py", renamed, "src/shop/cart.py").outside == (), "within its folder it is the same step"
    assert of(".husky/pre-commit", renamed, "src/shop/cart.py").outside == (".husky/pre-commit",)
    assert of("src/shop/cart.py", renamed, "src/shop/secrets.py").outside == ("src/shop/secrets.py",), "it takes that one away"
    assert of("a.py", renamed, "b.py").outside == ("a.py", "b.py")
    assert of("docs/cart.py", FileStatus.COPIED, "src/other.py").outside == (), "a copy leaves the old one as it is"


def test_an_empty_package_file_comes_with_what_it_is_for() -> None:
    added = FileStatus.ADDED
    assert of("src/shop/__init__.py", added, "", 0).outside == ()
    assert of("tests/e2e/__init__.py", added, "", 0).outside == ()
    assert of("src/shop/__init__.py", added, "", 1).outside, "with a line in it it does something"
    assert of("src/shop/__init__.py", FileStatus.MODIFIED, "", 0).outside
    assert of("other/__init__.py", added, "", 0).outside


def problem(policy: Policy, approved: bool = False, allowed: tuple[str, ...] = (), *files: ChangedFile) -> str:
    given = files or (changed("src/b.py", added=5), changed("src/c.py", added=5), changed("src/shop/cart.py", added=9_000))
    return scope_problem(covered(given, PLAN), policy, approved, allowed)


def test_without_an_approved_plan_the_budget_is_how_far_a_change_may_go_before_a_person_is_asked() -> None:
    assert problem(Policy(max_unplanned_files=2, max_unplanned_lines=10)) == ""
    assert "src/b.py, src/c.py" in problem(Policy(max_unplanned_files=1, max_unplanned_lines=10))
    assert "with 10 changed lines (9 are allowed)" in problem(Policy(max_unplanned_lines=9))


def test_a_person_s_yes_to_the_plan_is_none_to_a_path_outside_it() -> None:
    asked = problem(Policy(), True)
    assert "2 files that no step of the plan covers with 10 changed lines: src/b.py, src/c.py." in asked
    assert "approved the plan" in asked


def test_halt_allows_nothing_and_allow_asks_nobody() -> None:
    assert problem(Policy(outside_plan=OutsidePlan.HALT))
    assert problem(Policy(outside_plan=OutsidePlan.ALLOW, max_unplanned_files=0), True) == ""


def test_what_a_person_allowed_is_not_asked_again_and_what_joined_it_is() -> None:
    assert problem(STRICT, True, ("src/b.py", "src/c.py")) == ""
    assert "1 file" in problem(STRICT, True, ("src/b.py",))
    files = covered([changed("src/b.py"), changed("x.py", FileStatus.RENAMED, "y.py")], PLAN)
    assert left_outside(files, ("src/b.py", "x.py")) == ["y.py"]


def test_a_plan_that_could_be_anything_is_no_plan() -> None:
    for path in ("**", "*", "**/*.py", "*.md", "?/a.py"):
        assert "could be anything" in plan_problems(ChangePlan(goal="g", edits=(PlannedEdit(path=path),)), Policy())[0]
    assert plan_problems(ChangePlan(goal="g", edits=(PlannedEdit(path="migrations/*.sql"),)), Policy()) == []


def test_mapping_stays_quick_whatever_a_model_writes() -> None:
    stars = ChangePlan(goal="g", edits=tuple(PlannedEdit(path=f"a{number}/" + "*a" * 150) for number in range(500)))
    few = ChangePlan(goal="g", edits=tuple(PlannedEdit(path=f"a/**a**a{number}") for number in range(500)))
    files = [changed("a/" + "a" * 200 + f"/{number}") for number in range(200)]
    began = time.monotonic()
    assert all(file.outside for file in covered(files, stars))
    covered(files, few)
    assert time.monotonic() - began < 20


ORDINARY = [
    (("src/a/parser.py",), (), ("src/a/parser.py", "tests/a/test_parser.py")),
    (("pkg/io.go",), (), ("pkg/io.go", "pkg/io_test.go")),
    (("src/main/java/x/Cart.java",), (), ("src/main/java/x/Cart.java", "src/test/java/x/CartTest.java")),
    (("lib/cart.rb",), (), ("lib/cart.rb", "spec/cart_spec.rb")),
    (("Cargo.toml", "src/lib.rs"), (), ("Cargo.toml", "Cargo.lock", "src/lib.rs")),
    (("pyproject.toml",), (), ("pyproject.toml", "uv.lock", "poetry.lock")),
    (("requirements.in",), (), ("requirements.in", "requirements.txt")),
    (("src/new/thing.py",), (), ("src/new/__init__.py", "src/new/thing.py", "tests/test_thing.py")),
    (("web/src/index.ts",), ("web/src/app.test.ts",), ("web/src/index.ts", "web/src/app.test.ts")),
    (("docs/guide.md", "README.md"), (), ("docs/guide.md", "README.md")),
]


@pytest.mark.parametrize(("edits", "tests", "files"), ORDINARY)
def test_an_ordinary_change_has_nothing_outside(edits: tuple[str, ...], tests: tuple[str, ...], files: tuple[str, ...]) -> None:
    plan = ChangePlan(goal="g", edits=tuple(PlannedEdit(path=path) for path in edits), tests=tests)
    made = [changed(path, FileStatus.ADDED, added=0 if path.endswith("__init__.py") else 3) for path in files]
    assert left_outside(covered(made, plan)) == []
