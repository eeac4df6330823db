"""The grammar admits what `reply_text` spells, and nothing else."""

import json
from typing import Any

import pytest
import xgrammar as xgr
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from pydantic import BaseModel, ConfigDict, Field

from vlm.grammar import GrammarBook, Thought
from vlm.messages import REASONING, reply_text


def tool(name: str, **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


DRAW = tool("draw", base={"type": "string", "maxLength": 12}, keep={"type": "boolean"})
RECALL = tool("recall", image={"type": "string"})
TOOLS = [DRAW, RECALL]
DRAWN = {"name": "draw", "args": {"base": "new", "keep": True}, "id": "1"}
RECALLED = {"name": "recall", "args": {"image": "@2"}, "id": "2"}


class Kit:
    """A tokenizer, its grammars, and the walk that decoding takes through one."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.end = int(tokenizer.eos_token_id)
        self.vocabulary = len(tokenizer) + 3
        self.book = GrammarBook(tokenizer, self.vocabulary, [self.end])

    def reply(
        self, choice: str = "auto", thought: Thought = "write", tools: Any = TOOLS, **options: Any
    ) -> xgr.CompiledGrammar:
        return self.book.reply(tools, choice, thought, 64, **options)

    def admits(self, grammar: xgr.CompiledGrammar, text: str) -> bool:
        """Every token must be in the mask, the end of the turn last."""
        matcher = xgr.GrammarMatcher(grammar)
        mask = xgr.allocate_token_bitmask(1, self.vocabulary)
        for token in [*self.tokenizer(text, add_special_tokens=False)["input_ids"], self.end]:
            matcher.fill_next_token_bitmask(mask)
            if not (int(mask[0, token // 32]) >> (token % 32)) & 1:
                return False
            matcher.accept_token(token)
        return True


@pytest.fixture(scope="module")
def kit(tokenizer: Any) -> Kit:
    return Kit(tokenizer)


def spelt(content: str = "", *calls: Any, thought: str = "so") -> str:
    return reply_text(AIMessage(content, tool_calls=list(calls), additional_kwargs={REASONING: thought}))


@given(thought=st.text(min_size=1, max_size=20), answer=st.text(min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_any_words_may_be_thought_and_answered(kit: Kit, thought: str, answer: str) -> None:
    clean = [text.replace("\r", "").strip().lstrip("<").strip() or "x" for text in (thought, answer)]

    assert kit.admits(kit.reply(), spelt(clean[1], thought=clean[0]))


@pytest.mark.parametrize("calls", [[DRAWN], [RECALLED], [DRAWN, RECALLED, DRAWN]], ids=["one", "other", "three"])
def test_calls_of_bound_tools_are_admitted(kit: Kit, calls: list[Any]) -> None:
    assert kit.admits(kit.reply(), spelt("", *calls))


@pytest.mark.parametrize(
    "text",
    [
        spelt("an answer", thought=""),
        spelt("an answer", DRAWN),
        spelt(""),
        spelt("an answer", thought="  "),
        spelt("", {**DRAWN, "name": "paint"}),
        spelt("", {**DRAWN, "args": {"base": "new"}}),
        spelt("", {**DRAWN, "args": {"keep": True, "base": "new"}}),
        spelt("", {**DRAWN, "args": {"base": "new", "keep": "yes"}}),
        spelt("", {**DRAWN, "args": {"base": "new", "keep": True, "more": 1}}),
        spelt("", {**DRAWN, "args": {"base": "n" * 13, "keep": True}}),
        spelt("", {**RECALLED, "args": {"image": "</tool_call>"}}),
        spelt("", {**DRAWN, "args": {"base": "<|im_start|>", "keep": True}}),
        spelt("", DRAWN).replace(": true", ":  true"),
        spelt("an answer<tool_call>"),
        spelt("an answer<|image_pad|>"),
        spelt("an answer", thought="a<think>b"),
        spelt("an answer", thought="long " * 80),
    ],
    ids=[
        "no-thought",
        "answer-and-call",
        "nothing",
        "blank-thought",
        "unknown-tool",
        "missing-key",
        "wrong-order",
        "wrong-type",
        "extra-key",
        "too-long-string",
        "mark-in-a-string",
        "control-token-in-a-string",
        "loose-spacing",
        "mark-in-an-answer",
        "image-in-an-answer",
        "mark-in-a-thought",
        "endless-thought",
    ],
)
def test_everything_else_is_refused(kit: Kit, text: str) -> None:
    assert not kit.admits(kit.reply(), text)


@pytest.mark.parametrize(
    ("choice", "answer", "draw", "recall"),
    [
        ("auto", True, True, True),
        ("required", False, True, True),
        ("none", True, False, False),
        ("recall", False, False, True),
    ],
)
def test_the_choice_of_tool_is_kept(kit: Kit, choice: str, answer: bool, draw: bool, recall: bool) -> None:
    grammar = kit.reply(choice)

    assert kit.admits(grammar, spelt("an answer")) is answer
    assert kit.admits(grammar, spelt("", DRAWN)) is draw
    assert kit.admits(grammar, spelt("", RECALLED)) is recall


def test_parallel_calls_can_be_forbidden(kit: Kit) -> None:
    grammar = kit.reply(parallel=False)

    assert kit.admits(grammar, spelt("", DRAWN))
    assert not kit.admits(grammar, spelt("", DRAWN, RECALLED))


def test_a_choice_of_no_bound_tool_is_an_error(kit: Kit) -> None:
    with pytest.raises(ValueError, match="paint"):
        kit.reply("paint")


def test_a_thought_opened_by_the_prompt_goes_on_without_its_mark(kit: Kit) -> None:
    whole = spelt("an answer")

    assert kit.admits(kit.reply(thought="continue"), whole.removeprefix("<think>\n"))
    assert not kit.admits(kit.reply(thought="continue"), whole)


def test_without_a_thought_the_reply_is_the_answer(kit: Kit) -> None:
    assert kit.admits(kit.reply(thought="none"), "an answer")
    assert not kit.admits(kit.reply(thought="none"), spelt("an answer"))


def test_a_thought_at_its_limit_can_only_close(kit: Kit) -> None:
    grammar = kit.book.reply((), "auto", "write", 4)
    # One token for the first letter, then the four of the limit ("h" and "m" are bytes of their own).
    assert kit.admits(grammar, spelt("x", thought="h" + "m" * 3))
    assert not kit.admits(grammar, spelt("x", thought="h" + "m" * 30))


class Word(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str = Field(min_length=1, max_length=8)
    weight: float = Field(ge=-2, le=2)


class Words(BaseModel):
    model_config = ConfigDict(extra="forbid")

    words: list[Word] = Field(max_length=2)


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ({"words": []}, True),
        ({"words": [{"text": "sea", "weight": 0.5}, {"text": "é", "weight": -2}]}, True),
        ({"words": [{"text": "sea", "weight": 2.5}]}, False),
        ({"words": [{"text": "", "weight": 1}]}, False),
        ({"words": [{"text": "sea", "weight": 1}] * 3}, False),
        ({}, False),
    ],
)
def test_a_document_is_held_to_its_schema(kit: Kit, value: Any, fits: bool) -> None:
    grammar = kit.book.document(Words.model_json_schema(), "none", 1)

    assert kit.admits(grammar, json.dumps(value, ensure_ascii=False)) is fits


def test_a_tokenizer_without_marks_spells_them_out(kit: Kit) -> None:
    """Qwen2.5-VL has no token for <think>."""
    grammars = GrammarBook(_Markless(kit.tokenizer), kit.vocabulary, [kit.end])

    text = spelt("", DRAWN)
    matcher = xgr.GrammarMatcher(grammars.reply(TOOLS, "auto", "write", 64))
    assert matcher.accept_string(text)
    assert matcher.is_completed()
    assert kit.admits(kit.reply(), text)


class _Markless:
    def __init__(self, whole: Any) -> None:
        self._whole = whole

    def get_added_vocab(self) -> dict[str, int]:
        return {token: i for token, i in self._whole.get_added_vocab().items() if "|" in token}

    def get_vocab(self) -> dict[str, int]:
        marks = self._whole.get_added_vocab().keys() - self.get_added_vocab().keys()
        return {token: i for token, i in self._whole.get_vocab().items() if token not in marks}
