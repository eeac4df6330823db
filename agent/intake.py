"""The first step of a turn: read the message, store its pictures, and repair what an interrupted turn left behind."""

import asyncio

from agent.events import Notice, TurnStarted
from agent.images import decode
from agent.run import Run
from agent.state import Line, Reference, State, Turn
from tools.errors import InputError

EMPTY = "Say what you would like to see, or attach a picture whose feel you like."
INTERRUPTED = "(This turn was interrupted before I could answer.)"


async def take_in(state: State, run: Run) -> dict[str, object]:
    """Return the state's changes for a new turn.

    Raises:
        InputError: nothing in the message can be used; the state is left as it was.
    """
    number = state.turn.number + 1
    references = await _references(state, run, number)
    new = tuple(r.id for r in references[len(state.references) :])
    text = run.message.text.replace("\x00", "").strip()
    if not text and not new:
        raise InputError(EMPTY)
    limit = run.settings.max_message_chars
    if len(text) > limit:
        run.emit(Notice(f"Your message has {len(text):,} characters; I keep the first {limit:,}."))
        text = text[:limit].rstrip()
    shown = min(run.pack.said_chars, limit)
    if len(" ".join(text.split())) > shown:
        run.emit(Notice(f"I read the first {shown:,} characters of a message."))
    run.emit(TurnStarted(number, new))
    return {
        "turn": Turn(number=number, said=text, attached=new),
        "references": references,
        "dialogue": [*repaired(state), Line(turn=number, role="person", text=text, attached=new)],
    }


def repaired(state: State) -> list[Line]:
    """Return the dialogue with an answer for every message: a turn that was cut off gets a note instead."""
    lines = list(state.dialogue)
    if lines and lines[-1].role == "person":
        lines.append(Line(turn=lines[-1].turn, role="agent", text=INTERRUPTED, images=state.turn.made))
    return lines


async def _references(state: State, run: Run, number: int) -> list[Reference]:
    known = list(state.references)
    settings = run.settings
    files = run.message.files
    if len(files) > settings.max_attachments:
        run.emit(Notice(f"I look at {settings.max_attachments} pictures a message; the others are left out."))
    for name, data in files[: settings.max_attachments]:
        short = name[-200:]
        try:
            decoded = await asyncio.to_thread(
                decode,
                short,
                data,
                max_bytes=settings.max_upload_bytes,
                max_pixels=settings.max_upload_pixels,
                side=settings.reference_side,
            )
        except InputError as error:
            if len(files) == 1 and not run.message.text.strip():
                raise
            run.emit(Notice(str(error)))
            continue
        for note in decoded.notes:
            run.emit(Notice(note))
        digest, path = await asyncio.to_thread(run.store.add_reference, decoded.image)
        known.append(Reference(id=f"ref{len(known) + 1}", digest=digest, path=path, name=short, turn=number))
    return known
