"""The values that tools, state and pictures speak in: frozen, bounded, and free of any model.

Boxes are fractions of the picture here. Models are asked for 0-1000 of the canvas; `tools/plan.py` translates.
"""

from collections.abc import Callable
from typing import Annotated, Final, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Category = Literal["artistic_style", "atmosphere", "theme", "visual_elements"]
CATEGORIES: Final[tuple[Category, ...]] = ("artistic_style", "atmosphere", "theme", "visual_elements")
"""The four categories of a preference, in the order in which cards and prompts list them."""

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Weight = Annotated[float, Field(ge=-2.0, le=2.0, description="Strength from -2 to 2; below 0 is a dislike.")]
ImageId = Annotated[str, Field(pattern=r"^@[1-9][0-9]{0,3}$", description='A picture of the conversation, like "@3".')]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{12,64}$", description="Leading hex digits of a SHA-256.")]

ROWS: Final = ("top", "", "bottom")
COLUMNS: Final = ("left", "", "right")


class Value(BaseModel):
    """What all values share: frozen, and no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def at(place: str) -> str:
    """Return a place as a prompt says it: "in the middle", "at the top left"."""
    return "in the middle" if place == "middle" else f"at the {place}"


class Box(Value):
    """A rectangle of the picture, in fractions of its width and height."""

    left: Fraction
    top: Fraction
    right: Fraction
    bottom: Fraction

    @model_validator(mode="after")
    def _is_a_rectangle(self) -> Self:
        if not (self.left < self.right and self.top < self.bottom):
            raise ValueError(f"box must have left < right and top < bottom, got {self.edges}")
        return self

    @property
    def edges(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        return (self.left, self.top, self.right, self.bottom)

    @property
    def place(self) -> str:
        """The third of the canvas that holds the centre, in words: "top left", "middle", "bottom"."""
        column = min(2, int(3 * (self.left + self.right) / 2))
        row = min(2, int(3 * (self.top + self.bottom) / 2))
        return f"{ROWS[row]} {COLUMNS[column]}".strip() or "middle"

    def overlap(self, other: "Box") -> float:
        """Return intersection over union."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        shared = max(0.0, width) * max(0.0, height)
        return shared / (self.area + other.area - shared)

    def grown(self, margin: float) -> "Box":
        """Return the box with `margin` more of the canvas on every side, cut at its edges."""
        return Box(
            left=max(0.0, self.left - margin),
            top=max(0.0, self.top - margin),
            right=min(1.0, self.right + margin),
            bottom=min(1.0, self.bottom + margin),
        )

    @property
    def area(self) -> float:
        return (self.right - self.left) * (self.bottom - self.top)


class Region(Value):
    """One subject of the picture and where it goes."""

    name: str = Field(min_length=1, max_length=60, description="Two or three words that name the subject.")
    prompt: str = Field(min_length=1, max_length=300, description="What the image model is told for this box.")
    box: Box
    seed: int | None = Field(default=None, ge=0, lt=2**32, description="Own noise for this box; else the canvas's.")
    locked: bool = Field(default=False, description="The person wants this one left alone.")

    @property
    def phrase(self) -> str:
        """Name and place, as digests show it: "red circle left"."""
        return f"{self.name} {self.box.place}"


class Defect(NamedTuple):
    """One thing wrong with a layout."""

    kind: Literal["overlap", "small", "missing", "long", "many"]
    subject: str
    message: str


class Layout(Value):
    """What is to be seen and where. Later regions lie behind earlier ones."""

    enriched_prompt: str = Field(max_length=2000, description="The whole picture in words; no style, no mood.")
    background_prompt: str = Field(default="", max_length=1000, description="What lies behind the subjects.")
    regions: tuple[Region, ...] = Field(default=(), max_length=16)

    @property
    def phrase(self) -> str:
        """One line for digests: the subjects with their places."""
        return ", ".join(r.phrase for r in self.regions) or self.enriched_prompt[:60] or "nothing"

    def lint(
        self, *, cell: float, tokens: Callable[[str], int], max_tokens: int, max_regions: int, overlap: float = 0.3
    ) -> list[Defect]:
        """Name every defect; an empty list is a clean layout.

        Args:
            cell: side of the coarsest attention cell, as a fraction of the picture.
            tokens: counts the tokens of a text as the image model's encoder will.
            max_tokens: how many of them the encoder reads.
            max_regions: the region cap of the profile.
            overlap: intersection over union above which two boxes fight.
        """
        found: list[Defect] = []
        if len(self.regions) > max_regions:
            found.append(Defect("many", "", f"{len(self.regions)} regions, at most {max_regions} are drawn well"))
        for i, region in enumerate(self.regions):
            width, height = region.box.right - region.box.left, region.box.bottom - region.box.top
            if min(width, height) < cell:
                found.append(Defect("small", region.name, f"{region.name!r} is smaller than an attention cell"))
            if region.name.split()[-1].casefold() not in self.enriched_prompt.casefold():
                found.append(Defect("missing", region.name, f"{region.name!r} is not in the enriched prompt"))
            found += [
                Defect("overlap", other.name, f"{region.name!r} and {other.name!r} overlap")
                for other in self.regions[i + 1 :]
                if region.box.overlap(other.box) > overlap
            ]
        texts = [("the whole", self.enriched_prompt), ("the background", self.background_prompt)]
        for name, text in [*texts, *((r.name, r.prompt) for r in self.regions)]:
            if (n := tokens(text)) > max_tokens:
                found.append(Defect("long", name, f"{name!r} has {n} tokens, {max_tokens} are read"))
        return found


class Change(NamedTuple):
    """What an edit changes: the regions that are new or altered, and those that went."""

    added: tuple[Region, ...]
    removed: tuple[Region, ...]

    @property
    def boxes(self) -> tuple[Box, ...]:
        """Old and new places; their union is what may be repainted."""
        return tuple(r.box for r in (*self.removed, *self.added))

    @property
    def phrase(self) -> str:
        """In words: "change blue circle, remove red star"."""
        gone = [r for r in self.removed if not any(r.box.overlap(a.box) > 0.0 for a in self.added)]
        words = [f"change {r.name}" for r in self.added] + [f"remove {r.name}" for r in gone]
        return ", ".join(words) or "no change"


def changes(old: Layout, new: Layout, same: float = 0.9) -> Change:
    """Compare two layouts region by region; equal prompts in nearly the same box are the same region.

    Args:
        old: the layout of the picture that is edited.
        new: the plan.
        same: intersection over union from which a box counts as unmoved.
    """
    left = list(old.regions)
    added: list[Region] = []
    for region in new.regions:
        twin = next((o for o in left if o.prompt == region.prompt and o.box.overlap(region.box) >= same), None)
        if twin is None:
            added.append(region)
        else:
            left.remove(twin)
    return Change(tuple(added), tuple(left))


class Check(Value):
    """One yes/no question about a picture and its answer."""

    kind: Literal["region", "artistic_style", "atmosphere", "theme", "visual_elements", "dislike"]
    subject: str
    question: str
    hard: bool = Field(description="A hard check gates: a failed one means that the picture is not what was asked for.")
    passed: bool
    confidence: float | None = Field(default=None, ge=0.0, le=1.0, description="Probability given to the verdict.")
    evidence_box: Box | None = None


class Critique(Value):
    """What was seen in a picture; never one averaged score that would hide a missing subject."""

    checks: tuple[Check, ...] = ()
    best_advice: str = Field(default="", max_length=300, description="The one change that would help most.")

    @property
    def missing(self) -> tuple[str, ...]:
        """Subjects of the hard checks that failed."""
        return tuple(c.subject for c in self.checks if c.hard and not c.passed)

    @property
    def weak(self) -> tuple[str, ...]:
        """Subjects of the soft checks that failed."""
        return tuple(c.subject for c in self.checks if not c.hard and not c.passed)

    @property
    def rank(self) -> tuple[int, int]:
        """What "better" means: fewer hard failures, then fewer soft ones. Larger is better."""
        return (-len(self.missing), -len(self.weak))
