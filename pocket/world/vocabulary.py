"""The words of the pocket world and what they stand for. A contract: values may be added, not removed."""

from typing import Final

SIZE: Final = 128
"""Side of every picture in pixels."""

SHAPES: Final = ("circle", "square", "triangle", "star", "heart", "cross")
COLOURS: Final = ("red", "orange", "yellow", "green", "blue", "purple")
STYLES: Final = ("flat", "outline", "pixel art", "halftone", "hatched", "watercolor")
ATMOSPHERES: Final = ("neutral", "joyful", "serene", "gloomy", "dreamy", "dramatic")
THEMES: Final = ("plain", "seaside", "city", "mountains", "forest")
ELEMENTS: Final = ("frame", "sun", "stars", "rays", "confetti")
"""Visual elements; a scene has none, one or two of them."""

PLACES: Final = (
    "top left",
    "top",
    "top right",
    "left",
    "middle",
    "right",
    "bottom left",
    "bottom",
    "bottom right",
)
"""The nine thirds of the canvas, row by row; `PLACES[3 * row + column]`."""

SMALL_BELOW: Final = 38
BIG_FROM: Final = 52
"""An object under 38 px is small, from 52 px on it is big (sizes run from 28 to 64)."""

CATEGORIES: Final = ("artistic_style", "atmosphere", "theme", "visual_elements")
"""The four categories of a preference, in the order in which cards and prompts list them."""

VALUES: Final[dict[str, tuple[str, ...]]] = {
    "artistic_style": STYLES,
    "atmosphere": ATMOSPHERES,
    "theme": THEMES,
    "visual_elements": ELEMENTS,
}

SYNONYMS: Final[dict[str, tuple[str, ...]]] = {
    # shapes
    "circle": ("disc", "ball", "dot"),
    "square": ("box", "block"),
    "triangle": ("wedge",),
    "star": ("starlet",),
    "heart": ("love heart",),
    "cross": ("plus sign", "plus"),
    # colours
    "red": ("crimson", "scarlet"),
    "orange": ("tangerine",),
    "yellow": ("golden", "lemon"),
    "green": ("emerald",),
    "blue": ("azure",),
    "purple": ("violet",),
    # styles
    "flat": ("flat colour", "solid fill", "plain fill"),
    "outline": ("line art", "outlined", "contour"),
    "pixel art": ("pixelated", "8-bit", "blocky"),
    "halftone": ("dots", "newspaper print", "dotted"),
    "hatched": ("hatching", "cross-hatched", "engraving"),
    "watercolor": ("watercolour", "wash", "aquarelle"),
    # atmospheres
    "neutral": ("ordinary", "plain mood"),
    "joyful": ("cheerful", "happy", "warm"),
    "serene": ("calm", "peaceful", "cool"),
    "gloomy": ("melancholy", "sombre", "dark"),
    "dreamy": ("hazy", "misty", "soft light"),
    "dramatic": ("intense", "moody", "striking"),
    # themes
    "plain": ("no ground", "empty ground"),
    "seaside": ("sea", "beach", "ocean"),
    "city": ("town", "skyline", "urban"),
    "mountains": ("peaks", "alps", "mountain"),
    "forest": ("woods", "trees", "woodland"),
    # elements
    "frame": ("border", "framed"),
    "sun": ("sunshine", "a sun"),
    "stars": ("starry", "little stars"),
    "rays": ("light rays", "beams"),
    "confetti": ("specks", "sprinkles"),
}
"""Other words a person may use for a canonical value; the canonical word itself is not repeated."""


def words_for(value: str) -> tuple[str, ...]:
    """Return the canonical word and its synonyms, canonical first."""
    return (value, *SYNONYMS.get(value, ()))
