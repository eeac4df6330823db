"""The reasoning model as the tools and the agent use it: typed questions to a Qwen-VL chat model, with typed failures.

`Reasoner` adapts any `vlm.base.VisionChat`. A stop event reaches the model with every call.
"""

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.runnables import RunnableConfig
from pydantic import BaseModel

from tools.arguments import tool_specs
from tools.errors import ConfigError, ToolError
from tools.paint import StoppedError
from vlm import errors

if TYPE_CHECKING:
    from vlm.base import VisionChat

M = TypeVar("M", bound=BaseModel)
REASONING = "reasoning_content"


class MalformedError(ToolError):
    """The model's output could not be read, even after it was asked again."""

    def __init__(self, reason: str, raw: str) -> None:
        super().__init__(reason)
        self.raw = raw


class Reasoner:
    """Asks one chat model."""

    def __init__(self, chat: "VisionChat") -> None:
        self.chat = chat

    async def decide(
        self,
        messages: Sequence[BaseMessage],
        stop: threading.Event,
        on_chunk: Callable[[str, bool], None],
    ) -> AIMessage:
        """Ask for the next step: tool calls or an answer, after a thought.

        Args:
            messages: the context.
            stop: ends the reply once set.
            on_chunk: told each piece of text, and whether it is thought.
        """
        bound = self.chat.bind_tools(tool_specs())
        whole: AIMessageChunk | None = None
        with _typed():
            async for chunk in bound.astream(list(messages), config=_config(stop)):
                if not isinstance(chunk, AIMessageChunk):
                    continue
                if thought := chunk.additional_kwargs.get(REASONING):
                    on_chunk(str(thought), True)
                if chunk.text:
                    on_chunk(chunk.text, False)
                whole = chunk if whole is None else whole + chunk
        if whole is None:
            raise MalformedError("the model said nothing", "")
        if whole.invalid_tool_calls:
            raise MalformedError("a tool call is not valid JSON", str(whole.invalid_tool_calls[0].get("args")))
        return AIMessage(
            content=whole.text, additional_kwargs=dict(whole.additional_kwargs), tool_calls=list(whole.tool_calls)
        )

    async def structured(
        self, messages: Sequence[BaseMessage], schema: type[M], stop: threading.Event, *, repair: bool = True
    ) -> M:
        """Ask for one value of a schema; `repair` gives the model one more try."""
        with _typed():
            value: Any = await self.chat.with_structured_output(schema, repair=repair).ainvoke(
                list(messages), config=_config(stop)
            )
        assert isinstance(value, schema)
        return value

    async def yes(self, messages: Sequence[BaseMessage], stop: threading.Event) -> float:
        """Return the probability of "Yes"."""
        with _typed():
            return await self.chat.ayes_probability(list(messages), _config(stop))


def _config(stop: threading.Event) -> RunnableConfig:
    return {"configurable": {"stop_event": stop}}


class _typed:  # noqa: N801 (reads as a statement)
    """Translate the chat model's errors into ours, by who must act."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, errors.StoppedError):
            raise StoppedError(str(error)) from error
        if isinstance(error, errors.MalformedOutputError):
            raise MalformedError(error.reason, error.raw) from error
        if isinstance(error, errors.WeightsError | errors.ServerError):
            raise ConfigError(str(error)) from error
        if isinstance(error, errors.ImageInputError | errors.ContextOverflowError):
            raise ToolError(str(error)) from error
