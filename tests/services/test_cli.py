"""The command line as people call it: processes of their own, against a real service over real HTTP."""

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn

from contracts.approval import Question, Subject, names_sha256
from contracts.event import EventKind, NewEvent
from contracts.plan import plan_sha256
from contracts.task import TaskState
from services.scripted_model import serve, steps_script
from services.settings import CONFIG_VARIABLE, Settings, variable_of
from tests.fakes import service as fake
from tests.services.test_plan_answers import outside

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def environment(tmp_path):
    ours = {CONFIG_VARIABLE, *(variable_of(name) for name in Settings.model_fields)}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "PATCHWRIGHT_DATA_DIR": str(tmp_path / "data"),
        "PATCHWRIGHT_PORT": "1",
        "COLUMNS": "200",
    }


@pytest.fixture
def cli(environment, tmp_path):
    async def run(*arguments, stdin="", cwd=tmp_path, **variables):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "services.cli",
            *arguments,
            cwd=cwd,
            env={**environment, **variables},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(stdin.encode()), 60)
        return Done(process.returncode or 0, out.decode(), err.decode())

    return run


class Server(uvicorn.Server):
    """Tells when it listens."""

    def __init__(self, app):
        super().__init__(uvicorn.Config(app, port=0, log_level="critical", timeout_graceful_shutdown=1))
        self.listening = asyncio.Event()

    async def startup(self, sockets=None):
        await super().startup(sockets)
        self.listening.set()


@pytest.fixture
async def service(tmp_path):
    """A running service that the data folder tells of, as ``up`` leaves it."""
    opened = await fake.open_service(tmp_path)
    server = Server(opened.app)
    running = asyncio.create_task(server._serve())
    await asyncio.wait_for(server.listening.wait(), 10)
    url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "service.json").write_text(json.dumps({"url": url, "token": fake.TOKEN}))
    opened.url = url
    yield opened
    opened.app.state.closing.set()
    server.should_exit = True
    await running
    await opened.database.close()


# -- without a service -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [["list"], ["show", "pw-x"], ["watch", "pw-x"], ["approve", "pw-x"], ["pause", "pw-x"]])
async def test_without_a_service_every_command_says_how_to_start_one(cli, command):
    done = await cli(*command)
    assert done.code == 1
    assert done.err.strip() == "patchwright: Nothing answers at http://127.0.0.1:1: start it with ./patchwright up"


async def test_help_names_every_command_in_its_group(cli):
    done = await cli("--help")
    assert done.code == 0
    for word in (
        "demo",
        "up",
        "submit",
        "watch",
        "list",
        "show",
        "approve",
        "request-changes",
        "comment",
        "cancel",
        "pause",
        "resume",
        "steer",
        "doctor",
        "config",
        "test",
        "check",
        "bench",
        "lock",
        "Run it",
        "Review",
        "./patchwright demo",
    ):
        assert word in done.out


async def test_a_bad_setting_is_one_line_with_exit_code_2(cli):
    done = await cli("list", PATCHWRIGHT_PORT="many")
    assert done.code == 2
    assert done.err.startswith("patchwright: PATCHWRIGHT_PORT:")
    assert "Traceback" not in done.err


async def test_config_view_shows_origins_and_hides_secrets(cli):
    done = await cli("config", "view", "--json", OPENAI_API_KEY="sk-hush", PATCHWRIGHT_LIMITS__CPUS="1")
    found = {value["name"]: value for value in done.json["settings"]}
    assert (found["limits.cpus"]["value"], found["limits.cpus"]["origin"]) == (1.0, "environment")
    assert found["task_queue"]["origin"] == "default"
    assert "sk-hush" not in done.out
    plain = await cli("config", "view", PATCHWRIGHT_PROT="1")
    assert "limits.memory_mib" in plain.out
    assert "PATCHWRIGHT_PROT" in plain.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["submit", "/srv/x.git"], "--title"),
        (["submit", "/srv/x.git", "-t", "x", "--source", "jira"], "system:key"),
        (["submit", "/srv/x.git", "--file", "/no/such.md"], "No such file"),
        (["submit", "https://a:b@host/x.git", "-t", "x"], "credential"),
        (["submit", "-t", "x"], "no git repository"),
        (["submit", "/srv/x.git", "-t", "x", "--base", "a..b"], "branch"),
        (["request-changes", "pw-aaaabbbbcccc", "-c", "nonsense"], "path:line:text"),
        (["request-changes", "pw-aaaabbbbcccc"], "say what to change"),
        (["nonsense"], "No such command"),
    ],
)
async def test_a_wrong_command_line_is_told_before_anything_is_sent(cli, arguments, told):
    done = await cli(*arguments)
    assert done.code == 2
    assert told in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("as_json", [[], ["--json"]])
async def test_without_a_sandbox_the_demo_runs_nothing_and_says_what_to_install(cli, tmp_path, as_json):
    nowhere = {"PATCHWRIGHT_SANDBOX": "container", "DOCKER_HOST": f"unix://{tmp_path}/none.sock", "TMPDIR": str(tmp_path)}
    done = await cli("demo", *as_json, **nowhere)
    assert (done.code, done.out) == (1, "")
    assert "nothing ran" in done.err
    assert "apt-get install -y docker.io" in done.err
    assert not list(tmp_path.glob("patchwright-demo-*"))


async def test_doctor_says_what_is_missing_and_how_to_get_it(cli, tmp_path):
    nowhere = {"PATCHWRIGHT_SANDBOX": "container", "DOCKER_HOST": f"unix://{tmp_path}/none.sock", "PATCHWRIGHT_PROT": "1"}
    done = await cli("doctor", "--json", **nowhere)
    found = {finding["name"]: finding for finding in done.json["findings"]}
    assert (done.code, done.json["healthy"]) == (1, False)
    assert found["sandbox"]["standing"] == "missing"
    assert "docker.io" in found["sandbox"]["remedy"]
    assert (found["git"]["standing"], found["temporal"]["standing"]) == ("ok", "ok")
    assert (found["model"]["standing"], "OPENAI_API_KEY" in found["model"]["remedy"]) == ("note", True)
    assert "PATCHWRIGHT_PROT" in found["configuration"]["text"]


async def test_doctor_asks_the_model_endpoint(cli):
    async with serve(steps_script({})) as model:
        done = await cli("doctor", "--json", OPENAI_BASE_URL=model.base_url, PATCHWRIGHT_MODEL_DEFAULT="other")
    found = {finding["name"]: finding for finding in done.json["findings"]}
    assert found["model"]["standing"] == "ok"
    assert "scripted" in found["model names"]["remedy"]
    silent = await cli("doctor", "--json", OPENAI_BASE_URL="http://127.0.0.1:9/v1")
    assert {f["name"]: f["standing"] for f in silent.json["findings"]}["model"] == "missing"


# -- with a service ----------------------------------------------------------------------------------------------


async def test_submit_sends_the_whole_ticket(cli, service, tmp_path):
    ticket = tmp_path / "ticket.md"
    ticket.write_text("# Round the total\n\nNot each line.\n")
    done = await cli(
        "submit",
        "/srv/shop.git",
        "--file",
        str(ticket),
        "--base",
        "main",
        "--source",
        "jira:ENG-7",
        "--kind",
        "bugfix",
        "--constraint",
        "no API change",
        "--accept",
        "sums match",
        "--plan-approval",
        "--max-cost",
        "3",
        "--json",
    )
    assert done.code == 0, done.err
    request = (await service.runs.get(done.json["id"])).task.request
    assert (request.title, request.description) == ("Round the total", "Not each line.")
    assert (request.base_branch, request.kind, request.source.key) == ("main", "bugfix", "ENG-7")
    assert (request.constraints, request.acceptance_criteria) == (("no API change",), ("sums match",))
    assert (request.policy.plan_approval, request.policy.max_cost_usd) == (True, 3)


async def test_submit_reads_stdin_and_finds_the_repository_around_it(cli, service, tmp_path):
    folder = tmp_path / "work tree"
    subprocess.run(["git", "init", "-q", folder], check=True)
    done = await cli("submit", "--file", "-", "--json", stdin="Mend it\nplease", cwd=folder)
    assert (done.json["title"], done.json["repo"]) == ("Mend it", str(folder))
    subprocess.run(["git", "-C", folder, "remote", "add", "origin", "https://git.example.com/shop.git"], check=True)
    assert (await cli("submit", "-t", "Again", "--json", cwd=folder)).json["repo"] == "https://git.example.com/shop.git"


async def test_a_refusal_of_the_service_is_its_own_words(cli, service):
    task = await service.accepted()
    done = await cli("approve", task.id)
    assert done.code == 1
    assert "has no pull request yet" in done.err
    assert len(done.err.strip().splitlines()) <= 2


async def test_an_id_may_be_shortened_as_long_as_it_is_unique(cli, service):
    tasks = [await service.accepted(f"ENG-{number}") for number in range(3)]
    done = await cli("show", tasks[1].id[:9], "--json")
    assert done.json["id"] == tasks[1].id
    assert (await cli("show", "pw-", "--json")).err.startswith("patchwright: 3 tasks begin with")
    assert "No task's id begins" in (await cli("show", "zz")).err


async def test_list_and_show_are_readable(cli, service):
    task = await service.accepted(title="Weird [bold]title[/] with markup")
    listed, shown = await cli("list"), await cli("show", task.id)
    assert task.id in listed.out
    assert "Weird [bold]title[/] with markup" in listed.out
    assert "/srv/shop.git" in shown.out
    assert (await cli("list", "--state", "halted")).out.startswith("No tasks")
    assert (await cli("list", "--state", "nonsense")).code == 2


async def test_a_review_arrives_with_its_inline_comments(cli, service):
    task = await service.accepted()
    published = await service.published(task)
    done = await cli(
        "request-changes", task.id, "-b", "Two things", "-c", "shop/cart.py:2:Why: this?", "-c", "shop/cart.py:3:And this"
    )
    assert done.code == 0, done.err
    threads = await service.forge.threads(published.id)
    assert [(t.path, t.line, t.messages[0].body) for t in threads] == [
        ("shop/cart.py", 2, "Why: this?"),
        ("shop/cart.py", 3, "And this"),
    ]
    assert (await cli("approve", task.id)).code == 0
    assert [review.verdict for review in await service.forge.reviews(published.id)] == ["request_changes", "approve"]


async def test_a_plan_is_shown_and_approved_by_its_digest_only(cli, service):
    task = await service.accepted()
    plan = await service.planned(task)
    digest = plan_sha256(plan)
    unasked = await cli("approve", task.id)
    assert unasked.code == 1
    assert plan.goal in unasked.out
    assert f"--plan-sha256 {digest}" in unasked.err
    assert (await cli("approve", task.id, "--plan-sha256", "0" * 64)).code == 1
    done = await cli("approve", task.id, "--plan-sha256", digest)
    assert done.code == 0, done.err
    assert "Approved the plan" in done.out
    assert [(door, said[0].plan_sha256, said[0].approved) for _, door, said in service.temporal.said] == [
        ("approve_plan", digest, True)
    ]


async def test_another_plan_than_was_read_is_refused_with_what_changed(cli, service):
    task = await service.accepted()
    first = plan_sha256(await service.planned(task))
    await service.planned(task, goal="Another goal")
    stale = await cli("approve", task.id, "--plan-sha256", first)
    assert stale.code == 1
    assert "became “Another goal”" in stale.err
    assert service.temporal.said == []


async def test_paths_outside_the_plan_are_shown_and_allowed_by_their_digest_only(cli, service):
    task, digest = await outside(service)
    unasked = await cli("approve", task.id)
    assert unasked.code == 1
    assert "deploy/run.sh" in unasked.out and "<b>.py" in unasked.out
    assert f"--paths-sha256 {digest}" in unasked.err
    assert (await cli("approve", task.id, "--paths-sha256", digest)).code == 0
    assert (await cli("approve", task.id, "--reject", "not these")).code == 0
    assert [(door, said[0].paths_sha256, said[0].approved, said[0].reason) for _, door, said in service.temporal.said] == [
        ("approve_paths", digest, True, ""),
        ("approve_paths", digest, False, "not these"),
    ]


async def test_operations_are_allowed_by_name_and_approve_says_how(cli, service):
    task, name = await service.accepted(), "operation.infrastructure:my app/Dockerfile:0123456789"
    asks = Question(subject=Subject.OPERATION, sha256=names_sha256([name]), operations=(name,))
    await service.moved(task, TaskState.HALTED, asks=asks)
    told = await cli("approve", task.id)
    assert told.code == 1 and f"./patchwright resume {task.id} --allow '{name}'" in told.err
    other = await cli("resume", task.id, "--allow", "operation.ci:x:0")
    assert other.code == 1 and "does not ask about operation.ci:x:0" in other.err
    assert (await cli("resume", task.id, "--allow", name)).code == 0
    assert service.temporal.said == [(task.id, "resume", ({"allow": (name,), "person": fake.PERSON},))]


async def test_watch_follows_until_the_task_rests_and_says_what_to_do(cli, service):
    task = await service.accepted()
    await service.moved(task, TaskState.PLANNING)
    watching = asyncio.create_task(cli("watch", task.id))
    await asyncio.sleep(1.5)
    assert not watching.done()
    await service.runs.append(task.id, [NewEvent(kind=EventKind.NOTE, text="[red]not markup[/]", key="n")])
    published = await service.published(task)
    done = await asyncio.wait_for(watching, 20)
    assert done.code == 0, done.err
    assert "[red]not markup[/]" in done.out
    assert "awaiting review" in done.out
    assert published.url in done.out
    assert f"./patchwright approve {task.id}" in done.out


@pytest.mark.parametrize(
    ("command", "heard"),
    [
        (["steer", "mind the tests"], ("steer", ("mind the tests",))),
        (["pause"], ("pause", ())),
        (["resume", "--max-model-calls", "9"], ("resume", ({"max_model_calls": 9},))),
        (["cancel"], ("cancel", ())),
        (["close", "--reason", "not needed"], ("close_task", ("not needed",))),
    ],
)
async def test_control_commands_reach_the_workflow(cli, service, command, heard):
    task = await service.accepted()
    done = await cli(command[0], task.id, *command[1:])
    assert done.code == 0, done.err
    assert service.temporal.said == [(task.id, *heard)]


async def test_the_local_token_is_not_sent_to_another_address(cli, service):
    there = service.url.replace("127.0.0.1", "localhost")
    refused = await cli("list", "--url", there)
    assert refused.code == 1
    assert "PATCHWRIGHT_TOKEN" in refused.err
    assert (await cli("list", "--url", there, PATCHWRIGHT_TOKEN=fake.TOKEN)).code == 0


async def test_watch_is_not_content_with_a_rest_that_a_review_has_just_ended(cli, service):
    task = await service.accepted()
    await service.published(task)
    watching = asyncio.create_task(cli("watch", task.id))
    seen = asyncio.get_running_loop().time() + 1.3
    await asyncio.sleep(max(0, seen - asyncio.get_running_loop().time()))
    await service.moved(task, TaskState.ADDRESSING_FEEDBACK)
    await asyncio.sleep(2)
    assert not watching.done()
    await service.moved(task, TaskState.READY_TO_MERGE)
    done = await asyncio.wait_for(watching, 20)
    assert "is ready to merge" in done.out
