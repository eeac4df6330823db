"""Draw a scene: pure NumPy, no randomness, every texture locked to the 8 px grid.

A texture whose period divides 8 looks the same in every latent cell of a VAE that shrinks by 8, so a style is one
constant code instead of a pattern with a phase; and a matched filter can find it again.
"""

from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from pocket.world.scene import Scene, Thing
from pocket.world.vocabulary import SIZE

Array = NDArray[np.floating[Any]]

PAPER: Final = np.array((0.80, 0.79, 0.77), np.float32)
INK: Final = np.array((0.25, 0.25, 0.27), np.float32)
WHITE: Final = np.array((0.96, 0.96, 0.95), np.float32)
COLOUR: Final[dict[str, Array]] = {
    "red": np.array((0.86, 0.18, 0.20), np.float32),
    "orange": np.array((0.94, 0.52, 0.14), np.float32),
    "yellow": np.array((0.93, 0.84, 0.20), np.float32),
    "green": np.array((0.20, 0.66, 0.30), np.float32),
    "blue": np.array((0.18, 0.38, 0.84), np.float32),
    "purple": np.array((0.56, 0.22, 0.70), np.float32),
}
GROUND: Final[dict[str, Array]] = {
    "seaside": np.array((0.50, 0.57, 0.63), np.float32),
    "city": np.array((0.55, 0.54, 0.58), np.float32),
    "mountains": np.array((0.56, 0.53, 0.49), np.float32),
    "forest": np.array((0.49, 0.57, 0.49), np.float32),
}
"""Fill of each ground: little chroma, so that objects stay findable by theirs."""

LUMA: Final = np.array((0.299, 0.587, 0.114), np.float32)


class Grade(NamedTuple):
    """One invertible colour grade: `gain * (luma + saturation * (x - luma)) + lift + warmth * (1, 0, -1)`."""

    gain: float
    saturation: float
    warmth: float
    lift: float


GRADES: Final[dict[str, Grade]] = {
    "neutral": Grade(1.0, 1.0, 0.0, 0.0),
    "joyful": Grade(1.0, 1.05, 0.13, 0.03),
    "serene": Grade(0.92, 0.85, -0.13, 0.04),
    "gloomy": Grade(0.45, 0.60, -0.03, 0.0),
    "dreamy": Grade(0.48, 0.85, 0.03, 0.47),
    "dramatic": Grade(0.64, 1.20, 0.10, -0.03),
}

_SUPERSAMPLE: Final = 4
_HEART_LIFT: Final = 0.12


def grade(pixels: Array, atmosphere: Grade) -> Array:
    """Apply a colour grade to (..., 3) values in [0, 1]; the result is clipped to [0, 1]."""
    luma = (pixels @ LUMA)[..., None]
    graded = atmosphere.gain * (luma + atmosphere.saturation * (pixels - luma)) + atmosphere.lift
    graded = graded + atmosphere.warmth * np.array((1.0, 0.0, -1.0), np.float32)
    return np.clip(graded, 0.0, 1.0).astype(np.float32)


def ungrade(pixels: Array, atmosphere: Grade) -> Array:
    """Undo `grade` where nothing was clipped."""
    flat = (pixels - atmosphere.warmth * np.array((1.0, 0.0, -1.0), np.float32) - atmosphere.lift) / atmosphere.gain
    # grade() keeps a pixel's luma, so the luma of the ungraded pixel is that of `flat`.
    luma = (flat @ LUMA)[..., None]
    return (luma + (flat - luma) / atmosphere.saturation).astype(np.float32)


def _inside(shape: str, x: Array, y: Array) -> NDArray[np.bool_]:
    """Whether points of [-1, 1]^2 (y down) lie in a shape that touches its box on all sides."""
    if shape == "circle":
        return x * x + y * y <= 1.0
    if shape == "square":
        return (np.abs(x) <= 0.9) & (np.abs(y) <= 0.9)
    if shape == "triangle":
        return (y <= 0.92) & (np.abs(x) <= (y + 1.0) * 0.5)
    if shape == "cross":
        return (np.abs(x) <= 0.34) & (np.abs(y) <= 1.0) | (np.abs(y) <= 0.34) & (np.abs(x) <= 1.0)
    if shape == "star":
        angle, radius = np.arctan2(x, -y), np.hypot(x, y)
        sector = np.abs((angle + np.pi / 5) % (2 * np.pi / 5) - np.pi / 5)
        inner, outer = 0.46, 1.04
        tip, notch = np.array((outer, 0.0)), inner * np.array((np.cos(np.pi / 5), np.sin(np.pi / 5)))
        px, py = radius * np.cos(sector), radius * np.sin(sector)
        edge = (notch[0] - tip[0]) * (py - tip[1]) - (notch[1] - tip[1]) * (px - tip[0])
        return edge >= 0
    if shape == "heart":
        hx, hy = x * 1.16, -(y - _HEART_LIFT) * 1.16
        return (hx * hx + hy * hy - 1.0) ** 3 - hx * hx * hy**3 <= 0
    raise ValueError(f"unknown shape {shape!r}")


@cache
def shape_mask(shape: str, side: int) -> Array:
    """Return the (side, side) coverage of a shape, anti-aliased, in [0, 1]."""
    steps = (np.arange(side * _SUPERSAMPLE, dtype=np.float32) + 0.5) / (side * _SUPERSAMPLE) * 2 - 1
    y, x = np.meshgrid(steps, steps, indexing="ij")
    fine = _inside(shape, x, y).astype(np.float32)
    return fine.reshape(side, _SUPERSAMPLE, side, _SUPERSAMPLE).mean(axis=(1, 3))


def _place(thing: Thing) -> Array:
    mask = np.zeros((SIZE, SIZE), np.float32)
    mask[thing.top : thing.top + thing.side, thing.left : thing.left + thing.side] = shape_mask(thing.shape, thing.side)
    return mask


@cache
def tile(style: str) -> Array:
    """Return the (SIZE, SIZE) ink share of a textured style: 1 full colour, 0 the paler tint."""
    y, x = np.meshgrid(np.arange(SIZE), np.arange(SIZE), indexing="ij")
    if style == "hatched":
        return (((x + y) % 8) < 4).astype(np.float32)
    if style == "halftone":
        first = np.hypot(x % 8 - 3.5, y % 8 - 3.5)
        second = np.hypot((x + 4) % 8 - 3.5, (y + 4) % 8 - 3.5)
        return np.clip(2.9 - np.minimum(first, second), 0, 1).astype(np.float32)
    if style == "pixel art":
        return ((x // 4 + y // 4) % 2).astype(np.float32)
    raise ValueError(f"{style!r} has no tile")


TINT: Final[dict[str, float]] = {"hatched": 0.30, "halftone": 0.25, "pixel art": 0.66}
"""Share of the colour left between the marks of a textured style; the rest is paper."""
CONTOUR: Final = 4.0
"""Width of an outline in pixels."""
HOLLOW: Final = 0.10
"""Share of the colour inside an outline."""


def _blocks(mask: Array) -> Array:
    """Snap a mask to 4 px blocks."""
    coarse = mask.reshape(SIZE // 4, 4, SIZE // 4, 4).mean(axis=(1, 3)) > 0.5
    return coarse.repeat(4, 0).repeat(4, 1).astype(np.float32)


def ink(mask: Array, style: str) -> tuple[Array, Array]:
    """Return (coverage, strength): where a fill lies and how much of its colour shows there."""
    if style == "flat":
        return mask, np.ones_like(mask)
    if style == "outline":
        padded = np.pad(mask, 4, mode="edge")
        blurred = gaussian_filter(padded, CONTOUR / 2)[4:-4, 4:-4]
        core = np.clip((blurred - 0.90) * 12, 0, 1)
        return mask, 1 - (1 - HOLLOW) * core
    if style == "watercolor":
        soft = gaussian_filter(np.pad(mask, 8, mode="edge"), 2.2)[8:-8, 8:-8]
        rim = np.exp(-(((soft - 0.62) / 0.22) ** 2))
        return np.clip(soft * 1.1, 0, 1), 0.58 + 0.36 * rim
    if style == "pixel art":
        mask = _blocks(mask)
    tint = TINT[style]
    return mask, tint + (1 - tint) * tile(style)


def _fill(canvas: Array, mask: Array, colour: Array, style: str) -> Array:
    coverage, strength = ink(mask, style)
    paint = PAPER + strength[..., None] * (colour - PAPER)
    return canvas + coverage[..., None] * (paint - canvas)


_BLOCK_HEIGHTS: Final = (30, 22, 36, 26)


@cache
def ground_mask(theme: str, phase: int) -> Array:
    """Return the (SIZE, SIZE) coverage of a theme's ground; period 64 px, shifted left by `phase`."""
    x = (np.arange(SIZE, dtype=np.float32) + phase) % 64
    if theme == "seaside":
        height = 24 + 5 * np.sin(2 * np.pi * x / 32)
    elif theme == "city":
        height = np.array(_BLOCK_HEIGHTS, np.float32)[(x // 16).astype(int)]
    elif theme == "mountains":
        height = 14 + 24 * (1 - np.abs(x - 32) / 32)
    elif theme == "forest":
        height = 16 + np.sqrt(np.clip(121 - (x % 21.34 - 10.67) ** 2, 0, None))
    else:
        return np.zeros((SIZE, SIZE), np.float32)
    y = np.arange(SIZE, dtype=np.float32)[:, None]
    return np.clip(y - (SIZE - height[None, :]) + 0.5, 0, 1).astype(np.float32)


def _mask_of(test: NDArray[np.bool_]) -> Array:
    return test.reshape(SIZE, 2, SIZE, 2).mean(axis=(1, 3)).astype(np.float32)


STAR_SPOTS: Final = ((14, 11), (32, 9), (50, 12), (68, 9), (84, 12))
CONFETTI_SPOTS: Final = (
    (20, 36), (44, 28), (68, 40), (30, 60), (56, 56), (84, 52), (106, 60), (16, 84), (42, 80),
    (70, 76), (96, 84), (116, 92), (28, 104), (58, 100), (86, 108), (112, 116),
)  # fmt: skip
SUN_CENTRE: Final = (106, 22)
SUN_RADIUS: Final = 12


@cache
def element_mask(element: str) -> Array:
    """Return the (SIZE, SIZE) coverage of a visual element's mark."""
    steps = (np.arange(SIZE * 2, dtype=np.float32) + 0.5) / 2
    y, x = np.meshgrid(steps, steps, indexing="ij")
    if element == "frame":
        return _mask_of((x < 5) | (y < 5) | (x > SIZE - 5) | (y > SIZE - 5))
    if element == "sun":
        return _mask_of(np.hypot(x - SUN_CENTRE[0], y - SUN_CENTRE[1]) < SUN_RADIUS)
    if element == "stars":
        near = np.zeros_like(x, bool)
        for cx, cy in STAR_SPOTS:
            dx, dy = np.abs(x - cx), np.abs(y - cy)
            near |= np.sqrt(dx) + np.sqrt(dy) < np.sqrt(6.0)
        return _mask_of(near)
    if element == "rays":
        angle = np.degrees(np.arctan2(y + 4, x + 4))
        return _mask_of((angle % 18 < 7) & (np.hypot(x, y) < 150))
    if element == "confetti":
        near = np.zeros_like(x, bool)
        for cx, cy in CONFETTI_SPOTS:
            near |= (np.abs(x - cx) < 2.5) & (np.abs(y - cy) < 2.5)
        return _mask_of(near)
    raise ValueError(f"unknown element {element!r}")


def _mark(canvas: Array, element: str) -> Array:
    mask = element_mask(element)[..., None]
    if element == "rays":
        return canvas + 0.75 * mask * (WHITE - canvas)
    if element == "sun":
        ring = np.clip(gaussian_filter(mask[..., 0], 1.5) * 2.2, 0, 1)[..., None]
        canvas = canvas + ring * (INK - canvas)
        return canvas + mask * (WHITE - canvas)
    return canvas + mask * (INK - canvas)


def paint(scene: Scene) -> Array:
    """Return the (SIZE, SIZE, 3) picture before its colour grade, in [0, 1]."""
    canvas = np.broadcast_to(PAPER, (SIZE, SIZE, 3)).astype(np.float32)
    if "rays" in scene.elements:
        canvas = _mark(canvas, "rays")
    if scene.theme != "plain":
        canvas = _fill(canvas, ground_mask(scene.theme, scene.phase), GROUND[scene.theme], scene.style)
    if "confetti" in scene.elements:
        canvas = _mark(canvas, "confetti")
    for thing in scene.things:
        canvas = _fill(canvas, _place(thing), COLOUR[thing.colour], scene.style)
    for element in ("stars", "sun", "frame"):
        if element in scene.elements:
            canvas = _mark(canvas, element)
    return canvas


def render(scene: Scene) -> NDArray[np.uint8]:
    """Return the (SIZE, SIZE, 3) picture of a scene as 8-bit sRGB values."""
    return np.rint(grade(paint(scene), GRADES[scene.atmosphere]) * 255).astype(np.uint8)


def picture(scene: Scene) -> Image.Image:
    """Return the picture of a scene."""
    return Image.fromarray(render(scene))
