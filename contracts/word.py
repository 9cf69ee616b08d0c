"""The base of every word that crosses from one room to another."""

from pydantic import BaseModel, ConfigDict


class Word(BaseModel):
    """A frozen message. Unknown fields are ignored, so that a newer writer never breaks an older reader."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class StrictWord(BaseModel):
    """A frozen message that a person writes: an unknown field is a spelling mistake and is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
