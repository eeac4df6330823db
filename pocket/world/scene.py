"""What a picture of the pocket world shows, and how such scenes are drawn at random."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from pocket.world.vocabulary import (
    ATMOSPHERES,
    BIG_FROM,
    COLOURS,
    ELEMENTS,
    PLACES,
    SHAPES,
    SIZE,
    SMALL_BELOW,
    STYLES,
    THEMES,
)

Split = Literal["train", "fit", "test"]
"""`train` for models, `fit` for detector thresholds, `test` for measurements; their seeds never meet."""

HELD_OUT_LOOKS: Final = frozenset({("hatched", "gloomy"), ("watercolor", "dramatic")})
"""(style, atmosphere) pairs that no model is trained on."""
HELD_OUT_OBJECTS: Final = frozenset({("cross", "purple"), ("heart", "green")})
"""(shape, colour) pairs that no model is trained on."""
HELD_OUT_GROUNDS: Final = frozenset({("dreamy", "city"), ("joyful", "forest")})
"""(atmosphere, theme) pairs that no model is trained on."""

MIN_SIDE: Final = 28
MAX_SIDE: Final = 64
GAP: Final = 4
"""Least distance between two objects' boxes, in pixels."""
MARGIN: Final = 8
"""Least distance from an object's box to the edge, in pixels (the frame lies outside it)."""

_SPLIT_KEY: Final[dict[str, int]] = {"train": 0, "fit": 1, "test": 2}


@dataclass(frozen=True)
class Thing:
    """One object: what it is and where its box lies, in pixels."""

    shape: str
    colour: str
    left: int
    top: int
    side: int

    @property
    def box(self) -> tuple[float, float, float, float]:
        """(left, top, right, bottom) in [0, 1] of the picture."""
        return (
            self.left / SIZE,
            self.top / SIZE,
            (self.left + self.side) / SIZE,
            (self.top + self.side) / SIZE,
        )

    @property
    def place(self) -> str:
        """Which ninth of the canvas the centre lies in."""
        return place_of(self.box)

    @property
    def size_word(self) -> str:
        """`small`, `` or `big`."""
        return "small" if self.side < SMALL_BELOW else "big" if self.side >= BIG_FROM else ""


@dataclass(frozen=True)
class Scene:
    """Everything that decides a picture; equal scenes render to equal pixels."""

    things: tuple[Thing, ...] = ()
    style: str = "flat"
    atmosphere: str = "neutral"
    theme: str = "plain"
    elements: tuple[str, ...] = ()
    phase: int = 0
    """Horizontal shift of the ground, in pixels."""

    @property
    def held_out(self) -> bool:
        """Whether the scene holds a combination that no model is trained on."""
        return (
            (self.style, self.atmosphere) in HELD_OUT_LOOKS
            or (self.atmosphere, self.theme) in HELD_OUT_GROUNDS
            or any((t.shape, t.colour) in HELD_OUT_OBJECTS for t in self.things)
        )


def place_of(box: tuple[float, float, float, float]) -> str:
    """Return the ninth of the canvas that holds the centre of `box` (fractions)."""
    column = min(2, max(0, int((box[0] + box[2]) * 1.5)))
    row = min(2, max(0, int((box[1] + box[3]) * 1.5)))
    return PLACES[3 * row + column]


def generator(split: Split, seed: int) -> np.random.Generator:
    """Return the random stream of one seed of one split; splits never share a stream."""
    return np.random.default_rng([_SPLIT_KEY[split], seed])


def _free_place(
    rng: np.random.Generator, side: int, taken: list[Thing], elements: tuple[str, ...]
) -> tuple[int, int] | None:
    """Find a free corner for a box of `side` px, or None after 40 tries."""
    top_limit = 20 if "stars" in elements else MARGIN
    for _ in range(40):
        left = int(rng.integers(MARGIN, SIZE - MARGIN - side + 1))
        top = int(rng.integers(top_limit, SIZE - MARGIN - side + 1))
        if "sun" in elements and left + side > 88 and top < 40:
            continue
        clear = all(
            left + side + GAP <= o.left
            or o.left + o.side + GAP <= left
            or top + side + GAP <= o.top
            or o.top + o.side + GAP <= top
            for o in taken
        )
        if clear:
            return left, top
    return None


def sample_things(rng: np.random.Generator, count: int, elements: tuple[str, ...] = ()) -> tuple[Thing, ...]:
    """Place `count` objects that do not touch; larger ones first, smaller when they are many."""
    largest = {0: MAX_SIDE, 1: MAX_SIDE, 2: 58, 3: 48, 4: 42}.get(count, 40)
    while True:
        things: list[Thing] = []
        for side in sorted(rng.integers(MIN_SIDE, largest + 1, size=count).tolist(), reverse=True):
            corner = _free_place(rng, side, things, elements)
            if corner is None:
                break
            shape, colour = str(rng.choice(SHAPES)), str(rng.choice(COLOURS))
            things.append(Thing(shape, colour, *corner, side))
        if len(things) == count:
            order = rng.permutation(count)
            return tuple(things[i] for i in order)


def sample_elements(rng: np.random.Generator) -> tuple[str, ...]:
    """Return no, one or two visual elements (45 %, 40 %, 15 %), in vocabulary order."""
    count = int(rng.choice(3, p=(0.45, 0.4, 0.15)))
    chosen = set(rng.choice(ELEMENTS, size=count, replace=False).tolist())
    return tuple(e for e in ELEMENTS if e in chosen)


def sample_scene(rng: np.random.Generator, *, counts: tuple[int, ...] = (0, 1, 2, 3, 4), allow_held_out: bool) -> Scene:
    """Draw a scene. A quarter of the looks is flat or neutral: absence of taste is a look too.

    Args:
        rng: decides everything.
        counts: numbers of objects to choose from, evenly.
        allow_held_out: whether combinations kept from training may appear.
    """
    while True:
        elements = sample_elements(rng)
        scene = Scene(
            things=sample_things(rng, int(rng.choice(counts)), elements),
            style="flat" if rng.random() < 0.12 else str(rng.choice(STYLES)),
            atmosphere="neutral" if rng.random() < 0.12 else str(rng.choice(ATMOSPHERES)),
            theme=str(rng.choice(THEMES)),
            elements=elements,
            phase=int(rng.integers(0, 64)),
        )
        if allow_held_out or not scene.held_out:
            return scene
