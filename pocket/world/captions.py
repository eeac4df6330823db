"""Plain-English captions of scenes, with an exact record of what each one names.

Two sets of phrasings, one for training and one held out for measurement, share the same words (a word never seen cannot
be understood) but no sentence pattern.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np

from pocket.world.scene import Scene, Thing
from pocket.world.vocabulary import ELEMENTS, words_for

Phrasing = Literal["train", "test"]
Kind = Literal["scene", "single", "taste", "empty"]


@dataclass(frozen=True)
class Mention:
    """What a caption says about one object; None where it says nothing."""

    thing: Thing
    size: str | None
    place: str | None


@dataclass(frozen=True)
class Caption:
    """A text and what it names; None (or an empty tuple) where it is silent."""

    text: str
    mentions: tuple[Mention, ...] = ()
    style: str | None = None
    atmosphere: str | None = None
    theme: str | None = None
    elements: tuple[str, ...] = ()


_PLACE: Final[dict[Phrasing, tuple[str, ...]]] = {
    "train": ("at the {}", "on the {}", "in the {}", "{}", "placed on the {}", "in the {} part", "towards the {} side"),
    "test": ("placed at the {}", "on the {} part", "towards the {}", "at the {} side"),
}
_JOIN: Final[dict[Phrasing, tuple[str, ...]]] = {
    "train": (" and ", ", ", " with ", " plus ", " and then ", ", beside it ", ", also ", " together with "),
    "test": (" and also ", ", together with ", " plus also ", ", then "),
}
_OPEN: Final[dict[Phrasing, tuple[str, ...]]] = {
    "train": (
        "",
        "",
        "",
        "a picture of ",
        "draw ",
        "an image with ",
        "please show ",
        "paint ",
        "this is ",
        "make a picture that shows ",
    ),
    "test": ("", "show ", "please draw ", "please make ", "an image of ", "a picture that is "),
}
_STYLE: Final[dict[Phrasing, tuple[str, ...]]] = {
    "train": ("{}", "{} style", "in {} style", "{} drawing", "it is done in {}", "a {} look", "as a {} picture"),
    "test": ("in a {} look", "done as {}", "{} picture", "picture in {} style", "this is {}"),
}
_ATMOSPHERE: Final[dict[Phrasing, tuple[str, ...]]] = {
    "train": ("{}", "{} mood", "a {} atmosphere", "feeling {}", "it feels {}", "in {} light", "a {} feel"),
    "test": ("with a {} feel", "{} light", "the mood is {}", "a {} feeling"),
}
_THEME: Final[dict[Phrasing, tuple[str, ...]]] = {
    "train": ("{}", "{} background", "{} scene", "in the {}", "by the {}", "{} in the back", "behind it the {}"),
    "test": ("at the {}", "{} behind", "with {} in the back", "a {} picture"),
}
_ELEMENT: Final[dict[Phrasing, tuple[str, ...]]] = {
    "train": ("{}", "with {}", "and {}", "plus some {}", "decorated with {}", "including {}"),
    "test": ("also {}", "plus {}", "with some {}", "done with {}"),
}
_RELATION: Final[dict[Phrasing, dict[str, tuple[str, ...]]]] = {
    "train": {
        "left": ("left of", "to the left side of"),
        "right": ("right of", "to the right side of"),
        "above": ("above", "over"),
        "below": ("below", "under"),
    },
    "test": {
        "left": ("to the left of", "that is left of"),
        "right": ("to the right of", "that is right of"),
        "above": ("that is above",),
        "below": ("that is below",),
    },
}
_DEFAULTS: Final = {"style": "flat", "atmosphere": "neutral", "theme": "plain"}
_CLEAR: Final = 0.25
"""Centres must differ by this share of the canvas along an axis, and more than along the other, to name a relation."""


def _pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]


def _word(rng: np.random.Generator, value: str) -> str:
    """Return the canonical word in 70 % of cases, else one of its synonyms."""
    words = words_for(value)
    return value if len(words) == 1 or rng.random() < 0.7 else _pick(rng, words[1:])


def article(words: str) -> str:
    """Return `words` with a or an before it."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def place_phrase(rng: np.random.Generator, place: str, phrasing: Phrasing = "train") -> str:
    """Return a place as said in a sentence, such as `at the top left`."""
    if place == "middle":
        return _pick(rng, ("in the middle", "in the centre", "in the center"))
    return _pick(rng, _PLACE[phrasing]).format(place)


def noun(rng: np.random.Generator, thing: Thing, size: str | None) -> str:
    """Return an object as said in a sentence, without article or place."""
    words = [_word(rng, thing.colour), _word(rng, thing.shape)]
    return " ".join([size, *words] if size else words)


def relation(one: Thing, other: Thing) -> str | None:
    """Return where `one` lies seen from `other`: left, right, above, below, or None if not clear."""
    a, b = one.box, other.box
    dx, dy = (a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2
    if abs(dx) > _CLEAR and abs(dx) > 1.5 * abs(dy):
        return "right" if dx > 0 else "left"
    if abs(dy) > _CLEAR and abs(dy) > 1.5 * abs(dx):
        return "below" if dy > 0 else "above"
    return None


def _objects(
    rng: np.random.Generator, scene: Scene, phrasing: Phrasing, place_share: float, size_share: float
) -> tuple[str, tuple[Mention, ...]]:
    parts: list[str] = []
    mentions: list[Mention] = []
    for index, thing in enumerate(scene.things):
        size = thing.size_word if thing.size_word and rng.random() < size_share else None
        place = thing.place if rng.random() < place_share else None
        text = article(noun(rng, thing, size))
        other = scene.things[index - 1] if index else None
        where = relation(thing, other) if other and (thing.shape, thing.colour) != (other.shape, other.colour) else None
        if other and where and rng.random() < 0.2:
            text += f" {_pick(rng, _RELATION[phrasing][where])} the {other.shape}"
            place = None
        elif place:
            text += f" {place_phrase(rng, place, phrasing)}"
        parts.append(text)
        mentions.append(Mention(thing, size, place))
    if len(parts) == 2 and _twins(scene) and not any(m.place or m.size for m in mentions):
        thing = scene.things[0]
        plural = "es" if thing.shape == "cross" else "s"
        return f"two {thing.colour} {thing.shape}{plural}", tuple(mentions)
    if not parts:
        return "", ()
    text = parts[0]
    for part in parts[1:]:
        text += _pick(rng, _JOIN[phrasing]) + part
    return text, tuple(mentions)


def _twins(scene: Scene) -> bool:
    first, second = scene.things
    return (first.shape, first.colour) == (second.shape, second.colour)


def choose_kind(rng: np.random.Generator, scene: Scene) -> Kind:
    """Draw a kind of training caption for a scene: 2.5 % empty, 15 % taste only, single objects where there is one."""
    roll = rng.random()
    if roll < 0.025:
        return "empty"
    if roll < 0.175 or not scene.things:
        return "taste"
    return "single" if len(scene.things) == 1 and rng.random() < 0.5 else "scene"


def caption(rng: np.random.Generator, scene: Scene, kind: Kind = "scene", phrasing: Phrasing = "train") -> Caption:
    """Describe a scene.

    In a `scene` or `taste` caption silence means the default: flat, neutral, plain and no element are named rarely,
    other looks nearly always, so that a prompt without wishes gives a plain picture. In a `single` caption (the
    sub-prompts of regions) silence says nothing about the look.

    Args:
        rng: decides words, order and what is left out.
        scene: what the picture shows.
        kind: `scene` names objects and look, `single` an object and maybe its look, `taste` the look, `empty` nothing.
        phrasing: which set of sentence patterns.
    """
    if kind == "empty":
        return Caption("")
    found = Caption("")
    pieces: list[str] = []
    if kind != "taste":
        place_share, size_share = (0.5, 0.5) if kind == "single" else (0.6, 0.25)
        text, mentions = _objects(rng, scene, phrasing, place_share, size_share)
        pieces.append(text)
        found = replace(found, mentions=mentions)

    def said(name: str, value: str) -> bool:
        if kind == "single":
            return bool(rng.random() < 0.4)
        return bool(rng.random() < (0.25 if value == _DEFAULTS[name] else 0.93))

    if said("style", scene.style):
        pieces.append(_pick(rng, _STYLE[phrasing]).format(_word(rng, scene.style)))
        found = replace(found, style=scene.style)
    if said("atmosphere", scene.atmosphere):
        pieces.append(_pick(rng, _ATMOSPHERE[phrasing]).format(_word(rng, scene.atmosphere)))
        found = replace(found, atmosphere=scene.atmosphere)
    if said("theme", scene.theme):
        word = _word(rng, scene.theme)
        form = _pick(rng, _THEME[phrasing]) if scene.theme != "plain" else "{}" if word != "plain" else "{} background"
        pieces.append(form.format(word))
        found = replace(found, theme=scene.theme)
    for element in ELEMENTS:
        if element in scene.elements and rng.random() < (0.4 if kind == "single" else 0.95):
            pieces.append(_pick(rng, _ELEMENT[phrasing]).format(_word(rng, element)))
            found = replace(found, elements=(*found.elements, element))
    pieces = [p for p in pieces if p]
    if rng.random() < 0.4:
        pieces = [pieces[i] for i in rng.permutation(len(pieces))]
    elif pieces and found.mentions:
        pieces[0] = _pick(rng, _OPEN[phrasing]) + pieces[0]
    return replace(found, text=", ".join(pieces))
