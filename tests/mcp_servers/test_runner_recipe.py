"""Recipes: what a repository says, and what is recognised when it says nothing."""

from collections.abc import Mapping
from pathlib import Path

import pygit2
import pytest

from contracts.errors import InvalidInput
from contracts.sandbox import Recipe
from mcp_servers.object_store import EMPTY_TREE, Mirrors, NewBlob
from mcp_servers.runner.recipe import parsed, recipe_for

PROGRAMS = frozenset({"python3", "node", "npm", "make"})


@pytest.fixture
def recipe_of(tmp_path: Path):
    mirror = Mirrors(tmp_path).create("shop")
    pygit2.Repository(str(mirror.path)).TreeBuilder().write()

    def look(files: Mapping[str, str], programs: frozenset[str] = PROGRAMS) -> Recipe:
        tree = mirror.edit_tree(EMPTY_TREE, {path: NewBlob(text.encode()) for path, text in files.items()})
        return recipe_for(mirror, tree, tree, programs)

    return look


def commands(recipe: Recipe) -> dict[str, str]:
    return {check.name: check.command for check in recipe.checks}


def test_python_with_pytest(recipe_of) -> None:
    recipe = recipe_of({"pyproject.toml": "[project]\nname='x'\n", "x.py": "", "tests/test_x.py": "import pytest\n"})
    assert commands(recipe) == {"pytest": "python3 -m pytest -q"} and recipe.recognised == "python (pytest)"


def test_python_with_unittest_only(recipe_of) -> None:
    recipe = recipe_of({"setup.py": "", "tests/__init__.py": "", "tests/test_x.py": "import unittest\n"})
    assert commands(recipe) == {"unittest": "PYTHONPATH=. python3 -m unittest discover -v -s tests -p '*test*.py' -t ."}


def test_a_src_layout_is_on_the_path(recipe_of) -> None:
    recipe = recipe_of({"pyproject.toml": "", "src/x/__init__.py": "", "tests/test_x.py": "def test_x(): pass\n"})
    assert commands(recipe) == {"pytest": "PYTHONPATH=src python3 -m pytest -q"}


def test_tests_without_any_project_file(recipe_of) -> None:
    assert commands(recipe_of({"x.py": "", "test_x.py": "def test_x(): pass\n"})) == {"pytest": "python3 -m pytest -q"}


def test_requirements_are_said_to_be_missing(recipe_of) -> None:
    assert "setup_network" in recipe_of({"requirements.txt": "requests\n", "tests/test_x.py": "import pytest"}).note


def test_node_with_a_test_script(recipe_of) -> None:
    recipe = recipe_of({"package.json": '{"scripts": {"test": "node --test"}}', "x.test.js": ""})
    assert commands(recipe) == {"npm test": "npm test --silent"} and recipe.recognised == "node (npm test)"


def test_node_without_npm_runs_the_script_itself(recipe_of) -> None:
    recipe = recipe_of({"package.json": '{"scripts": {"test": "node --test"}}'}, frozenset({"node", "python3"}))
    assert commands(recipe) == {"node test": "PATH=\"$PWD/node_modules/.bin:$PATH\" sh -c 'node --test'"}


def test_node_with_test_files_only(recipe_of) -> None:
    recipe = recipe_of(
        {"package.json": '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}', "test/a.test.mjs": ""}
    )
    assert commands(recipe) == {"node --test": "node --test"}


def test_node_tests_that_need_packages_are_explained_instead_of_failing(recipe_of) -> None:
    recipe = recipe_of(
        {"package.json": '{"scripts": {"test": "jest"}, "devDependencies": {"jest": "29"}}', "index.js": "", "index.test.js": ""}
    )
    assert "npm ci" in recipe.note and list(commands(recipe)) == ["syntax"]


def test_a_monorepo_has_a_check_per_package(recipe_of) -> None:
    recipe = recipe_of(
        {
            "README.md": "",
            "packages/api/pyproject.toml": "",
            "packages/api/tests/test_a.py": "import pytest",
            "packages/web ui/package.json": '{"scripts": {"test": "node --test"}}',
            "packages/web ui/a.test.js": "",
            "node_modules/z/package.json": '{"scripts": {"test": "evil"}}',
        }
    )
    assert commands(recipe) == {
        "pytest (packages/api)": "cd packages/api && python3 -m pytest -q",
        "npm test (packages/web ui)": "cd 'packages/web ui' && npm test --silent",
    }


def test_a_makefile_with_a_test_target(recipe_of) -> None:
    assert commands(recipe_of({"Makefile": "test: x\n\techo\n"})) == {"make test": "make test"}


def test_without_tests_the_syntax_is_checked_and_the_note_says_so(recipe_of) -> None:
    recipe = recipe_of({"x.py": "", "y.js": ""})
    assert (
        list(commands(recipe)) == ["syntax"]
        and "compileall" in commands(recipe)["syntax"]
        and "node --check" in commands(recipe)["syntax"]
    )
    assert recipe.note.startswith("No tests were recognised")


def test_nothing_to_check_is_an_empty_recipe_with_a_note(recipe_of) -> None:
    recipe = recipe_of({"README.md": "hello"})
    assert recipe.checks == () and ".patchwright.yaml" in recipe.note and recipe.recognised == ""


def test_broken_project_files_are_survived(recipe_of) -> None:
    recipe = recipe_of({"package.json": "[{", "pyproject.toml": "[[[", "setup.cfg": "=\n[", "tests/test_x.py": "import pytest"})
    assert list(commands(recipe)) == ["pytest"]


def test_a_recipe_file_is_taken_as_it_says(recipe_of) -> None:
    recipe = recipe_of(
        {
            ".patchwright.yaml": (
                "image: example/x:1\nsetup: pip install .\nsetup_network: true\nlock_files: [a.lock]\npaths: ['src/**']\n"
                "checks:\n- make lint\n- name: tests\n  command: make test\n  timeout_seconds: 30\n"
            )
        }
    )
    assert (
        recipe.image == "example/x:1"
        and recipe.setup == ("pip install .",)
        and recipe.setup_network
        and recipe.lock_files == ("a.lock",)
    )
    assert [(c.name, c.timeout_seconds) for c in recipe.checks] == [("make lint", 600), ("tests", 30)]
    assert recipe.recognised == ".patchwright.yaml"


def test_a_recipe_without_checks_still_has_those_that_are_recognised(recipe_of) -> None:
    recipe = recipe_of({".patchwright.yaml": "setup: [make deps]\n", "tests/test_x.py": "import pytest"})
    assert recipe.setup == ("make deps",) and list(commands(recipe)) == ["pytest"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("checks: [", "line"),
        ("- a", "mapping"),
        ("cheks: []", "'cheks'"),
        ("checks: yes", "'checks' must be a list"),
        ("checks: [{name: x}]", "checks[1].command"),
        ("checks: [{name: x, command: y, timeout_seconds: soon}]", "timeout_seconds"),
        ("checks: [{name: x, command: y, when: z}]", "checks[1].when"),
        ("checks: [a, a]", "two checks"),
        ("setup_network: perhaps", "setup_network"),
        ("lock_files: [../x]", "lock_files"),
        ("image: [1]", "image"),
        ("recognised: me", "'recognised'"),
        ("note: me", "'note'"),
        ("a: &a [*a]", "'a'"),
        ("policy: {path: {}}", "policy has an unknown key 'path'"),
        ("policy: {budgets: {max_model_calls: 0}}", "policy: budgets.max_model_calls"),
        ("policy: {tools: {granted: {coder: [push]}}}", "only be set by the organisation"),
        ("!!python/object/apply:os.system [id]", "YAML"),
    ],
)
def test_a_broken_recipe_file_is_told_by_its_key(text: str, words: str) -> None:
    with pytest.raises(InvalidInput, match=r"\.patchwright\.yaml") as told:
        parsed(text.encode())
    assert words in told.value.message


def test_a_repository_says_what_it_wants_of_its_pull_requests() -> None:
    wanted = parsed(b"pull_request:\n  labels: bot\n  reviewers: ['@ada', org/team]\n  draft: false\n").pull_request
    assert (wanted.labels, wanted.reviewers, wanted.draft) == (("bot",), ("ada", "org/team"), False)


@pytest.mark.parametrize(
    "text", ["labels: [1]", "labels: ['a,b']", "labels: ['']", "reviewers: ['a b']", "reviewer: ada", "draft: maybe"]
)
def test_wishes_that_cannot_be_met_are_refused_with_their_key(text: str) -> None:
    with pytest.raises(InvalidInput, match="pull_request"):
        parsed(f"pull_request:\n  {text}\n".encode())


def test_a_repository_names_the_checks_that_it_knows_to_be_flaky() -> None:
    assert parsed(b"quarantine:\n  - e2e (firefox)\n  - nightly *\n").quarantine == ("e2e (firefox)", "nightly *")
    assert parsed(b"quarantine: e2e\n").quarantine == ("e2e",)
    with pytest.raises(InvalidInput, match="quarantine"):
        parsed(b"quarantine:\n  e2e: true\n")
    with pytest.raises(InvalidInput, match="quarantine"):
        parsed(b"quarantine: [1]\n")


def test_a_repository_s_policy_travels_as_it_was_written() -> None:
    assert parsed(b"policy: {paths: {denied: ['db/**']}}\n").policy == {"paths": {"denied": ["db/**"]}}
