"""The detectors measured on rendered pictures, and what a VAE leaves of what they see."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.optimize import linear_sum_assignment

from pocket.evaluate.counts import Share, tally
from pocket.pixels import signed
from pocket.world.detect import DetectedObject, Detection, detect
from pocket.world.render import render
from pocket.world.scene import Scene, Split, Thing, generator, sample_scene

Pixels = NDArray[np.uint8]
Box = tuple[float, float, float, float]
TOUCH = 0.1
"""Overlap (IoU) from which a detected object is taken for a drawn one, so that its attributes are compared."""
FOUND = 0.5
"""Overlap from which a drawn object counts as recalled."""


def iou(a: Box, b: Box) -> float:
    """Return the intersection over union of two boxes."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - both)


def overlaps(
    things: tuple[Thing, ...], found: tuple[DetectedObject, ...]
) -> list[tuple[Thing, DetectedObject | None, float]]:
    """Pair drawn and detected objects one to one by their overlap."""
    if not things or not found:
        return [(t, None, 0.0) for t in things]
    scores = np.array([[iou(t.box, f.box) for f in found] for t in things])
    rows, columns = linear_sum_assignment(-scores)
    pairs: list[tuple[Thing, DetectedObject | None, float]] = [(t, None, 0.0) for t in things]
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        if scores[row, column] > TOUCH:
            pairs[row] = things[row], found[column], float(scores[row, column])
    return pairs


def check(scene: Scene, seen: Detection) -> tuple[dict[str, bool | list[bool]], list[float]]:
    """Compare what was seen with what was drawn; also return the overlaps of matched boxes."""
    pairs = overlaps(scene.things, seen.objects)
    matched = [(t, f) for t, f, _ in pairs if f is not None]
    answers: dict[str, bool | list[bool]] = {
        "atmosphere": seen.atmosphere == scene.atmosphere,
        "theme": seen.theme == scene.theme,
        "elements": seen.elements == scene.elements,
        "recall": [overlap >= FOUND for _, _, overlap in pairs],
        "colour": [f.colour == t.colour for t, f in matched],
        "shape": [f.shape == t.shape for t, f in matched],
        "count": len(seen.objects) == len(scene.things),
    }
    if scene.things or scene.theme != "plain":
        # Without any fill no style is visible.
        answers["style"] = seen.style == scene.style
    return answers, [overlap for _, f, overlap in pairs if f is not None]


def scenes(split: Split, count: int) -> Iterator[Scene]:
    """Return scenes with 0 to 4 objects, held-out combinations among them."""
    for seed in range(count):
        yield sample_scene(generator(split, seed), allow_held_out=True)


def degraded(pixels: Pixels, blur: float, noise: float, seed: int) -> Pixels:
    """Blur by `blur` pixels and add noise of deviation `noise` (of [0, 1])."""
    soft = gaussian_filter(pixels / np.float32(255), (blur, blur, 0)) if blur else pixels / np.float32(255)
    rough = soft + np.random.default_rng(seed).normal(0, noise, soft.shape) if noise else soft
    return np.rint(np.clip(rough, 0, 1) * 255).astype(np.uint8)


def measure(
    split: Split,
    count: int,
    change: Callable[[Pixels, int], Pixels] = lambda pixels, _: pixels,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> tuple[dict[str, Share], float | None]:
    """Return the share of right answers of every detector, and the mean overlap of matched boxes.

    Args:
        split: `fit` while choosing thresholds, `test` to report.
        count: number of scenes.
        change: what is done to each rendered picture before it is looked at; also takes the number of the scene.
        progress: told after each scene how many are done.
    """
    answers: list[dict[str, bool | list[bool]]] = []
    boxes: list[float] = []
    for number, scene in enumerate(scenes(split, count)):
        answer, more = check(scene, detect(change(render(scene), number)))
        answers.append(answer)
        boxes += more
        progress(number + 1, count)
    return tally(answers), float(np.mean(boxes)) if boxes else None


def reconstruction(vae: Any) -> Callable[[Pixels, int], Pixels]:
    """Return a change that sends a picture through an `AutoencoderKL` and back, without noise."""
    import torch

    @torch.no_grad()
    def change(pixels: Pixels, _: int) -> Pixels:
        clean = signed(torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None])
        drawn = vae.decode(vae.encode(clean).latent_dist.mode()).sample[0]
        return ((drawn.clamp(-1, 1) + 1) * 127.5).round().byte().numpy().transpose(1, 2, 0)

    return change
