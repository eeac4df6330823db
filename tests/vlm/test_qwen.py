"""QwenVLChat through LangChain's front door, on a real model of random weights."""

import asyncio
import math
import threading
import time
from functools import reduce
from operator import add
from pathlib import Path
from typing import Annotated, Any, Literal

import jsonschema
import pytest
import torch
from langchain_core.messages import AIMessageChunk, BaseMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableConfig, RunnableLambda
from langchain_core.tools import tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, field_validator

from vlm.errors import ContextOverflowError, MalformedOutputError, StoppedError
from vlm.images import about
from vlm.messages import thought_of
from vlm.qwen import QwenVLChat

ASKED: list[BaseMessage] = [
    SystemMessage("Be brief."),
    about(Image.linear_gradient("L").convert("RGB"), "Is it a gradient?"),
]


@tool
def draw(base: Annotated[str, Field(max_length=8)], keep: bool) -> str:
    """Draw a picture."""
    return base + str(keep)


@tool
def weigh(weight: Annotated[int, Field(ge=-2, le=2)], category: Literal["style", "theme"]) -> str:
    """Weigh a keyword."""
    return category * weight


@tool
def tell(story: Annotated[str, Field(min_length=2000)]) -> str:
    """Tell a story that cannot be short."""
    return story


SCHEMAS = {t.name: convert_to_openai_tool(t)["function"]["parameters"] for t in (draw, weigh)}


class Card(BaseModel):
    model_config = ConfigDict(extra="forbid")

    word: str = Field(min_length=1, max_length=6)
    weight: float = Field(ge=-2, le=2)
    kinds: list[Literal["style", "theme"]] = Field(max_length=2)


def stopping(event: threading.Event) -> RunnableConfig:
    return {"configurable": {"stop_event": event}}


def test_an_answer_comes_with_its_thought_and_its_record(chat: QwenVLChat) -> None:
    reply = chat.invoke(ASKED, max_new_tokens=40, max_thought_tokens=8)

    assert thought_of(reply)
    assert reply.text
    assert not reply.tool_calls
    assert reply.response_metadata["finish_reason"] in {"stop", "length"}
    assert reply.usage_metadata is not None
    assert reply.usage_metadata["input_tokens"] == chat.count_tokens(ASKED)
    assert reply.usage_metadata["output_tokens"] == 40


def test_without_thinking_the_reply_is_the_answer(chat: QwenVLChat) -> None:
    assert not thought_of(chat.invoke(ASKED, think=False, max_new_tokens=8))


@pytest.mark.parametrize("seed", range(3))
def test_calls_match_the_schemas_of_their_tools(chat: QwenVLChat, seed: int) -> None:
    bound = chat.bind_tools([draw, weigh], tool_choice="required", parallel_tool_calls=False)

    reply = bound.invoke(ASKED, temperature=2.0, seed=seed, max_thought_tokens=4, max_new_tokens=200)

    (call,) = reply.tool_calls
    jsonschema.validate(call["args"], SCHEMAS[call["name"]])
    assert reply.content == ""
    assert reply.response_metadata["finish_reason"] == "stop"


def test_a_named_tool_is_the_one_called(chat: QwenVLChat) -> None:
    bound = chat.bind_tools([draw, weigh], tool_choice="weigh", parallel_tool_calls=False)

    assert bound.invoke(ASKED, max_thought_tokens=4).tool_calls[0]["name"] == "weigh"


def test_greedy_runs_repeat_themselves(chat: QwenVLChat) -> None:
    first, second = (chat.invoke(ASKED, max_new_tokens=32, max_thought_tokens=8) for _ in range(2))

    assert first.content == second.content
    assert thought_of(first) == thought_of(second)


async def test_the_chunks_of_a_stream_add_up_to_the_message(chat: QwenVLChat) -> None:
    chunks = [chunk async for chunk in chat.astream(ASKED, max_new_tokens=40, max_thought_tokens=8)]
    whole: AIMessageChunk = reduce(add, chunks)
    reply = await chat.ainvoke(ASKED, max_new_tokens=40, max_thought_tokens=8)

    assert len(chunks) > 10
    assert whole.content == reply.content
    assert thought_of(whole) == thought_of(reply)
    assert whole.response_metadata == reply.response_metadata
    assert whole.usage_metadata == reply.usage_metadata
    kinds = ["thought" if thought_of(chunk) else "answer" for chunk in chunks]
    assert kinds == sorted(kinds, reverse=True)


async def test_the_loop_stays_free_while_the_model_writes(chat: QwenVLChat) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    await chat.ainvoke(ASKED, max_new_tokens=40, max_thought_tokens=8)
    ticking.cancel()

    # Far more than one a token: the loop turned over while tokens were computed.
    assert ticks > 200


async def test_a_set_event_stops_a_stream(chat: QwenVLChat) -> None:
    stop, seen = threading.Event(), 0

    async def watch() -> None:
        nonlocal seen
        async for _ in chat.astream(ASKED, stopping(stop), max_new_tokens=900):
            seen += 1
            stop.set()

    with pytest.raises(StoppedError):
        await watch()

    assert seen < 20


async def test_the_event_reaches_the_model_through_a_graph_that_forgets_it(chat: QwenVLChat) -> None:
    """A node seldom hands its config on by hand; langchain carries it in a context variable."""
    stop = threading.Event()
    stop.set()
    node = RunnableLambda(lambda _: chat.invoke(ASKED), lambda _: chat.ainvoke(ASKED))

    with pytest.raises(StoppedError):
        await node.ainvoke(None, stopping(stop))
    with pytest.raises(StoppedError):
        node.invoke(None, stopping(stop))


async def test_a_bound_model_stops_too(chat: QwenVLChat) -> None:
    stop = threading.Event()
    stop.set()

    for runnable in (chat.bind_tools([draw]), chat.with_structured_output(Card)):
        with pytest.raises(StoppedError):
            await runnable.ainvoke(ASKED, stopping(stop))
    with pytest.raises(StoppedError):
        await chat.ayes_probability(ASKED, stopping(stop))


@pytest.mark.parametrize("kind", ["thought", "call"])
async def test_cancelling_the_task_ends_the_thread(
    chat: QwenVLChat, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Also in the middle of a tool call, of which nothing is handed out before it is whole."""
    engine = chat._engine  # pyright: ignore[reportPrivateUsage]
    steps, step = 0, engine._step  # pyright: ignore[reportPrivateUsage]

    def counted(*args: Any) -> Any:
        nonlocal steps
        steps += 1
        return step(*args)

    monkeypatch.setattr(engine, "_step", counted)
    options: dict[str, Any] = {"max_thought_tokens": 900} if kind == "thought" else {"think": False}
    bound = chat.bind_tools([tell], tool_choice="tell" if kind == "call" else "none")
    task = asyncio.create_task(bound.ainvoke(ASKED, max_new_tokens=900, **options))
    while steps < 40:
        await asyncio.sleep(0.001)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # At most the token in the making is finished.
    at_cancel = steps
    await asyncio.sleep(0.1)

    assert steps <= at_cancel + 1


async def test_tracers_can_record_a_call_with_an_event(chat: QwenVLChat) -> None:
    events = [
        event["event"]
        async for event in chat.astream_events(
            ASKED, stopping(threading.Event()), version="v2", max_new_tokens=24, max_thought_tokens=4
        )
    ]

    assert events[0] == "on_chat_model_start"
    assert events[-1] == "on_chat_model_end"


def test_structured_output_is_a_validated_value(chat: QwenVLChat) -> None:
    card = chat.with_structured_output(Card).invoke(ASKED)

    assert isinstance(card, Card)


def test_a_plain_schema_gives_a_plain_dict(chat: QwenVLChat) -> None:
    schema = Card.model_json_schema()

    jsonschema.validate(chat.with_structured_output(schema).invoke(ASKED), schema)


def picky(refusals: int) -> type[BaseModel]:
    """A schema whose validator, which no grammar can know of, refuses the first replies."""
    left = [refusals]

    class Picky(Card):
        @field_validator("word")
        @classmethod
        def refuse(cls, word: str) -> str:
            left[0] -= 1
            if left[0] >= 0:
                raise ValueError("not that word")
            return word

    return Picky


async def test_an_invalid_value_gets_one_repair_turn(chat: QwenVLChat) -> None:
    assert isinstance(chat.with_structured_output(picky(1)).invoke(ASKED), Card)
    assert isinstance(await chat.with_structured_output(picky(1)).ainvoke(ASKED), Card)
    with pytest.raises(MalformedOutputError, match="not that word"):
        chat.with_structured_output(picky(2)).invoke(ASKED)
    with pytest.raises(MalformedOutputError, match="not that word"):
        await chat.with_structured_output(picky(1), repair=False).ainvoke(ASKED)


def test_json_cut_off_at_the_limit_is_malformed(folder: Path) -> None:
    short = QwenVLChat.load(folder, max_new_tokens=3)

    with pytest.raises(MalformedOutputError, match="cut off"):
        short.with_structured_output(Card).invoke(ASKED)


def test_a_repair_that_does_not_fit_leaves_the_first_error(folder: Path) -> None:
    small = QwenVLChat.load(folder, context_length=64)

    with pytest.raises(MalformedOutputError, match="cut off"):
        small.with_structured_output(Card).invoke([HumanMessage("Is it a gradient?")], max_new_tokens=3)


def test_a_call_cut_off_at_the_limit_is_malformed(chat: QwenVLChat) -> None:
    with pytest.raises(MalformedOutputError, match="inside a tool call"):
        chat.bind_tools([draw], tool_choice="any").invoke(ASKED, max_new_tokens=20, max_thought_tokens=4)


async def test_the_probability_of_yes_is_that_of_the_raw_logits(chat: QwenVLChat) -> None:
    renderer = chat._engine.renderer  # pyright: ignore[reportPrivateUsage]
    prompt = renderer.render(ASKED)
    assert prompt.pixel_values is not None
    assert prompt.image_grid_thw is not None
    with torch.inference_mode():
        logits = chat._engine.model(  # pyright: ignore[reportPrivateUsage]
            input_ids=torch.tensor([prompt.input_ids]),
            mm_token_type_ids=torch.tensor([prompt.mm_token_type_ids]),
            pixel_values=torch.from_numpy(prompt.pixel_values),
            image_grid_thw=torch.from_numpy(prompt.image_grid_thw),
        ).logits[0, -1]
    words = {"yes": ("Yes", "yes", "YES", " Yes", " yes"), "no": ("No", "no", "NO", " No", " no")}
    whole = {k: {renderer.tokenize(w)[0] for w in v if len(renderer.tokenize(w)) == 1} for k, v in words.items()}
    odds = {k: sum(math.exp(float(logits[i])) for i in ids) for k, ids in whole.items()}

    assert all(whole.values())
    expected = odds["yes"] / (odds["yes"] + odds["no"])

    assert chat.yes_probability(ASKED) == pytest.approx(expected, rel=1e-4)
    assert await chat.ayes_probability(ASKED) == pytest.approx(expected, rel=1e-4)


def test_tokens_are_counted_with_images_and_tools(chat: QwenVLChat) -> None:
    words = chat.count_tokens([HumanMessage("Is it?")])

    assert chat.count_tokens([HumanMessage("Is it?")], [draw]) > words + 40
    # Two marks and 4 tokens of picture.
    assert chat.count_tokens([about(Image.new("RGB", (9, 9)), "Is it?")]) == words + 6
    assert chat.get_num_tokens_from_messages([HumanMessage("Is it?")]) == words


def test_too_long_a_conversation_is_a_typed_error(folder: Path) -> None:
    small = QwenVLChat.load(folder, context_length=40)

    assert small.context_length == 40
    with pytest.raises(ContextOverflowError, match="40"):
        small.invoke([HumanMessage("word " * 50)])


def test_misspelt_arguments_are_refused(chat: QwenVLChat) -> None:
    with pytest.raises(ValueError, match="max_tokens"):
        chat.invoke(ASKED, max_tokens=4)
    with pytest.raises(ValueError, match="stop words"):
        chat.invoke(ASKED, stop=["end"])
    with pytest.raises(ValueError, match="temperature"):
        chat.invoke(ASKED, temperature=-1.0)


def test_boxes_of_a_picture_have_the_scale_of_the_family(chat: QwenVLChat) -> None:
    assert chat.box_scale((640, 480)) == (1000, 1000)


def test_a_first_token_is_not_kept_waiting(chat: QwenVLChat) -> None:
    """A stream that only came out at its end would pass every other test."""
    started = time.perf_counter()
    stream = chat.stream(ASKED, max_new_tokens=400, max_thought_tokens=390)
    next(stream)
    first = time.perf_counter() - started
    for _ in stream:
        pass

    assert first < 0.5 * (time.perf_counter() - started)
