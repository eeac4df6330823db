"""What the model learns to say about a picture: its taste, yes or no, and where a subject is.

The truth of a picture is a `Truth`, whether it comes from the scene that was rendered or from what the detectors found
in a picture that a model painted. Questions are written with the agent's own prompts.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from pocket.vlm.words import CATEGORY_OF, chance, pick
from pocket.world.scene import Scene, place_of
from pocket.world.vocabulary import ATMOSPHERES, COLOURS, ELEMENTS, PLACES, SHAPES, STYLES, THEMES
from prompts import Pack

LIST: Final = "List the subjects."
LOOK_AT: Final = "What is at the {where}?"
"""Never asked by the agent. A yes or no teaches one bit; naming what is there binds colour, shape and place."""
FIND: Final = "Where is the {what}?"
"""Grounding: not asked by the agent, but it teaches what boxes mean."""
SURE: Final = 0.03
"""How far, in fractions of the canvas, a centre must be inside or outside a ninth for a place to be asked about."""


@dataclass(frozen=True)
class Seen:
    """One object of a picture."""

    shape: str
    colour: str
    box: tuple[float, float, float, float]

    @property
    def name(self) -> str:
        return f"{self.colour} {self.shape}"


@dataclass(frozen=True)
class Truth:
    """What a picture shows; None where nobody can tell."""

    things: tuple[Seen, ...]
    style: str | None
    atmosphere: str | None
    theme: str | None
    elements: tuple[str, ...]

    @property
    def looks(self) -> dict[str, list[str]]:
        """The taste of the picture by category, as `tools.arguments.TasteRead` orders it."""
        return {
            "artistic_style": [self.style] if self.style else [],
            "atmosphere": [self.atmosphere] if self.atmosphere else [],
            "theme": [self.theme] if self.theme else [],
            "visual_elements": list(self.elements),
        }


def truth_of(scene: Scene) -> Truth:
    """Return what a rendered scene shows; bare paper shows no style."""
    visible = bool(scene.things) or scene.theme != "plain"
    things = tuple(Seen(t.shape, t.colour, t.box) for t in scene.things)
    return Truth(things, scene.style if visible else None, scene.atmosphere, scene.theme, scene.elements)


NOTHING: Final = Truth((), None, None, None, ())
"""A picture that is not of this world."""


def in_place(thing: Seen, place: str, margin: float) -> bool:
    """Whether the centre lies in a ninth of the canvas that is `margin` larger (or smaller) on each side."""
    row, column = divmod(PLACES.index(place), 3)
    left, top, right, bottom = thing.box
    x, y = (left + right) / 2, (top + bottom) / 2
    return all(k / 3 - margin <= v <= (k + 1) / 3 + margin for k, v in ((column, x), (row, y)))


def asked_for(truth: Truth, what: str, where: str, margin: float = 0.0) -> bool:
    """Whether the picture has the subject of that name at that place."""
    return any(t.name == what and in_place(t, where, margin) for t in truth.things)


@dataclass(frozen=True)
class Ask:
    """A question about a picture and its answer, as text."""

    task: str
    question: str
    answer: str


def taste_ask(truth: Truth, pack: Pack) -> Ask:
    """Read the taste."""
    return Ask("taste", pack.prompt("taste").fill(), json.dumps(truth.looks))


def region_ask(rng: np.random.Generator, truth: Truth, pack: Pack) -> Ask | None:
    """Ask for a subject at a place: half the time it is there, else one thing about it is wrong."""
    wanted = chance(rng, 0.5)
    if truth.things:
        thing = pick(rng, truth.things)
        where = pick(rng, [p for p in PLACES if in_place(thing, p, -SURE / 2)] or [PLACES[0]])
        # A blob that the detectors cannot name is no shape: every question about one there is answered No.
        shape, colour = thing.shape if thing.shape in SHAPES else pick(rng, SHAPES), thing.colour
    else:
        shape, colour, where = pick(rng, SHAPES), pick(rng, COLOURS), pick(rng, PLACES)
    if not wanted:
        match pick(rng, ("shape", "shape", "colour", "place", "place", "all")):
            case "shape":
                shape = pick(rng, SHAPES)
            case "colour":
                colour = pick(rng, COLOURS)
            case "place":
                where = pick(rng, PLACES)
            case _:
                shape, colour, where = pick(rng, SHAPES), pick(rng, COLOURS), pick(rng, PLACES)
    what = f"{colour} {shape}"
    yes = asked_for(truth, what, where, -SURE / 2)
    if not yes and asked_for(truth, what, where, SURE):
        return None  # too near the line to be fair
    return Ask("region", pack.prompt("question_region").fill(what=what, where=where), "Yes" if yes else "No")


def look_ask(rng: np.random.Generator, truth: Truth, pack: Pack) -> Ask | None:
    """Ask for a style, a mood, a theme or an element."""
    category = pick(rng, ("artistic_style", "atmosphere", "theme", "visual_elements"))
    has = truth.looks[category]
    values = {"artistic_style": STYLES, "atmosphere": ATMOSPHERES, "theme": THEMES, "visual_elements": ELEMENTS}[
        category
    ]
    if not has and category != "visual_elements" and truth is not NOTHING:
        return None
    text = pick(rng, has) if has and chance(rng, 0.5) else pick(rng, values)
    assert CATEGORY_OF[text] == category
    return Ask(category, pack.prompt(f"question_{category}").fill(text=text), "Yes" if text in has else "No")


def find_ask(rng: np.random.Generator, truth: Truth) -> Ask | None:
    """Ask where a subject is; the box is in thousandths, rounded to tens."""
    lone = [t for t in truth.things if t.shape in SHAPES and sum(o.name == t.name for o in truth.things) == 1]
    if not lone:
        return None
    thing = pick(rng, lone)
    box = [max(0, min(1000, round(e * 100) * 10)) for e in thing.box]
    return Ask("find", FIND.format(what=thing.name), json.dumps({"box": box}))


def list_ask(truth: Truth) -> Ask:
    """Name everything in reading order."""
    ordered = sorted(truth.things, key=lambda t: (PLACES.index(place_of(t.box)), t.box[0]))
    return Ask("list", LIST, ", ".join(f"{t.name} {place_of(t.box)}" for t in ordered) or "nothing")


def look_at_ask(rng: np.random.Generator, truth: Truth) -> Ask:
    """Ask what is at a place."""
    where = place_of(pick(rng, truth.things).box) if truth.things and chance(rng, 0.8) else pick(rng, PLACES)
    there = sorted((t for t in truth.things if place_of(t.box) == where), key=lambda t: t.box[0])
    return Ask("look_at", LOOK_AT.format(where=where), ", ".join(t.name for t in there) or "nothing")


def asks(rng: np.random.Generator, truth: Truth, pack: Pack, *, regions: int = 4, looks: int = 2) -> list[Ask]:
    """Return a mixture of questions about one picture."""
    drawn: list[Ask | None] = [region_ask(rng, truth, pack) for _ in range(regions)]
    drawn += [look_ask(rng, truth, pack) for _ in range(looks)]
    if truth is not NOTHING and all(t.shape in SHAPES for t in truth.things):
        drawn += [list_ask(truth), look_at_ask(rng, truth)]
    if chance(rng, 0.4 if looks else 0.2):
        drawn.append(taste_ask(truth, pack))
    if chance(rng, 0.06 if looks else 0.03):
        drawn.append(find_ask(rng, truth))
    unique: dict[str, Ask] = {a.question: a for a in drawn if a is not None}
    return list(unique.values())


def strange(rng: np.random.Generator, side: int) -> Any:
    """Paint something that is not of this world: noise, a gradient, blobs, waves, blocks or boxes."""
    y, x = np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side), indexing="ij")
    kind = int(rng.integers(6))
    colours = rng.random((4, 3))
    if kind == 0:
        picture = np.broadcast_to(colours[0], (side, side, 3)) + rng.normal(0, rng.random() * 0.3, (side, side, 3))
    elif kind == 1:
        a, b = rng.normal(size=2)
        ramp = (a * x + b * y - min(0, a) - min(0, b)) / (abs(a) + abs(b))
        picture = colours[0] + ramp[..., None] * (colours[1] - colours[0])
    elif kind == 2:
        picture = np.zeros((side, side, 3)) + colours[0]
        for _ in range(int(rng.integers(3, 14))):
            cx, cy, r = rng.random(3)
            blob = np.exp(-(((x - cx) ** 2 + (y - cy) ** 2) / (0.02 + 0.1 * r * r)))
            picture += blob[..., None] * (rng.random(3) - picture)
    elif kind == 3:
        wave = np.sin((x * rng.normal() + y * rng.normal()) * rng.uniform(5, 90) + rng.random() * 6)
        picture = colours[0] + (wave[..., None] + 1) / 2 * (colours[1] - colours[0])
    elif kind == 4:
        coarse = rng.random((int(rng.integers(3, 24)),) * 2 + (3,))
        n = len(coarse)
        picture = coarse[(y * (n - 1e-6)).astype(int), (x * (n - 1e-6)).astype(int)]
    else:
        picture = np.zeros((side, side, 3)) + colours[0]
        for _ in range(int(rng.integers(4, 30))):
            left, top = rng.integers(0, side, 2)
            w, h = rng.integers(2, side // 2, 2)
            picture[top : top + h, left : left + w] = rng.random(3)
    return np.clip(picture * 255, 0, 255).astype(np.uint8)


def counts(answers: Sequence[Ask]) -> dict[str, int]:
    """Count questions by task."""
    found: dict[str, int] = {}
    for a in answers:
        found[a.task] = found.get(a.task, 0) + 1
    return found
