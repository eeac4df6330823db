"""The parts without the conversation: `attune render`, `attune see` and `attune replay`."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np
from PIL import Image
from pydantic import ValidationError

from agent.act import model_files
from agent.images import decode
from agent.models import load_painter, load_reasoner
from agent.png import Facts, pixel_digest, read_png, write_png
from agent.settings import Settings
from prompts import load_pack
from tools.errors import InputError
from tools.paint import Painted, Painter, Parent, paint
from tools.read import extract_preferences
from tools.recipe import Recipe
from tools.taste import Keyword, TasteCard
from tools.types import Box, Category, Layout, Region
from vlm.images import image_block


def parse_region(text: str) -> Region:
    """Read "NAME|PROMPT|left,top,right,bottom", the box in fractions of the picture.

    Raises:
        InputError: with the form it should have.
    """
    form = f"--region takes NAME|PROMPT|left,top,right,bottom with fractions from 0 to 1, got {text!r}"
    parts = text.split("|")
    if len(parts) != 3:
        raise InputError(form)
    try:
        left, top, right, bottom = (float(edge) for edge in parts[2].split(","))
        box = Box(left=left, top=top, right=right, bottom=bottom)
        return Region(name=parts[0].strip(), prompt=parts[1].strip(), box=box)
    except ValueError as error:
        raise InputError(form) from error


def parse_like(text: str) -> Keyword:
    """Read "CATEGORY:KEYWORD[:WEIGHT]".

    Raises:
        InputError: with the form it should have.
    """
    parts = text.split(":")
    form = f"--like takes CATEGORY:KEYWORD[:WEIGHT], category one of {', '.join(get_args(Category))}, got {text!r}"
    if len(parts) not in {2, 3} or parts[0] not in get_args(Category):
        raise InputError(form)
    try:
        return Keyword.model_validate(
            {"category": parts[0], "text": parts[1].strip(), "weight": float(parts[2]) if len(parts) == 3 else 1.0}
        )
    except ValueError as error:
        raise InputError(f"{form}; the weight lies between -2 and 2") from error


def render(
    settings: Settings,
    out: Path,
    *,
    prompt: str,
    background: str = "",
    regions: Sequence[str] = (),
    likes: Sequence[str] = (),
    seed: int = 0,
) -> Painted:
    """Render one picture and write it with its recipe. Every keyword acts through the guidance; none enters the prompt.

    Raises:
        InputError: an argument that cannot be used.
    """
    try:
        recipe = Recipe(
            layout=Layout(
                enriched_prompt=prompt, background_prompt=background, regions=tuple(parse_region(r) for r in regions)
            ),
            taste=TasteCard().merge(parse_like(text) for text in likes),
            empty_background=settings.empty_background,
            place_in_regions=settings.place_in_regions,
            strengths=settings.strengths,
            sampling=settings.sampling,
            seed=seed,
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InputError(f"{first['loc'][-1]}: {first['msg']}, got {first['input']!r}") from error
    painter = load_painter(settings)
    recipe = recipe.model_copy(update={"models": model_files(painter)})
    done = paint(painter, recipe)
    write_png(out, done.image, facts_of(painter, recipe, done.image))
    return done


def facts_of(painter: Painter, recipe: Recipe, image: Image.Image, ancestors: tuple[Recipe, ...] = ()) -> Facts:
    """Return what a picture says about itself."""
    environment = {k: v for k, v in painter.info.items() if k != "weights"}
    return Facts(recipe=recipe, ancestors=ancestors, environment=environment, pixels=pixel_digest(image))


def see(settings: Settings, path: Path) -> TasteCard:
    """Read the taste card of a picture.

    Raises:
        InputError: it is no picture that can be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror}") from error
    limits = {"max_bytes": settings.max_upload_bytes, "max_pixels": settings.max_upload_pixels}
    decoded = decode(path.name, data, side=settings.reference_side, **limits)
    reasoner = load_reasoner(settings)
    block = dict(image_block(decoded.image))
    pack = load_pack(settings.pack)
    return TasteCard().merge(asyncio.run(extract_preferences(reasoner, block, path.name, pack, threading.Event())))


@dataclass(frozen=True)
class Replayed:
    """How a picture painted again compares with its file."""

    image: Image.Image
    equal: bool
    largest: int
    """Largest difference of a channel, of 255."""
    changed: float
    """Share of the pixels that differ."""
    differences: tuple[str, ...] = field(default=())
    """What is not as it was: models, versions, threads, machine."""


def replay(settings: Settings, path: Path) -> Replayed:
    """Paint a picture again from the recipe it carries, its ancestors first.

    Raises:
        InputError: it carries no recipe, or not those of its ancestors.
    """
    image, facts = read_png(path)
    painter = load_painter(settings)
    done = painted_again(painter, facts)
    old, new = (np.asarray(i.convert("RGB"), dtype=np.int16) for i in (image, done.image))
    if old.shape != new.shape:
        raise InputError(f"{path.name!r} is {image.size} pixels, its recipe gives {done.image.size}")
    gap = np.abs(old - new).max(axis=2)
    return Replayed(
        image=done.image,
        equal=not gap.any(),
        largest=int(gap.max()),
        changed=float((gap > 0).mean()),
        differences=tuple(_differences(painter, facts)),
    )


def painted_again(painter: Painter, facts: Facts) -> Painted:
    """Paint a recipe and, before it, every recipe that it edits."""
    chain = [facts.recipe, *facts.ancestors]
    if chain[-1].edit is not None:
        raise InputError("the recipe edits a picture whose own recipe is missing")
    parent: Parent | None = None
    done: Painted | None = None
    for recipe in reversed(chain):
        done = paint(painter, recipe, parent if recipe.edit is not None else None)
        parent = Parent(done.image, done.latents)
    assert done is not None
    return done


def _differences(painter: Painter, facts: Facts) -> list[str]:
    now = facts_of(painter, facts.recipe, Image.new("RGB", (1, 1))).environment
    found = [
        f"{key} was {facts.environment.get(key)!r}, is {value!r}"
        for key, value in now.items()
        if facts.environment.get(key) != value
    ]
    if facts.recipe.models and facts.recipe.models != model_files(painter):
        found.append("the model files are not those it was made with")
    return found
