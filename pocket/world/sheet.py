"""The labelled contact sheet of the world: every style by every atmosphere, then every theme and element."""

from dataclasses import replace
from typing import Final

from PIL import Image

from pocket.world.render import picture
from pocket.world.scene import Scene, Thing, generator, sample_scene
from pocket.world.tiles import Line, Tile, contact_sheet, wrapped
from pocket.world.vocabulary import ATMOSPHERES, COLOURS, ELEMENTS, SHAPES, SIZE, STYLES, THEMES

COLUMNS: Final = 6
_SIDE: Final = 32


def _line_up() -> Scene:
    """All shapes in all colours, side by side."""
    things = [
        Thing(shape, colour, 8 + (i % 3) * 40, 16 + (i // 3) * 52, _SIDE)
        for i, (shape, colour) in enumerate(zip(SHAPES, COLOURS, strict=True))
    ]
    return Scene(things=tuple(things))


def labels(scene: Scene) -> list[Line]:
    """Describe a scene in a few short lines."""
    look = f"{scene.style}, {scene.atmosphere}"
    around = ", ".join((scene.theme, *scene.elements))
    return [Line(look), Line(around), *wrapped("; ".join(f"{t.colour} {t.shape}" for t in scene.things), SIZE)]


def scenes(seed: int) -> list[Scene]:
    """Return a scene for each style and each pair of style and atmosphere, then one for each theme and each element."""
    rng = generator("test", seed)
    line_up = _line_up()
    found = [replace(line_up, style=style) for style in STYLES]
    for style in STYLES:
        for atmosphere in ATMOSPHERES:
            scene = sample_scene(rng, counts=(1, 2, 3), allow_held_out=True)
            found.append(replace(scene, style=style, atmosphere=atmosphere))
    found += [Scene(theme=theme, phase=8) for theme in THEMES]
    found += [Scene(elements=(element,)) for element in ELEMENTS]
    return found


def world_sheet(seed: int = 0) -> Image.Image:
    """Draw the contact sheet of the world."""
    return contact_sheet([Tile(picture(s), labels(s)) for s in scenes(seed)], COLUMNS, scale=1)
