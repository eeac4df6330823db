"""The training mixture: groups of prompts that begin alike, each with its reply, spelt as the program spells them."""

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent.context import reason_messages
from pocket.vlm.decisions import Chat, Decision, some_chat
from pocket.vlm.intents import CHAT_FIRST, REF_DRAW, REF_EDIT
from pocket.vlm.layouts import Item, draft_of, layout_of
from pocket.vlm.requests import Request, edit, new_picture, some_base
from pocket.vlm.sights import Ask
from pocket.vlm.talk import some_intent
from pocket.vlm.tastes import change, some_card, tail
from pocket.vlm.text import PICTURE, prompt
from pocket.vlm.words import Speaker, chance, pick
from prompts import Pack
from tools.asks import layout_messages, repair_messages


@dataclass(frozen=True)
class Example:
    """One prompt with its reply."""

    task: str
    prompt: str
    reply: str


@dataclass(frozen=True)
class Group:
    """Examples that share the beginning of their prompt, and at most one picture."""

    examples: tuple[Example, ...]
    picture: Any = None
    """(3, S, S) in [-1, 1], or None."""


def sight_group(picture: Any, questions: Sequence[Ask]) -> Group:
    """Return the questions about one picture."""
    return Group(tuple(Example(a.task, prompt(("user", PICTURE + a.question)), a.answer) for a in questions), picture)


def said_with_more(speaker: Speaker, request: Request) -> str:
    """Hang words of taste, chit-chat or a picture's number on a request now and then: the plan must not mind them."""
    rng = speaker.rng
    said = request.said
    if request.base and chance(rng, 0.1):
        forms = ("in @{n} {x}", "go back to @{n} and {x}", "{x} in @{n}", "@{n}: {x}")
        said = pick(rng, forms).format(n=int(rng.integers(1, 10)), x=said)
    if chance(rng, 0.08):
        said = speaker.say(REF_EDIT if request.base else REF_DRAW, x=said)
    elif chance(rng, 0.08):
        said = pick(rng, CHAT_FIRST) + said
    if chance(rng, 0.25):
        if request.base:
            said += pick(rng, (" and ", ", ", ". ")) + change(speaker, some_card(speaker)).said
        else:
            said += tail(speaker, some_card(speaker)).said
    return speaker.typed(said)


def plan_example(speaker: Speaker, request: Request, said: str, card: Any, base: Sequence[Item], pack: Pack) -> Example:
    """Return one call of `plan_layout`."""
    messages = layout_messages(said, card, layout_of(base) if base else None, pack)
    reply = json.dumps(draft_of(request.result))
    task = "edit" if base else "layout"
    if chance(speaker.rng, 0.03):
        wrong = json.dumps(draft_of(tuple(reversed(request.result))[:-1] or request.result))
        problem = pick(
            speaker.rng,
            (
                "the reply ended early",
                "'red circle' and 'blue square' overlap",
                "'green star' is not in the enriched prompt",
                "a box is not a rectangle",
            ),
        )
        messages = repair_messages(messages, wrong, problem, pack)
    turns = [("assistant" if m.type == "ai" else "user", m.text) for m in messages]
    return Example(task, prompt(*turns), reply)


def plan_group(speaker: Speaker, pack: Pack, size: int = 1) -> Group:
    """Return plans for the same card and the same picture, from different words."""
    card = some_card(speaker)
    base = some_base(speaker) if chance(speaker.rng, 0.5) else ()
    examples: list[Example] = []
    for _ in range(size):
        request = edit(speaker, base) if base else new_picture(speaker)
        said = said_with_more(speaker, request)
        if len(said) <= pack.said_chars:  # what is cut off cannot be planned
            examples.append(plan_example(speaker, request, said, card, base, pack))
    return Group(tuple(examples)) if examples else plan_group(speaker, pack, size)


GLOSSARY: str = "Taste words: "


def words_group(speaker: Speaker) -> Group:
    """Return the taste words of one message: never asked by the agent, but it teaches the words in few tokens."""
    card = some_card(speaker)
    found = change(speaker, card) if chance(speaker.rng, 0.6) else tail(speaker, card)
    entries = [("no " if e["weight"] < 0 else "") + e["text"] for e in found.arguments["add"]]
    entries += [f"drop {t}" for t in found.arguments["drop"]]
    entries += [("less " if e["weight"] < 1 else "more ") + e["text"] for e in found.arguments["weigh"]]
    said = speaker.typed(found.said.strip(" ,"))
    return Group((Example("words", prompt(("user", GLOSSARY + said)), ", ".join(entries)),))


def decision_example(decision: Decision, pack: Pack) -> Example:
    """Return one decision as the agent asks for it."""
    system, facts = reason_messages(decision.state, pack)
    task = "card" if decision.tool == "adjust_taste" else "decision"
    return Example(task, prompt(("system", system.text), ("user", facts.text)), decision.reply)


def decision_groups(speaker: Speaker, pack: Pack, size: int = 4) -> list[Group]:
    """Return decisions of one conversation: the first steps of several intents together, later steps each alone."""
    # Half the conversations have only begun: nothing but the person's words can be meant there.
    chat = Chat(speaker) if chance(speaker.rng, 0.5) else some_chat(speaker)
    first: list[Example] = []
    later: list[Group] = []
    for _ in range(size):
        decisions = list(some_intent(copied(chat)))
        first.append(decision_example(decisions[0], pack))
        if len(decisions) > 1 and chance(speaker.rng, 0.22):
            chosen = decisions[int(speaker.rng.integers(1, len(decisions)))]
            later.append(Group((decision_example(chosen, pack),)))
    return [Group(tuple(first)), *later]


def copied(chat: Chat) -> Chat:
    """Return a conversation that can go on without changing the other."""
    twin = copy.copy(chat)
    twin.plans, twin.images = list(chat.plans), list(chat.images)
    twin.references, twin.steps = list(chat.references), list(chat.steps)
    return twin
