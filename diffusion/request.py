"""What a caller asks for: plain frozen values, checked when they are made, so that a bad one never reaches a model."""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from diffusion.errors import GuidanceError

if TYPE_CHECKING:  # so that a request can be made and refused where torch is not loaded
    from torch import Tensor

Mode = Literal["none", "row", "centred"]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom as shares of the canvas, 0 to 1."""

MAX_REGIONS = 16
"""More regions than this are refused: none of them would own enough of the picture to be seen."""
MAX_KEYWORDS = 64
MAX_SIDE = 4096
MAX_STEPS = 500
MAX_SEED = 2**63 - 1
MAX_TEXT = 20_000
"""Characters; a longer text is surely a mistake, and tokenising it would only cost time."""


def within(name: str, value: Any, low: float, high: float) -> None:
    """Raise unless `value` is a finite number in [low, high]; NaN fails every comparison and so is refused too."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not low <= value <= high:
        raise GuidanceError(f"{name} must be a number from {low:g} to {high:g}, got {value!r}")


def whole(name: str, value: Any, low: int, high: int) -> None:
    """Raise unless `value` is an int in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise GuidanceError(f"{name} must be a whole number from {low} to {high}, got {value!r}")


def text(name: str, value: Any, *, empty: bool) -> None:
    """Raise unless `value` is a str of sane length, blank only where `empty` allows it."""
    if not isinstance(value, str):
        raise GuidanceError(f"{name} must be text, got {value!r}")
    if len(value) > MAX_TEXT:
        raise GuidanceError(f"{name} must have at most {MAX_TEXT} characters, got {len(value)}")
    if not empty and not value.strip():
        raise GuidanceError(f"{name} must not be blank, got {value!r}")


def checked_box(name: str, box: Any) -> None:
    """Raise unless `box` is left, top, right, bottom inside the canvas with a positive area."""
    if len(box) != 4 or not all(isinstance(v, int | float | np.number) and math.isfinite(v) for v in box):
        raise GuidanceError(f"{name} must be four finite numbers (left, top, right, bottom), got {box!r}")
    left, top, right, bottom = box
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise GuidanceError(f"{name} must satisfy 0 <= left < right <= 1 and 0 <= top < bottom <= 1, got {box!r}")


@dataclass(frozen=True)
class Region:
    """One entity and where it belongs."""

    name: str
    prompt: str
    """What stands in the box, alone: "a red circle"."""
    box: Box
    seed: int | None = None
    """Its own noise, drawn box-locally so that it moves with the box; None keeps the canvas' noise."""

    def __post_init__(self) -> None:
        text("region name", self.name, empty=False)
        text(f"prompt of region {self.name!r}", self.prompt, empty=False)
        checked_box(f"box of region {self.name!r}", self.box)
        if self.seed is not None:
            whole(f"seed of region {self.name!r}", self.seed, 0, MAX_SEED)


@dataclass(frozen=True)
class Keyword:
    """One preference."""

    text: str
    category: str
    weight: float = 1.0
    """-2 to 2; below 0 it is a dislike, at 0 it does nothing."""

    def __post_init__(self) -> None:
        text("keyword", self.text, empty=False)
        text("keyword category", self.category, empty=True)
        within(f"weight of keyword {self.text!r}", self.weight, -2, 2)


@dataclass(frozen=True)
class Guidance:
    """How strongly the keywords and the boxes act. All strengths 0 and no regions is stock SDXL, bit for bit."""

    mode: Mode = "centred"
    alpha: float = 0.8
    """Strength of the keywords on the token rows at keyword weight 1; 0 changes nothing."""
    pooled_strength: float = 0.8
    """The same for the pooled vector."""
    move_padding: bool = True
    """Whether the end-of-text and padding rows, which gather the whole text, move as well."""
    base_ratio: float = 0.2
    """Lambda: the share of the whole prompt in every cross-attention; 1 switches the regions off."""
    feather: float = 4.0
    """Width in pixels of the soft edge of a region, centred on its border; at most a quarter of its short side acts."""
    min_cosine: float = 0.3
    """No row turns further from where it stood than this cosine."""

    def __post_init__(self) -> None:
        if self.mode not in get_args(Mode):
            raise GuidanceError(f"mode must be one of {get_args(Mode)}, got {self.mode!r}")
        within("alpha", self.alpha, 0, 20)
        within("pooled_strength", self.pooled_strength, 0, 20)
        within("base_ratio", self.base_ratio, 0, 1)
        within("feather", self.feather, 0, 1024)
        within("min_cosine", self.min_cosine, 0, 1)


@dataclass(frozen=True)
class RenderRequest:
    """Everything that decides a picture, given the weights; equal requests give equal pictures."""

    prompt: str
    """The enriched prompt: the whole scene, without the words of style and atmosphere."""
    background: str = ""
    """What fills the canvas between the regions; blank means the whole prompt."""
    regions: tuple[Region, ...] = ()
    """Front to back: the first one covers those behind it."""
    keywords: tuple[Keyword, ...] = ()
    guidance: Guidance = field(default_factory=Guidance)
    steps: int = 25
    cfg: float = 5.0
    """Classifier-free guidance scale; 1 and below renders without a negative branch."""
    width: int = 1024
    height: int = 1024
    seed: int = 0
    negative_prompt: str = ""
    """Blank leaves the negative branch what stock makes it."""

    def __post_init__(self) -> None:
        text("prompt", self.prompt, empty=True)
        text("background", self.background, empty=True)
        text("negative_prompt", self.negative_prompt, empty=True)
        if len(self.regions) > MAX_REGIONS:
            raise GuidanceError(f"at most {MAX_REGIONS} regions can be told apart, got {len(self.regions)}")
        if len(self.keywords) > MAX_KEYWORDS:
            raise GuidanceError(f"at most {MAX_KEYWORDS} keywords can be weighed, got {len(self.keywords)}")
        whole("steps", self.steps, 1, MAX_STEPS)
        within("cfg", self.cfg, 0, 50)
        whole("seed", self.seed, 0, MAX_SEED)
        for name, side in (("width", self.width), ("height", self.height)):
            whole(name, side, 8, MAX_SIDE)
            if side % 8:
                raise GuidanceError(
                    f"{name} must be divisible by 8, got {side}; the nearest is {max(8, round(side / 8) * 8)}"
                )


@dataclass(frozen=True, eq=False)
class EditRequest:
    """A picture to make again inside a mask and to keep outside it."""

    request: RenderRequest
    """What the whole picture shall be after the edit."""
    parent_image: Image.Image
    mask: NDArray[np.floating]
    """(height, width), 1 where the picture may change, 0 where every pixel must stay."""
    parent_latents: "Tensor | None" = None
    """(C, h, w) final latents stored with the parent; None encodes the parent's pixels."""
    strength: float = 1.0
    """1 starts the mask from pure noise; below, from the parent re-noised that far, with as many fewer steps."""

    def __post_init__(self) -> None:
        size = (self.request.height, self.request.width)
        if self.parent_image.size != (self.request.width, self.request.height):
            raise GuidanceError(f"the parent is {self.parent_image.size} pixels, the request {size[::-1]}")
        if self.mask.shape != size:
            raise GuidanceError(f"the mask must be (height, width) = {size}, got {self.mask.shape}")
        if not np.isfinite(self.mask).all() or self.mask.min() < 0 or self.mask.max() > 1:
            raise GuidanceError("the mask must hold numbers from 0 to 1 only")
        if not self.mask.any():
            raise GuidanceError("the mask is 0 everywhere: nothing may change")
        if not 0 < self.strength <= 1:
            raise GuidanceError(f"strength must be above 0 and at most 1, got {self.strength!r}")
