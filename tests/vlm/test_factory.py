"""The factory picks the right model from plain settings, and is light until it does."""

import subprocess
import sys
from pathlib import Path

import pytest

from vlm import WeightsError, load_chat_model
from vlm.qwen import QwenVLChat
from vlm.server import OpenAICompatibleChat


def test_a_folder_is_run_in_process(folder: Path) -> None:
    chat = load_chat_model(folder=folder, max_new_tokens=7, max_thought_tokens=3, think=False, context_length=99)

    assert isinstance(chat, QwenVLChat)
    assert (chat.max_new_tokens, chat.max_thought_tokens, chat.think, chat.context_length) == (7, 3, False, 99)


def test_an_address_is_a_server() -> None:
    chat = load_chat_model(base_url="http://127.0.0.1:9/v1", model="qwen", max_new_tokens=7, context_length=99)

    assert isinstance(chat, OpenAICompatibleChat)
    assert (chat.model_name, chat.max_tokens, chat.context_length) == ("qwen", 7, 99)


def test_one_of_the_two_is_needed() -> None:
    with pytest.raises(ValueError, match="either"):
        load_chat_model()
    with pytest.raises(ValueError, match="either"):
        load_chat_model(folder="a", base_url="b")


def test_a_missing_folder_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="nowhere"):
        load_chat_model(folder=tmp_path / "nowhere")


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = "{'torch', 'transformers', 'xgrammar', 'openai', 'diffusers'}"
    code = f"import sys, vlm; print(sorted({heavy} & set(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
