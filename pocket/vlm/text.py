"""Tokenizer, image processor and chat template of the pocket Qwen-VL, and the exact text of its prompts."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2VLImageProcessorPil

from pocket.vlm.build import MERGE, PATCH, SPECIAL
from pocket.world.vocabulary import SIZE, SYNONYMS

MARKS: Final = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>")
"""Marks that belong to the text of a reply, one token each."""

PIECES: Final = r""" ?[A-Za-z_]+|[0-9]|(?:[{}\[\]":,@;.]| (?=["\[{0-9@]))+|\n+|[^\sA-Za-z0-9_]+|\s+"""
"""Words with their space, single digits, and runs of JSON marks with the spaces between them."""

TEMPLATE: Final = """\
{%- macro words(content) -%}
    {%- if content is string -%}{{- content -}}
    {%- else -%}
        {%- for b in content -%}
            {%- if b.type == 'image' -%}{{- '<|vision_start|><|image_pad|><|vision_end|>' -}}
            {%- else -%}{{- b.text -}}
            {%- endif -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro -%}
{%- for m in messages -%}
    {{- '<|im_start|>' + m.role + '\\n' + words(m.content) -}}
    {%- for c in m.tool_calls or [] -%}
        {%- if m.content or not loop.first -%}{{- '\\n' -}}{%- endif -%}
        {{- '<tool_call>\\n{"name": "' + c.function.name + '", "arguments": ' -}}
        {{- (c.function.arguments | tojson) + '}\\n</tool_call>' -}}
    {%- endfor -%}
    {{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}
"""
"""The six tools never change, so the model knows them by heart; the grammar holds their schemas."""

ASSISTANT: Final = "<|im_start|>assistant\n"
PICTURE: Final = "<|vision_start|><|image_pad|><|vision_end|>"


def turn(role: str, words: str) -> str:
    """Return one turn as the template writes it."""
    return f"<|im_start|>{role}\n{words}<|im_end|>\n"


def prompt(*turns: tuple[str, str]) -> str:
    """Return a whole prompt as `vlm.rendering.Renderer.render` does (a test compares them), much faster than Jinja."""
    return "".join(turn(role, words) for role, words in turns) + ASSISTANT


def train_tokenizer(texts: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    """Learn a byte-level BPE of at most `size` entries from training texts."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )  # pyright: ignore[reportAttributeAccessIssue]
    core.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(MARKS),
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=3,
        show_progress=False,
    )
    # Marks are tokens already; left in, their letters would be learnt as words.
    marks = re.compile("|".join(re.escape(m) for m in (*SPECIAL, *MARKS)))
    core.train_from_iterator((marks.sub("\n", t) for t in texts), trainer)
    core.add_tokens([AddedToken(mark, special=False, normalized=False) for mark in MARKS])
    return PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|endoftext|>", model_max_length=2048
    )


def vocabulary_texts() -> list[str]:
    """Return every word of the world, with and without a space before it, so that each becomes one token."""
    words = {w for value, others in SYNONYMS.items() for text in (value, *others) for w in text.split()}
    words |= {"Yes", "No", "top", "bottom", "left", "right", "middle", "Is", "Does", "an", "a"}
    return [text for w in sorted(words) for text in (f" {w}", w)]


def image_processor() -> Qwen2VLImageProcessorPil:
    """Return the processor that brings every picture to about SIZE x SIZE pixels, whatever its size."""
    area = SIZE * SIZE
    return Qwen2VLImageProcessorPil(
        patch_size=PATCH,
        merge_size=MERGE,
        temporal_patch_size=2,
        size={"shortest_edge": area, "longest_edge": area},
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )


def save_processor(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write tokenizer, image processor and template in the hub's format."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    image_processor().save_pretrained(folder)


def special_ids(tokenizer: Any) -> dict[str, int]:
    """Return the ids of the control marks."""
    return {name: int(tokenizer.convert_tokens_to_ids(name)) for name in SPECIAL}
