"""Nobody approves their own work where the policy says so: at the plan and at the pull request, by the API and on the pages."""

import re

import httpx2
import pytest

from contracts.access import Principal, Role
from contracts.approval import Question, Subject, names_sha256
from contracts.audit import broken_link
from contracts.deciding import decide
from contracts.deeds import Approval
from contracts.plan import plan_sha256
from contracts.policy import POLICY_ARTIFACT, Policy, narrowed
from contracts.policy_document import policy_of
from contracts.task import Task, TaskRequest, TaskState
from tests.fakes.service import Service, sign_in

STRICT = Policy(separate_approver=True)
RULE = "review.separate_approver"
DOCKERFILE = "operation.infrastructure:docker file/Dockerfile:0123456789"


async def handed_in(service: Service, person: str, policy: Policy = STRICT, **more: str) -> Task:
    by = Principal(name=person, roles=frozenset(Role), identities=(f"oidc:https://id.example.com#{person}",))
    wanted = {"repo": "/srv/shop.git", "title": "Mend it", "policy": policy.model_dump(exclude_unset=True), **more}
    record, _ = await service.tasks.submit(TaskRequest.model_validate(wanted), by=by)
    return record.task


async def approve_plan(service: Service, task: Task, person: str) -> httpx2.Response:
    plan = await service.planned(task)
    async with service.client(token=await service.token(person, Role.REVIEWER, Role.ADMIN)) as http:
        said = {"plan_sha256": plan_sha256(plan), "approved": True, "person": "somebody-else"}
        return await http.post(f"/tasks/{task.id}/signals/plan", json=said)


async def review(service: Service, task: Task, person: str, verdict: str = "approve") -> httpx2.Response:
    await service.published(task)
    async with service.client(token=await service.token(person, Role.REVIEWER, Role.ADMIN)) as http:
        said = {"verdict": verdict, "body": "Well", "reviewer": "somebody-else"}
        return await http.post(f"/tasks/{task.id}/signals/review", json=said)


async def allow_operation(service: Service, task: Task, person: str, *names: str) -> httpx2.Response:
    asks = Question(subject=Subject.OPERATION, sha256=names_sha256([DOCKERFILE]), operations=(DOCKERFILE,))
    await service.moved(task, TaskState.HALTED, asks=asks)
    async with service.client(token=await service.token(person, Role.OPERATOR)) as http:
        said = {"allow": names or [DOCKERFILE], "max_model_calls": 400}
        return await http.post(f"/tasks/{task.id}/signals/resume", json=said)


@pytest.mark.parametrize("name", ["bob", "BOB", " bob".strip(), "oidc:https://id.example.com#bob"])
@pytest.mark.parametrize("act", [approve_plan, review, allow_operation])
async def test_whoever_handed_it_in_cannot_approve_it(service: Service, act, name: str) -> None:
    task = await handed_in(service, "bob")
    refused = await act(service, task, name)
    assert refused.status_code == 403 and RULE in refused.json()["detail"] and "another person" in refused.json()["detail"]
    assert service.temporal.said == [] and not await service.forge.reviews(await pull(service, task))
    (entry,) = await service.runs.audit.entries(task.id)
    assert (entry.allowed, entry.rule, broken_link([entry])) == (False, RULE, "")


async def pull(service: Service, task: Task) -> str:
    return (await service.runs.get(task.id)).pull_request_id or (await service.published(task)).id


@pytest.mark.parametrize("act", [approve_plan, review, allow_operation])
async def test_another_person_can_and_it_is_in_the_audit_log(service: Service, act) -> None:
    task = await handed_in(service, "bob")
    assert (await act(service, task, "grace")).status_code == 202
    (_, _, (said,)), = service.temporal.said
    told = said if isinstance(said, dict) else said.model_dump()
    assert "grace" in (told.get("person"), told.get("reviewer")), "never who the body says"
    (entry,) = await service.runs.audit.entries(task.id)
    assert entry.allowed and entry.rule == RULE and "grace" in entry.told


async def test_what_a_person_allows_is_named_in_the_audit_log_and_to_the_workflow(service: Service) -> None:
    task = await handed_in(service, "bob")
    assert (await allow_operation(service, task, "grace")).status_code == 202
    assert service.temporal.said == [
        (task.id, "resume", ({"max_model_calls": 400, "allow": (DOCKERFILE,), "person": "grace"},))
    ]
    (entry,) = await service.runs.audit.entries(task.id)
    assert entry.told == f"grace approves the operation {DOCKERFILE}"


async def test_a_yes_to_what_the_task_does_not_ask_about_is_refused_and_told(service: Service) -> None:
    task = await handed_in(service, "bob")
    refused = await allow_operation(service, task, "grace", DOCKERFILE, "operation.ci:x:0")
    told = refused.json()["detail"]
    assert refused.status_code == 409 and "does not ask about operation.ci:x:0" in told and DOCKERFILE in told
    await service.moved(task, TaskState.EDITING)
    async with service.client() as http:
        early = await http.post(f"/tasks/{task.id}/signals/resume", json={"allow": [DOCKERFILE]})
        named = await http.post(f"/tasks/{task.id}/signals/resume", json={"allow": [DOCKERFILE], "person": "grace"})
    assert early.status_code == 409 and "asks about no operations; it is editing" in early.json()["detail"]
    assert named.status_code == 422 and service.temporal.said == [] == await service.runs.audit.entries(task.id)


async def test_a_resume_that_allows_nothing_is_no_yes(service: Service) -> None:
    task = await handed_in(service, "bob")
    await service.moved(task, TaskState.HALTED)
    async with service.client(token=await service.token("bob", Role.OPERATOR)) as bob:
        assert (await bob.post(f"/tasks/{task.id}/signals/resume", json={"max_model_calls": 400})).status_code == 202
    assert service.temporal.said == [(task.id, "resume", ({"max_model_calls": 400},))]


async def test_whom_it_was_handed_in_for_cannot_approve_it_either(service: Service) -> None:
    task = await handed_in(service, "ops", requester="Bob@Example.com")
    assert (await review(service, task, "bob@example.com")).status_code == 403
    assert (await review(service, task, "ops")).status_code == 403
    assert (await review(service, task, "grace")).status_code == 202


async def test_a_ticket_s_own_sender_is_its_requester(service: Service) -> None:
    wanted = {"repo": "/srv/shop.git", "title": "t", "requester": "bob", "policy": {"separate_approver": True}}
    record, _ = await service.tasks.submit(TaskRequest.model_validate(wanted))
    assert (await review(service, record.task, "bob")).status_code == 403


async def test_own_work_may_be_rejected_and_remarked_upon(service: Service) -> None:
    task = await handed_in(service, "bob")
    assert (await review(service, task, "bob", "request_changes")).status_code == 202
    plan = await service.planned(task)
    async with service.client(token=await service.token("bob", Role.REVIEWER)) as bob:
        no = {"plan_sha256": plan_sha256(plan), "approved": False, "reason": "too wide"}
        assert (await bob.post(f"/tasks/{task.id}/signals/plan", json=no)).status_code == 202


async def test_without_the_rule_one_person_does_it_all(service: Service) -> None:
    task = await handed_in(service, "bob", Policy())
    assert (await review(service, task, "bob")).status_code == 202
    (entry,) = await service.runs.audit.entries(task.id)
    assert entry.allowed


async def test_what_the_repository_narrowed_holds_too(service: Service) -> None:
    task = await handed_in(service, "bob", Policy())
    whole = narrowed(task.request.policy, STRICT).model_dump_json().encode()
    await service.tasks.artifacts.put(task.id, "PrepareTask", whole, "application/json", POLICY_ARTIFACT)
    assert (await approve_plan(service, task, "bob")).status_code == 403
    assert (await approve_plan(service, task, "grace")).status_code == 202


async def test_an_artifact_of_an_agent_is_no_policy(service: Service) -> None:
    task = await handed_in(service, "bob")
    await service.tasks.artifacts.put(task.id, "ApplyDiffs", b"{}", "application/json", POLICY_ARTIFACT)
    assert (await review(service, task, "bob")).status_code == 403


async def test_the_pages_refuse_it_in_words(service: Service) -> None:
    task = await handed_in(service, "bob")
    plan = await service.planned(task)
    async with service.client(token="", follow_redirects=True) as bob:
        bob.headers["Accept"] = "text/html"
        await sign_in(bob, await service.token("bob", Role.REVIEWER, Role.SUBMITTER))
        page = (await bob.get(f"/t/{task.id}")).text
        assert 'value="approve"' in page and 'name="person"' not in page
        token = re.search(r'name="form_token" value="([0-9a-f]+)"', page)[1]  # type: ignore[index]
        fields = {"form_token": token, "plan_sha256": plan_sha256(plan), "answer": "approve", "person": "grace"}
        refused = await bob.post(f"/t/{task.id}/plan", data=fields, headers={"Origin": "http://localhost"})
        assert refused.status_code == 403 and "another person" in refused.text
        made = await service.published(task)
        fields = {"form_token": token, "verdict": "approve", "body": "", "reviewer": "grace"}
        refused = await bob.post(f"/pr/{made.id}/review", data=fields, headers={"Origin": "http://localhost"})
        assert refused.status_code == 403 and "another person" in refused.text
    assert service.temporal.said == []


def test_the_rule_is_written_in_the_policy_file_and_only_made_stricter() -> None:
    organisation = policy_of({"review": {"separate_approver": True}}, "policy.yaml")
    assert organisation.separate_approver and narrowed(organisation, Policy(separate_approver=False)).separate_approver
    assert narrowed(Policy(), STRICT).separate_approver
    own = Approval(what="plan", approver=("Ada ",), requester=("", "ada"))
    assert not decide(STRICT, own).allowed and decide(Policy(), own).allowed
    unknown = Approval(what="plan", approver=("ada",), requester=())
    assert decide(STRICT, unknown).allowed, "nobody in particular handed it in"
