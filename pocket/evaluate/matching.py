"""Which detected object is meant by which named one, and what of a caption came true.

One to one, by most agreeing attributes (colour, shape, place if named); a pair must agree in colour or shape at least.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import linear_sum_assignment

from pocket.world.captions import Caption, Mention
from pocket.world.detect import DetectedObject, Detection

_TIE: Final = 0.01
"""Weight of the detector's confidence: it decides only between pairs that agree in equally many attributes."""


@dataclass(frozen=True)
class Pair:
    """A named object and the detected one taken for it, or None if there is none."""

    mention: Mention
    found: DetectedObject | None


def _agreement(mention: Mention, found: DetectedObject) -> float:
    """Count the agreeing attributes, or return 0 for a pair that may not be matched."""
    colour, shape = found.colour == mention.thing.colour, found.shape == mention.thing.shape
    if not (colour or shape):
        return 0.0
    place = mention.place is not None and found.place == mention.place
    return colour + shape + place + _TIE * found.confidence


def match(mentions: Sequence[Mention], found: Sequence[DetectedObject]) -> list[Pair]:
    """Pair every mention with at most one detected object, so that most attributes agree over all pairs together."""
    if not mentions or not found:
        return [Pair(m, None) for m in mentions]
    scores = np.array([[_agreement(m, f) for f in found] for m in mentions])
    rows, columns = linear_sum_assignment(-scores)
    taken = {int(r): int(c) for r, c in zip(rows, columns, strict=True) if scores[r, c] > 0}
    return [Pair(m, found[taken[i]] if i in taken else None) for i, m in enumerate(mentions)]


def judge(caption: Caption, seen: Detection) -> dict[str, bool | list[bool]]:
    """Say for every attribute that a caption names whether the picture shows it.

    `recall` has one answer for each named object; `colour`, `shape` and `place` one for each matched one. The visual
    elements are right if exactly the named ones are there: a caption that names none asks for none.
    """
    pairs = match(caption.mentions, seen.objects)
    matched = [(p.mention, p.found) for p in pairs if p.found is not None]
    answers: dict[str, bool | list[bool]] = {
        "recall": [p.found is not None for p in pairs],
        "colour": [f.colour == m.thing.colour for m, f in matched],
        "shape": [f.shape == m.thing.shape for m, f in matched],
        "place": [f.place == m.place for m, f in matched if m.place is not None],
        "elements": set(seen.elements) == set(caption.elements),
    }
    for key, named, shown in (
        ("atmosphere", caption.atmosphere, seen.atmosphere),
        ("style", caption.style, seen.style),
        ("theme", caption.theme, seen.theme),
    ):
        if named is not None:
            answers[key] = named == shown
    return answers
