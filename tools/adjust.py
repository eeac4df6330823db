"""`adjust_taste`: apply what the person asked for to the taste card. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from tools.arguments import AdjustTaste
from tools.taste import Keyword, TasteCard
from tools.types import Category


class Adjusted(NamedTuple):
    """The new card, and the texts that were not on the old one."""

    card: TasteCard
    unknown: tuple[str, ...]


def adjust_taste(card: TasteCard, wanted: AdjustTaste, limits: Mapping[Category, int]) -> Adjusted:
    """Drop, then weigh, then add, so that an added keyword finds its place free."""
    unknown = [t for t in wanted.drop if card.find(t) is None]
    unknown += [w.text for w in wanted.weigh if card.find(w.text) is None]
    for text in wanted.drop:
        card = card.drop(text)
    for change in wanted.weigh:
        card = card.weigh(change.text, change.weight)
    for new in wanted.add:
        card = card.add(Keyword(text=new.text.strip(), category=new.category, weight=new.weight), limits)
    return Adjusted(card, tuple(unknown))
