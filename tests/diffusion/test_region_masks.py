"""Masks: exact partition, true areas, z-order, and the UNet's own feature maps at odd sizes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diffusion import regions as r
from diffusion.errors import GuidanceError
from diffusion.pipeline import GuidedSdxl
from diffusion.request import Box

UNIT = st.floats(0, 1, allow_nan=False)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    left, right = sorted((draw(UNIT), draw(UNIT)))
    top, bottom = sorted((draw(UNIT), draw(UNIT)))
    left, top = min(left, 1 - 1e-6), min(top, 1 - 1e-6)
    return left, top, max(right, left + 1e-6), max(bottom, top + 1e-6)


SIDES = st.integers(1, 12).map(lambda n: 8 * n)


def naive(box_list: list[Box], width: int, height: int, feather: float) -> np.ndarray:
    """The module's formula, pixel by pixel."""
    owned = np.zeros((len(box_list) + 1, height, width))
    for y in range(height):
        for x in range(width):
            free = 1.0
            for index, (left, top, right, bottom) in enumerate(box_list):
                w, h = (right - left) * width, (bottom - top) * height
                window = max(1.0, min(feather, w / 4, h / 4))
                mask = 1.0
                for at, low, high, size in (
                    (x, left * width, right * width, width),
                    (y, top * height, bottom * height, height),
                ):
                    low, high = (-1e9 if low <= 0 else low), (1e9 if high >= size else high)
                    seen = min(high, at + 0.5 + window / 2) - max(low, at + 0.5 - window / 2)
                    mask *= min(1.0, max(0.0, seen / window))
                owned[index, y, x] = free * mask
                free *= 1 - mask
            owned[-1, y, x] = free
    return owned


@settings(max_examples=60, deadline=None)
@given(st.lists(boxes(), max_size=16), SIDES, SIDES, st.floats(0, 64))
def test_weights_sum_to_exactly_one_at_every_level(some: list[Box], width: int, height: int, feather: float) -> None:
    owned = r.ownership(some, width, height, feather, 8)
    for level in r.pyramid(owned, width, height, 8, 3):
        assert level.dtype == np.float32
        assert (level >= 0).all()
        forwards, backwards = (
            np.add.reduce(level[order], axis=0, dtype=np.float32) for order in (slice(None), slice(None, None, -1))
        )
        assert (forwards == 1).all()
        assert (backwards == 1).all()


@settings(max_examples=12, deadline=None)
@given(
    st.lists(boxes(), max_size=4), st.sampled_from([8, 24, 40]), st.sampled_from([16, 24]), st.sampled_from([0, 3, 9])
)
def test_levels_are_the_averages_of_a_naive_mask(some: list[Box], width: int, height: int, feather: float) -> None:
    expected = naive(some, width, height, feather)
    for level, cell in zip(
        r.pyramid(r.ownership(some, width, height, feather, 8), width, height, 8, 3), (8, 16, 32), strict=True
    ):
        for row in range(level.shape[1]):
            for column in range(level.shape[2]):
                part = expected[:, row * cell : (row + 1) * cell, column * cell : (column + 1) * cell]
                # regions are rounded down to whole quanta, the background takes what is left
                np.testing.assert_allclose(level[:, row, column], part.mean((1, 2)), atol=r.QUANTUM * (len(some) + 1))


@settings(max_examples=40, deadline=None)
@given(boxes())
def test_an_unfeathered_box_owns_exactly_its_area(box: Box) -> None:
    owned = r.ownership([box], 128, 96, 0.0, 8)
    assert owned[0].sum() == pytest.approx((box[2] - box[0]) * (box[3] - box[1]) * 128 * 96, rel=1e-9, abs=1e-9)


@given(st.permutations([0, 1, 2]))
def test_disjoint_boxes_commute(order: list[int]) -> None:
    some: list[Box] = [(0.0, 0.0, 0.3, 0.4), (0.5, 0.1, 0.9, 0.45), (0.2, 0.6, 0.8, 1.0)]
    straight = r.ownership(some, 64, 64, 4.0, 8)
    mixed = r.ownership([some[i] for i in order], 64, 64, 4.0, 8)
    np.testing.assert_allclose(mixed[:-1], straight[order], atol=1e-12)


def test_the_front_covers_what_is_behind() -> None:
    twin: Box = (0.25, 0.25, 0.75, 0.75)
    owned = r.ownership([twin, twin], 64, 64, 0.0, 8)
    assert owned[0].sum() == 32 * 32
    assert owned[1].sum() == 0
    assert owned.sum() == 64 * 64


def test_a_full_box_leaves_no_background_even_when_feathered() -> None:
    for level in r.pyramid(r.ownership([(0, 0, 1, 1)], 40, 72, 30.0, 8), 40, 72, 8, 3):
        assert (level[0] == 1).all()
        assert (level[1] == 0).all()


def test_the_feather_is_a_ramp_centred_on_the_edge() -> None:
    # Edge at pixel 32, window 8: the pixel centres 28.5 to 35.5 rise by 1/8 each, from 1/16.
    rising = r.profile(32, 128, 128, 8)[28:36]
    np.testing.assert_allclose(rising, (np.arange(8) + 0.5) / 8)
    assert r.profile(32, 128, 128, 8)[-1] == 1  # no fade at the border of the canvas


@pytest.mark.parametrize(("width", "height"), [(64, 64), (72, 40), (104, 88), (8, 8)])
def test_levels_have_the_shapes_of_the_real_feature_maps(sdxl: GuidedSdxl, width: int, height: int) -> None:
    seen: set[tuple[int, int]] = set()
    blocks = [m for m in sdxl.pipe.unet.modules() if type(m).__name__ == "Transformer2DModel"]
    hooks = [b.register_forward_pre_hook(lambda _m, args: seen.add(tuple(args[0].shape[-2:]))) for b in blocks]
    try:
        embeds = sdxl.encode("a cat")
        added = {"text_embeds": embeds.pooled, "time_ids": torch.zeros(1, 6)}
        with torch.no_grad():
            sdxl.pipe.unet(torch.zeros(1, 12, height // 8, width // 8), 5, embeds.embeds, added_cond_kwargs=added)
    finally:
        for hook in hooks:
            hook.remove()
    levels = r.pyramid(r.ownership([], width, height, 0.0, 8), width, height, 8, 2)
    assert seen == {level.shape[1:] for level in levels}


def test_the_mask_of_an_edit_is_one_on_every_touched_pixel_and_zero_beyond_the_feather() -> None:
    mask = r.mask_for_boxes([(0.26, 0.5, 0.5, 1.0)], 40, 20, 3.0)
    # 0.26 * 40 = 10.4: pixel 10 is touched; with a feather of 3 px the ramp is 3/4, 2/4, 1/4, 0
    np.testing.assert_allclose(mask[15, 5:12], [0, 0, 0.25, 0.5, 0.75, 1, 1])
    assert (mask[10:, 10:20] == 1).all()
    assert (mask[:7] == 0).all()


def test_the_mask_of_a_move_is_the_union() -> None:
    old, new = (0.0, 0.0, 0.5, 0.5), (0.5, 0.5, 1.0, 1.0)
    both = r.mask_for_boxes([old, new], 32, 32, 2.0)
    each = [r.mask_for_boxes([box], 32, 32, 2.0) for box in (old, new)]
    np.testing.assert_array_equal(both, np.maximum(*each))
    assert not r.mask_for_boxes([], 32, 32, 2.0).any()


def test_a_mask_refuses_a_box_outside() -> None:
    with pytest.raises(GuidanceError, match="box"):
        r.mask_for_boxes([(0.5, 0.5, 1.5, 1.0)], 32, 32)
