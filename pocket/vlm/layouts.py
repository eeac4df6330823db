"""The plans the model learns to make: where subjects go when words leave it open, and what an edit does to a plan.

A teacher, not a rule of the program: at run time only the trained model plans. Boxes are thousandths, in tens.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from pocket.vlm.words import article
from pocket.world.vocabulary import PLACES
from tools.types import Box, Layout, Region, at

Edges = tuple[int, int, int, int]

SIDES: Final[dict[str, tuple[int, int, int, int]]] = {
    "small": (240, 240, 240, 240),
    "": (380, 340, 280, 280),
    "big": (500, 440, 340, 340),
}
"""Side of a box by size word, for one, two, three and four subjects."""
LADDER: Final = (240, 280, 340, 380, 440, 500)
"""The sides there are; "bigger" and "smaller" go two steps."""
EDGE: Final = 60
"""Least distance of a box from the border: the frame of the world lies outside it."""
MOST: Final = 4

_SLOTS: Final[dict[int, tuple[str, ...]]] = {
    1: ("middle",),
    2: ("left", "right"),
    3: ("left", "middle", "right"),
    4: ("top left", "top right", "bottom left", "bottom right"),
}
_SPARE: Final = ("middle", "left", "right", "top", "bottom", "top left", "top right", "bottom left", "bottom right")
DEFAULT_COLOUR: Final = {
    "circle": "red",
    "square": "blue",
    "triangle": "green",
    "star": "yellow",
    "heart": "red",
    "cross": "orange",
}
"""The colour of a subject whose colour was left open."""


@dataclass(frozen=True)
class Item:
    """A subject of a plan."""

    shape: str
    colour: str
    size: str = ""
    place: str = ""
    """One of the nine places, or empty while it is open."""
    edges: Edges = (0, 0, 0, 0)
    named: bool = False
    """Whether the words of this turn name the place; only such boxes are measured."""

    @property
    def name(self) -> str:
        return f"{self.colour} {self.shape}"

    @property
    def prompt(self) -> str:
        """What the image model is told for the box."""
        return article(f"{self.size} {self.name}".strip())

    @property
    def side(self) -> int:
        return self.edges[2] - self.edges[0]


def box_at(place: str, side: int) -> Edges:
    """Return the box of a place: against the thirds' outer half, but never nearer than EDGE to the border."""
    row, column = divmod(PLACES.index(place), 3)
    half = side // 2
    near = max(EDGE + half, 210)
    x, y = ((near, 500, 1000 - near)[i] for i in (column, row))
    return (x - half, y - half, x + half, y + half)


def apart(a: Edges, b: Edges) -> bool:
    """Whether two boxes share nothing."""
    return a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]


def arrange(items: Sequence[Item]) -> tuple[Item, ...]:
    """Give every subject its place and box: named places first, then the usual seats of that many subjects."""
    count = len(items)
    placed: dict[int, Item] = {}
    for i, item in enumerate(items):
        if item.place:
            placed[i] = replace(item, edges=box_at(item.place, SIDES[item.size][count - 1]))
    for i, item in enumerate(items):
        if not item.place:
            placed[i] = seat(item, list(placed.values()), count)
    return tuple(placed[i] for i in range(count))


def seat(item: Item, others: Sequence[Item], count: int) -> Item:
    """Give one subject the first seat that is free of the others; if none is, the first unused place."""
    side = SIDES[item.size][count - 1]
    used = {o.place for o in others}
    seats = [*_SLOTS[count], *_SPARE]
    free = [s for s in seats if s not in used]
    clear = [s for s in free if all(apart(box_at(s, side), o.edges) for o in others)]
    place = (clear or free)[0]
    return replace(item, place=place, edges=box_at(place, side))


def step_side(side: int, steps: int) -> int:
    """Go up or down the ladder from the nearest rung."""
    rung = min(range(len(LADDER)), key=lambda i: abs(LADDER[i] - side))
    return LADDER[max(0, min(len(LADDER) - 1, rung + steps))]


def place_of(edges: Edges) -> str:
    """Return the place of a box, as `tools.types.Box` names it."""
    return Box(left=edges[0] / 1000, top=edges[1] / 1000, right=edges[2] / 1000, bottom=edges[3] / 1000).place


def layout_of(items: Sequence[Item]) -> Layout:
    """Return the plan of some subjects as the agent keeps it."""
    regions = tuple(
        Region(
            name=i.name,
            prompt=i.prompt,
            box=Box(left=i.edges[0] / 1000, top=i.edges[1] / 1000, right=i.edges[2] / 1000, bottom=i.edges[3] / 1000),
        )
        for i in items
    )
    return Layout(enriched_prompt=prompt_of(items), regions=regions)


def prompt_of(items: Sequence[Item]) -> str:
    """Return the whole picture in words."""
    return ", ".join(f"{i.prompt} {at(i.place)}" for i in items)


def draft_of(items: Sequence[Item]) -> dict[str, object]:
    """Return what the model has to write: the fields of `tools.arguments.LayoutDraft`, in their order."""
    return {
        "regions": [{"name": i.name, "prompt": i.prompt, "box": list(i.edges)} for i in items],
        "background": "",
        "prompt": prompt_of(items),
    }
