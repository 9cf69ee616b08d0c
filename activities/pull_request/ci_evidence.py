"""What there is to know about red checks: what the forge says of them, of the base, and of what their jobs printed."""

import asyncio
import re
from collections.abc import Collection, Sequence

from temporalio import activity

from activities.capabilities import CallScope, Capabilities
from activities.editing import ChangedFiles
from activities.shelf import Shelf
from contracts.ci import CiCheck, CiReport, CiState, JobLog
from contracts.ci_faults import NO_LOG_NEEDED, RedCheck, is_quarantined
from contracts.errors import CredentialRefused, InvalidInput, NotFound
from contracts.forge import PullRequest
from contracts.judging import credentials
from contracts.sandbox import Recipe
from contracts.steps import DiagnosisRequest
from contracts.word import Word

MOST_LOGS = 12
"""Jobs whose logs are fetched; where more are red, they are so for the same reasons."""
READ_CHARACTERS = 2 << 20
"""Of the end of a log; reading so much takes half a second."""
PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.{0,20000}?-----END [A-Z ]{0,40}PRIVATE KEY-----", re.DOTALL)
REMOVED = "(credential removed)"


class SeenChecks(Word):
    """What the forge said when a diagnosis began: a later attempt of it judges by the same."""

    report: CiReport
    base_reports: tuple[CiReport, ...] = ()
    """Of the commit that the change stands on, and of the base branch's tip."""

    def failed_on_base(self, name: str) -> CiCheck | None:
        """The check of that name that failed there; None when it did not, or never ran."""
        checks = (check for report in self.base_reports for check in report.checks)
        return next((check for check in checks if check.name == name and check.state is CiState.FAILED), None)

    def green_at_tip(self, names: Collection[str]) -> bool:
        """Whether all of these are green at the base branch's tip, which has moved since the change was made."""
        if len(self.base_reports) < 2:
            return False
        states = {check.name: check.state for check in self.base_reports[-1].checks}
        return bool(names) and all(states.get(name) is CiState.PASSED for name in names)


class CiEvidence:
    """What one diagnosis rests on."""

    def __init__(self, request: DiagnosisRequest, shelf: Shelf, capabilities: Capabilities) -> None:
        self._request, self._shelf, self._capabilities = request, shelf, capabilities
        self._scope = CallScope.of(request.preparation)
        self._key = f"{request.task.id}/ci/{request.commit}"

    async def seen(self) -> SeenChecks:
        """The checks as they were when the first attempt looked: what it had run again is red no longer."""
        info, task = activity.info(), self._request.task.id
        name = f"checks-{self._request.commit[:12]}-{(info.workflow_run_id or '')[:8]}-{info.activity_id}.json"
        if known := await self._shelf.first(SeenChecks, task, "DiagnoseCI", name):
            return known
        report = await self._report(self._request.commit)
        found = SeenChecks(report=report, base_reports=await self._of_base() if report.state is CiState.FAILED else ())
        await self._shelf.keep_words(task, "DiagnoseCI", name, found)
        return found

    async def red_checks(self, seen: SeenChecks) -> list[RedCheck]:
        """Every failed check with what is known about it."""
        failed = [check for check in seen.report.checks if check.state is CiState.FAILED]
        patterns = await self._quarantine() if failed else ()
        changed = await self._changed() if failed else ()
        return [
            await self._red(check, seen, is_quarantined(check.name, patterns), changed, number < MOST_LOGS)
            for number, check in enumerate(failed)
        ]

    async def run_again(self, check: CiCheck) -> None:
        """Run a check once more. Raises ``Conflict`` when the forge does not, ``StillRunning``."""
        asked = {"pull_request_id": self._request.pull_request_id, "check": check.model_dump(mode="json")}
        await self._capabilities.ask(Word, "rerun_check", asked, self._scope, f"{self._key}/rerun/{check.id}")

    async def begin(self, name: str) -> None:
        """Start a check that never began. Raises ``Conflict`` when the forge does not."""
        asked = {"pull_request_id": self._request.pull_request_id, "name": name}
        await self._capabilities.ask(Word, "trigger_check", asked, self._scope, f"{self._key}/begin/{name}")

    async def _red(self, check: CiCheck, seen: SeenChecks, quarantined: bool, changed: Sequence[str], read: bool) -> RedCheck:
        before = seen.failed_on_base(check.name)
        read = read and not quarantined and check.conclusion not in NO_LOG_NEEDED
        return RedCheck(
            check=check,
            log=await self._log(check) if read else check.summary,
            red_on_base=before is not None or check.name in self._request.red_before,
            base_log=await self._log(before) if before and read else "",
            quarantined=quarantined,
            ran_again=check.name in self._request.reran,
            nothing_to_mend=self._request.nothing_to_mend,
            changed=tuple(changed),
        )

    async def _report(self, commit: str) -> CiReport:
        asked = {"pull_request_id": self._request.pull_request_id, "commit": commit}
        return await self._capabilities.ask(CiReport, "ci_report", asked, self._scope, f"{self._key}/report/{commit}")

    async def _of_base(self) -> tuple[CiReport, ...]:
        asked = {"pull_request_id": self._request.pull_request_id}
        now = await self._capabilities.ask(PullRequest, "get_pull_request", asked, self._scope, f"{self._key}/get")
        # The forge may have run the checks on the merge with the tip: what is broken there is no fault of the change.
        commits = dict.fromkeys((self._request.preparation.opened.base_commit, now.base_tip))
        return tuple([await self._report(commit) for commit in commits if commit])

    async def _log(self, check: CiCheck) -> str:
        """What a check printed, without credentials; what its summary says where the forge keeps no log."""
        asked = {"pull_request_id": self._request.pull_request_id, "check": check.model_dump(mode="json")}
        try:
            log = await self._capabilities.ask(JobLog, "job_log", asked, self._scope, f"{self._key}/log/{check.id}")
        except NotFound:
            return without_credentials(check.summary)
        except (CredentialRefused, InvalidInput) as refused:
            return without_credentials(f"{check.summary}\nIts log cannot be read: {refused.message}".strip())
        return await asyncio.to_thread(without_credentials, log.text[-READ_CHARACTERS:])

    async def _quarantine(self) -> tuple[str, ...]:
        """The list of the base branch as the change stands on it; that of the task's beginning where it cannot be read."""
        known = self._request.preparation.recipe.quarantine
        if "project_recipe" not in self._capabilities.names:
            return known
        asked = {"commit": self._request.preparation.opened.base_commit}
        try:
            recipe = await self._capabilities.ask(Recipe, "project_recipe", asked, self._scope, f"{self._key}/recipe")
        except (InvalidInput, NotFound):
            return known
        return tuple(dict.fromkeys((*known, *recipe.quarantine)))

    async def _changed(self) -> tuple[str, ...]:
        span = {"old": self._request.preparation.opened.base_commit, "new": self._request.commit}
        found = await self._capabilities.ask(ChangedFiles, "changed_files", span, self._scope, f"{self._key}/files")
        return tuple(file.path for file in found.files)


def without_credentials(text: str) -> str:
    """A log without what looks like a credential."""
    return credentials.without_credentials(PRIVATE_KEY.sub(REMOVED, text), REMOVED)
