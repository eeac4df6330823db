"""What a model may write: one xgrammar grammar for a thought, then an answer or tool calls, or for one JSON document.

The reply follows `vlm.messages.reply_text` to the letter. JSON is held to its schema, in one line, with `json.dumps`'
spacing.

Control tokens (`<think>`, `<|image_pad|>`, ...) are hidden from the grammar behind a carriage return, which neither
JSON nor our text may hold: so they appear where the grammar names them by id, and never inside words or strings.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import xgrammar as xgr
from xgrammar import structural_tag as form

from vlm.messages import CALL, END_CALL, END_THINK, THINK

Thought = Literal["write", "continue", "none"]
"""Whether a thought is to be written whole, was opened by the prompt, or has no place."""

HIDDEN, HIDDEN_AS_BYTE_LEVEL = "\r", "\u010d"
"""The carriage return, and how a byte-level vocabulary spells it."""

MARKS = (THINK, END_THINK, CALL, END_CALL)


class GrammarBook:
    """Compiles grammars for one tokenizer; xgrammar keeps what it has compiled."""

    def __init__(self, tokenizer: Any, vocab_size: int, stop_ids: Sequence[int]) -> None:
        added: dict[str, int] = tokenizer.get_added_vocab()
        control = {index for token, index in added.items() if token[0] == "<" and token[-1] == ">"}
        spelt = [""] * vocab_size
        for token, index in tokenizer.get_vocab().items():
            if index < vocab_size:
                spelt[index] = HIDDEN_AS_BYTE_LEVEL if index in control else token
        self._marks = {mark: added[mark] for mark in MARKS if mark in added}
        self._compiler = xgr.GrammarCompiler(
            xgr.TokenizerInfo(
                spelt,
                vocab_type=xgr.VocabType.BYTE_LEVEL,
                vocab_size=vocab_size,
                stop_token_ids=list(stop_ids),
            ),
            max_threads=1,
        )

    def reply(
        self,
        tools: Sequence[Mapping[str, Any]],
        choice: str,
        thought: Thought,
        max_thought_tokens: int,
        *,
        parallel: bool = True,
    ) -> xgr.CompiledGrammar:
        """Return the grammar of a reply.

        Args:
            tools: functions in OpenAI's form.
            choice: "auto" (an answer or calls), "required" (calls), "none" (an answer), or the name of one tool.
            thought: see `Thought`.
            max_thought_tokens: the thought is closed by force after so many tokens.
            parallel: whether one reply may hold several calls.
        """
        named = [tool for tool in tools if choice in {"auto", "required", tool["function"]["name"]}]
        if not named and choice not in {"auto", "none"}:
            raise ValueError(f"tool_choice {choice!r} names no bound tool")
        forms: list[Any] = []
        if named:
            calls = [self._call(tool["function"]) for tool in named]
            forms.append(
                form.TagsWithSeparatorFormat(
                    tags=calls, separator="\n", at_least_one=True, stop_after_first=not parallel
                )
            )
        if not named or choice == "auto":
            forms.append(form.SequenceFormat(elements=self._words()))
        body = forms[0] if len(forms) == 1 else form.OrFormat(elements=forms)
        return self._compile([*self._thought(thought, max_thought_tokens), body])

    def document(self, schema: Mapping[str, Any], thought: Thought, max_thought_tokens: int) -> xgr.CompiledGrammar:
        """Return the grammar of one JSON document of `schema`."""
        return self._compile([*self._thought(thought, max_thought_tokens), _json(schema)])

    def _compile(self, elements: list[Any]) -> xgr.CompiledGrammar:
        return self._compiler.compile_structural_tag(form.StructuralTag(format=form.SequenceFormat(elements=elements)))

    def _mark(self, text: str) -> Any:
        """Return a mark as its token, or spelt out by a tokenizer that has no such token."""
        if text in self._marks:
            return form.TokenFormat(token=self._marks[text])
        return form.ConstStringFormat(value=text)

    def _words(self, max_tokens: int | None = None) -> list[Any]:
        """Return the form of words that are not empty and hold no mark, spelt out either."""
        return [
            form.RegexFormat(pattern=r"[^\s<]"),
            form.AnyTextFormat(excludes=[HIDDEN, *MARKS], max_tokens=max_tokens),
        ]

    def _thought(self, thought: Thought, max_tokens: int) -> list[Any]:
        if thought == "none":
            return []
        opening = [self._mark(THINK), form.ConstStringFormat(value="\n")] if thought == "write" else []
        return [*opening, *self._words(max_tokens), self._mark(END_THINK), form.ConstStringFormat(value="\n\n")]

    def _call(self, function: Mapping[str, Any]) -> Any:
        head = form.ConstStringFormat(value=f'\n{{"name": {json.dumps(function["name"])}, "arguments": ')
        arguments = _json(function.get("parameters") or {"type": "object", "properties": {}})
        content = form.SequenceFormat(elements=[head, arguments, form.ConstStringFormat(value="}\n")])
        begin, end = (m if m.type == "token" else m.value for m in (self._mark(CALL), self._mark(END_CALL)))
        return form.TagFormat(begin=begin, content=content, end=end)


def _json(schema: Mapping[str, Any]) -> Any:
    grammar = xgr.Grammar.from_json_schema(dict(schema), any_whitespace=False)
    return form.GrammarFormat(grammar=str(grammar))
