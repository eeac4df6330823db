"""Boxes that a model reads from a picture: each family's own coordinates <-> the unit square, nothing else.

Qwen3-VL speaks in thousandths of the picture; Qwen2.5-VL in pixels of the picture *as resized for it*. Boxes that are
planned for a canvas are always asked for in thousandths and do not pass through here.
"""

from collections.abc import Sequence

from vlm.errors import MalformedOutputError

THOUSANDTHS, PIXELS = "thousandths", "pixels"

FAMILIES = {
    "qwen2_5_vl": PIXELS,
    "qwen3_vl": THOUSANDTHS,
    "qwen3_vl_moe": THOUSANDTHS,
}
"""The coordinates of each family, by the `model_type` of its config: also the list of models that can be loaded."""

Unit = tuple[float, float, float, float]
"""Left, top, right, bottom in [0, 1]."""


def scale_of(family: str, size: tuple[int, int], factor: int, min_pixels: int, max_pixels: int) -> tuple[int, int]:
    """Return what the family calls the right and the bottom edge of a picture.

    Args:
        family: `model_type` of the model's config.
        size: width and height of the picture as it was sent.
        factor: patch size times merge size of the image processor.
        min_pixels: smallest area the image processor resizes to.
        max_pixels: largest area the image processor resizes to.
    """
    if family not in FAMILIES:
        raise ValueError(f"family must be one of {sorted(FAMILIES)}, got {family!r}")
    if FAMILIES[family] == THOUSANDTHS:
        return 1000, 1000
        from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

    width, height = size
    rows, columns = smart_resize(height, width, factor, min_pixels, max_pixels)
    return columns, rows


def to_unit(box: Sequence[float], scale: tuple[int, int]) -> Unit:
    """Return a box the model read in the unit square; a rim over the edge is cut, an empty box is malformed."""
    left, top, right, bottom = (
        min(max(value / edge, 0.0), 1.0) for value, edge in zip(box, (*scale, *scale), strict=True)
    )
    if left >= right or top >= bottom:
        raise MalformedOutputError("a box has no area", str(list(box)))
    return left, top, right, bottom


def from_unit(box: Unit, scale: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return a box of the unit square in the model's own whole coordinates."""
    left, top, right, bottom = (round(value * edge) for value, edge in zip(box, (*scale, *scale), strict=True))
    return left, top, right, bottom
