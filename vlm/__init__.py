"""Qwen-VL as a LangChain chat model: in process, or behind an OpenAI-compatible server.

Importing this package is light; torch and transformers load with the first model.
"""

from vlm.errors import (
    ContextOverflowError,
    ImageInputError,
    MalformedOutputError,
    ServerError,
    StoppedError,
    VlmError,
    WeightsError,
)
from vlm.factory import load_chat_model

__all__ = [
    "ContextOverflowError",
    "ImageInputError",
    "MalformedOutputError",
    "ServerError",
    "StoppedError",
    "VlmError",
    "WeightsError",
    "load_chat_model",
]
