"""Every bad value a caller can hand over is refused where it is made, with the value in the message."""

import math
from typing import Any

import numpy as np
import pytest
from PIL import Image

from diffusion.errors import GuidanceError
from diffusion.request import EditRequest, Guidance, Keyword, Region, RenderRequest

BAD_NUMBERS = [math.nan, math.inf, -math.inf, -0.1, "1", None, True]


@pytest.mark.parametrize("field", ["alpha", "pooled_strength", "base_ratio", "feather", "min_cosine"])
@pytest.mark.parametrize("value", BAD_NUMBERS)
def test_strengths(field: str, value: Any) -> None:
    with pytest.raises(GuidanceError, match=field):
        Guidance(**{field: value})


def test_an_unknown_mode() -> None:
    with pytest.raises(GuidanceError, match="'sideways'"):
        Guidance(mode="sideways")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("weight", [math.nan, 2.5, -2.1, math.inf])
def test_keyword_weights(weight: float) -> None:
    with pytest.raises(GuidanceError, match="weight"):
        Keyword("gloomy", "atmosphere", weight)


@pytest.mark.parametrize("words", ["", "  ", "\n", "x" * 20_001])
def test_keyword_texts(words: str) -> None:
    with pytest.raises(GuidanceError, match="keyword"):
        Keyword(words, "atmosphere", 1.0)


@pytest.mark.parametrize(
    "box",
    [
        (0.5, 0.0, 0.5, 1.0),
        (0.6, 0.0, 0.5, 1.0),
        (-0.1, 0.0, 0.5, 1.0),
        (0.0, 0.0, 1.1, 1.0),
        (1.5, 1.5, 1.8, 1.8),
        (math.nan, 0.0, 0.5, 1.0),
        (0.0, 0.0, math.inf, 1.0),
        (0.0, 0.0, 1.0),
        ("0", 0.0, 1.0, 1.0),
    ],
)
def test_boxes(box: Any) -> None:
    with pytest.raises(GuidanceError, match="box of region 'cat'"):
        Region("cat", "a cat", box)


@pytest.mark.parametrize(("name", "prompt", "seed"), [("", "a cat", None), ("cat", " ", None), ("cat", "a cat", -1)])
def test_regions(name: str, prompt: str, seed: int | None) -> None:
    with pytest.raises(GuidanceError, match="region"):
        Region(name, prompt, (0.0, 0.0, 1.0, 1.0), seed)


def test_forty_regions_are_too_many_and_sixteen_are_not() -> None:
    one = Region("cat", "a cat", (0.0, 0.0, 1.0, 1.0))
    RenderRequest("a cat", regions=(one,) * 16)
    with pytest.raises(GuidanceError, match="40"):
        RenderRequest("a cat", regions=(one,) * 40)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", 130),
        ("height", 0),
        ("width", 100_000),
        ("steps", 0),
        ("steps", 2.5),
        ("cfg", math.nan),
        ("cfg", -1.0),
        ("seed", -1),
        ("seed", 2**63),
        ("prompt", None),
        ("prompt", "x" * 20_001),
    ],
)
def test_requests(field: str, value: Any) -> None:
    asked: dict[str, Any] = {"prompt": "a cat", field: value}
    with pytest.raises(GuidanceError, match=field):
        RenderRequest(**asked)


def test_a_size_that_does_not_divide_names_the_nearest_that_does() -> None:
    with pytest.raises(GuidanceError, match="nearest is 128"):
        RenderRequest("a cat", width=130)


@pytest.mark.parametrize(
    ("mask", "strength", "reason"),
    [
        (np.ones((32, 64)), 1.0, "mask must be"),
        (np.zeros((64, 64)), 1.0, "nothing may change"),
        (np.full((64, 64), math.nan), 1.0, "0 to 1"),
        (np.full((64, 64), 1.5), 1.0, "0 to 1"),
        (np.ones((64, 64)), 0.0, "strength"),
        (np.ones((64, 64)), math.nan, "strength"),
    ],
)
def test_edits(mask: Any, strength: float, reason: str) -> None:
    request = RenderRequest("a cat", width=64, height=64)
    with pytest.raises(GuidanceError, match=reason):
        EditRequest(request, Image.new("RGB", (64, 64)), mask, strength=strength)


def test_an_edit_of_a_picture_of_another_size() -> None:
    with pytest.raises(GuidanceError, match="parent"):
        EditRequest(RenderRequest("a cat", width=64, height=64), Image.new("RGB", (32, 64)), np.ones((64, 64)))
