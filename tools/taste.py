"""The taste card: what a person likes and dislikes, in four categories, with pure editing operations."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from pydantic import Field

from tools.types import CATEGORIES, Category, Value, Weight

USER: Final = "user"
"""The source of a keyword that the person named; any other source is an image id."""


class Keyword(Value):
    """One preference."""

    text: str = Field(min_length=1, max_length=60, description="One to three words.")
    category: Category
    weight: Weight = 1.0
    source: str = Field(default=USER, max_length=80, description='Image id, or "user".')
    enabled: bool = True

    @property
    def key(self) -> str:
        """What decides that two keywords are the same."""
        return self.text.casefold().strip()


class TasteCard(Value):
    """Keywords, oldest first, and what the person has rejected. Every operation returns a new card."""

    keywords: tuple[Keyword, ...] = Field(default=(), max_length=64)
    rejected: tuple[str, ...] = Field(default=(), max_length=256, description="Never added again by a picture.")

    @property
    def active(self) -> tuple[Keyword, ...]:
        """The keywords that act on pictures."""
        return tuple(k for k in self.keywords if k.enabled and k.weight != 0.0)

    @property
    def likes(self) -> tuple[Keyword, ...]:
        return tuple(k for k in self.active if k.weight > 0)

    @property
    def dislikes(self) -> tuple[Keyword, ...]:
        return tuple(k for k in self.active if k.weight < 0)

    def find(self, text: str) -> Keyword | None:
        """Return the keyword of that text, whatever its case."""
        return next((k for k in self.keywords if k.key == text.casefold().strip()), None)

    def add(self, keyword: Keyword, limits: Mapping[Category, int] | None = None) -> "TasteCard":
        """Add or replace a keyword; a category over its limit loses its oldest like.

        The person's own word lifts an earlier rejection; a picture's does not.
        """
        if keyword.source == USER:
            rejected = tuple(r for r in self.rejected if r != keyword.key)
        elif keyword.key in self.rejected:
            return self
        else:
            rejected = self.rejected
            known = self.find(keyword.text)
            if known is not None and known.weight < 0:
                return self  # a picture cannot overrule a dislike
        kept = [k for k in self.keywords if k.key != keyword.key]
        limit = (limits or {}).get(keyword.category)
        if limit is not None and keyword.weight > 0:
            rivals = [k for k in kept if k.category == keyword.category and k.weight > 0]
            gone = {k.key for k in rivals[: max(0, len(rivals) + 1 - limit)]}
            kept = [k for k in kept if k.key not in gone]
        return TasteCard(keywords=(*kept, keyword), rejected=rejected)

    def drop(self, text: str) -> "TasteCard":
        """Remove a keyword for good: pictures no longer bring it back."""
        key = text.casefold().strip()
        rejected = self.rejected if key in self.rejected else (*self.rejected, key)
        return TasteCard(keywords=tuple(k for k in self.keywords if k.key != key), rejected=rejected)

    def weigh(self, text: str, weight: float) -> "TasteCard":
        """Change one weight; an unknown text changes nothing."""
        return self._each(text, lambda k: k.model_copy(update={"weight": max(-2.0, min(2.0, weight))}))

    def toggle(self, text: str) -> "TasteCard":
        """Switch one keyword off or on."""
        return self._each(text, lambda k: k.model_copy(update={"enabled": not k.enabled}))

    def merge(self, keywords: Iterable[Keyword], limits: Mapping[Category, int] | None = None) -> "TasteCard":
        """Add several in order."""
        card = self
        for keyword in keywords:
            card = card.add(keyword, limits)
        return card

    def _each(self, text: str, change: Callable[[Keyword], Keyword]) -> "TasteCard":
        key = text.casefold().strip()
        return self.model_copy(update={"keywords": tuple(change(k) if k.key == key else k for k in self.keywords)})

    def in_order(self) -> tuple[Keyword, ...]:
        """The active keywords by category, as every prompt lists them."""
        return tuple(k for c in CATEGORIES for k in self.active if k.category == c)

    @property
    def phrase(self) -> str:
        """One line for digests: "gloomy 1.0, halftone 0.8; no: sun", or "none"."""
        ordered = self.in_order()
        likes = ", ".join(f"{k.text} {k.weight:.1f}" for k in ordered if k.weight > 0)
        dislikes = ", ".join(k.text for k in ordered if k.weight < 0)
        return "; ".join(part for part in (likes, dislikes and f"no: {dislikes}") if part) or "none"
