"""Replies are read back as they were spelt, however the text is cut into pieces; what cannot be read is a typed
error."""

from functools import reduce
from operator import add
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage

from vlm.errors import MalformedOutputError
from vlm.messages import REASONING, reply_text, thought_of
from vlm.replies import ReplyReader

PROMPT = "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
TOOLS = [{"type": "function", "function": {"name": name, "parameters": {}}} for name in ("draw", "recall")]
DRAWN = {"name": "draw", "args": {"base": "a } b </s>", "keep": True}, "id": "1"}
RECALLED = {"name": "recall", "args": {"image": "@2 é"}, "id": "2"}


def read(text: str, size: int | None = None, prompt: str = PROMPT) -> list[AIMessageChunk]:
    reader = ReplyReader(prompt, TOOLS)
    pieces = [text[i : i + size] for i in range(0, len(text), size)] if size else [text]
    return [chunk for piece in pieces for chunk in reader.feed(piece)] + reader.finish()


def message(content: str = "", *calls: Any, thought: str = "so be it") -> AIMessage:
    return AIMessage(content, tool_calls=list(calls), additional_kwargs={REASONING: thought} if thought else {})


MESSAGES = {
    "answer": message("Here you are.\n\nTwo lines, 3 < 4."),
    "answer-without-thought": message("Here you are.", thought=""),
    "call": message("", DRAWN),
    "calls": message("", DRAWN, RECALLED, DRAWN),
    "call-without-thought": message("", DRAWN, thought=""),
    "answer-and-call": message("Drawing.", DRAWN),
}


@pytest.mark.parametrize("size", [None, 1, 2, 7])
@pytest.mark.parametrize("spelt", MESSAGES.values(), ids=MESSAGES.keys())
def test_a_reply_is_read_back_as_it_was_spelt(spelt: AIMessage, size: int | None) -> None:
    whole: AIMessageChunk = reduce(add, read(reply_text(spelt), size))

    assert whole.content == spelt.content
    assert thought_of(whole) == thought_of(spelt)
    assert [(c["name"], c["args"]) for c in whole.tool_calls] == [(c["name"], c["args"]) for c in spelt.tool_calls]
    assert len({call["id"] for call in whole.tool_calls}) == len(spelt.tool_calls)


def test_the_spelling_of_a_reply_is_qwens() -> None:
    assert reply_text(message("", RECALLED, thought="back")) == (
        '<think>\nback\n</think>\n\n<tool_call>\n{"name": "recall", "arguments": {"image": "@2 é"}}\n</tool_call>'
    )


def test_the_thought_streams_before_the_answer_in_chunks_of_its_own() -> None:
    chunks = read(reply_text(MESSAGES["answer"]), 3)
    kinds = ["thought" if thought_of(chunk) else "answer" for chunk in chunks]

    assert kinds == sorted(kinds, reverse=True)
    assert kinds.count("thought") > 2
    assert not any(thought_of(chunk) and chunk.content for chunk in chunks)


def test_a_thought_opened_by_the_prompt_is_still_a_thought() -> None:
    whole: AIMessageChunk = reduce(add, read("hmm\n</think>\n\nYes", 2, prompt=PROMPT + "<think>\n"))

    assert thought_of(whole) == "hmm"
    assert whole.content == "Yes"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('<tool_call>\n{"name": "draw", "argum</tool_call>', "not valid JSON"),
        ('<tool_call>\n{"name": "draw", "argum', "inside a tool call"),
        ('<tool_call>\n{"name": "paint", "arguments": {}}\n</tool_call>', "known tool"),
        ('<tool_call>\n{"name": "draw", "arguments": "x"}\n</tool_call>', "known tool"),
        ('<tool_call>\n["draw"]\n</tool_call>', "known tool"),
        ("<think>\nand so on", "before an answer"),
        ("<think>\nso\n</think>\n\n", "before an answer"),
        ("", "before an answer"),
    ],
    ids=["broken", "cut", "unknown", "no-arguments", "list", "endless-thought", "thought-only", "empty"],
)
def test_what_cannot_be_used_is_malformed(text: str, reason: str) -> None:
    with pytest.raises(MalformedOutputError, match=reason) as caught:
        read(text, 5)

    assert text.startswith(caught.value.raw)


def test_a_repair_turn_shows_the_reply_and_what_is_wrong_with_it() -> None:
    asked = [HumanMessage("hi")]

    repaired = MalformedOutputError("no comma", '{"a" 1}').repaired(asked)

    assert repaired[0] is asked[0]
    assert repaired[1] == AIMessage('{"a" 1}')
    assert "no comma" in repaired[2].text
