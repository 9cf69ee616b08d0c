"""A service with a realistic day of work in it, for page tests and for looking at the pages."""

from contracts.artifact import ArtifactRef
from contracts.checks import CheckResult, ChecksReport
from contracts.event import EventKind, NewEvent
from contracts.forge import PullRequest
from contracts.plan import ChangePlan, PlannedEdit
from contracts.review import InlineComment, ReviewRequest, ThreadAnswer, Verdict
from contracts.sandbox import SandboxTier
from contracts.steps import Spending
from contracts.task import Task, TaskKind, TaskState
from tests.fakes.service import Service

HEAD = "9f2c41d7b0a86e35d4c19f7e2b8a60d3f5e71c24"
DIFF = '''\
diff --git a/payments/client.py b/payments/client.py
index 1111111111111111111111111111111111111111..2222222222222222222222222222222222222222 100644
--- a/payments/client.py
+++ b/payments/client.py
@@ -1,15 +1,25 @@
 """The client of the payment provider."""
 
+import time
+
 import requests
 
+ATTEMPTS = 3
+PAUSE_SECONDS = 0.5
 TIMEOUT = 10
 
 
-def charge(amount, token):
-    response = requests.post(URL, json={"amount": amount, "token": token}, timeout=TIMEOUT)
-    response.raise_for_status()
-    return response.json()
+def charge(amount, token, key):
+    """Charge once, however often the provider has to be asked."""
+    body = {"amount": amount, "token": token}
+    for attempt in range(ATTEMPTS):
+        response = requests.post(URL, json=body, headers={"Idempotency-Key": key}, timeout=TIMEOUT)
+        if response.status_code < 500:
+            break
+        time.sleep(PAUSE_SECONDS * 2**attempt)
+    response.raise_for_status()
+    return response.json()
 
 
 def refund(charge_id):
     return requests.post(f"{URL}/{charge_id}/refund", timeout=TIMEOUT).json()
diff --git a/tests/test_client.py b/tests/test_client.py
new file mode 100644
index 0000000000000000000000000000000000000000..3333333333333333333333333333333333333333
--- /dev/null
+++ b/tests/test_client.py
@@ -0,0 +1,8 @@
+from payments.client import charge
+
+
+def test_a_failed_charge_is_tried_three_times(provider):
+    provider.answers = [503, 503, 200]
+    charge(100, "tok", key="order-1")
+    assert len(provider.requests) == 3
+    assert len({r.headers["Idempotency-Key"] for r in provider.requests}) == 1
diff --git a/docs/old notes.md b/docs/notes.md
similarity index 100%
rename from docs/old notes.md
rename to docs/notes.md
diff --git a/docs/flow.png b/docs/flow.png
index 4444444444444444444444444444444444444444..5555555555555555555555555555555555555555 100644
Binary files a/docs/flow.png and b/docs/flow.png differ
'''
BODY = """\
## What changed

> Failed charges are tried three times with the same idempotency key.

| file | status | lines | intent of the plan |
|---|---|---|---|
| `payments/client.py` | modified | +19 −4 | retry on 5xx, one key per order |
| `tests/test_client.py` | added | +8 −0 | prove three attempts and one key |

## Why

Feature: Add retries to the payment client

Ticket: <https://tickets.example.com/ENG-1423>

## How to test

- `python -m pytest -q`
"""


class StoryDiff:
    async def diff(self, pull_request: PullRequest) -> str:
        return DIFF


async def payments(service: Service) -> tuple[Task, PullRequest]:
    """A task whose pull request waits for a second review."""
    task = await service.accepted(
        "ENG-1423", title="Add retries to the payment client", repo="https://git.example.com/shop/payments.git", requester="ada",
        base_branch="main", ticket_url="https://tickets.example.com/ENG-1423",
        description="Charges fail when the provider hiccups.\n\n- try **three** times\n- never charge twice",
        constraints=["no API change"], acceptance_criteria=["a failed charge is tried three times"])
    plan = ChangePlan(
        ticket="ENG-1423", goal="Failed charges are tried three times with the same idempotency key.",
        edits=(PlannedEdit(path="payments/client.py", functions=("charge",), intent="Retry on 5xx answers, one key per order"),
               PlannedEdit(path="tests/test_client.py", intent="Prove three attempts and one key")),
        tests=("tests/test_client.py::test_a_failed_charge_is_tried_three_times",), constraints=("no API change",),
        risks=("A slow provider now holds a worker for up to 3.5 s", "refund() is not retried yet"),
        rationale="The provider documents 5xx as safe to repeat **with** a key.", checks=("python -m pytest -q",))
    await service.planned(task, **plan.model_dump(exclude={"edits"}), edits=plan.edits)
    log = await service.tasks.artifacts.put(task.id, "RunCI", b"8 passed in 1.9s\n", "text/plain", "pytest.log")
    await tell(service, task)
    spent = Spending(model_calls=31, input_tokens=184_220, output_tokens=9_310, cost_usd=0.4127)
    await service.moved(task, TaskState.CHECKING, spent=spent)
    await check(service, task, "4d1be0aa71c2", "pytest", 1, 2.4, log)
    await check(service, task, HEAD, "pytest", 0, 1.9, log)
    await check(service, task, HEAD, "ruff", 0, 0.2, log)
    made = await service.published(task, repo=task.request.repo, title=task.request.title, body=BODY, head_commit=HEAD)
    await service.forge.report_checks(made.id, ChecksReport(
        commit=HEAD, tree="e" * 40, tier=SandboxTier.CONTAINER, image="sha256:abc", results=(
            CheckResult(name="pytest", command="python -m pytest -q", exit_code=0, passed=True, seconds=1.9, log=log),
            CheckResult(name="ruff", command="ruff check .", exit_code=0, passed=True, seconds=0.2))))
    await service.forge.submit_review(made.id, ReviewRequest(
        id="r1", verdict=Verdict.REQUEST_CHANGES, reviewer="grace", body="Close. Two remarks.", comments=(
            InlineComment(path="payments/client.py", line=19, body="Please back off: `PAUSE * 2**n`."),
            InlineComment(path="payments/client.py", line=12, body="Does every caller have a key?"))))
    await service.forge.answer(made.id, [ThreadAnswer(thread_id="t1", body="Done: the pause doubles each time.", commit=HEAD)])
    return task, made


async def tell(service: Service, task: Task) -> None:
    """The steps and calls of a run, as the log has them."""
    steps = [("PrepareTask", 1.2), ("PlanChanges", 48.0), ("FetchContext", 2.1), ("ApplyDiffs", 131.5), ("RunCI", 7.4),
             ("AddressFeedback", 52.3), ("RunCI", 6.9), ("OpenPR", 1.8)]
    for number, (step, seconds) in enumerate(steps):
        agent = {"PlanChanges": "planner", "ApplyDiffs": "coder", "AddressFeedback": "fixer"}.get(step, "")
        told = [NewEvent(kind=EventKind.STEP_STARTED, text=step, step=step, key=f"s{number}")]
        if agent:
            told += [
                NewEvent(kind=kind, text=text, step=step, agent=agent, key=f"{kind}{number}") for kind, text in (
                    (EventKind.MODEL_CALL, f"{agent}: I will read payments/client.py first."),
                    (EventKind.TOOL_CALL, "read_file payments/client.py 1–40"),
                    (EventKind.COMMIT, f"apply_patch saved commit 4d1be0aa71c{number}"))]
        told.append(NewEvent(kind=EventKind.STEP_FINISHED, text=f"{step} took {seconds} s", step=step, key=f"f{number}",
                             data={"seconds": seconds}))
        await service.runs.append(task.id, told)


async def check(service: Service, task: Task, commit: str, name: str, code: int, seconds: float, log: ArtifactRef) -> None:
    """One check's end in the log."""
    command = "python -m pytest -q" if name == "pytest" else "ruff check ."
    data = {"name": name, "command": command, "exit_code": code, "passed": code == 0, "seconds": seconds, "commit": commit,
            "log": log.sha256}
    await service.runs.append(task.id, [NewEvent(
        kind=EventKind.CHECK, text=f"{name} {'passed' if code == 0 else f'failed with {code}'} in {seconds} s", step="RunCI",
        key=f"{name}-{commit}", data=data)])


async def a_day(service: Service) -> tuple[Task, PullRequest]:
    """Several tasks in several states; the newest is the one whose plan waits."""
    shop = "https://git.example.com/shop/storefront.git"
    for key, title, state, kind, cost in (
            ("ENG-1398", "Upgrade the HTTP client to 2.x", TaskState.MERGED, TaskKind.UPGRADE, 1.1874),
            ("ENG-1402", "Cart total is wrong when a coupon expires", TaskState.READY_TO_MERGE, TaskKind.BUGFIX, 0.2210),
            ("ENG-1405", "Split the order module", TaskState.HALTED, TaskKind.REFACTOR, 3.0),
            ("ENG-1411", "Введите поддержку кириллических имён файлов", TaskState.EDITING, TaskKind.FEATURE, 0.0830)):
        task = await service.accepted(key, title=title, repo=shop, kind=kind, requester="linus")
        halted = state is TaskState.HALTED
        reason = "The budget of 300 model calls is used up; raise it and resume." if halted else ""
        await service.moved(task, state, reason=reason, step="ApplyDiffs" if state is TaskState.EDITING else "",
                            spent=Spending(model_calls=300 if halted else 24, cost_usd=cost))
    told = await payments(service)
    waiting = await service.accepted("ENG-1430", title="Show delivery dates in the local time zone", repo=shop, requester="ada")
    await service.planned(waiting)
    return told
