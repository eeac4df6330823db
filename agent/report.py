"""What a scripted conversation leaves behind: a line a turn, a transcript, and a page with its pictures inside."""

import base64
from pathlib import Path
from typing import Any

import jinja2
from pydantic import BaseModel, Field

from tools.taste import TasteCard
from tools.types import Critique, Layout

TEMPLATE = Path(__file__).with_name("report.html.jinja")


class Picture(BaseModel):
    """A picture of the run and how it came about."""

    id: str
    file: str
    seed: int
    parent: str | None
    seconds: float


class Used(BaseModel):
    """A tool call and its result."""

    tool: str
    arguments: dict[str, Any]
    result: str
    ok: bool


class TurnReport(BaseModel):
    """One line of `turns.jsonl`."""

    turn: int
    say: str
    attach: list[str] = Field(default_factory=list[str])
    answer: str = ""
    images: list[Picture] = Field(default_factory=list[Picture])
    head: str = ""
    head_file: str = ""
    tools: list[str] = Field(default_factory=list[str])
    steps: list[Used] = Field(default_factory=list[Used])
    thoughts: list[str] = Field(default_factory=list[str])
    notices: list[str] = Field(default_factory=list[str])
    taste: TasteCard = TasteCard()
    layout: Layout | None = None
    critique: Critique | None = None
    """Of the head image."""
    stop_reason: str = "failed"
    error: str = ""
    seconds: float = 0.0

    @property
    def completed(self) -> bool:
        """Whether the turn ended with an answer of the model."""
        return self.stop_reason == "answered"


def write_lines(turns: list[TurnReport], out: Path) -> None:
    """Write `turns.jsonl`."""
    text = "".join(turn.model_dump_json() + "\n" for turn in turns)
    (out / "turns.jsonl").write_text(text, encoding="utf-8")


def write_transcript(title: str, turns: list[TurnReport], out: Path) -> None:
    """Write `transcript.md`."""
    lines = [f"# {title}", ""]
    for turn in turns:
        lines += [f"## {turn.turn}", "", f"**Person:** {turn.say or '(nothing)'}"]
        lines += [f"![attached]({name})" for name in turn.attach]
        lines += ["", *(f"*{text}*  " for text in turn.thoughts)]
        lines += [f"- `{used.tool}`: {used.result}" for used in turn.steps]
        lines += [f"- note: {text}" for text in turn.notices]
        lines += ["", f"**Agent:** {turn.answer or turn.error}", ""]
        lines += [f"![{p.id}]({p.file})\n\n{p.id}, seed {p.seed}, {p.seconds:.1f} s\n" for p in turn.images]
        lines += [f"Taste: {turn.taste.phrase}. Current picture: {turn.head or 'none'}.", ""]
    (out / "transcript.md").write_text("\n".join(lines), encoding="utf-8")


def write_page(title: str, turns: list[TurnReport], out: Path) -> Path:
    """Write `index.html`, with every picture inside."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    page = out / "index.html"
    page.write_text(template.render(title=title, turns=turns, data=lambda name: data_url(out / name)), encoding="utf-8")
    return page


def data_url(path: Path) -> str:
    """Return a PNG as a data URL."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")
