"""Structured output: a model that writes JSON -> validated values, with one repair turn, else a typed error."""

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda
from pydantic import BaseModel, ValidationError

from vlm.errors import ContextOverflowError, MalformedOutputError

Schema = type[BaseModel] | Mapping[str, Any]


def structured(
    model: Runnable[LanguageModelInput, AIMessage],
    as_messages: Callable[[LanguageModelInput], list[BaseMessage]],
    schema: Schema,
    *,
    repair: bool,
) -> Runnable[LanguageModelInput, Any]:
    """Return a runnable that asks `model` and reads its reply as `schema`.

    Args:
        model: held to JSON already; what arrives is checked all the same.
        as_messages: turns any input into the messages that a repair turn continues.
        schema: a pydantic model, or JSON Schema, for which a plain dict comes back.
        repair: whether a malformed reply gets its one repair turn.
    """

    def ask(given: LanguageModelInput, config: RunnableConfig, **options: Any) -> Any:
        messages = as_messages(given)
        try:
            return read(model.invoke(messages, config, **options), schema)
        except MalformedOutputError as error:
            if not repair:
                raise
            with _fits(error):
                return read(model.invoke(error.repaired(messages), config, **options), schema)

    async def aask(given: LanguageModelInput, config: RunnableConfig, **options: Any) -> Any:
        messages = as_messages(given)
        try:
            return read(await model.ainvoke(messages, config, **options), schema)
        except MalformedOutputError as error:
            if not repair:
                raise
            with _fits(error):
                return read(await model.ainvoke(error.repaired(messages), config, **options), schema)

    return RunnableLambda(ask, aask, name="structured_output")


@contextmanager
def _fits(error: MalformedOutputError) -> Generator[None]:
    """Let the first error stand where the model has no room for a repair."""
    try:
        yield
    except ContextOverflowError:
        raise error from None


def read(reply: AIMessage, schema: Schema) -> Any:
    """Return the value a reply holds, or raise MalformedOutputError naming what is wrong with it."""
    if reply.response_metadata.get("finish_reason") == "length":
        raise MalformedOutputError("the JSON was cut off at the token limit", reply.text)
    try:
        if isinstance(schema, Mapping):
            return json.loads(reply.text)
        return schema.model_validate_json(reply.text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise MalformedOutputError(f"{where}: {first['msg']}", reply.text) from error
    except json.JSONDecodeError as error:
        raise MalformedOutputError(f"not JSON: {error}", reply.text) from error
