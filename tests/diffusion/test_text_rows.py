"""Which row stands for what, with SDXL's two ways of padding, at any length."""

import pytest
import torch

from diffusion.pipeline import GuidedSdxl
from diffusion.text import TextEncoder, without
from tests.diffusion.tiny_sdxl import POSITIONS, build


@pytest.fixture(scope="module", params=[POSITIONS, 48, 77])
def encode(request: pytest.FixtureRequest) -> TextEncoder:
    return GuidedSdxl(build(positions=request.param)).encode


def content(encode: TextEncoder, text: str) -> list[list[str]]:
    tokenizers = (encode.pipe.tokenizer, encode.pipe.tokenizer_2)
    return [
        t.convert_ids_to_tokens([i for i, inside in zip(half.ids, half.content.tolist(), strict=True) if inside])
        for t, half in zip(tokenizers, encode(text).halves, strict=True)
    ]


def test_content_is_the_text_and_nothing_else(encode: TextEncoder) -> None:
    expected = ["a</w>", "cat</w>", ",</w>", "h", "e", "n</w>"]
    assert content(encode, "a cat, hen") == [expected, expected]


def test_the_padding_character_of_the_second_tokenizer_counts_where_it_is_written(encode: TextEncoder) -> None:
    one, two = content(encode, "cat !")
    assert one == ["cat</w>", "!</w>"]
    assert two == ["cat</w>", "!"]  # being the padding, it is one whole token of its own here


def test_rows_are_stocks_columns(encode: TextEncoder) -> None:
    made = encode("a cat")
    embeds, _, pooled, _ = encode.pipe.encode_prompt("a cat", do_classifier_free_guidance=False)
    assert torch.equal(made.embeds, embeds)
    assert torch.equal(made.pooled, pooled)
    assert torch.equal(torch.cat([half.rows for half in made.halves], dim=-1)[None], embeds)


def test_the_tail_is_the_end_and_the_padding(encode: TextEncoder) -> None:
    for half in encode("a cat").halves:
        assert half.tail.tolist() == [False] * 3 + [True] * (len(half.ids) - 3)
        assert not bool((half.tail & half.content).any())
        assert not bool(half.content[0] | half.tail[0])  # BOS is neither


def test_a_long_text_is_cut_and_says_what_was_lost(encode: TextEncoder) -> None:
    words = " ".join(["cat"] * encode.max_tokens)
    made = encode(f"{words} hen dog")
    assert encode.tokens(f"{words} hen dog") == encode.max_tokens + 6
    for half in made.halves:
        assert half.dropped == "hen dog"
        assert int(half.content.sum()) == encode.max_tokens
        assert int(half.tail.sum()) == 1
    assert all(half.dropped == "" for half in encode(words).halves)


@pytest.mark.parametrize("text", ["", "   ", "日本"])
def test_nothing_known_means_no_content(encode: TextEncoder, text: str) -> None:
    assert not any(bool(half.content.any()) for half in encode(text).halves)


def test_phrases_and_punctuation_are_no_subject(encode: TextEncoder) -> None:
    made, phrase = encode("a hen, a cat"), encode("hen")
    half = made.halves[0]
    left = without(half, [phrase.halves[0]], encode.punctuation[0])
    kept = encode.pipe.tokenizer.convert_ids_to_tokens([i for i, k in zip(half.ids, left.tolist(), strict=True) if k])
    assert kept == ["a</w>", "a</w>", "cat</w>"]


def test_an_equal_text_is_not_encoded_twice(encode: TextEncoder) -> None:
    first = encode("a cat")
    assert encode("a cat") is first
    encode.forget()
    again = encode("a cat")
    assert again is not first
    assert torch.equal(again.embeds, first.embeds)
