"""Messages -> token ids and pixels: the one function that training and running share, so that they cannot differ.

Axes
    N    tokens of one conversation, each image already unfolded into its placeholders
    P    patches of all images of the conversation, in order
    V    values of a patch: channels x temporal_patch_size x patch_size x patch_size

A model folder holds the tokenizer, the image processor and the chat template. With torchvision they are taken from
`AutoProcessor`; without it (AutoProcessor would build a video processor that needs torchvision) from their own files.
From there on both go the same way.
"""

import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.messages import AIMessage, BaseMessage
from PIL import Image

from vlm.errors import ImageInputError, WeightsError
from vlm.messages import END_THINK, THINK, for_template, reply_text

IMAGE_TOKEN = "<|image_pad|>"
END_OF_TURN = "<|im_end|>"
IGNORED = -100
"""The label of a token that carries no loss, as in transformers."""

MAX_ASPECT = 200
"""Qwen's resizing refuses pictures longer than this many times their width."""


@dataclass(frozen=True)
class Rendered:
    """What a Qwen-VL model is given for one conversation."""

    text: str
    """The prompt in words, one placeholder an image: what the reply parser needs as its prefix."""
    input_ids: list[int]
    mm_token_type_ids: list[int]
    """1 where a token stands for a piece of an image, else 0."""
    pixel_values: np.ndarray | None
    """(P, V) float32, or None without images."""
    image_grid_thw: np.ndarray | None
    """(images, 3) int64: frames, rows and columns of patches, before merging."""


@dataclass(frozen=True)
class Example(Rendered):
    """A conversation with the reply to learn."""

    labels: list[int]
    """`input_ids` where the reply is, `IGNORED` elsewhere."""


class Renderer:
    """Tokenizer, image processor and chat template of one model folder."""

    def __init__(self, tokenizer: Any, image_processor: Any, chat_template: str) -> None:
        self.tokenizer = tokenizer
        self.image_processor = image_processor
        self.chat_template = chat_template
        self.image_token_id: int = tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
        self.end_id: int = tokenizer.convert_tokens_to_ids(END_OF_TURN)
        self._marks = tuple(token for token in tokenizer.get_added_vocab() if token[0] == "<" and token[-1] == ">")

    @classmethod
    def load(cls, folder: str | Path, chat_template: str | None = None) -> "Renderer":
        """Read the processor files of a model folder.

        Args:
            folder: a folder in the hub's own format.
            chat_template: Jinja text to use instead of the folder's own.
        """
        path = Path(folder)
        if not path.is_dir():
            raise WeightsError(
                f"there is no model folder at {str(path)!r}: download the model there, or change the setting"
            )
        tokenizer, image_processor, template = _parts(path)
        template = chat_template or template
        if template is None:
            raise WeightsError(f"{str(path)!r} has no chat template: add chat_template.jinja")
        return cls(tokenizer, image_processor, template)

    def guard(self, text: str) -> str:
        """Break the control tokens in the words of a stranger, so that they are read as plain characters."""
        for mark in self._marks:
            text = text.replace(mark, f"{mark[0]} {mark[1:]}")
        return text

    def render(
        self,
        messages: Sequence[BaseMessage],
        tools: Sequence[Mapping[str, Any]] = (),
        *,
        think: bool = True,
    ) -> Rendered:
        """Return the prompt that asks for the next reply.

        Args:
            messages: a conversation that ends where the model has to speak.
            tools: functions in OpenAI's form, shown to the model by the template.
            think: False closes a thought that the template has opened (the "Thinking" models); others are unaffected.
        """
        turns, pictures = for_template(messages, self.guard)
        text = str(
            self.tokenizer.apply_chat_template(
                turns,
                tools=list(tools) or None,
                chat_template=self.chat_template,
                add_generation_prompt=True,
                tokenize=False,
            )
        )
        if not think and text.rstrip("\n").endswith(THINK):
            text = f"{text.rstrip()}\n\n{END_THINK}\n\n"
        return self._encode(text, pictures)

    def example(self, messages: Sequence[BaseMessage], tools: Sequence[Mapping[str, Any]] = ()) -> Example:
        """Return a training sequence: the prompt for all messages but the last, then the last as the reply.

        The prompt part is `render` of the same messages, token for token, so a model meets at run time what it
        learned on.
        """
        *context, reply = messages
        if not isinstance(reply, AIMessage):
            raise TypeError(f"the last message must be the model's reply, got {type(reply).__name__}")
        prompt = self.render(context, tools)
        target = [*self.tokenize(reply_text(reply)), self.end_id]
        return Example(
            text=prompt.text,
            input_ids=prompt.input_ids + target,
            mm_token_type_ids=prompt.mm_token_type_ids + [0] * len(target),
            pixel_values=prompt.pixel_values,
            image_grid_thw=prompt.image_grid_thw,
            labels=[IGNORED] * len(prompt.input_ids) + target,
        )

    def tokenize(self, text: str) -> list[int]:
        """Return the ids of `text` as it stands, without anything added."""
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _encode(self, text: str, pictures: Sequence[Image.Image]) -> Rendered:
        pixels = grid = None
        unfolded = text
        if pictures:
            pixels, grid = self._patches(pictures)
            merge = int(self.image_processor.merge_size) ** 2
            head, *tails = text.split(IMAGE_TOKEN)
            if len(tails) != len(pictures):
                raise ImageInputError(f"the template shows {len(tails)!r} images of {len(pictures)!r}")
            sizes = [int(np.prod(shape)) // merge for shape in grid]
            unfolded = head + "".join(IMAGE_TOKEN * size + tail for size, tail in zip(sizes, tails, strict=True))
        ids = self.tokenize(unfolded)
        return Rendered(text, ids, [int(token == self.image_token_id) for token in ids], pixels, grid)

    def _patches(self, pictures: Sequence[Image.Image]) -> tuple[np.ndarray, np.ndarray]:
        for picture in pictures:
            if max(picture.size) > MAX_ASPECT * min(picture.size):
                raise ImageInputError(f"an image of {picture.size!r} pixels is over {MAX_ASPECT} times as long as wide")
        features = self.image_processor(images=list(pictures))
        return np.asarray(features["pixel_values"], np.float32), np.asarray(features["image_grid_thw"], np.int64)


def _parts(path: Path) -> tuple[Any, Any, str | None]:
    from transformers import AutoProcessor, AutoTokenizer, Qwen2VLImageProcessorPil

    try:
        if importlib.util.find_spec("torchvision") is not None:
            processor = AutoProcessor.from_pretrained(path, local_files_only=True)
            return processor.tokenizer, processor.image_processor, processor.chat_template
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        image_processor = Qwen2VLImageProcessorPil.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError) as error:
        raise WeightsError(f"{str(path)!r} lacks the files of a processor: {error}") from error
    return tokenizer, image_processor, tokenizer.chat_template or _legacy_template(path)


def _legacy_template(path: Path) -> str | None:
    """Read the template of the folders that keep it in a file which only processors look at."""
    file = path / "chat_template.json"
    return json.loads(file.read_text(encoding="utf-8"))["chat_template"] if file.is_file() else None
