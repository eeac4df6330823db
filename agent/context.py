"""What the reasoning model is shown: a bounded view of the state, as messages.

Pure: the same state gives the same messages, and a long conversation costs what a short one costs. Every fact that a
right decision depends on is in the digest: the taste, unread attachments, the latest pictures and the current one, the
person's words, and what this turn has done.
"""

import re
from collections.abc import Callable, Sequence

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage

from agent.state import Line, State, Step
from prompts import Pack
from tools.asks import ImageBlock, one_line

NAMED = re.compile(r"@([1-9][0-9]{0,3})\b")
"""Pictures the person names in their words; those are listed however old they are."""


def reason_messages(state: State, pack: Pack, picture: Callable[[str], ImageBlock] | None = None) -> list[BaseMessage]:
    """Return the messages for the next decision.

    Args:
        state: the conversation.
        pack: the words and the bounds.
        picture: gives the image block of an id, for packs that show pictures.
    """
    as_messages = pack.steps == "messages"
    text = pack.prompt("turn").fill(
        digest=digest(state, pack),
        said=one_line(state.turn.said, pack.said_chars) or "(nothing)",
        done="" if as_messages else "\n".join(done_lines(state.turn.steps, pack)),
    )
    now: HumanMessage = HumanMessage(text)
    if pack.shows_pictures and picture is not None:
        shown = [state.head] if state.head else []
        shown += [r.id for r in state.references[-pack.references :] if not r.read]
        if shown:
            now = HumanMessage([*(picture(name) for name in shown), {"type": "text", "text": text}])
    messages: list[BaseMessage] = [SystemMessage(pack.prompt("reason").fill()), *recent(state, pack), now]
    return messages + (step_messages(state.turn.steps, pack) if as_messages else [])


def digest(state: State, pack: Pack) -> str:
    """Return the facts of the conversation, one a line, in a fixed order."""
    lines = [f"taste: {one_line(state.card.phrase, pack.line_chars)}"]
    references = ", ".join(f"{r.id} {'read' if r.read else 'new'}" for r in state.references[-pack.references :])
    lines.append(f"refs: {references or 'none'}")
    lines.append(f"pictures: {len(state.images) or 'none'}")
    named = {f"@{n}" for n in NAMED.findall(state.turn.said)}
    latest = state.images[-pack.pictures :]
    older = [i for i in state.images[: -pack.pictures] if i.id in named or i.id == state.head][-2:]
    lines += [f"{i.id}: {one_line(i.phrase, pack.line_chars)}" for i in (*older, *latest[len(older) :])]
    lines.append(f"head: {state.head or 'none'}")
    return "\n".join(lines)


def done_lines(steps: Sequence[Step], pack: Pack) -> list[str]:
    """Return what this turn has done, one line a step."""
    done = [f"done: {'' if s.ok else 'error: '}{one_line(s.result, pack.line_chars)}" for s in steps]
    return done[-6:] or ["done: nothing"]


def step_messages(steps: Sequence[Step], pack: Pack) -> list[BaseMessage]:
    """Return this turn's steps as tool calls and tool messages; a forced step's result joins the one before it."""
    messages: list[BaseMessage] = []
    for number, step in enumerate(steps):
        result = f"{'' if step.ok else 'error: '}{one_line(step.result, pack.line_chars)}"
        if step.forced and messages:
            last = messages.pop()
            assert isinstance(last, ToolMessage)
            messages.append(ToolMessage(f"{last.text}\n{result}", tool_call_id=last.tool_call_id))
            continue
        call = {"name": step.tool, "args": step.arguments, "id": f"call{number}"}
        messages += [
            AIMessage("", tool_calls=[{**call, "type": "tool_call"}]),  # pyright: ignore[reportArgumentType]
            ToolMessage(result, tool_call_id=f"call{number}"),
        ]
    return messages


def recent(state: State, pack: Pack) -> list[BaseMessage]:
    """Return the last messages before this turn, beginning with one of the person's."""
    earlier = [line for line in state.dialogue if line.turn < state.turn.number]
    lines = earlier[-pack.recent_messages :] if pack.recent_messages else []
    while lines and lines[0].role != "person":
        lines = lines[1:]
    return [_message(line, pack) for line in lines]


def _message(line: Line, pack: Pack) -> BaseMessage:
    text = one_line(line.text, pack.line_chars) or "(nothing)"
    return HumanMessage(text) if line.role == "person" else AIMessage(text)
