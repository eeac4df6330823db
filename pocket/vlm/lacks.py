"""What people ask for that the pocket world lacks, and other talk that calls for a plain answer."""

from typing import Final

from pocket.vlm.words import Speaker, chance, pick, wordings, words
from pocket.world.vocabulary import ATMOSPHERES, COLOURS, ELEMENTS, SHAPES, STYLES, THEMES

ONLY_SHAPES: Final = f"I only know shapes: {', '.join(SHAPES)}, in {', '.join(COLOURS)}."
ONLY_TASTES: Final = (
    f"I only know the styles {', '.join(STYLES)}; moods {', '.join(ATMOSPHERES)}; "
    f"themes {', '.join(THEMES)}; and {', '.join(ELEMENTS)}."
)
AT_MOST: Final = "I can place at most four subjects."
WHO: Final = "I am attune. Tell me what to draw, or show me a picture whose feel you like."
WELCOME: Final = "You are welcome."
HELLO: Final = "Hello. What shall I draw?"
BYE: Final = "Goodbye."
ASK: Final = "What shall I draw?"
NO_PICTURE: Final = "There is no picture yet. What shall I draw?"
CHANGE_WHAT: Final = "What shall I change: a shape, a colour, a place or the taste?"
UNCLEAR: Final = "I did not understand that. " + ASK

_THINGS: Final = words("lacks.things")
_MORE_THINGS: Final = words("lacks.more_things")
_SHAPES: Final = words("lacks.shapes")
_COLOURS: Final = words("lacks.colours")
_STYLES: Final = words("lacks.styles")
_MOODS: Final = words("lacks.moods")

_DRAW: Final = wordings("lacks.draw")
_WITH: Final = wordings("lacks.with")
_ODD_COLOUR: Final = wordings("lacks.odd_colour")
_ODD_STYLE: Final = wordings("lacks.odd_style")
_TOO_MANY: Final = wordings("lacks.too_many")
_NUMBERS: Final = words("lacks.numbers")

_FOREIGN: Final = words("lacks.foreign")
THANKS: Final = wordings("lacks.thanks")
GREETING: Final = wordings("lacks.greeting")
FAREWELL: Final = wordings("lacks.farewell")
ASK_WHO: Final = wordings("lacks.ask_who")
ASK_SHAPES: Final = wordings("lacks.ask_shapes")
ASK_TASTES: Final = wordings("lacks.ask_tastes")
VAGUE: Final = wordings("lacks.vague")


def thing(speaker: Speaker) -> str:
    """Return a thing that the world lacks."""
    pool = _THINGS if speaker.phrasing == "train" or chance(speaker.rng, 0.3) else _MORE_THINGS
    return pick(speaker.rng, pool if chance(speaker.rng, 0.85) else _SHAPES)


def unknown_thing(speaker: Speaker) -> str:
    """Return a wish for a thing or a colour that the world lacks."""
    rng = speaker.rng
    slots = {
        "x": thing(speaker),
        "y": thing(speaker),
        "c": speaker.word(pick(rng, COLOURS)),
        "s": speaker.word(pick(rng, SHAPES)),
        "k": pick(rng, _COLOURS),
    }
    roll = rng.random()
    return speaker.say(_DRAW if roll < 0.6 else _WITH if roll < 0.75 else _ODD_COLOUR, **slots)


def unknown_taste(speaker: Speaker) -> str:
    """Return a wish for a style or mood that the world lacks."""
    rng = speaker.rng
    odd = pick(rng, _STYLES if chance(rng, 0.75) else _MOODS)
    return speaker.say(_ODD_STYLE, t=odd, c=pick(rng, COLOURS), s=pick(rng, SHAPES))


def too_many(speaker: Speaker) -> str:
    """Return a wish for more subjects than a plan holds."""
    rng = speaker.rng
    return speaker.say(_TOO_MANY, n=pick(rng, _NUMBERS), c=pick(rng, COLOURS), p=f"{pick(rng, SHAPES)}s")


def nonsense(speaker: Speaker) -> str:
    """Return what a cat on a keyboard would write."""
    rng = speaker.rng
    if chance(rng, 0.12):
        return pick(rng, _FOREIGN)
    roll = rng.random()
    if roll < 0.2:
        return pick(
            rng, ("???", "...", "!!", "?", "ok", "1234", ":)", ":-(", "-", "a", "42", "x x x", "lol", "foo bar")
        )
    letters = "asdfghjklqwertyuiopzxcvbnm" if roll < 0.8 else "abcdefghijklmnopqrstuvwxyzäöüßéñ漢字0123456789#%&*+/"
    words = [
        "".join(pick(rng, letters) for _ in range(int(rng.integers(3, 9)))) for _ in range(int(rng.integers(1, 5)))
    ]
    return " ".join(words)
