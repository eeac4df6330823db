"""What a conversation looks like on any page: events and memory become cards, which a door draws in its own way.

A card with a known key replaces the one drawn before, so a thought grows, a picture develops, a tool ends, in place.
"""

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from agent import events, words
from agent.session import Session
from agent.state import State

WIDE = 400
"""Pixels from which a picture is shown as it is; the pixels of a smaller one are enlarged."""
Picture = dict[str, Any]
"""Where a picture is to be had ("path" or "url"), its "name", and its "size" on the page."""
Kind = Literal["said", "thought", "tool", "picture", "answer", "note", "error"]


@dataclass(frozen=True)
class Card:
    """One thing to see."""

    key: str
    """Unique within a turn."""
    kind: Kind
    text: str = ""
    """All of it so far; while a card is not done, later texts mostly continue earlier ones."""
    title: str = ""
    images: tuple[Picture, ...] = ()
    done: bool = True
    ok: bool = True


class TurnDisplay:
    """Follows one turn."""

    def __init__(self, loading: bool = False) -> None:
        """Start with nothing to see.

        Args:
            loading: whether the models are still being loaded, which the person should be told.
        """
        self.loading = loading
        self.step: Card | None = None
        """The thought or tool that is going on."""
        self.thought: Card | None = None
        """The thought that led to the answer."""
        self.picture: Card | None = None
        """The picture that is being painted."""
        self.answer = ""
        self.notes: list[str] = []
        self._count = 0

    def cards(self, event: events.Event) -> Iterator[Card]:
        """Yield what an event changes, in the order of drawing."""
        match event:
            case events.TurnStarted() if self.loading:
                yield from self._begin("tool", "Load the models")
            case events.Thought(text, final):
                if final and self.thought is not None:  # the answer began before the thought was known to be whole
                    yield replace(self.thought, text=text)
                    return
                if self.step is None or self.step.kind != "thought":
                    yield from self._begin("thought", "Think")
                yield from self._end(text) if final else self._grow(text)
                self.thought = None
            case events.ToolStarted(tool):
                yield from self._begin("tool", words.DOING.get(tool, tool))
            case events.Progress(step, steps, preview):
                shown = () if preview is None else (sketch(preview),)
                yield self._painted(words.painting(step, steps), shown, done=False)
            case events.Painted(record, path):
                yield self._painted(words.caption(record), (stored(path),), done=True)
                self.picture = None
            case events.Planned(layout, defects):
                self.notes.append(words.planned(layout, defects))
            case events.TasteChanged(card):
                self.notes.append(words.liked(card))
            case events.Checked(_, critique):
                self.notes.append(words.checked(critique))
            case events.ToolFinished(_, result, ok):
                yield from self._end("\n\n".join([result, *self.notes]), ok)
                if self.picture is not None:
                    yield replace(self.picture, text=f"{words.UNFINISHED} {self.picture.text}", done=True)
                    self.picture = None
            case events.Notice(text):
                yield Card(self._key("note"), "note", text)
            case events.AnswerPiece(text):
                for ended in self._end():
                    self.thought = ended if ended.kind == "thought" else None
                    yield ended
                self.answer += text
                yield Card("answer", "answer", self.answer, done=False)
            case events.Answer(text):
                yield from self._end()
                yield Card("answer", "answer", text)
            case events.Failed(kind, text):
                yield from self._end(ok=False)
                yield Card("failed", "note" if kind in ("input", "busy") else "error", text)
            case _:
                pass

    def fault(self, error: Exception) -> Iterator[Card]:
        """Yield how a turn that ended in a fault of the program looks."""
        yield from self._end(ok=False)
        yield Card("failed", "error", words.fault(error))

    def _key(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count}"

    def _begin(self, kind: Kind, title: str) -> Iterator[Card]:
        yield from self._end()
        self.step = Card(self._key(kind), kind, title=title, done=False)
        yield self.step

    def _grow(self, text: str) -> Iterator[Card]:
        assert self.step is not None
        self.step = replace(self.step, text=self.step.text + text)
        yield self.step

    def _end(self, text: str = "", ok: bool = True) -> Iterator[Card]:
        if self.step is not None:
            yield replace(self.step, text=text or self.step.text, done=True, ok=ok)
        self.step, self.notes = None, []

    def _painted(self, text: str, images: tuple[Picture, ...], done: bool) -> Card:
        key = self.picture.key if self.picture else self._key("picture")
        self.picture = Card(key, "picture", text, images=images, done=done)
        return self.picture


def history(state: State, session: Session) -> Iterator[Card]:
    """Yield a conversation so far, as it looked when its turns were over."""
    for number, line in enumerate(state.dialogue):
        if line.role == "person":
            attached = [found for name in line.attached if (found := state.reference(name)) is not None]
            yield Card(f"{number}", "said", line.text, images=_kept(session, *(r.path for r in attached)))
            continue
        for record in [found for name in line.images if (found := state.image(name)) is not None]:
            yield Card(f"{number}{record.id}", "picture", words.caption(record), images=_kept(session, record.path))
        yield Card(f"{number}", "answer", line.text)


def _kept(session: Session, *paths: str) -> tuple[Picture, ...]:
    """Return the pictures whose files are still there."""
    return tuple(stored(path) for path in map(session.path, paths) if path.is_file())


def stored(path: Path) -> Picture:
    """Return a picture as its file, recipe and all."""
    with Image.open(path) as image:
        width = image.width
    return {"path": str(path), "name": path.name, "size": "small" if width < WIDE else "large"}


def sketch(image: Image.Image) -> Picture:
    """Return a picture that needs no file."""
    image.save(data := io.BytesIO(), "JPEG")
    url = f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}"
    return {"url": url, "name": "sketch", "size": "small" if image.width < WIDE else "large"}
