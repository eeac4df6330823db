"""What one conversation remembers: small, serialisable facts, and nothing else.

Pictures, latents and models never enter the state; they are reached through ids and through `agent.run.Run`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field

from tools.recipe import ImageRecord
from tools.taste import TasteCard
from tools.types import Critique, Layout, Value

StopReason = Literal["answered", "rounds", "seconds", "images", "malformed", "stopped", "failed"]
"""Why a turn ended: the model answered; a budget ran out; its output could not be read; the person; an error."""


class Reference(Value):
    """A picture that the person attached."""

    id: str = Field(pattern=r"^ref[1-9][0-9]{0,3}$")
    digest: str
    path: str = Field(description="Re-encoded PNG, relative to the data folder.")
    name: str = Field(max_length=200, description="File name as given; for people only.")
    turn: int
    read: bool = False


class Line(Value):
    """One message of the dialogue."""

    turn: int
    role: Literal["person", "agent"]
    text: str
    attached: tuple[str, ...] = ()
    images: tuple[str, ...] = ()


class Call(Value):
    """A tool call that the model decided on and that has not run yet."""

    tool: str
    arguments: dict[str, Any]


class Step(Value):
    """A tool call of this turn and what came of it, in the words the model is shown."""

    tool: str
    arguments: dict[str, Any]
    result: str
    ok: bool = True
    forced: bool = Field(default=False, description="Run by the machine (the critique of a new picture).")


class Turn(Value):
    """What happened in the current turn; replaced when the next begins."""

    number: int = 0
    said: str = ""
    attached: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    calls: tuple[Call, ...] = Field(default=(), description="Decided on, not run yet.")
    made: tuple[str, ...] = Field(default=(), description="Pictures of this turn, in order.")
    unchecked: str = Field(default="", description="The picture that the critique has to see next.")
    planned_from: str = Field(default="", description='"new" or a picture, once a plan was made this turn.')
    rounds: int = Field(default=0, description="How often the model has called tools.")
    thought: str = ""
    answer: str = ""
    stop_reason: StopReason | None = None


@dataclass(kw_only=True)
class State:
    """The whole memory of one conversation."""

    seed: int = 0
    """Every picture's seed follows from it, so that a scripted conversation repeats."""
    card: TasteCard = field(default_factory=TasteCard)
    layout: Layout | None = None
    """The current plan."""
    images: Sequence[ImageRecord] = ()
    critiques: dict[str, Critique] = field(default_factory=dict[str, Critique])
    head: str = ""
    """The current picture, or empty."""
    references: Sequence[Reference] = ()
    dialogue: Sequence[Line] = ()
    turn: Turn = field(default_factory=Turn)

    def image(self, name: str) -> ImageRecord | None:
        """Return the picture of that id."""
        return next((i for i in self.images if i.id == name), None)

    def reference(self, name: str) -> Reference | None:
        """Return the attachment of that id."""
        return next((r for r in self.references if r.id == name), None)
