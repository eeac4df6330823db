"""A chat model that says what it is told to: for testing the state machine's routing and its faults, nothing else."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig
from pydantic import Field

from vlm.base import VisionChat, stop_event_of
from vlm.errors import raise_if_set


def call(tool: str, **arguments: Any) -> AIMessage:
    """A reply that calls one tool, after a thought."""
    return calls((tool, arguments))


def calls(*wanted: tuple[str, dict[str, Any]]) -> AIMessage:
    """A reply that calls several tools."""
    return AIMessage(
        "",
        additional_kwargs={"reasoning_content": f"I shall {wanted[0][0]}."},
        tool_calls=[
            {"name": tool, "args": arguments, "id": f"c{i}", "type": "tool_call"}
            for i, (tool, arguments) in enumerate(wanted)
        ],
    )


def plan(*regions: tuple[str, tuple[int, int, int, int]], prompt: str = "", background: str = "") -> dict[str, Any]:
    """A layout draft: names with boxes in thousandths."""
    return {
        "regions": [{"name": name, "prompt": f"a {name}", "box": list(box)} for name, box in regions],
        "background": background,
        "prompt": prompt or ", ".join(f"a {name}" for name, _ in regions),
    }


def taste(**found: list[str]) -> dict[str, Any]:
    """A reading of a picture's taste."""
    return {"artistic_style": [], "atmosphere": [], "theme": [], "visual_elements": []} | found


Reply = AIMessage | str | Exception
Document = dict[str, Any] | str | Exception


class ScriptedChat(VisionChat):
    """Hands out replies and documents in order, and notes what it was shown."""

    replies: list[Any] = Field(default_factory=list)
    """Next decisions: messages, answers in plain text, or errors to raise."""
    documents: list[Any] = Field(default_factory=list)
    """Next structured outputs."""
    yes: float | Callable[[str], float] = 0.9
    """The probability of Yes: a number, or a function of the question."""
    shown: list[list[BaseMessage]] = Field(default_factory=list)
    asked: list[str] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, tools: Sequence[Any], **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        assert len(tools) == 6
        return self.bind(tools=list(tools))

    def bind_schema(self, schema: Mapping[str, Any]) -> Runnable[LanguageModelInput, AIMessage]:
        return self.bind(response_schema=dict(schema))

    def yes_probability(self, messages: Sequence[BaseMessage], config: RunnableConfig | None = None) -> float:
        raise_if_set(stop_event_of(config))
        question = messages[-1].text
        self.asked.append(question)
        return self.yes(question) if callable(self.yes) else self.yes

    async def ayes_probability(self, messages: Sequence[BaseMessage], config: RunnableConfig | None = None) -> float:
        return self.yes_probability(messages, config)

    def count_tokens(self, messages: Sequence[BaseMessage], tools: Sequence[Any] = ()) -> int:
        return sum(len(m.text.split()) for m in messages)

    def _next(self, messages: list[BaseMessage], kwargs: dict[str, Any]) -> AIMessage:
        self.shown.append(list(messages))
        raise_if_set(kwargs.get("stop_event"))
        waiting = self.documents if "response_schema" in kwargs else self.replies
        assert waiting, f"the script has no reply left for {messages[-1].text!r}"
        reply = waiting.pop(0)
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, AIMessage):
            return reply
        return AIMessage(reply if isinstance(reply, str) else json.dumps(reply))

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=self._next(messages, kwargs))])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        whole = self._next(messages, kwargs)
        if thought := whole.additional_kwargs.get("reasoning_content"):
            yield ChatGenerationChunk(
                message=AIMessageChunk(content="", additional_kwargs={"reasoning_content": thought})
            )
        if whole.text:
            yield ChatGenerationChunk(message=AIMessageChunk(content=whole.text))
        for index, one in enumerate(whole.tool_calls):
            part = tool_call_chunk(name=one["name"], args=json.dumps(one["args"]), id=one["id"], index=index)
            yield ChatGenerationChunk(message=AIMessageChunk(content="", tool_call_chunks=[part]))
