"""Coordinates of boxes read from pictures, by hand."""

import pytest

from vlm.boxes import from_unit, scale_of, to_unit
from vlm.errors import MalformedOutputError

# Qwen2.5-VL: patches of 14 merged by 2; areas from 4 to 16384 tokens of 28 x 28 pixels.
OLDER = {"factor": 28, "min_pixels": 4 * 28 * 28, "max_pixels": 16384 * 28 * 28}


def test_qwen3_speaks_in_thousandths() -> None:
    scale = scale_of("qwen3_vl", (640, 480), 32, 0, 10**9)

    assert scale == (1000, 1000)
    assert to_unit([250, 500, 750, 1000], scale) == (0.25, 0.5, 0.75, 1.0)


def test_qwen2_5_speaks_in_pixels_of_the_resized_picture() -> None:
    # 640 / 28 = 22.86 -> 23 * 28 = 644; 480 / 28 = 17.14 -> 17 * 28 = 476.
    scale = scale_of("qwen2_5_vl", (640, 480), **OLDER)

    assert scale == (644, 476)
    assert to_unit([161, 119, 322, 476], scale) == (0.25, 0.25, 0.5, 1.0)


def test_a_small_picture_is_scaled_up_first() -> None:
    # 28 x 28 pixels are fewer than 4 x 28 x 28, so both sides double.
    assert scale_of("qwen2_5_vl", (28, 28), **OLDER) == (56, 56)


@pytest.mark.parametrize("family", ["qwen3_vl", "qwen2_5_vl"])
def test_there_and_back_again(family: str) -> None:
    scale = scale_of(family, (300, 200), **OLDER)
    box = (0.1, 0.2, 0.6, 0.9)

    # Rounding to whole coordinates moves an edge by half of one at most.
    assert to_unit(from_unit(box, scale), scale) == pytest.approx(box, abs=0.5 / min(scale))


def test_a_rim_over_the_edge_is_cut() -> None:
    assert to_unit([-3, 0, 1004, 500], (1000, 1000)) == (0.0, 0.0, 1.0, 0.5)


@pytest.mark.parametrize("box", [[500, 0, 500, 10], [600, 0, 500, 10], [0, 20, 10, 10], [1100, 0, 1200, 10]])
def test_a_box_without_area_is_malformed(box: list[float]) -> None:
    with pytest.raises(MalformedOutputError, match="no area"):
        to_unit(box, (1000, 1000))


def test_unknown_families_are_refused() -> None:
    with pytest.raises(ValueError, match="llava"):
        scale_of("llava", (1, 1), 28, 0, 1)
