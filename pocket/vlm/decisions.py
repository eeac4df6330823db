"""The agent's decisions as training data: conversations played forward with the agent's own values and context.

Each intent is a generator of `Decision`s: the state the model is shown, and the thought and reply it should give. The
teacher knows what the person meant because it chose the words; nothing of it runs in the program.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from agent.state import Reference, State, Step, Turn
from pocket.vlm.layouts import Item, layout_of
from pocket.vlm.requests import some_base
from pocket.vlm.tastes import some_card
from pocket.vlm.words import Speaker, chance, pick
from tools import phrases
from tools.recipe import ImageRecord, Recipe
from tools.taste import TasteCard
from tools.types import Check, Critique, changes

Arguments = dict[str, Any]


@dataclass(frozen=True)
class Decision:
    """One context and the right reply to it: either an answer or one call."""

    state: State
    thought: str
    answer: str = ""
    tool: str = ""
    arguments: Arguments = field(default_factory=dict[str, Any])

    @property
    def reply(self) -> str:
        """The reply as `vlm.messages.reply_text` spells it."""
        call = {"name": self.tool, "arguments": self.arguments}
        body = f"<tool_call>\n{json.dumps(call, ensure_ascii=False)}\n</tool_call>" if self.tool else self.answer
        return f"<think>\n{self.thought}\n</think>\n\n{body}"


@dataclass
class Chat:
    """A conversation in the making: what the person is about to answer to, and what this turn has done."""

    speaker: Speaker
    card: TasteCard = field(default_factory=TasteCard)
    plans: list[tuple[Item, ...]] = field(default_factory=list[tuple[Item, ...]])
    images: list[ImageRecord] = field(default_factory=list[ImageRecord])
    head: int = 0
    """Number of the current picture; 0 without one."""
    references: list[bool] = field(default_factory=list[bool])
    """Of each attachment, whether it was read."""
    said: str = ""
    steps: list[Step] = field(default_factory=list[Step])
    painted: int = 0
    """Pictures made in this turn."""

    @property
    def rng(self) -> np.random.Generator:
        return self.speaker.rng

    @property
    def state(self) -> State:
        """The state as the agent would hold it now."""
        refs = tuple(
            Reference(id=f"ref{n}", digest="0" * 16, path="p", name="x", turn=1, read=read)
            for n, read in enumerate(self.references, 1)
        )
        return State(
            card=self.card,
            images=tuple(self.images),
            head=f"@{self.head}" if self.head else "",
            references=refs,
            turn=Turn(number=99, said=self.said, steps=tuple(self.steps)),
        )

    @property
    def at_head(self) -> str:
        return f"@{self.head}"

    def subjects(self, number: int) -> str:
        """What a picture shows, as the digest says it."""
        return self.images[number - 1].recipe.layout.phrase

    def call(self, thought: str, tool: str, **arguments: Any) -> Decision:
        return Decision(self.state, thought, tool=tool, arguments=arguments)

    def answer(self, thought: str, text: str) -> Decision:
        return Decision(self.state, thought, answer=text)

    def did(self, tool: str, result: str, *, ok: bool = True) -> None:
        """Note a step of this turn."""
        self.steps.append(Step(tool=tool, arguments={}, result=result, ok=ok, forced=False))

    def add_image(self, items: Sequence[Item], card: TasteCard) -> None:
        """Put a picture into the conversation and make it the current one."""
        number = len(self.images) + 1
        recipe = Recipe(layout=layout_of(items), taste=card, seed=number)
        self.images.append(ImageRecord(id=f"@{number}", recipe=recipe, path="p", latents_path="p", seconds=1.0, turn=1))
        self.plans.append(tuple(items))
        self.head = number


def some_chat(speaker: Speaker) -> Chat:
    """Draw a conversation so far: a card, up to fourteen pictures, and attachments already read."""
    rng = speaker.rng
    chat = Chat(speaker, some_card(speaker))
    count = int(rng.choice(10, p=(0.3, 0.17, 0.15, 0.13, 0.09, 0.06, 0.04, 0.02, 0.02, 0.02)))
    if count == 9 and chance(rng, 0.4):
        count = int(rng.integers(10, 15))
    plan = some_base(speaker, strict=True)
    for n in range(count):
        card = chat.card if n >= count - 1 or chance(rng, 0.4) else some_card(speaker, most=3)
        if n:
            plan = plan if chance(rng, 0.35) else some_base(speaker, strict=True)
        chat.add_image(plan, card)
    if count and chance(rng, 0.25):
        chat.head = int(rng.integers(max(1, count - 3), count + 1))
    chat.references = [True] * int(rng.choice(3, p=(0.7, 0.22, 0.08)))
    return chat


NEW_THOUGHT: Final = "A new picture. Plan it."


def paint(chat: Chat, base: str, keep: bool, items: Sequence[Item], thought: str) -> Iterator[Decision]:
    """Call generate_image, play the forced critique, perhaps once more, and answer."""
    rng = chat.rng
    first = len(chat.images) + 1
    for attempt in range(2):
        yield chat.call(thought, "generate_image", base=base, keep=keep)
        if chance(rng, 0.02):
            chat.did("generate_image", some_error(chat), ok=False)
            yield from failed(chat)
            return
        chat.add_image(items, chat.card)
        number = chat.head
        chat.did("generate_image", phrases.image_made(f"@{number}", base, keep))
        missing = [r.phrase for r in chat.images[-1].recipe.layout.regions if chance(rng, 0.22)]
        missing += [f"{k.text}" for k in chat.card.dislikes if chance(rng, 0.1)]
        weak = [k.text for k in chat.card.likes if chance(rng, 0.1)]
        left = 1 - attempt
        best = first if attempt and chance(rng, 0.5) else number
        chat.did("critique", phrases.checked(f"@{number}", critique_of(missing, weak), left, f"@{best}"))
        chat.head = best
        if not missing or not left:
            yield from done(chat, missing, weak)
            return
        thought = "Something is missing. Try again."


def done(chat: Chat, missing: Sequence[str], weak: Sequence[str]) -> Iterator[Decision]:
    """Answer after the last picture of a turn."""
    if missing:
        yield chat.answer(
            "No try is left. Answer.", f"{chat.at_head} is the best I got; missing: {', '.join(missing)}."
        )
        return
    note = f" Weak: {', '.join(weak)}." if weak else ""
    yield chat.answer("It is done. Answer.", f"{chat.at_head} is ready: {chat.subjects(chat.head)}.{note}")


def critique_of(missing: Sequence[str], weak: Sequence[str]) -> Critique:
    """Return a critique whose failed checks are these."""
    hard = [Check(kind="region", subject=m, question="q", hard=True, passed=False) for m in missing]
    soft = [Check(kind="atmosphere", subject=w, question="q", hard=False, passed=False) for w in weak]
    return Critique(checks=(*hard, *soft))


def plan(chat: Chat, base: int, items: Sequence[Item], thought: str, *, taste_too: bool = False) -> Iterator[Decision]:
    """Call plan_layout, then paint what was planned."""
    name = f"@{base}" if base else "new"
    yield chat.call(thought, "plan_layout", base=name)
    if chance(chat.rng, 0.02):
        chat.did("plan_layout", some_error(chat), ok=False)
        yield from failed(chat)
        return
    old = chat.images[base - 1].recipe.layout if base else None
    new = layout_of(items)
    chat.did("plan_layout", phrases.plan_ready(new, name, old))
    if old is not None and changes(old, new).phrase == "no change" and not taste_too:
        yield chat.answer("The plan changes nothing. Say so.", f"Nothing changes in {name}. {ASK_CHANGE}")
        return
    if not base:
        yield from paint(chat, "new", False, items, "The plan is ready. Paint it.")
    elif taste_too:
        yield from paint(chat, name, False, items, "Taste and plan changed. Paint it all.")
    else:
        yield from paint(chat, name, True, items, "The plan is ready. Paint the change.")


ASK_CHANGE: Final = "What shall I change?"


def failed(chat: Chat) -> Iterator[Decision]:
    """Answer after an error: say it."""
    yield chat.answer("That failed. Say so.", f"That did not work: {chat.steps[-1].result}.")


def some_error(chat: Chat) -> str:
    """Return an error as tools word them."""
    return pick(
        chat.rng,
        (
            phrases.NO_PLAN,
            phrases.NOTHING_TO_CHANGE,
            phrases.NO_MORE_IMAGES,
            phrases.no_image("@7", 3),
            phrases.no_reference("ref2", 1),
            "the change could not be planned; ask for it in other words",
            "the picture cannot be read",
            "the plan has no subjects",
            "the reply could not be read",
        ),
    )
