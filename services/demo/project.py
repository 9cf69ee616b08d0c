"""A small project with a real bug: ``split_evenly`` loses cents, and no test notices."""

from pathlib import Path

import pygit2

from services.sample_remote import BRANCH, make_sample_remote

SPLIT = '''\
"""Split amounts among people. All amounts are whole cents."""


def split_evenly(total_cents: int, people: int) -> list[int]:
    """Split an amount into one share per person; shares differ by at most one cent."""
    if people < 1:
        raise ValueError("an amount is split among at least one person")
    share = total_cents // people
    return [share] * people


def split_by_weight(total_cents: int, weights: list[int]) -> list[int]:
    """Split an amount by whole-number weights; the last one takes what rounding leaves."""
    whole = sum(weights)
    shares = [total_cents * weight // whole for weight in weights[:-1]]
    return [*shares, total_cents - sum(shares)]
'''
INVOICE = '''\
"""Invoices and credit notes."""

from dataclasses import dataclass, field

from tally.split import split_evenly


@dataclass
class Line:
    """One line of an invoice; a credit note has negative prices."""

    text: str
    quantity: int
    price_cents: int

    @property
    def cents(self) -> int:
        return self.quantity * self.price_cents


@dataclass
class Invoice:
    """What is to be paid, by one or by several."""

    lines: list[Line] = field(default_factory=list)

    @property
    def total_cents(self) -> int:
        return sum(line.cents for line in self.lines)

    def shares(self, people: int) -> list[int]:
        """What each of several people pays."""
        return split_evenly(self.total_cents, people)
'''
MONEY = '''\
"""Cents as people write them."""


def written(cents: int) -> str:
    """``-1234`` as ``-12.34``."""
    sign = "-" if cents < 0 else ""
    return f"{sign}{abs(cents) // 100}.{abs(cents) % 100:02d}"
'''
TEST_SPLIT = """\
import unittest

from tally.split import split_by_weight, split_evenly


class SplitEvenly(unittest.TestCase):
    def test_an_even_amount(self):
        self.assertEqual(split_evenly(900, 3), [300, 300, 300])

    def test_nobody_to_split_among(self):
        with self.assertRaises(ValueError):
            split_evenly(900, 0)


class SplitByWeight(unittest.TestCase):
    def test_no_cent_is_lost(self):
        self.assertEqual(sum(split_by_weight(1000, [1, 1, 1])), 1000)
"""
TEST_INVOICE = """\
import unittest

from tally.invoice import Invoice, Line
from tally.money import written


class Invoices(unittest.TestCase):
    def test_the_total_adds_up(self):
        self.assertEqual(Invoice([Line("Tea", 2, 350), Line("Cake", 1, 420)]).total_cents, 1120)

    def test_shares_of_an_even_total(self):
        self.assertEqual(Invoice([Line("Tea", 2, 350)]).shares(2), [350, 350])

    def test_negative_amounts_are_written_with_a_sign(self):
        self.assertEqual(written(-1234), "-12.34")
"""
RECIPE = """\
checks:
  - name: tests
    command: python3 -B -m unittest discover -s tests -t .
    timeout_seconds: 60
"""
FILES = {
    ".gitignore": "__pycache__/\n*.pyc\n",
    ".patchwright.yaml": RECIPE,
    "README.md": "# Tally\n\nInvoices, and who pays what. Run the tests with `python3 -m unittest discover -s tests -t .`\n",
    "tally/__init__.py": '"""Invoices, and who pays what."""\n',
    "tally/invoice.py": INVOICE,
    "tally/money.py": MONEY,
    "tally/split.py": SPLIT,
    "tests/__init__.py": "",
    "tests/test_invoice.py": TEST_INVOICE,
    "tests/test_split.py": TEST_SPLIT,
}
TICKET = {
    "title": "Splitting an invoice loses cents",
    "description": "Three people share an invoice of 10.00 and pay 3.33 each: one cent is missing from the books. "
    "Accounting needs the shares to add up to the total, for invoices and for credit notes (negative totals).",
    "acceptance_criteria": ["the shares add up to the total", "shares differ by at most one cent", "credit notes are split, too"],
    "constraints": ["the signature of split_evenly stays as it is"],
    "kind": "bugfix",
}


def make_remote(path: Path) -> str:
    """Make the project's remote, a bare repository; the id of its only commit."""
    return make_sample_remote(path, FILES, ("Tess Tally", "tess@example.com"), "Invoices, and who pays what")



def commits_between(path: Path, base: str, branch: str) -> list[str]:
    """Full ids of the commits that a branch of the remote has above ``base``, oldest first; empty without the branch."""
    repository = pygit2.Repository(str(path))
    head = repository.references.get(f"refs/heads/{branch}")
    if head is None:
        return []
    walk = repository.walk(head.target, pygit2.enums.SortMode.TOPOLOGICAL | pygit2.enums.SortMode.REVERSE)
    walk.hide(base)
    return [str(commit.id) for commit in walk]


def tip(path: Path, branch: str = BRANCH) -> str:
    """The commit a branch of the remote points at."""
    return str(pygit2.Repository(str(path)).references[f"refs/heads/{branch}"].target)
