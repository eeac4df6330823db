"""OpenAICompatibleChat: the same model behind vLLM, SGLang, Ollama or any OpenAI-compatible server.

Beyond ChatOpenAI it keeps the thought (`reasoning_content`, which ChatOpenAI drops), reads the probability of "Yes"
from logprobs, and turns what a server can do wrong into the errors of `vlm.errors`. Start the server with its
reasoning parser: a thought left inside the content is told apart in whole replies only, not in a stream.
"""

import math
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import aclosing, closing, contextmanager
from typing import Any, cast

import openai
from langchain_core.exceptions import ContextOverflowError as LangChainContextOverflowError
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from langchain_openai import ChatOpenAI

from vlm.base import STOP_EVENT, VisionChat, stop_event_of
from vlm.bridge import unless
from vlm.errors import ContextOverflowError, MalformedOutputError, ServerError, raise_if_set
from vlm.images import is_image
from vlm.messages import END_THINK, REASONING, THINK

BYTES_PER_TOKEN, TOKENS_PER_IMAGE = 3, 1280
"""For an estimate on the safe side: a server's tokenizer is out of reach, and a picture may take about so many."""

CANDIDATES = 20
"""The most alternatives a server lists for a token."""


class OpenAICompatibleChat(VisionChat, ChatOpenAI):  # pyright: ignore[reportIncompatibleMethodOverride]
    """A vision-language model behind an OpenAI-compatible server."""

    context_length: int | None = None
    """Tokens the model reads, where known: a prompt estimated above it is not sent."""

    @classmethod
    def connect(
        cls,
        base_url: str,
        model: str,
        *,
        api_key: str = "",
        context_length: int | None = None,
        max_new_tokens: int = 1024,
        temperature: float = 0.0,
        timeout: float = 120.0,
        **fields: Any,
    ) -> "OpenAICompatibleChat":
        """Return a client; nothing is sent yet. The environment is not consulted.

        Args:
            base_url: up to and with "/v1".
            model: the name the server knows the model by.
            api_key: most local servers want none.
            context_length: tokens the model reads, if known.
            max_new_tokens: tokens of a reply.
            temperature: 0 is greedy.
            timeout: seconds to wait for the server.
            fields: further fields of ChatOpenAI.
        """
        fields = {"max_retries": 1, "use_responses_api": False, "stream_usage": True, **fields}
        return cls(
            base_url=base_url,
            model=model,
            api_key=api_key or "none",  # pyright: ignore[reportArgumentType]
            context_length=context_length,
            max_tokens=max_new_tokens,  # pyright: ignore[reportCallIssue]
            temperature=temperature,
            timeout=timeout,
            **fields,
        )

    def bind_schema(self, schema: Mapping[str, Any]) -> Runnable[LanguageModelInput, AIMessage]:
        name = str(schema.get("title", "reply"))
        return self.bind(
            response_format={
                "type": "json_schema",
                "json_schema": {"name": name, "schema": dict(schema), "strict": True},
            }
        )

    def count_tokens(
        self,
        messages: Sequence[BaseMessage],
        tools: Sequence[Mapping[str, Any] | type | Callable[..., Any] | BaseTool] = (),
    ) -> int:
        """Return an estimate that is meant to err above the truth."""
        size = len(str([convert_to_openai_tool(tool) for tool in tools])) if tools else 0
        pictures = 0
        for message in messages:
            size += len(message.text.encode()) + len(str(getattr(message, "tool_calls", "")))
            pictures += sum(is_image(block) for block in message.content if isinstance(block, dict))
        return math.ceil(size / BYTES_PER_TOKEN) + TOKENS_PER_IMAGE * pictures

    def yes_probability(self, messages: Sequence[BaseMessage], config: RunnableConfig | None = None) -> float:
        raise_if_set(stop_event_of(config))
        return _yes_share(self.invoke(list(messages), config, logprobs=True, top_logprobs=CANDIDATES, max_tokens=1))

    async def ayes_probability(self, messages: Sequence[BaseMessage], config: RunnableConfig | None = None) -> float:
        raise_if_set(stop_event_of(config))
        reply = await self.ainvoke(list(messages), config, logprobs=True, top_logprobs=CANDIDATES, max_tokens=1)
        return _yes_share(reply)

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        raise_if_set(kwargs.pop(STOP_EVENT, None))
        with self._typed_errors(messages):
            return super()._generate(messages, *args, **kwargs)

    async def _agenerate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        stop: threading.Event | None = kwargs.pop(STOP_EVENT, None)
        with self._typed_errors(messages):
            return await unless(stop, super()._agenerate(messages, *args, **kwargs))

    def _stream(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        stop: threading.Event | None = kwargs.pop(STOP_EVENT, None)
        raise_if_set(stop)
        # Closed at once when left, so that the server stops writing too.
        whole = cast("Generator[ChatGenerationChunk]", super()._stream(messages, *args, **kwargs))
        with self._typed_errors(messages), closing(whole) as chunks:
            for chunk in chunks:
                raise_if_set(stop)
                yield chunk

    async def _astream(
        self, messages: list[BaseMessage], *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        stop: threading.Event | None = kwargs.pop(STOP_EVENT, None)
        whole = cast("AsyncGenerator[ChatGenerationChunk]", super()._astream(messages, *args, **kwargs))
        with self._typed_errors(messages):
            async with aclosing(whole) as chunks:
                while (chunk := await unless(stop, anext(chunks, None))) is not None:
                    yield chunk

    def _get_request_payload(
        self, input_: LanguageModelInput, *, stop: list[str] | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        # The arguments of `QwenVLChat` are understood here too; how long to think is the server's affair.
        if (limit := kwargs.pop("max_new_tokens", None)) is not None:
            kwargs["max_tokens"] = limit
        for name in ("think", "max_thought_tokens"):
            kwargs.pop(name, None)
        payload = super()._get_request_payload(input_, stop=stop, **kwargs)
        # OpenAI's new name for it; every compatible server knows the old one.
        if "max_completion_tokens" in payload:
            payload["max_tokens"] = payload.pop("max_completion_tokens")
        return payload

    def _create_chat_result(self, response: Any, generation_info: dict[str, Any] | None = None) -> ChatResult:
        try:
            result = super()._create_chat_result(response, generation_info)
        except (KeyError, TypeError, ValueError) as error:
            raise ServerError(f"{self.openai_api_base!r} did not answer as an OpenAI server does: {error}") from error
        raw = response if isinstance(response, dict) else response.model_dump(warnings=False)
        for generation, choice in zip(result.generations, raw["choices"], strict=True):
            message = generation.message
            thought = _reasoning(choice["message"])
            if not thought and message.text.startswith(THINK):
                inside, closed, rest = message.text.removeprefix(THINK).partition(END_THINK)
                if closed:
                    thought, message.content = inside.strip(), rest.strip()
            if thought:
                message.additional_kwargs[REASONING] = thought
        return result

    def _convert_chunk_to_generation_chunk(
        self, chunk: dict[str, Any], default_chunk_class: type, base_generation_info: dict[str, Any] | None
    ) -> ChatGenerationChunk | None:
        made = super()._convert_chunk_to_generation_chunk(chunk, default_chunk_class, base_generation_info)
        choices = chunk.get("choices") or chunk.get("chunk", {}).get("choices") or []
        if made is not None and choices and (thought := _reasoning(choices[0].get("delta") or {})):
            made.message.additional_kwargs[REASONING] = thought
        return made

    @contextmanager
    def _typed_errors(self, messages: Sequence[BaseMessage]) -> Generator[None]:
        if self.context_length is not None and (tokens := self.count_tokens(messages)) > self.context_length:
            message = f"the messages take about {tokens!r} tokens, and the model reads {self.context_length!r} at most"
            raise ContextOverflowError(message, tokens, self.context_length)
        try:
            yield
        except LangChainContextOverflowError as error:
            raise ContextOverflowError(str(error)) from error
        except openai.LengthFinishReasonError as error:
            raise MalformedOutputError("the JSON was cut off at the token limit", str(error)) from error
        except openai.BadRequestError as error:
            # vLLM's and SGLang's words, which LangChain does not know.
            if "maximum context length" in error.message or "longer than the model's context" in error.message:
                raise ContextOverflowError(error.message) from error
            raise ServerError(f"{self.openai_api_base!r} refused the request: {error.message}") from error
        except openai.OpenAIError as error:
            raise ServerError(
                f"{self.openai_api_base!r} cannot be used: {error}. Is the server running, and is the model "
                f"{self.model_name!r} loaded there?"
            ) from error


def _reasoning(message: Mapping[str, Any]) -> str:
    """Return the thought under either of the names servers give it."""
    return message.get(REASONING) or message.get("reasoning") or ""


def _yes_share(reply: AIMessage) -> float:
    """Return P(Yes) / (P(Yes) + P(No)) among the listed alternatives of the first token."""
    listed = (reply.response_metadata.get("logprobs") or {}).get("content") or []
    shares = {"yes": 0.0, "no": 0.0}
    for candidate in listed[0]["top_logprobs"] if listed else []:
        word = candidate["token"].strip().lower()
        if word in shares:
            shares[word] += math.exp(candidate["logprob"])
    if not (total := sum(shares.values())):
        raise MalformedOutputError("the server lists neither Yes nor No with a logprob", reply.text)
    return shares["yes"] / total
