"""Pictures that carry their recipe: versioned JSON in a PNG text chunk, read back and checked.

Chunk `attune` (iTXt, UTF-8) holds a `Facts` as JSON; chunk `parameters` (tEXt, ASCII) holds the line that other
programs read. Nothing in either depends on the time: an equal run writes equal bytes.
"""

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image, PngImagePlugin, UnidentifiedImageError
from pydantic import Field, ValidationError

from tools.errors import InputError
from tools.recipe import RECIPE_VERSION, Recipe
from tools.types import Value

CHUNK = "attune"


class Facts(Value):
    """What a picture says about itself."""

    recipe: Recipe
    ancestors: tuple[Recipe, ...] = Field(default=(), description="Of an edit: parent, its parent, and so on.")
    environment: dict[str, Any] = Field(description="Versions, threads, precision and device that bits depend on.")
    pixels: str = Field(description="SHA-256 of the RGB bytes.")


def pixel_digest(image: Image.Image) -> str:
    """Return the SHA-256 of the pixels, whatever file they come from."""
    return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()


def write_png(path: Path, image: Image.Image, facts: Facts) -> None:
    """Write a picture with its facts; a reader never sees half a file."""
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("parameters", parameters(facts.recipe))
    chunks.add_itxt(CHUNK, facts.model_dump_json())
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, suffix=".partial")
    with os.fdopen(handle, "wb") as stream:
        image.save(stream, format="PNG", pnginfo=chunks)
    Path(partial).replace(path)


def read_png(path: Path) -> tuple[Image.Image, Facts]:
    """Return a picture and its facts.

    Raises:
        InputError: it is no picture, has no recipe, or one of a later version.
    """
    try:
        with Image.open(path, formats=["PNG"]) as image:
            image.load()
            text = image.info.get(CHUNK)
    except FileNotFoundError as error:
        raise InputError(f"there is no file {str(path)!r}") from error
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise InputError(f"{path.name!r} is not a PNG picture") from error
    if not isinstance(text, str):
        raise InputError(f"{path.name!r} carries no recipe; only pictures made by attune can be replayed")
    try:
        facts = Facts.model_validate_json(text)
    except ValidationError as error:
        raise InputError(f"the recipe in {path.name!r} cannot be read: {error.errors()[0]['msg']}") from error
    if facts.recipe.version > RECIPE_VERSION:
        raise InputError(f"{path.name!r} has a recipe of version {facts.recipe.version}; this is {RECIPE_VERSION}")
    return image, facts


def parameters(recipe: Recipe) -> str:
    """Return the one-line form that other image programs read; ASCII, because the chunk is Latin-1."""
    sampling = recipe.sampling
    text = (
        f"{recipe.layout.enriched_prompt}\nNegative prompt: {recipe.negative_prompt}\n"
        f"Steps: {sampling.steps}, Sampler: {sampling.sampler}, CFG scale: {sampling.cfg}, Seed: {recipe.seed}, "
        f"Size: {sampling.width}x{sampling.height}"
    )
    return text.encode("ascii", "replace").decode("ascii")
