"""The detectors in order: paper, objects, ground, style, shapes, marks."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pocket.world.detect.blobs import find_blobs
from pocket.world.detect.fills import around, read_style
from pocket.world.detect.ground import read_ground
from pocket.world.detect.marks import PRESENT, read_elements
from pocket.world.detect.result import Detection
from pocket.world.detect.shapes import read_objects
from pocket.world.detect.templates import STRIP, ground_shown
from pocket.world.detect.tone import chroma, read_tone
from pocket.world.render import GROUND, PAPER, Array
from pocket.world.vocabulary import SIZE


def _checked(pixels: NDArray[Any]) -> Array:
    if pixels.shape != (SIZE, SIZE, 3) or pixels.dtype != np.uint8:
        raise ValueError(f"pixels must be uint8 of shape ({SIZE}, {SIZE}, 3), got {pixels.dtype} {pixels.shape}")
    return (pixels / np.float32(255)).astype(np.float32)


def detect(pixels: NDArray[np.uint8]) -> Detection:
    """Read the style, atmosphere, theme, elements and objects of a (SIZE, SIZE, 3) picture."""
    tone = read_tone(_checked(pixels))
    blobs = find_blobs(tone)
    near = around(blobs, 3)
    ground = read_ground(tone.flat, near)
    fill = read_style(tone.flat, blobs, ground, near)
    style = fill.best if fill.best != "none" else "flat"
    behind = np.zeros((SIZE, SIZE, 2), np.float32)
    if ground.best != "plain":
        hue = chroma(GROUND[ground.best] - PAPER)
        behind[STRIP:] = ground_shown(ground.best, ground.phase, style, fill.blur)[..., None] * hue
    objects = read_objects(blobs, style, fill.blur, behind)
    strengths = read_elements(tone.flat, near)
    return Detection(
        style=fill.style,
        atmosphere=tone.atmosphere,
        theme=ground.theme,
        elements=tuple(e for e, s in strengths.items() if s >= PRESENT[e]),
        objects=tuple(objects),
        confidence={
            "style": fill.confidence,
            "atmosphere": tone.confidence,
            "theme": ground.confidence,
            **{e: float(np.clip(s, 0, 1)) for e, s in strengths.items()},
        },
        mood=tone.mood,
    )
