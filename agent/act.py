"""Run one tool call: bind the six tools to the state. What they do is in `tools`; here is what each may change."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from agent import events
from agent.png import Facts, pixel_digest
from agent.run import Run
from agent.state import Call, State
from tools import phrases
from tools.adjust import adjust_taste
from tools.arguments import (
    TOOLS,
    AdjustTaste,
    CritiqueImage,
    ExtractPreferences,
    GenerateImage,
    PlanLayout,
    RecallImage,
)
from tools.errors import ToolError
from tools.judge import critique
from tools.paint import Painter, Parent, paint, seed_after
from tools.plan import plan_layout
from tools.read import extract_preferences
from tools.recipe import Edit, ImageRecord, ModelFile, Recipe
from tools.types import Critique, Layout, changes

NEW = "new"


@dataclass(frozen=True)
class Outcome:
    """What a call came to."""

    result: str
    """In the words the model is shown."""
    state: dict[str, Any] = field(default_factory=dict[str, Any])
    """Fields of the state that changed."""
    turn: dict[str, Any] = field(default_factory=dict[str, Any])
    """Fields of the turn that changed."""


async def perform(state: State, call: Call, run: Run) -> Outcome:
    """Check a call's arguments and run it.

    Raises:
        ToolError: it cannot be done; the message is for the model.
    """
    if call.tool not in TOOLS:
        raise ToolError(f"there is no tool {call.tool!r}, only {', '.join(TOOLS)}")
    try:
        arguments = TOOLS[call.tool].model_validate(call.arguments)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ToolError(f"bad arguments: {where}: {first['msg']}") from error
    match arguments:
        case ExtractPreferences():
            return await _extract(state, arguments, run)
        case PlanLayout():
            return await _plan(state, arguments, run)
        case GenerateImage():
            return await _generate(state, arguments, run)
        case AdjustTaste():
            adjusted = adjust_taste(state.card, arguments, run.settings.limits)
            run.emit(events.TasteChanged(adjusted.card))
            result = phrases.taste_changed(state.card, adjusted.card, adjusted.unknown)
            return Outcome(result, {"card": adjusted.card})
        case CritiqueImage():
            record = known_image(state, arguments.image)
            seen = await judged(record, run)
            return Outcome(phrases.checked(record.id, seen), {"critiques": {**state.critiques, record.id: seen}})
        case RecallImage():
            record = known_image(state, arguments.image)
            return Outcome(phrases.recalled(record.id), {"head": record.id, "layout": record.recipe.layout})
        case _:
            raise AssertionError(f"{call.tool} has no handler")


def known_image(state: State, name: str) -> ImageRecord:
    """Return the picture of that id.

    Raises:
        ToolError: there is none; says which there are.
    """
    record = state.image(name)
    if record is None:
        raise ToolError(phrases.no_image(name, len(state.images)))
    return record


async def judged(record: ImageRecord, run: Run) -> Critique:
    """Check a picture against its own plan and taste."""
    reasoner = await run.models.reasoner()
    block = await asyncio.to_thread(run.store.block, record.path)
    seen = await critique(reasoner, block, record.recipe.layout, record.recipe.taste, run.pack, run.stop)
    run.emit(events.Checked(record.id, seen))
    return seen


async def _extract(state: State, wanted: ExtractPreferences, run: Run) -> Outcome:
    reference = state.reference(wanted.image)
    if reference is not None:
        path = reference.path
    elif wanted.image.startswith("ref"):
        raise ToolError(phrases.no_reference(wanted.image, len(state.references)))
    else:
        path = known_image(state, wanted.image).path
    reasoner = await run.models.reasoner()
    block = await asyncio.to_thread(run.store.block, path)
    found = await extract_preferences(reasoner, block, wanted.image, run.pack, run.stop)
    card = state.card.merge(found, run.settings.limits)
    run.emit(events.TasteChanged(card))
    read = [r.model_copy(update={"read": True}) if r.id == wanted.image else r for r in state.references]
    texts = [k.text for k in found if card.find(k.text) is not None]
    return Outcome(phrases.taste_read(wanted.image, texts), {"card": card, "references": read})


async def _plan(state: State, wanted: PlanLayout, run: Run) -> Outcome:
    base = None if wanted.base == NEW else known_image(state, wanted.base).recipe.layout
    reasoner, painter = await run.models.reasoner(), await run.models.painter()
    planned = await plan_layout(
        reasoner, state.turn.said, state.card, base, run.pack, lambda layout: lint(layout, painter, run), run.stop
    )
    defects = [d.message for d in planned.defects]
    if planned.fallback:
        defects.append("no boxes could be planned; the words alone guide the picture")
    run.emit(events.Planned(planned.layout, tuple(defects)))
    return Outcome(
        phrases.plan_ready(planned.layout, wanted.base, base),
        {"layout": planned.layout},
        {"planned_from": wanted.base},
    )


def lint(layout: Layout, painter: Painter, run: Run) -> list[Any]:
    """Name a layout's defects for the image model at hand."""
    return layout.lint(
        cell=painter.cell / min(run.settings.width, run.settings.height),
        tokens=painter.tokens,
        max_tokens=painter.max_tokens,
        max_regions=run.settings.max_regions,
    )


async def _generate(state: State, wanted: GenerateImage, run: Run) -> Outcome:
    if len(state.turn.made) >= run.settings.max_images:
        raise ToolError(phrases.NO_MORE_IMAGES)
    base = None if wanted.base == NEW else known_image(state, wanted.base)
    painter = await run.models.painter()
    models = await asyncio.to_thread(model_files, painter)
    recipe = fresh(recipe_for(state, wanted, base, run, models), state, base)
    parent = None
    if recipe.edit is not None:
        assert base is not None
        image = await asyncio.to_thread(run.store.open, base.path)
        parent = Parent(image, await asyncio.to_thread(run.store.latents, base.latents_path))

    def on_step(info: Any) -> None:
        run.emit(events.Progress(info.step, info.steps, info.preview))

    done = await asyncio.to_thread(paint, painter, recipe, parent, on_step, run.stop, run.previews)
    info = painter.info
    facts = Facts(
        recipe=recipe,
        ancestors=ancestors(state, base) if recipe.edit else (),
        environment={k: v for k, v in info.items() if k != "weights"},
        pixels=pixel_digest(done.image),
    )
    path, latents = await asyncio.to_thread(run.store.add_picture, done.image, done.latents, facts)
    record = ImageRecord(
        id=f"@{len(state.images) + 1}",
        parent=base.id if base else None,
        recipe=recipe,
        path=path,
        latents_path=latents,
        seconds=round(done.seconds, 3),
        turn=state.turn.number,
    )
    run.emit(events.Painted(record, run.store.path(path), done.report))
    return Outcome(
        phrases.image_made(record.id, wanted.base, wanted.keep),
        {"images": [*state.images, record], "head": record.id, "layout": recipe.layout},
        {"made": (*state.turn.made, record.id), "unchecked": record.id},
    )


def recipe_for(
    state: State, wanted: GenerateImage, base: ImageRecord | None, run: Run, models: tuple[ModelFile, ...]
) -> Recipe:
    """Decide everything about the next picture except for a repeated seed.

    An edit that keeps the rest is painted in its parent's taste and strengths, so that the new part fits the old.

    Raises:
        ToolError: there is no plan, or it changes nothing.
    """
    settings = run.settings
    planned = state.layout if state.turn.planned_from == wanted.base else None
    if base is None:
        if state.layout is None:
            raise ToolError(phrases.NO_PLAN)
        return _recipe(state, run, models, state.layout, seed_after(state.seed, len(state.images) + 1))
    layout = planned or base.recipe.layout
    if not wanted.keep:
        return _recipe(state, run, models, layout, base.recipe.seed)
    change = changes(base.recipe.layout, layout)
    if not change.boxes:
        raise ToolError(phrases.NOTHING_TO_CHANGE)
    boxes = tuple(box.grown(settings.edit_margin) for box in change.boxes)
    edit = Edit(boxes=boxes, strength=settings.edit_strength, feather=settings.feather)
    return base.recipe.model_copy(
        update={"layout": layout, "parent": base.recipe.digest, "edit": edit, "models": models}
    )


def _recipe(state: State, run: Run, models: tuple[ModelFile, ...], layout: Layout, seed: int) -> Recipe:
    used = {k.source for k in state.card.active}
    return Recipe(
        layout=layout,
        taste=state.card,
        in_prompt=run.settings.in_prompt,
        empty_background=run.settings.empty_background,
        place_in_regions=run.settings.place_in_regions,
        strengths=run.settings.strengths,
        sampling=run.settings.sampling,
        seed=seed,
        sources=tuple(r.digest for r in state.references if r.id in used),
        models=models,
    )


def fresh(recipe: Recipe, state: State, base: ImageRecord | None) -> Recipe:
    """Take another seed where this very picture is the base or was made this turn: asked again means otherwise."""
    made = [record for name in state.turn.made if (record := state.image(name)) is not None]
    known = {same_but_seed(r.recipe) for r in made}
    if base is not None and recipe.edit is None:
        known.add(same_but_seed(base.recipe))
    if same_but_seed(recipe) not in known:
        return recipe
    return recipe.model_copy(update={"seed": seed_after(state.seed, len(state.images) + 1)})


def same_but_seed(recipe: Recipe) -> str:
    """Return what two attempts at the same picture share."""
    return recipe.model_copy(update={"seed": 0, "parent": None, "edit": None}).digest


def ancestors(state: State, base: ImageRecord | None) -> tuple[Recipe, ...]:
    """Return the recipes an edit builds on, nearest first."""
    by_digest = {record.recipe.digest: record.recipe for record in state.images}
    chain: list[Recipe] = []
    recipe = base.recipe if base else None
    while recipe is not None:
        chain.append(recipe)
        recipe = by_digest.get(recipe.parent) if recipe.parent else None
    return tuple(chain)


def model_files(painter: Painter) -> tuple[ModelFile, ...]:
    """Return the weights of the image model, by content; the first call reads them all."""
    return tuple(ModelFile(name=name, sha256=digest) for name, digest in sorted(painter.info["weights"].items()))
