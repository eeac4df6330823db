"""The messages of the model calls made inside tools: read a taste, plan a layout, answer a yes/no question.

Pure functions. Training the embedded model calls these same functions, so what a model meets is what it learned on.
"""

from typing import Any, Literal, NamedTuple

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from prompts import Pack
from tools.taste import TasteCard
from tools.types import Category, Layout

ImageBlock = dict[str, Any]
"""A LangChain image block: {"type": "image", "base64": ..., "mime_type": "image/png"}."""

CUT = " (cut)"


def one_line(text: str, chars: int) -> str:
    """Return `text` on one line, at most `chars` long, with a note where it was cut."""
    flat = " ".join(text.split())
    return flat if len(flat) <= chars else flat[:chars].rstrip() + CUT


def taste_messages(image: ImageBlock, pack: Pack) -> list[BaseMessage]:
    """Ask for the taste of a picture; the reply is a `TasteRead`."""
    return [HumanMessage([image, {"type": "text", "text": pack.prompt("taste").fill()}])]


def layout_messages(said: str, card: TasteCard, base: Layout | None, pack: Pack) -> list[BaseMessage]:
    """Ask for a layout; the reply is a `LayoutDraft`."""
    prompt = pack.prompt("plan").fill(
        said=one_line(said, pack.said_chars) or "(nothing)",
        taste=one_line(card.phrase, pack.line_chars),
        base=draft_line(base) if base else "none",
    )
    return [HumanMessage(prompt)]


def draft_line(layout: Layout) -> str:
    """Show a layout as the plan prompt does: "a red circle [60,320,420,680]; ..."."""
    parts: list[str] = []
    for region in layout.regions:
        edges = ",".join(str(round(1000 * edge)) for edge in region.box.edges)
        text = region.prompt if region.name in region.prompt else f"{region.name} = {region.prompt}"
        parts.append(f"{text} [{edges}]")
    return "; ".join(parts) or f"no regions; {layout.enriched_prompt}"


def question_messages(image: ImageBlock, question: str) -> list[BaseMessage]:
    """Ask one yes/no question about a picture."""
    return [HumanMessage([image, {"type": "text", "text": question}])]


def repair_messages(messages: list[BaseMessage], reply: str, error: str, pack: Pack) -> list[BaseMessage]:
    """Ask once more after a reply that could not be used."""
    again = pack.prompt("repair").fill(error=one_line(error, pack.line_chars))
    return [*messages, AIMessage(one_line(reply, pack.said_chars) or "(nothing)"), HumanMessage(again)]


class Question(NamedTuple):
    """One yes/no question and the answer that passes."""

    kind: Literal["region", "artistic_style", "atmosphere", "theme", "visual_elements", "dislike"]
    subject: str
    text: str
    hard: bool
    expected: bool
    category: Category | None = None


def questions(layout: Layout, card: TasteCard, pack: Pack) -> list[Question]:
    """Write the questions that a picture of this plan and this taste must pass: subjects first, then the taste card."""
    asked = [
        Question("region", r.phrase, pack.prompt("question_region").fill(what=r.name, where=r.box.place), True, True)
        for r in layout.regions
    ]
    for keyword in card.in_order():
        text = pack.prompt(f"question_{keyword.category}").fill(text=keyword.text)
        if keyword.weight > 0:
            asked.append(Question(keyword.category, keyword.text, text, False, True, keyword.category))
        else:
            asked.append(Question("dislike", keyword.text, text, True, False, keyword.category))
    return asked
