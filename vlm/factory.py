"""One call from plain settings to a chat model; nothing heavy is imported before it is made."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vlm.base import VisionChat


def load_chat_model(
    *,
    folder: str | Path | None = None,
    base_url: str | None = None,
    model: str = "",
    api_key: str = "",
    device: str = "auto",
    dtype: str = "auto",
    chat_template: str | None = None,
    context_length: int | None = None,
    max_new_tokens: int = 1024,
    max_thought_tokens: int = 256,
    think: bool = True,
    temperature: float = 0.0,
    timeout: float = 120.0,
) -> "VisionChat":
    """Return a model that runs in this process (`folder`) or behind a server (`base_url` and `model`).

    Args:
        folder: a Qwen-VL folder in the hub's own format.
        base_url: of an OpenAI-compatible server, "http://localhost:8000/v1" for instance.
        model: the name the server knows the model by.
        api_key: for the server; most local ones want none.
        device: in process only; "auto", "cpu", "cuda:1", ...
        dtype: in process only; "auto", "float32", "bfloat16", ...
        chat_template: in process only; Jinja text instead of the folder's own.
        context_length: tokens read at most; None is what the model can.
        max_new_tokens: tokens of a reply, its thought included.
        max_thought_tokens: in process only; where a thought is closed by force.
        think: in process only; whether free replies begin with a thought.
        temperature: 0 is greedy.
        timeout: seconds to wait for the server.
    """
    if (folder is None) == (base_url is None):
        raise ValueError(f"give either a folder or a base_url, got folder={folder!r} and base_url={base_url!r}")
    shared: dict[str, Any] = {"max_new_tokens": max_new_tokens, "temperature": temperature}
    if base_url is not None:
        from vlm.server import OpenAICompatibleChat

        return OpenAICompatibleChat.connect(
            base_url, model, api_key=api_key, context_length=context_length, timeout=timeout, **shared
        )
    from vlm.qwen import QwenVLChat

    assert folder is not None
    return QwenVLChat.load(
        folder,
        device=device,
        dtype=dtype,
        chat_template=chat_template,
        context_length=context_length,
        max_thought_tokens=max_thought_tokens,
        think=think,
        **shared,
    )
