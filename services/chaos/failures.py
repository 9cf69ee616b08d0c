"""Why a chaos run can come to no verdict."""

from contracts.errors import PatchwrightError


class ChaosFailed(PatchwrightError):
    """A chaos run could not be carried out; the message says which part of it was missing."""

    code = "chaos-failed"


class ChaosStopped(PatchwrightError):
    """Somebody stopped the chaos run; everything it had started has ended."""

    code = "chaos-stopped"
