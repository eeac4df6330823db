"""What the six tools are called with. Small on purpose: a model of a few million parameters must be able to say it.

The person's words of this turn reach the tools from the state, never through arguments. The docstrings are shown to the
model. Every field is required and comes in this order, so that constrained decoding has one shape a tool.
"""

from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from tools.types import Category, Weight

AnyImage = Annotated[
    str,
    Field(pattern=r"^(ref|@)[1-9][0-9]{0,3}$", description='An attached picture ("ref1") or one that was made ("@3").'),
]
Made = Annotated[str, Field(pattern=r"^@[1-9][0-9]{0,3}$", description='A picture that was made, like "@3".')]
Base = Annotated[
    str, Field(pattern=r"^(new|@[1-9][0-9]{0,3})$", description='"new", or the picture to start from, like "@3".')
]
Text = Annotated[str, Field(min_length=1, max_length=40, description="One to three words.")]


class Arguments(BaseModel):
    """What all argument types share."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ExtractPreferences(Arguments):
    """Read the taste (style, atmosphere, theme, visual elements) of a picture and merge it into the taste card."""

    image: AnyImage


class PlanLayout(Arguments):
    """Plan subjects and their places from what the person said this turn, anew or starting from a picture's plan."""

    base: Base


class GenerateImage(Arguments):
    """Paint the current plan in the current taste."""

    base: Base
    keep: bool = Field(
        description="true: repaint only what the plan changed and keep every other pixel. false: paint the whole "
        "(from the base's seed, so that a change of taste keeps the composition)."
    )


class NewKeyword(Arguments):
    """A preference to add; a negative weight is a dislike."""

    text: Text
    category: Category
    weight: Weight


class NewWeight(Arguments):
    """A keyword of the card and its new weight."""

    text: Text
    weight: Weight


class AdjustTaste(Arguments):
    """Change the taste card as the person asked: add keywords, drop keywords, change weights."""

    add: list[NewKeyword] = Field(max_length=6)
    drop: list[Text] = Field(max_length=6)
    weigh: list[NewWeight] = Field(max_length=6)


class CritiqueImage(Arguments):
    """Check an earlier picture against its plan and the taste card. New pictures are checked without being asked."""

    image: Made


class RecallImage(Arguments):
    """Go back: make an earlier picture the current one."""

    image: Made


TOOLS: Final[dict[str, type[Arguments]]] = {
    "extract_preferences": ExtractPreferences,
    "plan_layout": PlanLayout,
    "generate_image": GenerateImage,
    "adjust_taste": AdjustTaste,
    "critique": CritiqueImage,
    "recall_image": RecallImage,
}
"""Every tool by the name the model calls it."""


def tool_specs() -> list[dict[str, Any]]:
    """Return the tools as OpenAI function specifications, in a fixed order: what models are bound to."""
    return [
        {
            "type": "function",
            "function": {"name": name, "description": kind.__doc__ or "", "parameters": kind.model_json_schema()},
        }
        for name, kind in TOOLS.items()
    ]


class TasteRead(Arguments):
    """What `extract_preferences` asks the model for: keywords seen in one picture, strongest first."""

    artistic_style: list[Text] = Field(max_length=3)
    atmosphere: list[Text] = Field(max_length=3)
    theme: list[Text] = Field(max_length=3)
    visual_elements: list[Text] = Field(max_length=4)


Coordinate = Annotated[int, Field(ge=0, le=1000)]


class RegionDraft(Arguments):
    """One subject of a drafted layout; the box is left, top, right, bottom in thousandths of the canvas."""

    name: Annotated[str, Field(min_length=1, max_length=40)]
    prompt: Annotated[str, Field(min_length=1, max_length=200)]
    box: Annotated[list[Coordinate], Field(min_length=4, max_length=4)]


class LayoutDraft(Arguments):
    """What `plan_layout` asks the model for."""

    regions: list[RegionDraft] = Field(max_length=8)
    background: str = Field(max_length=300)
    prompt: str = Field(max_length=600)
