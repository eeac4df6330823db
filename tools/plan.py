"""`plan_layout`: turn the person's words into subjects in boxes, with one repair turn and a stated fallback.

Models speak of boxes in thousandths of the canvas; fractions everywhere else. This is the one place that translates.
"""

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from pydantic import ValidationError

from prompts import Pack
from tools.arguments import LayoutDraft
from tools.asks import layout_messages, repair_messages
from tools.errors import ToolError
from tools.reasoner import MalformedError, Reasoner
from tools.taste import TasteCard
from tools.types import Box, Defect, Layout, Region

THOUSAND = 1000


class Planned(NamedTuple):
    """A layout, and what is still wrong with it."""

    layout: Layout
    defects: Sequence[Defect]
    fallback: bool
    """No boxes could be had: the words alone guide the picture."""


def layout_of(draft: LayoutDraft) -> Layout:
    """Translate a draft.

    Raises:
        ToolError: a box is not a rectangle.
    """
    regions: list[Region] = []
    for part in draft.regions:
        try:
            left, top, right, bottom = (edge / THOUSAND for edge in part.box)
            box = Box(left=left, top=top, right=right, bottom=bottom)
        except ValidationError as error:
            raise ToolError(f"the box of {part.name!r} must have left < right and top < bottom: {part.box}") from error
        regions.append(Region(name=part.name, prompt=part.prompt, box=box))
    return Layout(enriched_prompt=draft.prompt, background_prompt=draft.background, regions=tuple(regions))


async def plan_layout(
    reasoner: Reasoner,
    said: str,
    card: TasteCard,
    base: Layout | None,
    pack: Pack,
    lint: Callable[[Layout], list[Defect]],
    stop: threading.Event,
) -> Planned:
    """Ask for a layout; a defective one gets one repair turn, and the better of the two is kept.

    Args:
        reasoner: the model.
        said: the person's words of this turn.
        card: their taste.
        base: the layout to start from, or None for a new picture.
        pack: the words of the question.
        lint: names the defects of a layout for the image model at hand.
        stop: ends the reply once set.

    Raises:
        ToolError: a change of a picture could not be planned; a new picture falls back to the words alone instead.
    """
    messages = layout_messages(said, card, base, pack)
    best: Planned | None = None
    for _ in range(2):
        raw = ""
        try:
            draft = await reasoner.structured(messages, LayoutDraft, stop, repair=False)
            raw = draft.model_dump_json()
            layout = layout_of(draft)
        except MalformedError as error:
            messages = repair_messages(messages, error.raw, str(error), pack)
            continue
        except ToolError as error:
            messages = repair_messages(messages, raw, str(error), pack)
            continue
        defects = lint(layout)
        if best is None or len(defects) < len(best.defects):
            best = Planned(layout, defects, fallback=False)
        if not defects:
            break
        messages = repair_messages(messages, raw, "; ".join(d.message for d in defects), pack)
    if best is not None:
        return best
    if base is not None:
        raise ToolError("the change could not be planned; ask for it in other words")
    return Planned(Layout(enriched_prompt=said[:2000]), [], fallback=True)
