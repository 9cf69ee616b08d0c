"""What people's commands ask for, and what is said about them."""

from collections.abc import Sequence

from contracts.sighting import CommandKind, SlashCommand

GOING_ON = (CommandKind.RETRY, CommandKind.FIX)
"""Commands that let a halted task go on."""


def deciding(commands: Sequence[SlashCommand]) -> SlashCommand | None:
    """The last command that says whether the task goes on."""
    return next((one for one in reversed(commands) if one.kind in (CommandKind.STOP, *GOING_ON)), None)


def outcome_of(command: SlashCommand, stops: bool) -> str:
    """What is done about a command, where it asks for more than words."""
    if command.kind is CommandKind.STOP:
        return "It stops here. `/patchwright retry` goes on." if stops else "It was told to go on afterwards."
    if command.kind in GOING_ON and stops:
        return "It was told to stop afterwards."
    if command.kind is CommandKind.APPROVE:
        return "Nothing waits for such a yes. A pull request is approved by a review."
    if command.kind is CommandKind.RETRY:
        return "Everything that failed is looked at once more."
    return "It is being worked on." if command.kind is CommandKind.FIX else ""


def halted_outcome(command: SlashCommand, goes_on: bool, reason: str) -> str:
    """What a halted task says to a command; ``reason`` is why it has halted."""
    if command.kind is CommandKind.STOP:
        return "It was told to go on afterwards." if goes_on else f"It has halted already: {reason}"
    if command.kind in GOING_ON:
        return "It goes on." if goes_on else "It was told to stop afterwards."
    return ""
