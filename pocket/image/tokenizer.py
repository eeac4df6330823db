"""A real CLIP tokenizer over the words of the pocket world; every other word falls back to byte pieces."""

import json
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import CLIPTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

from pocket.world.captions import caption, choose_kind
from pocket.world.scene import generator, sample_scene
from pocket.world.vocabulary import SYNONYMS, words_for

POSITIONS = 48
_WORD_END = "</w>"
_SPLIT = r"""<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"""


def corpus(count: int) -> list[str]:
    """Return training captions and every word of the vocabulary."""
    rng = generator("train", 11)
    texts = [w for value in SYNONYMS for w in words_for(value)] * 20
    for _ in range(count):
        scene = sample_scene(rng, allow_held_out=True)
        texts.append(caption(rng, scene, choose_kind(rng, scene)).text)
    return texts


def build(folder: Path, *, entries: int = 1400, captions: int = 20000) -> CLIPTokenizer:
    """Train the merges, write `vocab.json` and `merges.txt` to `folder`, and return the tokenizer.

    As in OpenAI's vocabulary all 256 byte pieces come first, then the same pieces at a word's end, then merges, then
    the two specials.
    """
    learner = Tokenizer(models.BPE(end_of_word_suffix=_WORD_END))
    learner.normalizer = normalizers.Sequence(  # pyright: ignore[reportAttributeAccessIssue]
        [normalizers.NFC(), normalizers.Lowercase()]
    )
    learner.pre_tokenizer = pre_tokenizers.Sequence(  # pyright: ignore[reportAttributeAccessIssue]
        [
            pre_tokenizers.Split(Regex(_SPLIT), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(vocab_size=entries, end_of_word_suffix=_WORD_END, show_progress=False)
    learner.train_from_iterator(corpus(captions), trainer)
    merges: Any = [tuple(m) for m in json.loads(learner.to_str())["model"]["merges"]]
    pieces = list(bytes_to_unicode().values())
    words = [*pieces, *(p + _WORD_END for p in pieces), *dict.fromkeys("".join(m) for m in merges)]
    vocabulary = {w: i for i, w in enumerate([*words, "<|startoftext|>", "<|endoftext|>"])}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(m) for m in merges), ""]
    (folder / "merges.txt").write_text("\n".join(lines), encoding="utf-8")
    tokenizer = CLIPTokenizer(
        vocab=vocabulary,
        merges=merges,
        model_max_length=POSITIONS,
        pad_token="<|endoftext|>",
        unk_token="<|endoftext|>",
    )
    tokenizer.save_pretrained(folder)
    return tokenizer
