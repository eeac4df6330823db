"""Contact sheets: pictures in a grid with lines of text under each, some of them ticked or crossed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageDraw, ImageFont

LINE: Final = 13
MARGIN: Final = 8
_FONT_SIZE: Final = 10.5
_BLACK, _GREEN, _RED = (40, 40, 44), (20, 130, 60), (190, 40, 40)


@dataclass(frozen=True)
class Line:
    """One line of text; `right` puts a tick or a cross before it."""

    text: str
    right: bool | None = None


@dataclass(frozen=True)
class Tile:
    """One picture and what is written under it."""

    image: Image.Image
    lines: Sequence[Line]


def wrapped(text: str, width: int) -> list[Line]:
    """Break a text into lines of at most `width` pixels."""
    font = ImageFont.load_default(_FONT_SIZE)
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return [Line(line) for line in lines]


def contact_sheet(tiles: Sequence[Tile], columns: int, scale: int = 2) -> Image.Image:
    """Lay tiles out in rows; every row is as high as its longest text.

    Args:
        tiles: at least one, pictures of one size.
        columns: pictures in a row.
        scale: whole-number enlargement of the pictures.
    """
    width, height = (side * scale for side in tiles[0].image.size)
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    heights = [height + LINE * max(len(t.lines) for t in row) + 2 * MARGIN for row in rows]
    size = min(columns, len(tiles)) * (width + MARGIN) + MARGIN, sum(heights) + MARGIN
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    top = MARGIN
    for row, row_height in zip(rows, heights, strict=True):
        for column, tile in enumerate(row):
            left = MARGIN + column * (width + MARGIN)
            sheet.paste(tile.image.resize((width, height), Image.Resampling.NEAREST), (left, top))
            for number, line in enumerate(tile.lines):
                _write(draw, left, top + height + 3 + number * LINE, line)
        top += row_height
    return sheet


def _write(draw: ImageDraw.ImageDraw, x: int, y: int, line: Line) -> None:
    font = ImageFont.load_default(_FONT_SIZE)
    if line.right is None:
        draw.text((x, y), line.text, fill=_BLACK, font=font)
        return
    colour = _GREEN if line.right else _RED
    # Drawn, because not every font that may be at hand has these two signs.
    if line.right:
        draw.line([(x, y + 7), (x + 3, y + 10), (x + 8, y + 3)], fill=colour, width=2)
    else:
        draw.line([(x, y + 3), (x + 7, y + 10)], fill=colour, width=2)
        draw.line([(x, y + 10), (x + 7, y + 3)], fill=colour, width=2)
    draw.text((x + 12, y), line.text, fill=colour, font=font)
