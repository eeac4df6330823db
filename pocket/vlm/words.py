"""How people say things: choices of wording, apart for training and measurement, and the noise of real typing."""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import numpy as np

from pocket.world.captions import article
from pocket.world.vocabulary import VALUES, words_for

Phrasing = Literal["train", "test"]
T = TypeVar("T")

CATEGORY_OF: Final = {value: category for category, values in VALUES.items() for value in values}
"""The category of each canonical taste word."""


@dataclass(frozen=True)
class Wordings:
    """Two sets of sentence patterns for one meaning; the second is never trained on."""

    train: tuple[str, ...]
    test: tuple[str, ...]


@cache
def _file() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("wordings.toml").read_text(encoding="utf-8"))


def _entry(key: str) -> Any:
    found: Any = _file()
    for part in key.split("."):
        found = found[part]
    return found


def wordings(key: str) -> Wordings:
    """Return the two sets of patterns of one meaning from wordings.toml, by its path there."""
    entry = _entry(key)
    return Wordings(tuple(entry["train"]), tuple(entry["test"]))


def words(key: str) -> tuple[str, ...]:
    """Return a plain list of words from wordings.toml."""
    return tuple(_entry(key)["words"])


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """Return one of `options`."""
    return options[int(rng.integers(len(options)))]


def chance(rng: np.random.Generator, probability: float) -> bool:
    """Return True with that probability."""
    return bool(rng.random() < probability)


@dataclass(frozen=True)
class Speaker:
    """A source of randomness that speaks in one of the two sets of wordings."""

    rng: np.random.Generator
    phrasing: Phrasing = "train"

    def say(self, wordings: Wordings, **slots: str) -> str:
        """Return one wording with its slots filled."""
        return pick(self.rng, wordings.train if self.phrasing == "train" else wordings.test).format(**slots)

    def word(self, value: str, share: float = 0.65) -> str:
        """Return the canonical word in `share` of the cases, else a synonym."""
        words = words_for(value)
        return value if len(words) == 1 or chance(self.rng, share) else pick(self.rng, words[1:])

    def noun(self, colour: str, shape: str, size: str = "", share: float = 0.8) -> str:
        """Return an object without article: "big crimson disc"."""
        size = pick(self.rng, SIZE_WORDS[size]) if size else ""
        return " ".join(w for w in (size, self.word(colour, share), self.word(shape, share)) if w)

    def place(self, place: str) -> str:
        """Return a place as said in a sentence: "at the top left"."""
        name = pick(self.rng, PLACE_WORDS[place])
        return self.say(PLACE_FORMS if place != "middle" else MIDDLE_FORMS, place=name)

    def typed(self, text: str) -> str:
        """Return `text` as people type it: capitals, lost punctuation, now and then a typo."""
        rng = self.rng
        roll = rng.random()
        if roll < 0.35:
            text = text[:1].upper() + text[1:]
        elif roll < 0.38:
            text = text.upper()
        elif roll < 0.40:
            text = text.title()
        ending = rng.random()
        if text and text[-1] not in ".!?":
            text += "." if ending < 0.2 else "!" if ending < 0.27 else ""
        if chance(rng, 0.12):
            text = misspell(rng, text)
        return text


SIZE_WORDS: Final = {"big": ("big", "large", "huge"), "small": ("small", "little", "tiny")}

PLACE_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "top left": ("top left", "upper left", "top left corner", "upper left corner"),
    "top": ("top", "top middle", "upper part"),
    "top right": ("top right", "upper right", "top right corner", "upper right corner"),
    "left": ("left", "left side", "left"),
    "middle": ("middle", "centre", "center"),
    "right": ("right", "right side", "right"),
    "bottom left": ("bottom left", "lower left", "bottom left corner", "lower left corner"),
    "bottom": ("bottom", "lower part", "bottom middle"),
    "bottom right": ("bottom right", "lower right", "bottom right corner", "lower right corner"),
}
PLACE_FORMS: Final = wordings("words.place_forms")
MIDDLE_FORMS: Final = wordings("words.middle_forms")


def misspell(rng: np.random.Generator, text: str) -> str:
    """Return `text` with one word of four or more letters mistyped: swapped, dropped or doubled letters."""
    words = text.split(" ")
    long = [i for i, w in enumerate(words) if len(w) >= 4 and w.isalpha()]
    if not long:
        return text
    i = pick(rng, long)
    w = words[i]
    at = int(rng.integers(1, len(w) - 1))
    kind = int(rng.integers(3))
    if kind == 0:
        w = w[:at] + w[at + 1] + w[at] + w[at + 2 :]
    elif kind == 1:
        w = w[:at] + w[at + 1 :]
    else:
        w = w[: at + 1] + w[at:]
    words[i] = w
    return " ".join(words)


def listed(words: Sequence[str], last: str = " and ") -> str:
    """Join words as in a sentence: "a, b and c"."""
    return last.join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def plural(shape: str) -> str:
    """Return more than one of a shape."""
    return f"{shape}es" if shape.endswith(("s", "x")) else f"{shape}s"


__all__ = [
    "CATEGORY_OF",
    "PLACE_WORDS",
    "Phrasing",
    "Speaker",
    "Wordings",
    "article",
    "chance",
    "listed",
    "misspell",
    "pick",
    "plural",
]
