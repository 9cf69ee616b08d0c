"""Tests that a change removes, skips or loosens, in four languages; and ordinary changes, which are none of that."""

from pathlib import Path

import pygit2
import pytest

from contracts.loosening import LooseningKind as Kind
from contracts.loosening import loosening_problems
from mcp_servers.code_search.loosened import loosened
from mcp_servers.object_store import EMPTY_TREE, Mirrors, NewBlob

PYTHON = """\
import pytest

class TestCart:
    def test_total(self):
        assert total([1, 2]) == 3
        assert total([]) == 0

def test_empty():
    with pytest.raises(ValueError):
        checkout([])
"""
SCRIPT = """\
describe("cart", () => {
  it("adds", () => { expect(total([1, 2])).toBe(3); expect(total([])).toBe(0); });
  test("empty", async () => { await expect(checkout([])).rejects.toThrow(); });
});
"""
GO = """\
package cart

import "testing"

func TestTotal(t *testing.T) {
	if Total(1, 2) != 3 { t.Errorf("no") }
	if Total() != 0 { t.Fatal("no") }
}
"""
JAVA = """\
class CartTest {
    @Test
    void total() { assertEquals(3, Cart.total(1, 2)); assertEquals(0, Cart.total()); }

    @Test
    void empty() { assertThrows(IllegalArgumentException.class, () -> Cart.checkout()); }
}
"""
FILES = {
    "tests/test_cart.py": PYTHON,
    "web/cart.test.ts": SCRIPT,
    "web/cart.test.js": SCRIPT,
    "tests/cart.rs": "#[test]\nfn adds() { assert_eq!(total(&[1, 2]), 3); }\n",
    "spec/cart_spec.rb": "describe 'cart' do\n  it 'adds' do\n    expect(total([1, 2])).to eq(3)\n  end\nend\n",
    "cart/cart_test.go": GO,
    "src/test/java/CartTest.java": JAVA,
    "pyproject.toml": "[tool.coverage.report]\nfail_under = 90\n",
    "Makefile": "test:\n\tpytest -q\n",
    "conftest.py": "import pytest\n",
    "package.json": '{"scripts": {"test": "jest"}, "jest": {"coverageThreshold": {"global": {"branches": 80}}}}\n',
    "tests/data.txt": "1 2\n",
}
LOOSER: list[tuple[str, str, str, Kind]] = [
    ("tests/test_cart.py", "        assert total([]) == 0\n", "", Kind.FEWER_ASSERTS),
    ("tests/test_cart.py", "assert total([]) == 0", "assert True", Kind.FEWER_ASSERTS),
    ("tests/test_cart.py", "assert total([]) == 0", "assert total([]) == 0 or True", Kind.FEWER_ASSERTS),
    ("tests/test_cart.py", "assert total([]) == 0", "print(total([]))", Kind.FEWER_ASSERTS),
    ("tests/test_cart.py", "    with pytest.raises(ValueError):\n        checkout([])", "    pass", Kind.FEWER_ASSERTS),
    ("tests/test_cart.py", "assert total([]) == 0", "assert total([]) is not None", Kind.FEWER_ASSERTS),
    ("tests/test_cart.py", "assert total([1, 2]) == 3", "assert total([1, 2])", Kind.FEWER_ASSERTS),
    ("tests/test_cart.py", "assert total([1, 2]) == 3", "assert isinstance(total([1, 2]), int)", Kind.FEWER_ASSERTS),
    ("tests/test_cart.py", "raises(ValueError)", "raises(Exception)", Kind.FEWER_ASSERTS),
    ("tests/test_cart.py", "        assert total([1", "        return\n        assert total([1", Kind.FEWER_ASSERTS),
    ("tests/test_cart.py", "        assert total([])", "        if False:\n            assert total([])", Kind.FEWER_ASSERTS),
    (
        "tests/test_cart.py",
        "        assert total([]) == 0\n",
        "        try:\n            assert total([]) == 0\n        except AssertionError:\n            pass\n",
        Kind.FEWER_ASSERTS,
    ),
    ("web/cart.test.ts", "expect(total([])).toBe(0)", "expect(total([])).toBeDefined()", Kind.FEWER_ASSERTS),
    ("web/cart.test.js", "expect(total([1, 2])).toBe(3)", "expect(total([1, 2])).not.toBeNull()", Kind.FEWER_ASSERTS),
    ("web/cart.test.js", "expect(total([])).toBe(0);", "try { expect(total([])).toBe(0); } catch (e) {}", Kind.FEWER_ASSERTS),
    ("web/cart.test.js", "=> { expect", "=> { return; expect", Kind.FEWER_ASSERTS),
    ("src/test/java/CartTest.java", "assertEquals(0, Cart.total());", "assertNotNull(Cart.total());", Kind.FEWER_ASSERTS),
    ("src/test/java/CartTest.java", "assertEquals(0, Cart.total());", "if (false) { assertEquals(0, 1); }", Kind.FEWER_ASSERTS),
    ("tests/test_cart.py", "def test_empty", "def check_empty", Kind.REMOVED),
    ("tests/test_cart.py", "def test_empty", "@pytest.mark.skip\ndef test_empty", Kind.SKIPPED),
    ("tests/test_cart.py", "def test_empty", "@pytest.mark.xfail(reason='later')\ndef test_empty", Kind.SKIPPED),
    ("tests/test_cart.py", "class TestCart", "@unittest.skip('x')\nclass TestCart", Kind.SKIPPED),
    ("tests/test_cart.py", "import pytest\n", "import pytest\npytestmark = pytest.mark.skip\n", Kind.SKIPPED),
    ("tests/test_cart.py", "    with pytest", "    pytest.skip('later')\n    with pytest", Kind.SKIPPED),
    ("web/cart.test.ts", " expect(total([])).toBe(0);", "", Kind.FEWER_ASSERTS),
    ("web/cart.test.ts", "expect(total([])).toBe(0)", "expect(true).toBe(true)", Kind.FEWER_ASSERTS),
    ("web/cart.test.ts", 'it("adds"', 'it.skip("adds"', Kind.SKIPPED),
    ("web/cart.test.js", 'it("adds"', 'xit("adds"', Kind.SKIPPED),
    ("web/cart.test.js", "describe(", "describe.skip(", Kind.SKIPPED),
    ("web/cart.test.js", 'test("empty"', 'test.todo("empty"', Kind.SKIPPED),
    ("web/cart.test.js", 'it("adds"', 'it.only("adds"', Kind.SKIPPED),
    ("web/cart.test.js", '  test("empty", async () => { await expect(checkout([])).rejects.toThrow(); });\n', "", Kind.REMOVED),
    ("cart/cart_test.go", 'if Total() != 0 { t.Fatal("no") }', "", Kind.FEWER_ASSERTS),
    ("cart/cart_test.go", "{\n\tif Total(1", "{\n\tt.Skip()\n\tif Total(1", Kind.SKIPPED),
    ("cart/cart_test.go", "func TestTotal", "func testTotal", Kind.REMOVED),
    ("cart/cart_test.go", "package cart", "//go:build never\n\npackage cart", Kind.SKIPPED),
    ("tests/cart.rs", "#[test]", "#[test]\n#[ignore]", Kind.SKIPPED),
    ("spec/cart_spec.rb", "it 'adds'", "xit 'adds'", Kind.SKIPPED),
    ("src/test/java/CartTest.java", " assertEquals(0, Cart.total());", "", Kind.FEWER_ASSERTS),
    ("src/test/java/CartTest.java", "    @Test\n    void empty", "    @Test @Disabled\n    void empty", Kind.SKIPPED),
    ("src/test/java/CartTest.java", "class CartTest", "@Ignore class CartTest", Kind.SKIPPED),
    ("src/test/java/CartTest.java", "    @Test\n    void empty", "    void empty", Kind.REMOVED),
    ("pyproject.toml", "fail_under = 90", "fail_under = 20", Kind.LOWER_THRESHOLD),
    ("pyproject.toml", "fail_under = 90\n", "", Kind.LOWER_THRESHOLD),
    ("package.json", '"branches": 80', '"branches": 10', Kind.LOWER_THRESHOLD),
    ("package.json", '"test": "jest"', '"test": "jest || true"', Kind.FAILURE_IGNORED),
    ("Makefile", "pytest -q", "pytest -q || true", Kind.FAILURE_IGNORED),
    (
        "conftest.py",
        "import pytest\n",
        "def pytest_collection_modifyitems(items):\n    for one in items:\n        one.add_marker(pytest.mark.skip)\n",
        Kind.FAILURE_IGNORED,
    ),
    ("conftest.py", "import pytest\n", "def pytest_sessionfinish(session):\n    session.exitstatus = 0\n", Kind.FAILURE_IGNORED),
    ("Makefile", "\tpytest -q", "\t-pytest -q", Kind.FAILURE_IGNORED),
]
BENIGN: list[tuple[str, str, str]] = [
    ("tests/test_cart.py", "def test_empty", "def test_more():\n    assert total([4]) == 4\n\ndef test_empty"),
    ("tests/test_cart.py", "== 3", "== 4"),
    ("tests/test_cart.py", "== 3", "== 3, 'the sum'"),
    ("tests/test_cart.py", "total([1, 2]) == 3", "3 == total([1, 2])"),
    ("tests/test_cart.py", "total([1, 2]) == 3", "total([1, 2]) == pytest.approx(3)"),
    ("tests/test_cart.py", "raises(ValueError)", "raises(CartError, match='empty')"),
    ("tests/test_cart.py", "        assert total([])", "        if fast:\n            return\n        assert total([])"),
    ("tests/test_cart.py", "assert total([]) == 0", "assert total([]) == 0\n        return"),
    ("web/cart.test.js", "toBe(3)", "toEqual(3)"),
    ("web/cart.test.ts", "expect(total([])).toBe(0)", "expect(total([])).toBe(0), expect(total([])).toBeDefined()"),
    ("tests/test_cart.py", "def test_empty", "def test_an_empty_cart_is_refused"),
    ("tests/test_cart.py", "import pytest\n", "import pytest\n\nfrom cart import total\n"),
    ("web/cart.test.ts", "toBe(3)", "toEqual(3)"),
    ("cart/cart_test.go", 't.Errorf("no")', 't.Fatalf("got %d", Total(1, 2))'),
    ("src/test/java/CartTest.java", "import", "import"),
    ("pyproject.toml", "fail_under = 90", "fail_under = 95"),
    ("Makefile", "pytest -q", "pytest -q --maxfail=1"),
    ("package.json", '"test": "jest"', '"test": "jest", "lint": "eslint ."'),
    ("tests/data.txt", "1 2", "1 2 3"),
]


class Repository:
    def __init__(self, folder: Path) -> None:
        self.mirror = Mirrors(folder).create("shop")
        store = pygit2.Repository(str(self.mirror.path))
        store.TreeBuilder().write()
        self.base = self.mirror.edit_tree(EMPTY_TREE, {path: NewBlob(text.encode()) for path, text in FILES.items()})

    def changed(self, **edits: str | None) -> str:
        return self.mirror.edit_tree(self.base, {p: None if t is None else NewBlob(t.encode()) for p, t in edits.items()})

    def edited(self, path: str, old: str, new: str) -> str:
        assert path.endswith("java") or old in FILES[path]
        return self.changed(**{path: FILES[path].replace(old, new, 1)})


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(tmp_path_factory.mktemp("mirrors"))


@pytest.mark.parametrize(("path", "old", "new", "kind"), LOOSER, ids=[f"{p}-{k}-{n}" for n, (p, _, _, k) in enumerate(LOOSER)])
def test_a_loosened_test_is_found_and_named(shop: Repository, path: str, old: str, new: str, kind: Kind) -> None:
    found = loosened(shop.mirror, shop.base, shop.edited(path, old, new)).found
    assert {one.kind for one in found} == {kind}, found
    assert all(path in problem and "waiver" in problem for problem in loosening_problems(found))


@pytest.mark.parametrize(("path", "old", "new"), BENIGN, ids=[f"{p}-{n}" for n, (p, _, _) in enumerate(BENIGN)])
def test_an_ordinary_change_is_none(shop: Repository, path: str, old: str, new: str) -> None:
    assert loosened(shop.mirror, shop.base, shop.edited(path, old, new)).found == ()


@pytest.mark.parametrize("path", ["tests/test_cart.py", "web/cart.test.ts", "cart/cart_test.go", "tests/data.txt"])
def test_a_deleted_test_file_is_found(shop: Repository, path: str) -> None:
    found = loosened(shop.mirror, shop.base, shop.changed(**{path: None})).found
    assert found and {(one.kind, one.path) for one in found} == {(Kind.REMOVED, path)}


def test_a_moved_test_file_is_none(shop: Repository) -> None:
    moved = shop.changed(**{"tests/test_cart.py": None, "tests/unit/test_cart.py": PYTHON})
    assert loosened(shop.mirror, shop.base, moved).found == ()


def test_a_test_of_the_same_name_elsewhere_does_not_stand_in(shop: Repository) -> None:
    twin = shop.changed(**{"tests/test_twin.py": PYTHON})
    after = shop.mirror.edit_tree(
        twin, {"tests/test_cart.py": None, "tests/test_twin.py": NewBlob(PYTHON.replace("3", "4").encode())}
    )
    assert {one.path for one in loosened(shop.mirror, twin, after).found} == {"tests/test_cart.py"}


def test_one_parametrised_assert_may_stand_for_many(shop: Repository) -> None:
    many = "    @pytest.mark.parametrize(('items', 'sum'), [([1, 2], 3), ([], 0)])\n    def test_total(self, items, sum):\n"
    old = "    def test_total(self):\n        assert total([1, 2]) == 3\n        assert total([]) == 0\n"
    after = shop.edited("tests/test_cart.py", old, f"{many}        assert total(items) == sum\n")
    assert loosened(shop.mirror, shop.base, after).found == ()


def test_a_waiver_lets_one_through_and_no_other(shop: Repository) -> None:
    found = loosened(shop.mirror, shop.base, shop.changed(**{"tests/test_cart.py": None})).found
    assert len(found) == 2
    assert len(loosening_problems(found, frozenset({found[0].fingerprint}))) == 1
    assert loosening_problems(found, frozenset(one.fingerprint for one in found)) == []


def test_hostile_nesting_ends(shop: Repository) -> None:
    deep = "def test_a():\n    assert " + "(" * 5_000 + "1" + ")" * 5_000 + "\n"
    assert loosened(shop.mirror, shop.base, shop.changed(**{"tests/test_deep.py": deep})).found == ()
