"""``search_code``, ``repo_map`` and ``gather_context`` over a small shop whose code answers the questions."""

import pytest

from tests.mcp_servers.code_search_client import Served

SHOP = {
    "README.md": "# Shop\n\nA small shop: catalog, cart, payments, shipping.\n",
    "payments/client.py": '''"""Talks to the payment provider."""
import time

from payments.errors import CardDeclined, ProviderDown

MAX_ATTEMPTS = 3


def charge_with_backoff(provider, card, cents):
    """Try a declined or failing charge again after a growing pause."""
    for attempt in range(MAX_ATTEMPTS):
        try:
            return provider.charge(card, cents)
        except ProviderDown:
            time.sleep(2 ** attempt)
    raise CardDeclined(card)


def void(provider, reference):
    """Give up an authorised amount that was never captured."""
    return provider.void(reference)
''',
    "payments/errors.py": '''"""What goes wrong with the provider."""


class PaymentError(Exception):
    """Any of them."""


class CardDeclined(PaymentError):
    """The bank said no."""


class ProviderDown(PaymentError):
    """Nobody answered."""
''',
    "payments/ledger.py": '''"""Double-entry bookkeeping of what was paid."""


class Ledger:
    def __init__(self):
        self.entries = []

    def book(self, debit, credit, cents):
        """Record one movement between two accounts."""
        self.entries.append((debit, credit, cents))

    def balance_of(self, account):
        return sum(c for d, _, c in self.entries if d == account) - sum(c for _, k, c in self.entries if k == account)
''',
    "accounts/session.py": '''"""Who is logged in."""
import hashlib
import secrets


def hash_password(password, salt):
    """Slow on purpose: scrypt."""
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1)


def sign_in(store, email, password):
    """Open a session for a person who proves who they are."""
    account = store.by_email(email)
    if account is None or account.digest != hash_password(password, account.salt):
        return None
    return store.open_session(account, secrets.token_urlsafe())
''',
    "catalog/listing.py": '''"""Pages of products."""


def page_of_products(products, cursor, size=20):
    """One page and the cursor of the next."""
    start = int(cursor or 0)
    return products[start:start + size], start + size


def slugify(title):
    """A product title as it stands in an address."""
    return "-".join(title.lower().split())
''',
    "cart/discounts.py": '''"""Vouchers."""
from decimal import Decimal


def apply_voucher(cart, voucher):
    """Lower the total by a percentage, never below zero."""
    return max(Decimal(0), cart.total * (100 - voucher.percent) / 100)
''',
    "shipping/labels.py": '''"""Parcel labels."""


def render_label(parcel):
    """The PDF that is glued to a box."""
    return f"%PDF {parcel.recipient}".encode()
''',
    "shipping/rates.py": '''"""What a parcel costs."""


def quote(parcel, zones):
    """Cheapest carrier by weight and zone."""
    return min(zone.base + zone.per_kilo * parcel.kilos for zone in zones)
''',
    "jobs/cron.py": '''"""Things that run at night."""


def purge_stale_carts(carts, now):
    """Forget carts nobody touched for thirty days."""
    return [cart for cart in carts if (now - cart.touched).days < 30]
''',
    "web/static/cart.js": '''// The basket in the browser.
export function addToCart(item, quantity = 1) {
  return fetch("/cart", { method: "POST", body: JSON.stringify({ item, quantity }) });
}

export const formatMoney = (cents) => `${(cents / 100).toFixed(2)} EUR`;
''',
    "web/limits.go": '''package web

// Allow says whether a caller stays below so many calls a second.
func (b *TokenBucket) Allow(caller string) bool { return b.take(caller) }

type TokenBucket struct { tokens map[string]int }
''',
    "vendor/stripe/client.py": '''def charge(card):
    """retry failed payment charge"""
    return retry(charge, failed=True, payment=card)
''',
    "tests/test_client.py": '''from payments.client import charge_with_backoff


def test_a_failed_payment_charge_is_retried():
    assert charge_with_backoff(None, None, 1)
''',
    "tests/test_session.py": '''from accounts.session import sign_in


def test_sign_in():
    assert sign_in(None, "", "") is None
''',
}
QUESTIONS = {
    "retry failed payment charge": "payments/client.py",
    "charge_with_backoff": "payments/client.py",
    "chargeWithBackoff": "payments/client.py",
    "where is the user login checked": "accounts/session.py",
    "password hashing": "accounts/session.py",
    "pagination of the product list": "catalog/listing.py",
    "coupon code reduces the price": "cart/discounts.py",
    "delete expired baskets": "jobs/cron.py",
    "rate limit requests per caller": "web/limits.go",
    "format money amount in euro": "web/static/cart.js",
    "add item to cart": "web/static/cart.js",
    "generate the pdf for a package": "shipping/labels.py",
    "shipping cost by weight": "shipping/rates.py",
    "bookkeeping balance of an account": "payments/ledger.py",
    "exception when the bank declines a card": "payments/errors.py",
    "test of sign in": "tests/test_session.py",
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return Served(tmp_path_factory.mktemp("shop"), SHOP)


@pytest.mark.parametrize(("question", "expected"), QUESTIONS.items())
async def test_a_question_finds_its_file_among_the_first_three(shop, question, expected):
    found = await shop.data("search_code", query=question, limit=10)
    assert expected in list(dict.fromkeys(result["path"] for result in found["results"]))[:3]


async def test_the_first_answer_to_a_question_in_words_is_the_function_and_says_why(shop):
    text = await shop.text("search_code", query="retry failed payment charge")
    first = text.split("\n\n")[0]
    assert first.startswith("1. payments/client.py:9-16  function charge_with_backoff")
    assert "matches name: " in first and "charge" in first
    assert "     9: def charge_with_backoff(provider, card, cents):" in first


async def test_vendored_code_comes_after_our_own_although_it_has_every_word(shop):
    found = await shop.data("search_code", query="retry failed payment charge")
    paths = [result["path"] for result in found["results"]]
    assert paths.index("payments/client.py") < paths.index("vendor/stripe/client.py")


async def test_a_query_without_words_says_what_to_send(shop):
    assert "no words" in await shop.refusal("search_code", query="?!")


async def test_the_map_keeps_its_budget_and_names_what_others_use(shop):
    for budget in (100, 150, 400, 1_000):
        text = await shop.text("repo_map", token_budget=budget)
        assert len(text.encode()) <= budget * 4
    assert "payments/client.py" in text and "def charge_with_backoff(provider, card, cents)" in text
    assert text.index("payments/errors.py") < text.index("shipping/labels.py")


async def test_the_focus_draws_the_map(shop):
    plain = await shop.data("repo_map", token_budget=1_000)
    drawn = await shop.data("repo_map", token_budget=1_000, focus=["shipping/labels.py"])
    by_name = await shop.data("repo_map", token_budget=1_000, focus=["apply_voucher"])
    assert plain["files"][0]["path"] not in ("shipping/labels.py", "cart/discounts.py")
    assert drawn["files"][0]["path"] == "shipping/labels.py"
    assert by_name["files"][0]["path"] == "cart/discounts.py"


async def test_the_context_of_an_edit_has_map_file_tests_and_related_code_within_the_budget(shop):
    asked = {"query": "retry failed payment charge", "paths": ["payments/client.py", "payments/refunds.py"]}
    data = await shop.data("gather_context", **asked, token_budget=2_000)
    text = data["text"]
    assert text == await shop.text("gather_context", **asked, token_budget=2_000)
    assert len(text.encode()) <= 2_000 * 4
    assert text.startswith("Map of 15 files")
    assert "== payments/client.py (whole file, 21 lines)" in text and "raise CardDeclined(card)" in text
    assert "== payments/refunds.py: not there yet." in text
    assert "tests/test_client.py (mentions charge_with_backoff)" in text
    assert {"payments/client.py", "tests/test_client.py"} <= set(data["files"])


async def test_a_tight_context_shows_outline_and_the_matching_part_of_a_large_file(tmp_path):
    filler = "\n".join(f"def filler_{n}(value):\n    first = value + {n}\n    return first * {n}\n\n" for n in range(300))
    large = Served(tmp_path, {"big.py": f"{filler}\ndef refund_order(order):\n    return order.total\n"})
    data = await large.data("gather_context", query="refund an order", paths=["big.py"], token_budget=5_000)
    assert len(data["text"].encode()) <= 5_000 * 4
    assert "-- big.py:1501-1502" in data["text"] and "return order.total" in data["text"]
