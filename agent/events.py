"""What a conversation tells its listener while it works: one frozen type an event, whatever the door."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from agent.state import StopReason
from tools.recipe import ImageRecord
from tools.taste import TasteCard
from tools.types import Critique, Layout


@dataclass(frozen=True)
class TurnStarted:
    """The message was accepted."""

    turn: int
    attached: tuple[str, ...] = ()
    """Ids of the attachments that could be used."""


@dataclass(frozen=True)
class Notice:
    """Something the person should know that is not an answer: a file that cannot be read, a text that was cut."""

    text: str


@dataclass(frozen=True)
class Thought:
    """A piece of the model's thinking; `final` carries the whole and ends it."""

    text: str
    final: bool = False


@dataclass(frozen=True)
class AnswerPiece:
    """A piece of the answer while it is being written; it was thinking aloud if a final `Thought` follows."""

    text: str


@dataclass(frozen=True)
class ToolStarted:
    """A tool begins."""

    tool: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class ToolFinished:
    """A tool ended; `result` is what the model is told."""

    tool: str
    result: str
    ok: bool = True


@dataclass(frozen=True)
class Progress:
    """A denoising step is done."""

    step: int
    steps: int
    preview: Image.Image | None = None


@dataclass(frozen=True)
class Painted:
    """A new picture lies at `path`."""

    record: ImageRecord
    path: Path
    report: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Checked:
    """A picture was checked."""

    image: str
    critique: Critique


@dataclass(frozen=True)
class TasteChanged:
    """The taste card is another one now."""

    card: TasteCard


@dataclass(frozen=True)
class Planned:
    """There is a new plan; `defects` names what is still wrong with it."""

    layout: Layout
    defects: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """The turn is over, and this is what the agent says."""

    text: str
    images: tuple[str, ...]
    """Pictures made this turn."""
    head: str
    """The current picture, or empty."""
    stop_reason: StopReason
    seconds: float = 0.0


@dataclass(frozen=True)
class Failed:
    """The turn ended without an answer; the conversation goes on from where it was."""

    kind: Literal["input", "config", "busy", "error"]
    """The person's message; the installation; a turn is still running; a bug."""
    message: str


Event = (
    TurnStarted
    | Notice
    | Thought
    | AnswerPiece
    | ToolStarted
    | ToolFinished
    | Progress
    | Painted
    | Checked
    | TasteChanged
    | Planned
    | Answer
    | Failed
)
