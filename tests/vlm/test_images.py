"""Image blocks: every usable form opens as the same upright RGB, every unusable one is a typed error."""

import base64
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vlm.errors import ImageInputError
from vlm.images import about, image_block, is_image, open_block

RED = Image.new("RGB", (6, 4), (255, 0, 0))


def block_of(picture: Image.Image, kind: str = "PNG", **options: Any) -> dict[str, str]:
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, **options)
    return {
        "type": "image",
        "base64": base64.b64encode(buffer.getvalue()).decode(),
        "mime_type": f"image/{kind.lower()}",
    }


def test_a_picture_survives_its_block_bit_for_bit() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8))

    assert open_block(image_block(noise)).tobytes() == noise.tobytes()


@pytest.mark.parametrize("field", ["url", "image_url"])
def test_data_urls_are_read_in_both_spellings(field: str) -> None:
    url = f"data:image/png;base64,{image_block(RED)['base64']}"
    block: dict[str, Any] = {"type": "image", "url": url}
    if field == "image_url":
        block = {"type": "image_url", "image_url": {"url": url}}

    assert is_image(block)
    assert open_block(block).getpixel((0, 0)) == (255, 0, 0)


def test_transparency_is_laid_on_white() -> None:
    half = Image.new("RGBA", (2, 2), (0, 0, 0, 0))

    assert open_block(block_of(half)).getpixel((0, 0)) == (255, 255, 255)


def test_sixteen_bits_are_scaled_not_cut() -> None:
    grey = Image.fromarray(np.full((2, 2), 128 << 8, np.uint16))

    assert open_block(block_of(grey)).getpixel((0, 0)) == (128, 128, 128)


def test_exif_rotation_is_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn

    assert open_block(block_of(RED, "JPEG", exif=exif)).size == (4, 6)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "LA", "1"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    assert (
        open_block({"type": "image", "image": RED.convert("RGBA" if mode == "LA" else "RGB").convert(mode)}).mode
        == "RGB"
    )


def test_an_animation_shows_its_first_frame() -> None:
    frames = [RED, Image.new("RGB", RED.size, (0, 0, 255))]
    block = block_of(frames[0], "GIF", save_all=True, append_images=frames[1:])

    assert open_block(block).getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "base64": base64.b64encode(b"plain words").decode()},
        {"type": "image", "base64": "no base64 at all!"},
        {"type": "image", "base64": image_block(RED)["base64"][:60]},
        {"type": "image", "url": "https://example.org/a.png"},
        {"type": "image_url", "image_url": {}},
        {"type": "image"},
    ],
    ids=["text", "not-base64", "cut-off", "link", "no-url", "empty"],
)
def test_what_is_no_picture_is_a_typed_error(block: dict[str, Any]) -> None:
    with pytest.raises(ImageInputError):
        open_block(block)


def test_a_bomb_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(ImageInputError, match="limit"):
        open_block(block_of(Image.new("1", (8_000, 6_000))))


def test_about_shows_first_and_asks_then() -> None:
    kinds = [block["type"] for block in about(RED, "Is it red?").content if isinstance(block, dict)]

    assert kinds == ["image", "text"]
