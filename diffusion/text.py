"""Encode texts with a pipeline's own two encoders, and say which row of the result stands for what.

The embeddings are stock's own tensors, so that a text that is not moved is passed on with stock's bits. Works with any
pair of CLIP tokenizers of one length: the first SDXL tokenizer pads with its end token, the second with "!", so
padding is told by the attention mask and never by an id.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

CACHE = 128
"""Encoded texts kept; a full-size one is 0.6 MB. Equal text gives equal bits, so keeping them changes nothing."""


@dataclass(frozen=True, eq=False)
class Half:
    """What one of the two encoders made of a text."""

    rows: Tensor
    """(T, D), a view of the columns that belong to this encoder."""
    ids: tuple[int, ...]
    """(T) token ids as the encoder read them."""
    content: Tensor
    """(T) bool: tokens of the text itself; not BOS, EOS, padding or an unknown token."""
    tail: Tensor
    """(T) bool: EOS and padding."""
    dropped: str
    """What did not fit into the encoder; empty when all did."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """One text as SDXL takes it."""

    text: str
    embeds: Tensor
    """(1, T, D1 + D2)."""
    pooled: Tensor
    """(1, P)."""
    halves: tuple[Half, Half]


class TextEncoder:
    """Encodes texts one at a time, so that no text's bits depend on what it was encoded with, and remembers them."""

    def __init__(self, pipe: Any) -> None:
        self.pipe = pipe
        self._kept: OrderedDict[str, Encoded] = OrderedDict()

    @property
    def max_tokens(self) -> int:
        """Tokens a text may have, BOS and EOS not counted."""
        return int(self.pipe.tokenizer.model_max_length) - 2

    def tokens(self, text: str) -> int:
        """Return how many tokens `text` has for the tokenizer that needs more of them."""
        return max(len(t(text, add_special_tokens=False, verbose=False)["input_ids"]) for t, text in self._inputs(text))

    def __call__(self, text: str) -> Encoded:
        """Return the encoding of `text`, cut as stock cuts it; what was cut is in the halves."""
        if text in self._kept:
            self._kept.move_to_end(text)
            return self._kept[text]
        embeds, _, pooled, _ = self.pipe.encode_prompt(
            prompt=text, device=self.pipe._execution_device, do_classifier_free_guidance=False
        )
        widths = (self.pipe.text_encoder.config.hidden_size, self.pipe.text_encoder_2.config.hidden_size)
        columns = embeds[0].split(widths, dim=-1)
        first, second = (
            self._half(tokenizer, part, rows)
            for (tokenizer, part), rows in zip(self._inputs(text), columns, strict=True)
        )
        encoded = Encoded(text, embeds, pooled, (first, second))
        self._kept[text] = encoded
        if len(self._kept) > CACHE:
            self._kept.popitem(last=False)
        return encoded

    @cached_property
    def punctuation(self) -> tuple[frozenset[int], frozenset[int]]:
        """Ids of each tokenizer's tokens without a letter or a digit."""
        return _wordless(self.pipe.tokenizer), _wordless(self.pipe.tokenizer_2)

    def forget(self) -> None:
        """Drop every remembered text; due after the encoders' weights changed, by a LoRA for instance."""
        self._kept.clear()

    def _inputs(self, text: str) -> list[tuple[Any, str]]:
        """Return each tokenizer with the text it is given: textual inversion may expand a word into several."""
        tokenizers = (self.pipe.tokenizer, self.pipe.tokenizer_2)
        return [(t, self.pipe.maybe_convert_prompt(text, t)) for t in tokenizers]

    def _half(self, tokenizer: Any, text: str, rows: Tensor) -> Half:
        whole: list[int] = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        batch = tokenizer(text, padding="max_length", max_length=tokenizer.model_max_length, truncation=True)
        ids: list[int] = batch["input_ids"]
        read = sum(batch["attention_mask"])  # BOS, the text, EOS
        special = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id}
        content = torch.tensor([0 < i < read - 1 and token not in special for i, token in enumerate(ids)])
        tail = torch.arange(len(ids)) >= read - 1
        dropped = tokenizer.decode(whole[read - 2 :]).strip() if len(whole) > read - 2 else ""
        return Half(rows, tuple(ids), content.to(rows.device), tail.to(rows.device), dropped)


def without(half: Half, phrases: Iterable[Half], punctuation: frozenset[int] = frozenset()) -> Tensor:
    """Return the (T) bool content rows of `half` that are neither part of a phrase nor punctuation.

    Args:
        half: the text.
        phrases: by the same encoder; wherever their tokens occur in the text, the rows do not count.
        punctuation: ids of tokens that are no words.
    """
    ids = half.ids
    subject = half.content.clone()
    for index, token in enumerate(ids):
        if token in punctuation:
            subject[index] = False
    for phrase in phrases:
        wanted = tuple(token for token, inside in zip(phrase.ids, phrase.content.tolist(), strict=True) if inside)
        for start in range(len(ids) - len(wanted) + 1 if wanted else 0):
            if ids[start : start + len(wanted)] == wanted:
                subject[start : start + len(wanted)] = False
    return subject


def _wordless(tokenizer: Any) -> frozenset[int]:
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    return frozenset(i for word, i in vocabulary.items() if not any(c.isalnum() for c in word.removesuffix("</w>")))
