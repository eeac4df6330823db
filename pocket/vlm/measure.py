"""The pocket Qwen-VL measured as the program uses it: the chat model, the agent's prompts, constrained decoding.

Held-out pictures, wordings that were never trained on, and for the critic pictures that the pocket SDXL painted.
"""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from agent.context import reason_messages
from pocket.vlm.albums import painted, read_truth
from pocket.vlm.decisions import some_chat
from pocket.vlm.layouts import Item, layout_of
from pocket.vlm.requests import edit, new_picture, some_base
from pocket.vlm.sights import SURE, Truth, asked_for, truth_of
from pocket.vlm.talk import some_intent
from pocket.vlm.tastes import some_card
from pocket.vlm.words import CATEGORY_OF, Speaker, chance, pick
from pocket.world.render import render
from pocket.world.scene import generator, sample_scene
from pocket.world.vocabulary import CATEGORIES, COLOURS, PLACES, SHAPES, VALUES
from prompts import load_pack
from tools import plan
from tools.arguments import LayoutDraft, TasteRead
from tools.asks import Question, layout_messages, question_messages, questions, taste_messages
from tools.errors import ToolError
from tools.reasoner import Reasoner
from tools.taste import Keyword, TasteCard
from tools.types import CATEGORIES as CARD_CATEGORIES
from tools.types import Category, Layout

WEIGHTS: Final = Path(__file__).parents[1] / "weights"
SIZES: Final = {"taste": 300, "layout": 200, "decision": 400, "critique": 100}
"""Pictures, requests, decisions and painted pictures of a full measurement."""
PAINT_STEPS: Final = 20

Counts = dict[str, tuple[int, int]]


@dataclass
class Tally:
    """Right answers and questions asked, by key, and what went wrong."""

    right: dict[str, int] = field(default_factory=dict[str, int])
    asked: dict[str, int] = field(default_factory=dict[str, int])
    wrong: list[str] = field(default_factory=list[str])

    def add(self, key: str, right: bool, note: str = "") -> None:
        """Count one answer."""
        self.right[key] = self.right.get(key, 0) + right
        self.asked[key] = self.asked.get(key, 0) + 1
        if not right and note:
            self.wrong.append(f"{key}: {note}")

    @property
    def counts(self) -> Counts:
        return {key: (self.right[key], self.asked[key]) for key in self.asked}


def measure(
    limit: int | None = None,
    folder: Path = WEIGHTS / "vlm",
    painter: Path = WEIGHTS / "sdxl",
    only: tuple[str, ...] = tuple(SIZES),
    log: Callable[[str], None] | None = None,
) -> Counts:
    """Return (right, asked) for each gate; of `hallucinated`, (untrue keywords, keywords named).

    Args:
        limit: at most this many pictures, requests or decisions a part.
        folder: the model.
        painter: a pocket SDXL for the pictures that are judged; without one `critique` is (0, 0).
        only: the parts to measure.
        log: told every wrong answer.
    """
    from vlm import load_chat_model

    reasoner = Reasoner(load_chat_model(folder=folder))
    tally = Tally()
    parts = {"taste": _taste, "layout": _layout, "decision": _decision}
    for part in only:
        count = min(SIZES[part], limit or SIZES[part])
        if part == "critique":
            if not (painter / "model_index.json").exists():
                tally.right[part] = tally.asked[part] = 0
                continue
            pictures = painted(painter, count, split="test", seed=31, steps=PAINT_STEPS, threads=0)
            asyncio.run(_critique(reasoner, pictures, tally))
        else:
            asyncio.run(parts[part](reasoner, count, tally))
    for line in tally.wrong if log else []:
        log(line)  # pyright: ignore[reportOptionalCall]
    return tally.counts


def block(pixels: np.ndarray) -> dict[str, Any]:
    """Return a picture as the program hands it to the model."""
    import base64
    import io

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return {"type": "image", "base64": base64.b64encode(file.getvalue()).decode(), "mime_type": "image/png"}


async def _taste(reasoner: Reasoner, count: int, tally: Tally) -> None:
    """Read the taste of held-out renders."""
    pack, stop = load_pack("pocket"), threading.Event()
    for seed in range(count):
        scene = sample_scene(generator("test", 50_000 + seed), allow_held_out=True)
        truth = truth_of(scene)
        read = await reasoner.structured(taste_messages(block(render(scene)), pack), TasteRead, stop)
        for category in CATEGORIES:
            said, real = set(getattr(read, category)), set(truth.looks[category])
            tally.add(category, said == real, f"{sorted(said)} for {sorted(real)}")
            for word in said:
                tally.add("hallucinated", word not in real)


async def _layout(reasoner: Reasoner, count: int, tally: Tally) -> None:
    """Plan new pictures and changes whose words name places; each such subject must have its box there."""
    pack, stop = load_pack("pocket"), threading.Event()
    speaker = Speaker(np.random.default_rng([2, 50_000]), "test")
    for _ in range(count):
        while True:
            base = some_base(speaker) if chance(speaker.rng, 0.35) else ()
            request = edit(speaker, base) if base else new_picture(speaker)
            said = speaker.typed(request.said)
            wanted = [i for i in request.result if i.named]
            if wanted and len(said) <= pack.said_chars:
                break
        messages = layout_messages(said, some_card(speaker), layout_of(base) if base else None, pack)
        try:
            found = plan.layout_of(await reasoner.structured(messages, LayoutDraft, stop))
        except ToolError:
            found = Layout(enriched_prompt="")
        left = [(r.name, r.box.place) for r in found.regions]
        for item in wanted:
            good = (item.name, item.place) in left
            if good:
                left.remove((item.name, item.place))
            tally.add("layout", good, f"{said!r} wants {item.name} {item.place}, planned {left}")


async def _decision(reasoner: Reasoner, count: int, tally: Tally) -> None:
    """Decide: half first steps of a turn, half any. Right is the right call with the right arguments, or an answer."""
    pack, stop = load_pack("pocket"), threading.Event()
    speaker = Speaker(np.random.default_rng([2, 60_000]), "test")
    for n in range(count):
        decisions = list(some_intent(some_chat(speaker)))
        decision = decisions[0] if n % 2 == 0 else decisions[int(speaker.rng.integers(len(decisions)))]
        try:
            reply = await reasoner.decide(reason_messages(decision.state, pack), stop, lambda *_: None)
        except ToolError as error:
            tally.add("decision", False, f"{decision.state.turn.said!r}: {error}")
            continue
        call = reply.tool_calls[0] if reply.tool_calls else None
        got = (call["name"], call["args"]) if call else ("", {})
        good = got == (decision.tool, decision.arguments)
        said = decision.state.turn.said
        wanted = f"{decision.tool} {decision.arguments}" if decision.tool else decision.answer
        tally.add("decision", good, f"{said!r} wants {wanted}, got {got if call else reply.text}")
        if not decision.tool and good:
            tally.add("answer_words", reply.text == decision.answer, f"{said!r} wants {wanted}, got {reply.text}")


async def _critique(reasoner: Reasoner, pictures: list[np.ndarray], tally: Tally) -> None:
    """Judge painted pictures by the agent's questions: half for what is there, half for what might have been."""
    stop = threading.Event()
    rng = np.random.default_rng([2, 70_000])
    for pixels in pictures:
        truth = read_truth(pixels)
        image = block(pixels)
        for question in [*asked_of(rng, truth, altered=False), *asked_of(rng, truth, altered=True)]:
            real = answer(truth, question)
            if real is None:
                continue
            share = await reasoner.yes(question_messages(image, question.text), stop)
            tally.add("critique", (share >= 0.5) == real, f"{question.text} is {real}, said {share:.2f}")
            tally.add(f"critique_{question.kind}_{'yes' if real else 'no'}", (share >= 0.5) == real)


def asked_of(rng: np.random.Generator, truth: Truth, *, altered: bool) -> list[Question]:
    """Return the agent's questions for a plan and a taste that the picture fits, or that differ in one thing each."""
    items: list[Item] = []
    for thing in [t for t in truth.things if t.shape in SHAPES and t.colour in COLOURS][:4]:
        shape, colour = thing.shape, thing.colour
        x, y = (thing.box[0] + thing.box[2]) / 2, (thing.box[1] + thing.box[3]) / 2
        place = PLACES[3 * min(2, int(3 * y)) + min(2, int(3 * x))]
        if altered:
            kind = int(rng.integers(3))
            shape = pick(rng, SHAPES) if kind == 0 else shape
            colour = pick(rng, COLOURS) if kind == 1 else colour
            place = pick(rng, PLACES) if kind == 2 else place
        row, column = divmod(PLACES.index(place), 3)
        middle = (column * 333 + 167, row * 333 + 167)
        items.append(
            Item(shape, colour, place=place, edges=(middle[0] - 100, middle[1] - 100, middle[0] + 100, middle[1] + 100))
        )
    card = TasteCard()
    for category in CARD_CATEGORIES:
        values = [pick(rng, VALUES[category])] if altered else truth.looks[category]
        for value in values:
            card = card.add(Keyword(text=value, category=_category(value)))
    absent = [e for e in VALUES["visual_elements"] if card.find(e) is None]
    card = card.add(Keyword(text=pick(rng, absent), category="visual_elements", weight=-1.0))
    return questions(layout_of(items), card, load_pack("pocket"))


def _category(value: str) -> Category:
    found = CATEGORY_OF[value]
    return next(c for c in CARD_CATEGORIES if c == found)


def answer(truth: Truth, question: Question) -> bool | None:
    """Return what the detectors say to a question; None where they cannot tell or the place is on the line."""
    if question.kind == "region":
        name, place = next(
            (question.subject.removesuffix(f" {p}"), p)
            for p in sorted(PLACES, key=len, reverse=True)
            if question.subject.endswith(f" {p}")
        )
        sure, maybe = asked_for(truth, name, place, -SURE / 2), asked_for(truth, name, place, SURE / 2)
        doubtful = any(t.shape not in SHAPES for t in truth.things)
        return None if sure != maybe or (doubtful and not sure) else sure
    category = question.category or question.kind
    has = truth.looks[category]
    if not has and category != "visual_elements":
        return None
    return question.subject in has
