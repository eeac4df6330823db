"""Text of a model -> LangChain chunks, read by transformers' own response parser while it is being written.

A thought arrives in chunks that carry `reasoning_content`, an answer in chunks of content, a tool call whole, when
its block closes. White space around thought and answer is dropped, so that the chunks of a stream add up to the final
message.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk
from transformers.utils.chat_parsing import ResponseParser

from vlm.errors import MalformedOutputError
from vlm.messages import CALL, END_CALL, END_THINK, REASONING, THINK

HERMES: dict[str, Any] = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|im_start|>assistant\n",
    "fields": {
        REASONING: {"open": THINK, "close": END_THINK, "content": "text"},
        "tool_calls": {
            "open": CALL,
            "close": END_CALL,
            "repeats": True,
            "content": "json",
            "transform": {"type": "function", "function": "{content}"},
        },
        "content": {"content": "text"},
    },
}
"""How Qwen2.5-VL and Qwen3-VL reply, in the language of transformers' parser."""


class ReplyReader:
    """Reads one reply, piece by piece.

    Args:
        prompt: the rendered prompt: a template may have opened the thought in it.
        tools: functions in OpenAI's form; a call of another one is malformed.
    """

    def __init__(self, prompt: str, tools: Sequence[Mapping[str, Any]] = ()) -> None:
        self._parser = ResponseParser(HERMES, prefix=prompt)
        self._names = {tool["function"]["name"] for tool in tools}
        self._raw = ""
        self._spaces = dict[str, str | None]()
        self._calls = 0
        self._answered = False

    def feed(self, text: str) -> list[AIMessageChunk]:
        """Take the next piece of text; return what it completes."""
        self._raw += text
        try:
            return self._chunks(self._parser.feed(text))
        except ValueError as error:
            raise MalformedOutputError(
                f"a tool call is not valid JSON ({error.__cause__ or error})", self._raw
            ) from error

    def finish(self) -> list[AIMessageChunk]:
        """Close the reply; return what was still open."""
        try:
            _, events = self._parser.finalize()
            chunks = self._chunks(events)
        except ValueError as error:
            raise MalformedOutputError("the reply ended inside a tool call", self._raw) from error
        if not self._answered:
            raise MalformedOutputError("the reply ended before an answer or a tool call", self._raw)
        return chunks

    def _chunks(self, events: list[dict[str, Any]]) -> list[AIMessageChunk]:
        chunks: list[AIMessageChunk] = []
        for event in events:
            name = event["field"]
            if event["type"] == "region_chunk" and name != "tool_calls":
                text = self._trimmed(name, event["text"])
                if text and name == REASONING:
                    chunks.append(AIMessageChunk(content="", additional_kwargs={REASONING: text}))
                elif text:
                    self._answered = True
                    chunks.append(AIMessageChunk(content=text))
            elif event["type"] == "region_close" and name == "tool_calls":
                chunks.append(self._call(event["value"]["function"]))
        return chunks

    def _trimmed(self, name: str, text: str) -> str:
        """Hold white space back until words follow it, and drop what leads."""
        held = self._spaces.get(name)
        text = text.lstrip() if held is None else held + text
        kept = text.rstrip()
        if kept or held is not None:
            self._spaces[name] = text[len(kept) :]
        return kept

    def _call(self, call: Any) -> AIMessageChunk:
        if (
            not isinstance(call, dict)
            or call.get("name") not in self._names
            or not isinstance(call.get("arguments"), dict)
        ):
            raise MalformedOutputError("a tool call does not name a known tool and its arguments", self._raw)
        self._answered = True
        part = tool_call_chunk(
            name=call["name"],
            args=json.dumps(call["arguments"], ensure_ascii=False),
            id=f"call_{uuid4().hex[:16]}",
            index=self._calls,
        )
        self._calls += 1
        return AIMessageChunk(content="", tool_call_chunks=[part])
