"""Contact sheets: the world's own, and tiles with ticks and crosses."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from pocket.world.sheet import scenes
from pocket.world.tiles import LINE, MARGIN, Line, Tile, contact_sheet, wrapped
from pocket.world.vocabulary import ATMOSPHERES, ELEMENTS, STYLES, THEMES


def tile(*lines: Line) -> Tile:
    return Tile(Image.new("RGB", (16, 16), "blue"), lines)


def greens(image: Image.Image) -> int:
    pixels = np.asarray(image).astype(int)
    return int(((pixels[..., 1] > pixels[..., 0] + 40) & (pixels[..., 1] > pixels[..., 2] + 40)).sum())


def test_the_world_sheet_is_written_from_the_command_line(tmp_path: Path) -> None:
    target = tmp_path / "new" / "world.png"

    subprocess.run([sys.executable, "-m", "pocket.world", "--sheet", str(target)], check=True, timeout=60)

    with Image.open(target) as sheet:
        assert sheet.width > 6 * 128


def test_the_world_sheet_shows_every_value() -> None:
    shown = scenes(0)

    assert {(s.style, s.atmosphere) for s in shown} >= {(s, a) for s in STYLES for a in ATMOSPHERES}
    assert {s.theme for s in shown} == set(THEMES)
    assert {e for s in shown for e in s.elements} == set(ELEMENTS)


def test_rows_are_as_high_as_their_longest_text() -> None:
    sheet = contact_sheet([tile(Line("a")), tile(Line("a"), Line("b")), tile()], columns=2, scale=1)

    # Rows of 16 px pictures with two lines and none, a margin above and below each, and one at the end.
    assert sheet.height == (16 + 2 * LINE + 2 * MARGIN) + (16 + 2 * MARGIN) + MARGIN
    assert sheet.width == 2 * (16 + MARGIN) + MARGIN


def test_only_what_came_true_is_green() -> None:
    assert greens(contact_sheet([tile(Line("colour", True))], 1)) > 10
    assert greens(contact_sheet([tile(Line("colour", False))], 1)) == 0
    assert greens(contact_sheet([tile(Line("colour"))], 1)) == 0


def test_text_is_broken_between_words() -> None:
    lines = wrapped("a red circle at the top left of it", 60)

    assert len(lines) > 1
    assert " ".join(line.text for line in lines) == "a red circle at the top left of it"
