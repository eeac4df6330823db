"""Pictures in messages: finds the image blocks of a LangChain message and opens them, nothing else.

Accepted are the standard block `{"type": "image", "base64": ..., "mime_type": ...}`, data URLs in `url` or `image_url`,
and `{"type": "image", "image": PIL.Image}` for training, which skips the encoding. Nothing is ever fetched.
"""

import base64
import binascii
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from langchain_core.messages import HumanMessage
from PIL import Image, ImageOps, UnidentifiedImageError

from vlm.errors import ImageInputError

MAX_PIXELS = 40_000_000
"""Refused above this, before decoding: a small file can unpack to gigabytes."""


def is_image(block: Mapping[str, Any]) -> bool:
    """Say whether a content block holds a picture."""
    return block.get("type") in {"image", "image_url"}


def open_block(block: Mapping[str, Any]) -> Image.Image:
    """Return the picture of an image block as upright RGB, transparency laid on white."""
    held = block.get("image")
    if isinstance(held, Image.Image):
        return _as_rgb(held)
    try:
        picture = Image.open(io.BytesIO(_bytes(block)))
        if picture.width * picture.height > MAX_PIXELS:
            raise ImageInputError(f"an image of {picture.size!r} pixels is over the limit of {MAX_PIXELS!r}")
        return _as_rgb(picture)
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImageInputError(f"an image block cannot be read as a picture: {error}") from error


def image_block(picture: Image.Image) -> dict[str, str]:
    """Return `picture` as a standard image block: PNG in base64, so that no pixel changes on the way."""
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG")
    return {"type": "image", "base64": base64.b64encode(buffer.getvalue()).decode("ascii"), "mime_type": "image/png"}


def about(picture: Image.Image, words: str) -> HumanMessage:
    """Return a message that shows `picture` and says `words` about it."""
    return HumanMessage([image_block(picture), {"type": "text", "text": words}])


def _bytes(block: Mapping[str, Any]) -> bytes:
    encoded = block.get("base64")
    if encoded is None:
        link = block.get("image_url") or block.get("url")
        url = link.get("url") if isinstance(link, Mapping) else link
        if not isinstance(url, str) or not url.startswith("data:") or ";base64," not in url:
            raise ImageInputError("an image block needs `base64`, or a data URL: links are not fetched")
        encoded = url.partition(";base64,")[2]
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise ImageInputError(f"an image block holds no valid base64: {error}") from error


def _as_rgb(picture: Image.Image) -> Image.Image:
    upright = ImageOps.exif_transpose(picture)
    if upright.mode == "RGB":
        return upright
    if upright.mode.startswith("I"):
        # 16 bits a pixel: Pillow would cut, not scale, and the picture would turn white.
        return Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8)).convert("RGB")
    if upright.mode in {"RGBA", "LA", "PA"} or "transparency" in upright.info:
        layered = upright.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered).convert("RGB")
    return upright.convert("RGB")
