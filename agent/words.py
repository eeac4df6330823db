"""What happens in a conversation, in words that people read on a page (models read `tools/phrases.py`)."""

from typing import Final

from agent.state import State
from tools.recipe import ImageRecord
from tools.taste import TasteCard
from tools.types import CATEGORIES, Critique, Layout

BAR: Final = 20
"""Cells of a progress bar."""
DOING: Final = {
    "extract_preferences": "Read the taste",
    "plan_layout": "Plan the layout",
    "generate_image": "Paint",
    "adjust_taste": "Change the taste",
    "critique": "Check the picture",
    "recall_image": "Go back",
}
"""What a person calls each tool."""
STARTERS: Final = (
    "a red circle on the left and a blue star on the right, by the sea",
    "a gloomy city with a yellow heart in the middle, in watercolor",
    "a serene forest with a sun and a green triangle, as pixel art",
    "what can you draw?",
)
"""First sentences for a person who does not know where to begin."""
WELCOME: Final = "Say what you would like to see, or go on with an earlier conversation:"
UNFINISHED: Final = "Stopped."


def title(state: State, length: int = 48) -> str:
    """Name a conversation by its first words; empty if nothing was said yet."""
    if not state.dialogue:
        return ""
    said = next(
        (line.text for line in state.dialogue if line.role == "person" and line.text), "a picture without words"
    )
    short = " ".join(said.split())
    return short if len(short) <= length else f"{short[: length - 1].rstrip()}…"


def painting(step: int, steps: int) -> str:
    """Say how far a picture is."""
    done = BAR * step // max(1, steps)
    return f"Painting `{'█' * done}{'░' * (BAR - done)}` {step} of {steps}"


def caption(record: ImageRecord) -> str:
    """Name a picture and say where it comes from."""
    facts = [f"seed {record.recipe.seed}"]
    if record.parent:
        facts.append(f"{record.parent} with the rest kept" if record.recipe.edit else f"from {record.parent}")
    facts.append(f"{record.seconds:.1f} s")
    return f"**{record.id}** {record.phrase}\n*{' · '.join(facts)}*"


def planned(layout: Layout, defects: tuple[str, ...] = ()) -> str:
    """List what goes where."""
    lines = [f"- {region.name}: {region.box.place}" for region in layout.regions]
    lines += [f"- behind: {layout.background_prompt}"] if layout.background_prompt else []
    lines += [f"- still wrong: {defect}" for defect in defects]
    return "\n".join(lines) or layout.enriched_prompt


def liked(card: TasteCard) -> str:
    """List the taste card by category."""
    lines: list[str] = []
    for category in CATEGORIES:
        words = [
            f"{k.text}{'' if k.weight == 1 else f' {k.weight:g}'}" if k.weight > 0 else f"no {k.text}"
            for k in card.active
            if k.category == category
        ]
        lines += [f"- {category.replace('_', ' ')}: {', '.join(words)}"] if words else []
    return "\n".join(lines) or "The taste card is empty."


def checked(critique: Critique) -> str:
    """List the checks of a picture with their verdicts."""
    lines = [
        f"- {'✓' if check.passed else '✗'} {check.subject}"
        + ("" if check.confidence is None else f" ({check.confidence:.0%} sure)")
        for check in critique.checks
    ]
    return "\n".join(lines) or "There was nothing to check."


def fault(error: Exception) -> str:
    """Say that the program is broken, not the conversation."""
    return f"A fault in attune: {type(error).__name__}: {error}. What was said and painted before is kept; go on."
