"""What the tools report, in the words the reasoning model is shown; one function a fact, which training uses too."""

from collections.abc import Iterable

from tools.taste import TasteCard
from tools.types import Critique, Layout, changes


def taste_read(name: str, texts: Iterable[str]) -> str:
    """An attachment was read: "ref1 read: halftone, gloomy"."""
    return f"{name} read: {', '.join(texts) or 'nothing found'}"


def taste_changed(before: TasteCard, after: TasteCard, unknown: Iterable[str] = ()) -> str:
    """The card was changed: "taste changed: +gloomy, no sun, -halftone, city 0.5"."""
    parts: list[str] = []
    for keyword in after.keywords:
        old = before.find(keyword.text)
        if old is None or (old.weight < 0) != (keyword.weight < 0):
            parts.append(f"{'+' if keyword.weight > 0 else 'no '}{keyword.text}")
        elif old.weight != keyword.weight:
            parts.append(f"{keyword.text} {keyword.weight:.1f}")
    parts += [f"-{k.text}" for k in before.keywords if after.find(k.text) is None]
    missing = ", ".join(unknown)
    text = f"taste changed: {', '.join(parts)}" if parts else "taste unchanged"
    return f"{text}; not on the card: {missing}" if missing else text


def plan_ready(layout: Layout, base: str, old: Layout | None) -> str:
    """A plan was made: "plan ready: red circle left", or "plan ready from @2: change blue circle"."""
    if old is None:
        return f"plan ready: {layout.phrase}"
    return f"plan ready from {base}: {changes(old, layout).phrase}"


def image_made(name: str, base: str, keep: bool) -> str:
    """A picture was painted: "image @3 from new", or "image @3 from @2, rest kept"."""
    return f"image {name} from {base}{', rest kept' if keep else ''}"


def checked(name: str, critique: Critique, tries_left: int | None = None, best: str = "") -> str:
    """A picture was checked: "check @3: passed; weak: gloomy", or "check @3 (1 try left): missing blue square right".

    Args:
        name: the picture.
        critique: what was seen.
        tries_left: how many more pictures this turn may paint; None for an earlier picture.
        best: the best picture of this turn where it is another one.
    """
    if not critique.missing:
        text = f"check {name}: passed"
    else:
        tries = {0: "no try left", 1: "1 try left"}.get(tries_left or 0, f"{tries_left} tries left")
        left = "" if tries_left is None else f" ({tries})"
        text = f"check {name}{left}: missing {', '.join(critique.missing)}"
    if critique.weak:
        text += f"; weak: {', '.join(critique.weak)}"
    return f"{text}; best {best}" if best and best != name else text


def recalled(name: str) -> str:
    """An earlier picture is the current one again."""
    return f"{name} is the head now"


def no_image(name: str, count: int) -> str:
    """There is no such picture: "there is no @9, only @1 to @3"."""
    known = "no picture yet" if count == 0 else "only @1" if count == 1 else f"only @1 to @{count}"
    return f"there is no {name}, {known}"


def no_reference(name: str, count: int) -> str:
    """There is no such attachment: "there is no ref2, only ref1"."""
    known = "nothing attached" if count == 0 else "only ref1" if count == 1 else f"only ref1 to ref{count}"
    return f"there is no {name}, {known}"


NO_PLAN = "no plan yet, plan_layout first"
NOTHING_TO_CHANGE = "the plan changes nothing, keep false paints all"
NO_MORE_IMAGES = "no more images this turn, answer now"
