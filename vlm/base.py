"""What this house asks of a vision-language model beyond LangChain's own interface, whichever way it is run.

- Stop: `config={"configurable": {"stop_event": threading.Event()}}` on any call; or cancel the task.
- Structured output: JSON held to its schema while it is written, then validated, then one repair turn, else a typed
  error.
- The probability of "Yes"; the tokens a conversation takes.
"""

import threading
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig, ensure_config
from langchain_core.tools import BaseTool
from pydantic import BaseModel

from vlm.structured import structured

STOP_EVENT = "stop_event"
"""The key of the stop event in `configurable`, and of the argument it becomes."""


class VisionChat(BaseChatModel):
    """A chat model that sees: `QwenVLChat` in process, `OpenAICompatibleChat` behind a server."""

    @abstractmethod
    def yes_probability(self, messages: Sequence[BaseMessage], config: RunnableConfig | None = None) -> float:
        """Return P(Yes) / (P(Yes) + P(No)) of the first word of the reply, untouched by any grammar or sampling."""

    @abstractmethod
    async def ayes_probability(self, messages: Sequence[BaseMessage], config: RunnableConfig | None = None) -> float:
        """Return what `yes_probability` returns, without blocking the loop."""

    @abstractmethod
    def count_tokens(
        self,
        messages: Sequence[BaseMessage],
        tools: Sequence[Mapping[str, Any] | type | Callable[..., Any] | BaseTool] = (),
    ) -> int:
        """Return the tokens the prompt takes, images and tools included."""

    @abstractmethod
    def bind_schema(self, schema: Mapping[str, Any]) -> Runnable[LanguageModelInput, AIMessage]:
        """Return this model held to writing one JSON document of `schema`."""

    def with_structured_output(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, schema: type[BaseModel] | Mapping[str, Any], *, repair: bool = True
    ) -> Runnable[LanguageModelInput, Any]:
        """Return a runnable from messages to a validated `schema`, or to a dict if it is plain JSON Schema.

        Args:
            schema: bound every string and list in it; the grammar holds the model to the bounds.
            repair: show an invalid reply to the model once and let it correct itself, before MalformedOutputError.
        """
        bound = self.bind_schema(schema if isinstance(schema, Mapping) else schema.model_json_schema())
        return structured(bound, self._messages, schema, repair=repair)

    def get_num_tokens_from_messages(self, messages: Sequence[BaseMessage], tools: Any = None, **_: Any) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self.count_tokens(messages, tools or ())

    def invoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        return super().invoke(input, config, stop=stop, **_with_stop_event(config, kwargs))

    async def ainvoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        return await super().ainvoke(input, config, stop=stop, **_with_stop_event(config, kwargs))

    def stream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        yield from super().stream(input, config, stop=stop, **_with_stop_event(config, kwargs))

    async def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        async for chunk in super().astream(input, config, stop=stop, **_with_stop_event(config, kwargs)):
            yield chunk

    def _messages(self, given: LanguageModelInput) -> list[BaseMessage]:
        return self._convert_input(given).to_messages()

    def _get_invocation_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        # An event can be neither copied nor written down by the tracers that receive these.
        kwargs.pop(STOP_EVENT, None)
        return super()._get_invocation_params(stop=stop, **kwargs)


def stop_event_of(config: RunnableConfig | None) -> threading.Event | None:
    """Return the stop event of a call, also where a graph hands the config on out of sight."""
    return ensure_config(config).get("configurable", {}).get(STOP_EVENT)


def _with_stop_event(config: RunnableConfig | None, kwargs: dict[str, Any]) -> dict[str, Any]:
    event = stop_event_of(config)
    return kwargs if event is None else {**kwargs, STOP_EVENT: event}
