"""Attachments: every kind of bad or odd picture ends in a plain RGB picture or in a message for the person."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from agent.images import Decoded, ImageStore, decode
from tools.errors import InputError, ToolError


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    data = io.BytesIO()
    image.save(data, format=kind, **options)
    return data.getvalue()


def opened(data: bytes, name: str = "x.png") -> Decoded:
    return decode(name, data, max_bytes=1_000_000, max_pixels=1_000_000, side=64)


def bomb(side: int) -> bytes:
    """A valid PNG header of a huge picture, with next to nothing behind it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "is empty"),
        (b"just some words, not a picture", "not a picture"),
        (encoded(Image.new("RGB", (1, 1))), "too small"),
        (encoded(Image.new("RGB", (2000, 10))), "too narrow"),
        (bomb(20_000), "too large"),
        (bomb(2_000), "more than can be opened"),
        (encoded(Image.new("RGB", (64, 64), "red"))[:60], "damaged"),
        (b"x" * 1_000_001, "more than the 1,000,000 allowed"),
    ],
    ids=["empty", "text", "1x1", "sliver", "20000x20000", "over-our-limit", "truncated", "too-many-bytes"],
)
def test_what_cannot_be_used_is_said_by_name(data: bytes, told: str) -> None:
    with pytest.raises(InputError, match=told) as error:
        opened(data, "mood.png")

    assert "mood.png" in str(error.value)


def test_an_animation_gives_its_first_frame() -> None:
    frames = [Image.new("P", (32, 32), index) for index in (1, 2, 3)]
    for frame in frames:
        frame.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])

    decoded = opened(data, "dance.gif")

    assert decoded.image.getpixel((5, 5)) == (255, 0, 0)
    assert "first of its 3 frames" in decoded.notes[0]


def test_cmyk_becomes_rgb() -> None:
    decoded = opened(encoded(Image.new("CMYK", (32, 32), (0, 255, 255, 0)), "JPEG"))

    red, green, blue = decoded.image.getpixel((16, 16))  # pyright: ignore[reportGeneralTypeIssues]
    assert red > 200
    assert max(green, blue) < 60


def test_sixteen_bits_keep_their_greys() -> None:
    """Pillow's own conversion clips everything above 255 of 65535 to white."""
    grey = Image.fromarray(np.full((32, 32), 32768, dtype=np.uint16))

    decoded = opened(encoded(grey))

    assert decoded.image.getpixel((0, 0)) == (128, 128, 128)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_on_white(mode: str) -> None:
    image = Image.new("RGBA", (32, 32), (0, 0, 0, 0)).convert(mode)
    options: dict[str, Any] = {"transparency": 0} if mode == "P" else {}

    decoded = opened(encoded(image, **options))

    assert decoded.image.getpixel((0, 0)) == (255, 255, 255)
    assert "white" in decoded.notes[0]


def test_exif_rotation_is_applied_and_metadata_dropped() -> None:
    image = Image.new("RGB", (40, 20), "blue")
    image.paste("red", (0, 0, 10, 20))
    exif = Image.Exif()
    exif[0x0112] = 6  # the top of the picture is its right side

    decoded = opened(encoded(image, "JPEG", exif=exif, quality=95))

    assert decoded.image.size == (20, 40)
    assert decoded.image.getpixel((10, 3))[0] > 200  # pyright: ignore[reportOptionalSubscript, reportIndexIssue]
    assert not decoded.image.getexif()


def test_large_pictures_are_scaled_to_the_side() -> None:
    assert opened(encoded(Image.new("RGB", (640, 320)))).image.size == (64, 32)


def test_the_same_pixels_are_stored_once(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)

    first, second = (store.add_reference(Image.new("RGB", (32, 32), "red")) for _ in range(2))

    assert first == second
    assert len(list((tmp_path / "references").iterdir())) == 1


def test_a_lost_file_is_a_tool_error(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)

    with pytest.raises(ToolError, match="gone or damaged"):
        store.open("pictures/none.png")
    with pytest.raises(ToolError, match="cannot be edited"):
        store.latents("latents/none.safetensors")
