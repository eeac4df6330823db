"""What the detectors say about a picture."""

from dataclasses import dataclass, field
from typing import Final

from pocket.world.scene import place_of

NONE: Final = "none"
"""The answer of a detector that is not sure enough to name a value."""


@dataclass(frozen=True)
class DetectedObject:
    """One object seen: `shape` is `none` where no template fits well."""

    shape: str
    colour: str
    box: tuple[float, float, float, float]
    """(left, top, right, bottom) in [0, 1] of the picture."""
    confidence: float
    """How much better the named shape fits than the next one, in [0, 1]."""

    @property
    def place(self) -> str:
        """Which ninth of the canvas the centre lies in."""
        return place_of(self.box)


@dataclass(frozen=True)
class Detection:
    """Everything read from one picture; a single-valued attribute is `none` when in doubt."""

    style: str
    """`none` as well where a picture has no fill at all: nothing can show a style there."""
    atmosphere: str
    theme: str
    elements: tuple[str, ...]
    objects: tuple[DetectedObject, ...]
    confidence: dict[str, float] = field(default_factory=dict[str, float])
    """In [0, 1], for `style`, `atmosphere`, `theme`, and each visual element (there the strength of its mark)."""
    mood: dict[str, float] = field(default_factory=dict[str, float])
    """For each atmosphere but neutral how far the paper has moved towards it: 0 neutral, 1 fully, linear in between."""
