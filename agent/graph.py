"""The conversation as a state machine.

    START -> intake -> reason -+- calls -> act -+- an image -> critique -+- more calls -> act
                               |                +- else  -> reason       +- else -> reason
                               +- an answer, or a budget ran out -> deliver -> END

Nodes do work and return the fields they change. The `after_*` functions answer one question and do nothing else. Only
`build` knows which node an answer leads to.
"""

import asyncio
from typing import Any, Literal

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from agent import events
from agent.act import judged, perform, same_but_seed
from agent.context import reason_messages
from agent.intake import take_in
from agent.run import Run
from agent.state import Call, Line, State, Step, StopReason, Turn
from tools import phrases
from tools.asks import ImageBlock, repair_messages
from tools.errors import ToolError
from tools.paint import StoppedError
from tools.reasoner import MalformedError
from tools.types import Critique

Update = dict[str, Any]

WHY: dict[StopReason, str] = {
    "rounds": "I stopped: this took more steps than a turn may have.",
    "seconds": "I stopped: this took longer than a turn may take.",
    "images": "I stopped: a turn paints no more pictures than these.",
    "malformed": "I could not put my next step into words that can be carried out. Please say it differently.",
    "stopped": "Stopped, as you asked.",
}


async def intake(state: State, runtime: Runtime[Run]) -> Update:
    """Take the message in."""
    return dict(await take_in(state, runtime.context))


async def reason(state: State, runtime: Runtime[Run]) -> Update:
    """Decide the next step: tools to call, or the answer."""
    run, turn = runtime.context, state.turn
    spent = _spent(turn, run)
    if spent:
        return _ended(turn, spent)
    reasoner = await run.models.reasoner()

    def picture(name: str) -> ImageBlock:
        found = state.reference(name) or state.image(name)
        assert found is not None
        return run.store.block(found.path)

    def chunk(text: str, is_thought: bool) -> None:
        run.emit(events.Thought(text) if is_thought else events.AnswerPiece(text))

    try:
        messages = await asyncio.to_thread(reason_messages, state, run.pack, picture)
        try:
            reply = await reasoner.decide(messages, run.stop, chunk)
        except MalformedError as error:
            again = repair_messages(messages, error.raw, str(error), run.pack)
            reply = await reasoner.decide(again, run.stop, chunk)
    except StoppedError:
        return _ended(turn, "stopped")
    except MalformedError:
        return _ended(turn, "malformed")
    # A model without a thinking mode thinks aloud before it calls.
    aloud = reply.text if reply.tool_calls else ""
    thought = str(reply.additional_kwargs.get("reasoning_content") or aloud).strip()
    if thought:
        run.emit(events.Thought(thought, final=True))
    calls = tuple(Call(tool=c["name"], arguments=dict(c["args"])) for c in reply.tool_calls)
    if calls and _refused_before(turn, calls):
        return _ended(turn, "images")
    if calls:
        return {"turn": turn.model_copy(update={"calls": calls, "thought": thought, "rounds": turn.rounds + 1})}
    answer = {"answer": reply.text.strip(), "thought": thought, "stop_reason": "answered"}
    return {"turn": turn.model_copy(update=answer)}


async def act(state: State, runtime: Runtime[Run]) -> Update:
    """Run the first of the calls that wait."""
    run, turn = runtime.context, state.turn
    call, *rest = turn.calls
    if run.stop.is_set():
        return _ended(turn, "stopped")
    run.emit(events.ToolStarted(call.tool, call.arguments))
    try:
        outcome = await perform(state, call, run)
    except StoppedError:
        run.emit(events.ToolFinished(call.tool, "stopped", ok=False))
        return _ended(turn, "stopped")
    except ToolError as error:
        run.emit(events.ToolFinished(call.tool, str(error), ok=False))
        # What was to follow a failed call rested on it; the model decides anew.
        step = Step(tool=call.tool, arguments=call.arguments, result=str(error), ok=False)
        return {"turn": turn.model_copy(update={"calls": (), "steps": (*turn.steps, step)})}
    run.emit(events.ToolFinished(call.tool, outcome.result))
    step = Step(tool=call.tool, arguments=call.arguments, result=outcome.result)
    changed = {**outcome.turn, "calls": tuple(rest), "steps": (*turn.steps, step)}
    return {**outcome.state, "turn": turn.model_copy(update=changed)}


async def critique(state: State, runtime: Runtime[Run]) -> Update:
    """Check the new picture, and make the best attempt of this turn the current one."""
    run, turn = runtime.context, state.turn
    record = state.image(turn.unchecked)
    assert record is not None, "critique only follows a new picture"
    arguments = {"image": record.id}
    run.emit(events.ToolStarted("critique", arguments))
    ok = True
    try:
        seen = await judged(record, run)
    except StoppedError:
        run.emit(events.ToolFinished("critique", "stopped", ok=False))
        return _ended(turn.model_copy(update={"unchecked": ""}), "stopped")
    except ToolError as error:
        ok, seen, result = False, Critique(), f"{record.id} could not be checked: {error}"
        critiques, best = dict(state.critiques), record.id
    else:
        critiques = {**state.critiques, record.id: seen}
        best = best_attempt(state, critiques)
        left = max(0, run.settings.max_images - len(turn.made))
        result = phrases.checked(record.id, seen, left, best)
    run.emit(events.ToolFinished("critique", result, ok=ok))
    step = Step(tool="critique", arguments=arguments, result=result, ok=ok, forced=True)
    chosen = state.image(best)
    assert chosen is not None
    return {
        "critiques": critiques,
        "head": best,
        "layout": chosen.recipe.layout,
        "turn": turn.model_copy(update={"unchecked": "", "steps": (*turn.steps, step)}),
    }


async def deliver(state: State, runtime: Runtime[Run]) -> Update:
    """Close the turn: the model's answer, or why there is none and what there is instead."""
    run, turn = runtime.context, state.turn
    reason_why = turn.stop_reason or "answered"
    text = turn.answer
    if reason_why != "answered" or not text:
        text = WHY.get(reason_why, "I have nothing to add.")
        if turn.made:
            text += f" The best picture so far is {state.head}."
    run.emit(events.Answer(text, turn.made, state.head, reason_why, round(run.seconds, 3)))
    line = Line(turn=turn.number, role="agent", text=text, images=turn.made)
    ended = {"answer": text, "stop_reason": reason_why, "calls": (), "unchecked": ""}
    return {"turn": turn.model_copy(update=ended), "dialogue": [*state.dialogue, line]}


def best_attempt(state: State, critiques: dict[str, Critique]) -> str:
    """Return the best of this turn's attempts at the newest picture; a tie keeps the earlier."""
    made = [record for name in state.turn.made if (record := state.image(name)) is not None]
    attempts = [r for r in made if same_but_seed(r.recipe) == same_but_seed(made[-1].recipe)]
    checked = [r for r in attempts if r.id in critiques]
    return max(checked or attempts, key=lambda r: critiques[r.id].rank if r.id in critiques else (0, 0)).id


def after_reason(state: State) -> Literal["calls", "answer"]:
    """Say what the model decided."""
    return "calls" if state.turn.calls and state.turn.stop_reason is None else "answer"


def after_act(state: State) -> Literal["image", "calls", "think", "stop"]:
    """Say what the call left to do."""
    turn = state.turn
    if turn.stop_reason is not None:
        return "stop"
    if turn.unchecked:
        return "image"
    return "calls" if turn.calls else "think"


def after_critique(state: State) -> Literal["calls", "think", "stop"]:
    """Say whether calls of the same reply still wait."""
    if state.turn.stop_reason is not None:
        return "stop"
    return "calls" if state.turn.calls else "think"


def build(checkpointer: BaseCheckpointSaver[Any]) -> CompiledStateGraph[State, Run, State, State]:
    """Wire the machine drawn above."""
    return (
        StateGraph(State, context_schema=Run)
        .add_node("intake", intake)
        .add_node("reason", reason)
        .add_node("act", act)
        .add_node("critique", critique)
        .add_node("deliver", deliver)
        .add_edge(START, "intake")
        .add_edge("intake", "reason")
        .add_conditional_edges("reason", after_reason, {"calls": "act", "answer": "deliver"})
        .add_conditional_edges(
            "act", after_act, {"image": "critique", "calls": "act", "think": "reason", "stop": "deliver"}
        )
        .add_conditional_edges("critique", after_critique, {"calls": "act", "think": "reason", "stop": "deliver"})
        .add_edge("deliver", END)
        .compile(checkpointer=checkpointer)
    )


def _spent(turn: Turn, run: Run) -> StopReason | None:
    """Return the budget that ran out, if one did."""
    if run.stop.is_set():
        return "stopped"
    if turn.rounds >= run.settings.max_rounds:
        return "rounds"
    return "seconds" if run.seconds > run.settings.max_seconds else None


def _refused_before(turn: Turn, calls: tuple[Call, ...]) -> bool:
    """Say whether the model asks for another picture after it was told that there are no more."""
    if not turn.steps or turn.steps[-1].result != phrases.NO_MORE_IMAGES:
        return False
    return any(c.tool == "generate_image" for c in calls)


def _ended(turn: Turn, why: StopReason) -> Update:
    return {"turn": turn.model_copy(update={"calls": (), "stop_reason": why})}
