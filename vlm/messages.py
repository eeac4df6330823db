"""LangChain messages <-> the words of a Qwen chat: what a template is given, and the exact text of a reply.

`reply_text` is the one definition of how a reply is spelt. Training targets are made with it, the grammar allows
nothing else, and `vlm.replies` reads it back:

    <think>
    {thought}
    </think>

    {answer}                                              or, one block a call, separated by a newline:
    <tool_call>
    {"name": "{name}", "arguments": {arguments}}
    </tool_call>

A reply without a thought begins at its answer or its first call. JSON is `json.dumps`' own spacing, non-ASCII kept.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from PIL import Image

from vlm.images import is_image, open_block

THINK, END_THINK = "<think>", "</think>"
CALL, END_CALL = "<tool_call>", "</tool_call>"
REASONING = "reasoning_content"
"""Where a thought lives in `AIMessage.additional_kwargs`."""

Guard = Callable[[str], str]
"""Makes words of a stranger harmless: no control token of the tokenizer may survive in them."""


def thought_of(message: BaseMessage) -> str:
    """Return the thought of a message, or an empty string."""
    return str(message.additional_kwargs.get(REASONING) or "")


def call_text(name: str, arguments: Mapping[str, Any]) -> str:
    """Return one tool call as it is spelt in a reply."""
    body = json.dumps({"name": name, "arguments": dict(arguments)}, ensure_ascii=False)
    return f"{CALL}\n{body}\n{END_CALL}"


def reply_text(message: AIMessage) -> str:
    """Return the whole text a model has to write to mean `message`, without the end-of-turn token."""
    thought = thought_of(message)
    parts = [message.text] if message.text else []
    parts += [call_text(call["name"], call["args"]) for call in message.tool_calls]
    return (f"{THINK}\n{thought}\n{END_THINK}\n\n" if thought else "") + "\n".join(parts)


def for_template(messages: Sequence[BaseMessage], guard: Guard) -> tuple[list[dict[str, Any]], list[Image.Image]]:
    """Return what `apply_chat_template` takes, and the pictures in the order of their placeholders.

    Thoughts are left out: they are shown to people and never fed back. The words of people and tools pass through
    `guard`; those of the system and of the model itself are ours.
    """
    turns: list[dict[str, Any]] = []
    pictures: list[Image.Image] = []
    for message in messages:
        trusted = isinstance(message, SystemMessage | AIMessage)
        turn: dict[str, Any] = {"role": _role(message)}
        turn["content"] = _content(message, (lambda text: text) if trusted else guard, pictures)
        if isinstance(message, AIMessage) and message.tool_calls:
            turn["tool_calls"] = [
                {"type": "function", "function": {"name": call["name"], "arguments": call["args"]}}
                for call in message.tool_calls
            ]
        turns.append(turn)
    return turns, pictures


def _role(message: BaseMessage) -> str:
    for kind, role in (
        (SystemMessage, "system"),
        (HumanMessage, "user"),
        (AIMessage, "assistant"),
        (ToolMessage, "tool"),
    ):
        if isinstance(message, kind):
            return role
    raise TypeError(f"a {type(message).__name__} has no place in a Qwen chat")


def _content(message: BaseMessage, guard: Guard, pictures: list[Image.Image]) -> str | list[dict[str, str]]:
    if isinstance(message.content, str):
        return guard(message.content)
    blocks: list[dict[str, str]] = []
    for block in message.content:
        if isinstance(block, str):
            blocks.append({"type": "text", "text": guard(block)})
        elif is_image(block):
            pictures.append(open_block(block))
            blocks.append({"type": "image"})
        elif block.get("type") == "text":
            blocks.append({"type": "text", "text": guard(str(block["text"]))})
    # A template may add a list to a string, so words alone are handed over as words.
    if all(block["type"] == "text" for block in blocks):
        return "".join(block["text"] for block in blocks)
    return blocks
