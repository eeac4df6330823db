"""How people speak of taste, each wording with the change to the card that it asks for."""

from dataclasses import dataclass
from typing import Any, Final

from pocket.vlm.words import CATEGORY_OF, Speaker, chance, pick, wordings
from pocket.world.vocabulary import ELEMENTS, VALUES
from tools.adjust import adjust_taste
from tools.arguments import AdjustTaste
from tools.taste import Keyword, TasteCard
from tools.types import CATEGORIES, Category

LIMITS: Final[dict[Category, int]] = {"artistic_style": 1, "atmosphere": 1, "theme": 1, "visual_elements": 2}
"""How many likes of a category the card of the pocket world holds."""

LIKE: Final = {key: wordings(f"tastes.like.{key}") for key in CATEGORIES}
TAIL: Final = {key: wordings(f"tastes.tail.{key}") for key in CATEGORIES}
DISLIKE: Final = wordings("tastes.dislike")
DROP: Final = wordings("tastes.drop")
LESS: Final = wordings("tastes.less")
MORE: Final = wordings("tastes.more")
AND: Final = wordings("tastes.and")


@dataclass(frozen=True)
class Change:
    """Words about taste and the call they should lead to."""

    said: str
    arguments: dict[str, Any]

    def apply(self, card: TasteCard) -> tuple[TasteCard, tuple[str, ...]]:
        """Return the new card and what was not on the old one, by the agent's own function."""
        return adjust_taste(card, AdjustTaste.model_validate(self.arguments), LIMITS)


def some_card(speaker: Speaker, *, most: int = 5) -> TasteCard:
    """Draw a taste card as conversations leave it."""
    rng = speaker.rng
    card = TasteCard()
    for _ in range(int(rng.integers(0, most + 1)) if chance(rng, 0.75) else 0):
        category = pick(rng, tuple(VALUES))
        value = pick(rng, VALUES[category])
        weight = pick(rng, (1.0, 1.0, 1.0, 1.0, 0.5, 1.5, -1.0))
        card = card.add(Keyword(text=value, category=CATEGORY_OF[value], weight=weight), LIMITS)  # pyright: ignore[reportArgumentType]
    return card


def new_value(speaker: Speaker, card: TasteCard, exclude: set[str]) -> str:
    """Draw a value that is not yet liked."""
    liked = {k.text for k in card.likes} | exclude
    while True:
        category = pick(speaker.rng, tuple(VALUES))
        value = pick(speaker.rng, VALUES[category])
        if value not in liked:
            return value


def like_entry(value: str, weight: float = 1.0) -> dict[str, Any]:
    """Return an entry of adjust_taste's `add`."""
    return {"text": value, "category": CATEGORY_OF[value], "weight": weight}


def spoken(speaker: Speaker, value: str) -> str:
    """Return a taste word as said, "a sun" or "the sun" now and then."""
    word = speaker.word(value, 0.6)
    if value in ELEMENTS and word in ("frame", "sun", "border") and chance(speaker.rng, 0.5):
        return f"a {word}"
    return word


def change(speaker: Speaker, card: TasteCard) -> Change:
    """Return words that change the taste in one to three ways."""
    rng = speaker.rng
    parts: list[str] = []
    arguments: dict[str, list[Any]] = {"add": [], "drop": [], "weigh": []}
    used: set[str] = set()
    for _ in range(int(rng.choice(3, p=(0.68, 0.26, 0.06))) + 1):
        text, value, key, entry = _one(speaker, card, used)
        if value in used or (key == "add" and any(_rivals(value, u) for u in used)):
            continue
        used.add(value)
        parts.append(text)
        arguments[key].append(entry)
    ending = pick(rng, ("", "", "", " please", " from now on", ", thanks"))
    return Change(speaker.say(AND).join(parts) + ending, arguments)


def _rivals(one: str, other: str) -> bool:
    category = CATEGORY_OF[one]
    return category == CATEGORY_OF[other] and category != "visual_elements"


def _one(speaker: Speaker, card: TasteCard, used: set[str]) -> tuple[str, str, str, Any]:
    """Return (words, value, which argument, its entry) of one change."""
    rng = speaker.rng
    liked = [k.text for k in card.likes if k.text not in used]
    roll = rng.random()
    if liked and roll < 0.42:
        value = pick(rng, liked)
        word = spoken(speaker, value)
        kind = int(rng.integers(4))
        if kind == 0:
            return speaker.say(LESS, w=word), value, "weigh", {"text": value, "weight": 0.5}
        if kind == 1:
            return speaker.say(MORE, w=word), value, "weigh", {"text": value, "weight": 1.5}
        if kind == 2:
            return speaker.say(DROP, w=word), value, "drop", value
        return speaker.say(DISLIKE, w=word), value, "add", like_entry(value, -1.0)
    value = new_value(speaker, card, used)
    word = spoken(speaker, value)
    if roll < 0.58:
        found = card.find(value)
        if found is not None and found.weight < 0:  # already disliked: the person changed their mind
            return speaker.say(LIKE[CATEGORY_OF[value]], w=word), value, "add", like_entry(value)
        wordings = pick(rng, (DISLIKE, DISLIKE, DROP))
        return speaker.say(wordings, w=word), value, "add", like_entry(value, -1.0)
    if roll < 0.66 and liked:
        rivals = [t for t in liked if CATEGORY_OF[t] == CATEGORY_OF[value] and CATEGORY_OF[value] != "visual_elements"]
        if rivals:
            return f"{word} instead of {spoken(speaker, rivals[0])}", value, "add", like_entry(value)
    return speaker.say(LIKE[CATEGORY_OF[value]], w=word), value, "add", like_entry(value)


def tail(speaker: Speaker, card: TasteCard) -> Change:
    """Return words to hang on a request for a picture: " in a gloomy city"."""
    rng = speaker.rng
    entries: list[Any] = []
    text = ""
    if chance(rng, 0.12):
        mood = new_value(speaker, TasteCard(), set(VALUES["artistic_style"]) | set(VALUES["theme"]) | set(ELEMENTS))
        theme = pick(rng, [t for t in VALUES["theme"] if t != "plain"])
        text = f" {pick(rng, ('in', 'by', 'at'))} a {speaker.word(mood)} {speaker.word(theme)}"
        return Change(text, {"add": [like_entry(mood), like_entry(theme)], "drop": [], "weigh": []})
    used: set[str] = set()
    for _ in range(int(rng.choice(3, p=(0.6, 0.3, 0.1))) + 1):
        value = new_value(speaker, TasteCard(), used)
        if any(_rivals(value, u) for u in used):
            continue
        used.add(value)
        piece = speaker.say(TAIL[CATEGORY_OF[value]], w=spoken(speaker, value))
        text += piece if piece[0] == "," else f" {piece}"
        entries.append(like_entry(value))
    del card
    return Change(text, {"add": entries, "drop": [], "weigh": []})
