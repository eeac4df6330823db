"""Pictures on disk: attachments, decoded and stored by content; made pictures, stored by recipe, with their latents."""

import hashlib
import io
import os
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from agent.png import Facts, write_png
from tools.asks import ImageBlock
from tools.errors import InputError, ToolError
from vlm.images import image_block

FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")
MIN_SIDE = 8
"""A smaller picture shows no taste."""


@dataclass(frozen=True)
class Decoded:
    """An attachment as plain RGB, and what had to be done to it."""

    image: Image.Image
    notes: tuple[str, ...]


def decode(name: str, data: bytes, *, max_bytes: int, max_pixels: int, side: int) -> Decoded:
    """Decode an attachment as upright 8-bit RGB, at most `side` pixels long.

    Args:
        name: as the person calls it; for messages only.
        data: the file.
        max_bytes: larger files are refused unread.
        max_pixels: larger pictures are refused before decoding: a small file can unpack to gigabytes.
        side: longest side of the result.

    Raises:
        InputError: with a message for the person.
    """
    if not data:
        raise InputError(f"{name!r} is empty")
    if len(data) > max_bytes:
        raise InputError(f"{name!r} has {len(data):,} bytes, more than the {max_bytes:,} allowed")
    notes: list[str] = []
    try:
        with warnings.catch_warnings():
            # Pillow's own limit; ours is checked right below, before anything is decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened = Image.open(io.BytesIO(data), formats=FORMATS)
        if opened.width * opened.height > max_pixels:
            raise InputError(f"{name!r} is {opened.width} x {opened.height} pixels, more than can be opened safely")
        if min(opened.size) < MIN_SIDE:
            raise InputError(f"{name!r} is {opened.width} x {opened.height} pixels, too small to show anything")
        if max(opened.size) > 100 * min(opened.size):
            raise InputError(f"{name!r} is {opened.width} x {opened.height} pixels, too narrow to show anything")
        if (frames := int(getattr(opened, "n_frames", 1))) > 1:
            notes.append(f"{name!r} is animated: the first of its {frames} frames is used")
        if "A" in opened.getbands() or "transparency" in opened.info:
            notes.append(f"{name!r} is transparent in places: they are taken as white")
        image = plain_rgb(opened)
    except Image.DecompressionBombError as error:
        raise InputError(f"{name!r} is far too large to be opened safely") from error
    except UnidentifiedImageError as error:
        raise InputError(f"{name!r} is not a picture I can read ({', '.join(FORMATS)})") from error
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name!r} is damaged and cannot be read") from error
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return Decoded(image, tuple(notes))


def plain_rgb(image: Image.Image) -> Image.Image:
    """Return the first frame upright, in 8-bit RGB, transparency laid on white, without metadata."""
    upright = ImageOps.exif_transpose(image)
    if upright.mode.startswith("I") or upright.mode == "F":
        values = np.asarray(upright, dtype=np.float64)
        top = (
            65535.0 if upright.mode.startswith("I") and values.max(initial=0.0) <= 65535.0 else values.max(initial=1.0)
        )
        upright = Image.fromarray(np.clip(255.0 * values / max(top, 1e-9), 0, 255).round().astype(np.uint8))
    if "A" in upright.getbands() or "transparency" in upright.info:
        layered = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", layered.size, "white"), layered)
    rgb = upright.convert("RGB")
    return Image.frombytes("RGB", rgb.size, rgb.tobytes())


class ImageStore:
    """The pictures of a data folder. Paths are kept relative to it, so that it can be moved."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def add_reference(self, image: Image.Image) -> tuple[str, str]:
        """Store an attachment; return its digest and path. The same pixels are stored once."""
        data = io.BytesIO()
        image.save(data, format="PNG")
        digest = hashlib.sha256(data.getvalue()).hexdigest()[:32]
        relative = f"references/{digest}.png"
        self._write(relative, data.getvalue())
        return digest, relative

    def add_picture(self, image: Image.Image, latents: NDArray[np.float32], facts: Facts) -> tuple[str, str]:
        """Store a made picture; return the paths of its PNG and its latents."""
        digest = facts.recipe.digest
        relative, hidden = f"pictures/{digest}.png", f"latents/{digest}.safetensors"
        self._write(hidden, save({"latents": np.ascontiguousarray(latents)}))
        write_png(self.root / relative, image, facts)
        return relative, hidden

    def path(self, relative: str) -> Path:
        """Return where a stored file lies."""
        return self.root / relative

    def open(self, relative: str) -> Image.Image:
        """Return a stored picture.

        Raises:
            ToolError: its file is gone or damaged.
        """
        try:
            with Image.open(self.root / relative) as image:
                return image.convert("RGB")
        except (OSError, UnidentifiedImageError) as error:
            raise ToolError(f"the file {relative!r} is gone or damaged") from error

    def latents(self, relative: str) -> NDArray[np.float32]:
        """Return stored latents.

        Raises:
            ToolError: their file is gone or damaged.
        """
        try:
            return load_file(self.root / relative)["latents"]
        except (OSError, SafetensorError, KeyError) as error:
            raise ToolError(f"the file {relative!r} is gone or damaged, so that picture cannot be edited") from error

    def block(self, relative: str) -> ImageBlock:
        """Return a stored picture as a message block."""
        return dict(image_block(self.open(relative)))

    def _write(self, relative: str, data: bytes) -> None:
        path = self.root / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=path.parent, suffix=".partial")
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        Path(partial).replace(path)
