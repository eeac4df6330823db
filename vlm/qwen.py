"""QwenVLChat: any Qwen-VL folder, run in this process, as a LangChain chat model.

Every reply is written under a grammar (`vlm.grammar`), so tool calls always parse and match their tools' schemas.
"""

import math
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.chat_models import agenerate_from_stream, generate_from_stream
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import Field, PrivateAttr

from vlm.base import VisionChat, stop_event_of
from vlm.boxes import scale_of
from vlm.bridge import in_thread
from vlm.engine import Decoding, Engine
from vlm.errors import raise_if_set
from vlm.grammar import Thought
from vlm.messages import THINK
from vlm.rendering import Rendered
from vlm.replies import ReplyReader
from vlm.writing import written

Tool = Mapping[str, Any] | type | Callable[..., Any] | BaseTool

YES, NO = ("Yes", "yes", "YES", " Yes", " yes"), ("No", "no", "NO", " No", " no")
"""The spellings that are summed; VQAScore (arXiv 2404.01291) takes the first of each alone, over all tokens."""


PER_CALL = frozenset({"max_new_tokens", "max_thought_tokens", "think", "temperature", "top_p", "seed"})
"""Fields that may be given anew with any call."""


class QwenVLChat(VisionChat):
    """A Qwen-VL model in this process.

    A call takes, beyond LangChain's own arguments, any of the fields below by name, and `response_schema`.
    """

    max_new_tokens: int = Field(default=1024, gt=0)
    """Tokens of a reply, its thought included."""
    max_thought_tokens: int = Field(default=256, gt=0)
    """A thought is closed by force after so many tokens, so that the answer keeps its room."""
    think: bool = True
    """Whether free replies begin with a thought; JSON and yes/no replies never do."""
    temperature: float = Field(default=0.0, ge=0.0)
    """0 is greedy."""
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    seed: int = 0
    """Of sampling; unused when greedy."""

    _engine: Engine = PrivateAttr()

    def __init__(self, engine: Engine, **fields: Any) -> None:
        super().__init__(**fields)
        self._engine = engine

    @classmethod
    def load(
        cls,
        folder: str | Path,
        device: str = "auto",
        dtype: str = "auto",
        chat_template: str | None = None,
        context_length: int | None = None,
        **fields: Any,
    ) -> "QwenVLChat":
        """Load a model folder; see `Engine.load`. `fields` are those of this class."""
        engine = Engine.load(
            folder, device=device, dtype=dtype, chat_template=chat_template, context_length=context_length
        )
        return cls(engine, **fields)

    @property
    def context_length(self) -> int:
        """Tokens the model reads, its reply included."""
        return self._engine.context_length

    @property
    def _llm_type(self) -> str:
        return "qwen-vl"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"family": self._engine.family, "temperature": self.temperature, "max_new_tokens": self.max_new_tokens}

    def bind_tools(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, tools: Sequence[Tool], *, tool_choice: str | bool | None = None, **kwargs: Any
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return this model with `tools` to call.

        Args:
            tools: anything LangChain can describe as an OpenAI function.
            tool_choice: "auto" (None), "required" ("any", True), "none", or the name of one tool.
            kwargs: bound along with the tools.
        """
        choice = {None: "auto", True: "required", False: "auto", "any": "required"}.get(tool_choice, tool_choice)
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], tool_choice=choice, **kwargs)

    def bind_schema(self, schema: Mapping[str, Any]) -> Runnable[LanguageModelInput, AIMessage]:
        return self.bind(response_schema=dict(schema))

    def count_tokens(self, messages: Sequence[BaseMessage], tools: Sequence[Tool] = ()) -> int:
        offered = [convert_to_openai_tool(tool) for tool in tools]
        return len(self._engine.renderer.render(messages, offered, think=self.think).input_ids)

    def yes_probability(self, messages: Sequence[BaseMessage], config: RunnableConfig | None = None) -> float:
        raise_if_set(stop_event_of(config))
        engine = self._engine
        shares = torch.softmax(engine.next_token_logits(engine.renderer.render(messages, think=False)), -1)
        yes, no = (self._first_tokens(words) for words in (YES, NO))
        # A spelling that begins like its opposite (a bare space, say) tells nothing.
        p_yes, p_no = (float(shares[list(ids)].sum()) for ids in (yes - no, no - yes))
        return p_yes / (p_yes + p_no) if p_yes + p_no > 0.0 else math.nan

    def _first_tokens(self, words: Sequence[str]) -> set[int]:
        """Return the tokens that are one of `words`; in a vocabulary that has none whole, those that begin one."""
        spelt = [self._engine.renderer.tokenize(word) for word in words]
        return {ids[0] for ids in spelt if len(ids) == 1} or {ids[0] for ids in spelt}

    async def ayes_probability(self, messages: Sequence[BaseMessage], config: RunnableConfig | None = None) -> float:
        async for share in in_thread(lambda _: iter([self.yes_probability(messages, config)])):
            return share
        raise AssertionError("the thread ended without a value")

    def box_scale(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return what this model calls the right and bottom edge of a picture of `size` (width, height)."""
        processor = self._engine.renderer.image_processor
        factor = processor.patch_size * processor.merge_size
        area = processor.size
        return scale_of(self._engine.family, size, factor, area["shortest_edge"], area["longest_edge"])

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, run_manager, **kwargs))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await agenerate_from_stream(self._astream(messages, stop, run_manager, **kwargs))

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        async for chunk in in_thread(lambda left: self._stream(messages, stop, abandoned=left, **kwargs)):
            yield chunk

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        *,
        tools: Sequence[Mapping[str, Any]] = (),
        tool_choice: str = "auto",
        parallel_tool_calls: bool = True,
        response_schema: Mapping[str, Any] | None = None,
        stop_event: threading.Event | None = None,
        abandoned: threading.Event | None = None,
        **overrides: Any,
    ) -> Iterator[ChatGenerationChunk]:
        if stop:
            raise ValueError(f"stop words are not supported: the grammar ends a reply, got {stop!r}")
        now = self._with(overrides)
        engine, free = self._engine, response_schema is None
        think = now.think and free
        prompt = engine.renderer.render(messages, tools, think=think)
        thought = _thought(prompt, think=think)
        grammar = (
            engine.grammars.reply(tools, tool_choice, thought, now.max_thought_tokens, parallel=parallel_tool_calls)
            if response_schema is None
            else engine.grammars.document(response_schema, thought, now.max_thought_tokens)
        )
        decoding = Decoding(
            max_new_tokens=now.max_new_tokens, temperature=now.temperature, top_p=now.top_p, seed=now.seed
        )
        tokens = engine.tokens(prompt, grammar, decoding, [event for event in (stop_event, abandoned) if event])
        reader = ReplyReader(prompt.text, tools) if free else None
        for message in written(engine, tokens, reader, len(prompt.input_ids)):
            yield ChatGenerationChunk(message=message)

    def _with(self, overrides: Mapping[str, Any]) -> "QwenVLChat":
        """Return this model with some fields changed for one call, checked as the fields are."""
        if not overrides:
            return self
        if unknown := overrides.keys() - PER_CALL:
            raise ValueError(f"a call takes {sorted(PER_CALL)}, got {sorted(unknown)}")
        return QwenVLChat(self._engine, **{**self.model_dump(include=set(PER_CALL)), **overrides})


def _thought(prompt: Rendered, *, think: bool) -> Thought:
    """Say whether the model has to open its thought, or a template has done so at the end of the prompt."""
    if not think:
        return "none"
    return "continue" if prompt.text.rstrip().endswith(THINK) else "write"
