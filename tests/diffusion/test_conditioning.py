"""From keywords and regions to tensors: what moves, what must not, and what is said about it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from diffusion.guide import Conditioning, condition
from diffusion.pipeline import GuidedSdxl
from diffusion.projection import off_subject, subject_basis
from diffusion.request import Guidance, Keyword, RenderRequest
from tests.diffusion.tiny_sdxl import LEFT, LIKED, RIGHT

Ask = Callable[..., RenderRequest]
STRONG = Guidance(alpha=1.0, pooled_strength=1.0, min_cosine=0.0)


@pytest.fixture
def make(sdxl: GuidedSdxl, ask: Ask) -> Callable[..., Conditioning]:
    def made(**changes: Any) -> Conditioning:
        with torch.no_grad():
            return condition(sdxl.encode, ask(**{"guidance": STRONG, **changes}))

    return made


Make = Callable[..., Conditioning]


def test_without_keywords_every_tensor_is_stocks_own(sdxl: GuidedSdxl, make: Make) -> None:
    made, plain = make(), sdxl.encode("a cat")
    assert made.embeds is plain.embeds
    assert made.pooled is plain.pooled
    assert made.components is None


@pytest.mark.parametrize("guidance", [Guidance(mode="none"), Guidance(alpha=0.0, pooled_strength=0.0)])
def test_no_strength_is_the_same_tensor_object(sdxl: GuidedSdxl, make: Make, guidance: Guidance) -> None:
    made, plain = make(guidance=guidance, keywords=(LIKED,)), sdxl.encode("a cat")
    assert made.embeds is plain.embeds
    assert made.pooled is plain.pooled


@pytest.mark.parametrize("mode", ["row", "centred"])
def test_bos_never_moves_and_padding_only_when_told(sdxl: GuidedSdxl, make: Make, mode: Any) -> None:
    plain = sdxl.encode("a cat")
    for padding in (True, False):
        made = make(guidance=replace(STRONG, mode=mode, move_padding=padding), keywords=(LIKED,))
        moved = (made.embeds != plain.embeds).any(-1)[0]
        assert moved.tolist() == [False, True, True] + [padding] * (len(moved) - 3)


def test_what_is_added_is_off_the_subject(sdxl: GuidedSdxl, make: Make) -> None:
    """The turned row lies in the span of the row itself and a direction without any part along the subject."""
    made = make(keywords=(LIKED,))
    half, empty = sdxl.encode("a cat").halves[0], sdxl.encode("").halves[0]
    basis = subject_basis((half.rows - empty.rows)[half.content])
    before, after = half.rows - empty.rows, made.embeds[0, :, : half.rows.shape[1]] - empty.rows
    for row in (1, 2):
        # after = a before + b d_perp: taking out `before` within the subject's complement leaves only d_perp
        scale = after[row] @ basis[0] / (before[row] @ basis[0])
        added = after[row] - scale * before[row]
        torch.testing.assert_close(added, off_subject(added, basis), atol=1e-4, rtol=0)


def test_a_heavier_keyword_moves_further(sdxl: GuidedSdxl, make: Make) -> None:
    plain = sdxl.encode("a cat").embeds
    light, heavy = (make(keywords=(Keyword("gloomy", "atmosphere", w),)).embeds for w in (0.3, 2.0))
    assert float((heavy - plain).norm()) > 2 * float((light - plain).norm())


def test_keywords_in_the_prompt_are_not_its_subject(make: Make) -> None:
    named, plain = (make(prompt=p, keywords=(LIKED,)).report["shares"][0] for p in ("gloomy, a cat", "a cat"))
    assert named["subject_tokens"] == plain["subject_tokens"] == 2


def test_the_pooled_vector_is_the_whole_prompts_whatever_the_regions(make: Make) -> None:
    alone, boxed = make(keywords=(LIKED,)), make(keywords=(LIKED,), regions=(LEFT, RIGHT))
    assert torch.equal(alone.pooled, boxed.pooled)


def test_components_are_the_prompt_the_regions_and_the_background(sdxl: GuidedSdxl, make: Make) -> None:
    made = make(regions=(LEFT, RIGHT), background="sea")
    assert made.components is not None
    expected = [sdxl.encode(t).embeds for t in ("a cat", LEFT.prompt, RIGHT.prompt, "sea")]
    assert torch.equal(made.components, torch.cat(expected))
    blank = make(regions=(LEFT,), background=" ").components
    assert blank is not None
    assert torch.equal(blank[-1], blank[0])


def test_every_component_is_moved(sdxl: GuidedSdxl, make: Make) -> None:
    made = make(regions=(LEFT, RIGHT), background="sea", keywords=(LIKED,))
    assert made.components is not None
    for text, moved in zip(("a cat", LEFT.prompt, RIGHT.prompt, "sea"), made.components, strict=True):
        assert not torch.equal(moved, sdxl.encode(text).embeds[0])
    assert [s["component"] for s in made.report["shares"][::2]] == [
        "prompt",
        "region 'left'",
        "region 'right'",
        "background",
    ]
    assert all(0 < s["share"] <= 1.0001 for s in made.report["shares"])


def test_without_dislikes_the_negative_branch_is_stocks(sdxl: GuidedSdxl, make: Make) -> None:
    assert not make(keywords=(LIKED,)).negative.any()
    named, plain = make(negative_prompt="hen"), sdxl.encode("hen")
    assert named.negative is plain.embeds
    assert named.negative_pooled is plain.pooled


def test_dislikes_go_to_the_negative_branch_without_the_prompts_subject(sdxl: GuidedSdxl, make: Make) -> None:
    made = make(prompt="dog", keywords=(Keyword("hen", "theme", -1.0),))
    assert made.embeds is sdxl.encode("dog").embeds
    plain = sdxl.encode("hen").embeds
    for side, columns in enumerate((slice(0, 24), slice(24, 48))):
        half, empty = sdxl.encode("dog").halves[side], sdxl.encode("").halves[side].rows
        basis = subject_basis((half.rows - empty)[half.content])
        centred = made.negative[0, :, columns] - empty
        assert float((centred @ basis.mT).abs().max()) < 1e-4
        torch.testing.assert_close(centred, off_subject(plain[0, :, columns] - empty, basis), atol=1e-4, rtol=0)


def test_a_dislike_weighs(sdxl: GuidedSdxl, make: Make) -> None:
    empty = sdxl.encode("").embeds
    light, heavy = (make(keywords=(Keyword("hen", "theme", w),)).negative - empty for w in (-0.5, -1.0))
    torch.testing.assert_close(2 * light, heavy, atol=1e-4, rtol=1e-4)


def test_mode_none_ignores_dislikes_too(make: Make) -> None:
    assert not make(guidance=Guidance(mode="none"), keywords=(Keyword("hen", "theme", -1.0),)).negative.any()


def test_a_keyword_nobody_knows_is_reported_and_ignored(sdxl: GuidedSdxl, make: Make) -> None:
    made = make(keywords=(Keyword("日本", "theme", 1.0), Keyword("hen", "theme", 0.0)))
    assert made.report["ignored"] == ["日本", "hen"]
    assert made.embeds is sdxl.encode("a cat").embeds


def test_cut_texts_are_reported_by_name(make: Make) -> None:
    long = " ".join(["cat"] * 30)
    made = make(prompt=f"{long} hen", regions=(replace(LEFT, prompt=f"{long} dog"),), background=f"{long} sea")
    assert made.report["cut"] == [
        {"text": "prompt", "dropped": "hen"},
        {"text": "region 'left'", "dropped": "dog"},
        {"text": "background", "dropped": "sea"},
    ]
