"""Draws the reference pictures of the scenarios: `python examples/make_references.py`."""

from pathlib import Path
from typing import Final

from pocket.world.render import picture
from pocket.world.scene import Scene, Thing

HERE: Final = Path(__file__).parent / "references"
SCENES: Final = {
    "gloomy-seaside.png": Scene(
        (Thing("square", "yellow", 20, 26, 44), Thing("circle", "purple", 76, 52, 36)),
        style="halftone",
        atmosphere="gloomy",
        theme="seaside",
        phase=3,
    ),
    "joyful-city.png": Scene(
        (Thing("triangle", "orange", 40, 44, 48),),
        style="pixel art",
        atmosphere="joyful",
        theme="city",
        elements=("sun",),
        phase=11,
    ),
    "dreamy-mountains.png": Scene(
        (Thing("heart", "red", 14, 40, 40), Thing("star", "blue", 74, 36, 44)),
        style="watercolor",
        atmosphere="dreamy",
        theme="mountains",
        elements=("frame",),
        phase=5,
    ),
}

if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    for name, scene in SCENES.items():
        picture(scene).save(HERE / name)
