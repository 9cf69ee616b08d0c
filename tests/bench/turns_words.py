"""The texts of the turns benchmark: what the user asks for, what is read and what is written.

Standard library only: the environment of every contestant can import it.
"""

PARTS = 20
"""Files that are read, and files that are written over and over."""
FILLING = "Nobody reads this line, yet each of its letters travels on the wire."


def ticket(turns: int) -> str:
    """What the user asks for; it tells the script how long to go on."""
    return f"Among {turns} turns, read the parts of the documentation and write the notes anew from them."


def lines(count: int, width: int, told: str) -> str:
    """Text of ``count`` lines of ``width`` characters each, newline included."""
    return "".join(f"{f'{number:02} {told}: {FILLING}'[:width - 1]}\n" for number in range(count))


def documentation() -> dict[str, str]:
    """The files that are there to be read: with line numbers before each line they come to 4 KiB."""
    return {f"docs/part_{n:02}.md": lines(63, 58, f"part {n}") for n in range(PARTS)}
