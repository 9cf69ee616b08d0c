"""What our fake GitHub sends by webhook is what GitHub's own description says that GitHub sends."""

from collections import Counter
from pathlib import Path

import pytest

from tests.fakes.forge_life import APPROVED, CHANGES_REQUESTED
from tests.fakes.forge_places import REPOSITORY, Workbench, github_place
from tests.fakes.hook_judge import violations
from tests.fakes.scripted_ci import Outcome
from tests.fakes.webhooks import Delivery

pytestmark = pytest.mark.slow


async def test_every_webhook_of_our_fake_is_one_that_github_describes(tmp_path: Path):
    with github_place(tmp_path) as place:
        fake, bench = place.server, Workbench(tmp_path, place, place.forge.git_access)
        fake.ci.check("tests", Outcome(False, "no\n"))
        fake.ci.check("old", status=True)
        made = await bench.publish(bench.commit("one\n2\n"))
        await place.forge.add_labels(made.id, ["bot"])
        await place.forge.ask_for_review(made.id, ["ada"])
        await place.forge.keep_comment(made.id, "status", "Working.")
        await place.forge.keep_comment(made.id, "status", "Done.")
        (thread,) = fake.review(REPOSITORY, made.number, "ada", CHANGES_REQUESTED, "Hm.", (("a.txt", 1, "Why?"),))
        reply = fake.reply(REPOSITORY, made.number, "bob", thread, "Indeed.")
        fake.edit_comment(REPOSITORY, reply, "Indeed!")
        fake.delete_comment(REPOSITORY, reply)
        fake.resolve(REPOSITORY, made.number, "ada", thread)
        fake.review(REPOSITORY, made.number, "ada", APPROVED)
        fake.dismiss(REPOSITORY, made.number, "bob", "ada")
        fake.delete_comment(REPOSITORY, fake.comment(REPOSITORY, made.number, "bob", "Well."))
        await bench.publish(bench.commit("one\n3\n"), title="Otherwise", draft=False)
        fake.close(REPOSITORY, made.number, "ada")
        fake.reopen(REPOSITORY, made.number, "ada")
        fake.ci.settled()
        fake.merge(REPOSITORY, made.number, "ada")
        fake.ci.settled()
        number = fake.open_issue(REPOSITORY, "eve", "Ticket", "Please.")
        fake.label_issue(REPOSITORY, number, "ada", "patchwright")
        fake.assign_issue(REPOSITORY, number, "ada", "bob")
        fake.unlabel_issue(REPOSITORY, number, "ada", "patchwright")
        fake.close_issue(REPOSITORY, number, "ada")
        events = Counter(f"{one.event}.{one.action}".rstrip(".") for one in fake.webhooks.made)
        assert len(events) >= 24, events
        broken = sorted({found for one in fake.webhooks.made for found in violations(one)})
        assert not broken, "\n".join(broken)


def test_the_judge_sees_what_is_broken():
    assert any("'ref' is a required property" in found for found in violations(Delivery("push", {"after": "x"})))
