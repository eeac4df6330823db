"""What a person may want in one turn, and the decisions that serve it, one generator an intent."""

from collections.abc import Callable, Iterator
from typing import Final

from pocket.vlm import lacks
from pocket.vlm.decisions import ASK_CHANGE, NEW_THOUGHT, Chat, Decision, critique_of, failed, paint, plan, some_error
from pocket.vlm.requests import OPEN, edit, new_picture, wish
from pocket.vlm.tastes import LIMITS, change, some_card, tail
from pocket.vlm.words import chance, pick, wordings
from tools import phrases
from tools.taste import Keyword

READ_FIRST: Final = "A new reference. Read it first."
CHAT_FIRST: Final = (
    "hello! ",
    "hi there, ",
    "thanks! ",
    "nice. ",
    "great, now ",
    "ok, ",
    "hmm, ",
    "well, ",
    "I love it. ",
    "how are you? ",
    "so, ",
)


def chatty(chat: Chat, text: str) -> str:
    """Return `text` as typed, now and then after some chit-chat."""
    if text and chance(chat.rng, 0.1):
        text = pick(chat.rng, CHAT_FIRST) + text
    return chat.speaker.typed(text)


def rambling(chat: Chat) -> str:
    """Return more words than the context shows; the end is cut."""
    words = ("you know", "I was thinking", "maybe later", "by the way", "as I said", "it was a long day", "and so on")
    return " ".join(pick(chat.rng, words) for _ in range(int(chat.rng.integers(15, 60))))


def draw_new(chat: Chat) -> Iterator[Decision]:
    """A new picture, perhaps with words of taste."""
    request = new_picture(chat.speaker)
    said = request.said
    if chance(chat.rng, 0.015):
        said += ". " + rambling(chat)
    elif chance(chat.rng, 0.6):
        taste = tail(chat.speaker, chat.card)
        chat.said = chatty(chat, said + taste.said)
        yield chat.call("It names a taste. Set it first.", "adjust_taste", **taste.arguments)
        before = chat.card
        chat.card, unknown = taste.apply(before)
        chat.did("adjust_taste", phrases.taste_changed(before, chat.card, unknown))
        yield from plan(chat, 0, request.result, "The taste is set. Plan the picture.")
        return
    chat.said = chatty(chat, said)
    yield from plan(chat, 0, request.result, NEW_THOUGHT)


def change_picture(chat: Chat) -> Iterator[Decision]:
    """Edit the current picture or a named one, perhaps its taste too."""
    rng = chat.rng
    if not chat.head:
        yield from draw_new(chat)
        return
    base = chat.head
    named = chance(rng, 0.2)
    if named:
        base = int(rng.integers(1, len(chat.images) + 1))
    request = edit(chat.speaker, chat.plans[base - 1])
    said = request.said
    if named:
        said = pick(
            rng,
            (
                f"in @{base} {said}",
                f"{said} in @{base}",
                f"go back to @{base} and {said}",
                f"@{base}: {said}",
                f"take @{base}, {said}",
            ),
        )
    if chance(rng, 0.2) and not named:
        taste = change(chat.speaker, chat.card)
        parts = [said, taste.said] if chance(rng, 0.6) else [taste.said, said]
        chat.said = chatty(chat, pick(rng, (" and ", ", ", ", and ", ". ")).join(parts))
        yield chat.call("It names a taste. Set it first.", "adjust_taste", **taste.arguments)
        before = chat.card
        chat.card, unknown = taste.apply(before)
        chat.did("adjust_taste", phrases.taste_changed(before, chat.card, unknown))
        yield from plan(chat, base, request.result, f"The taste is set. Plan the change of @{base}.", taste_too=True)
        return
    chat.said = chatty(chat, said)
    yield from plan(chat, base, request.result, f"Change @{base}. Plan it.")


def change_taste(chat: Chat) -> Iterator[Decision]:
    """A change of taste alone."""
    if not chat.card.keywords and chance(chat.rng, 0.5):
        chat.card = some_card(chat.speaker)
    taste = change(chat.speaker, chat.card)
    said, base = taste.said, chat.head
    if base and chance(chat.rng, 0.1):
        base = int(chat.rng.integers(max(1, len(chat.images) - 3), len(chat.images) + 1))
        forms = ("in @{n} {x}", "@{n} but {x}", "go back to @{n}, {x}", "for @{n}: {x}")
        said = pick(chat.rng, forms).format(n=base, x=said)
    elif base and chance(chat.rng, 0.05):
        said = pick(chat.rng, ("again, but ", "the same but ", "another one, but ", "one more, ")) + said
    chat.said = chatty(chat, said)
    yield chat.call("A change of taste. Adjust it.", "adjust_taste", **taste.arguments)
    before = chat.card
    chat.card, unknown = taste.apply(before)
    if chance(chat.rng, 0.02):
        chat.card, unknown = before, ("stars",)
    result = phrases.taste_changed(before, chat.card, unknown)
    chat.did("adjust_taste", result)
    if result.startswith("taste unchanged"):
        yield chat.answer("The taste did not change. Say so.", f"The taste is unchanged. {ASK_CHANGE}")
    elif chat.head:
        yield from paint(chat, f"@{base}", False, chat.plans[base - 1], f"The taste is changed. Repaint @{base}.")
    else:
        yield chat.answer("The taste is changed. Ask what to draw.", f"Noted. {lacks.ASK}")


REF_DRAW: Final = wordings("intents.ref_draw")
REF_ALONE: Final = wordings("intents.ref_alone")
REF_EDIT: Final = wordings("intents.ref_edit")


def use_reference(chat: Chat) -> Iterator[Decision]:
    """Attached pictures: read their taste, then draw, change or repaint."""
    rng = chat.rng
    fresh = 1 if chance(rng, 0.85) else 2
    chat.references += [False] * fresh
    kind = pick(rng, ("draw", "alone", "alone", "edit"))
    if kind == "edit" and not chat.head:
        kind = "draw"
    if kind == "draw":
        text, items = wish(chat.speaker)
        said = chat.speaker.say(REF_DRAW, x=text)
        if said == text:
            said = chat.speaker.say(OPEN, x=text)
    elif kind == "edit":
        request = edit(chat.speaker, chat.plans[chat.head - 1])
        items, said = request.result, chat.speaker.say(REF_EDIT, x=request.said)
    else:
        items, said = (), chat.speaker.say(REF_ALONE)
    taste = tail(chat.speaker, chat.card) if kind == "draw" and chance(rng, 0.2) else None
    chat.said = chatty(chat, said + (taste.said if taste else ""))
    found: list[str] = []
    for n in range(len(chat.references) - fresh, len(chat.references)):
        name = f"ref{n + 1}"
        yield chat.call(READ_FIRST, "extract_preferences", image=name)
        chat.references[n] = True
        seen = [k for k in some_card(chat.speaker, most=6).likes] if chance(rng, 0.9) else []
        chat.card = chat.card.merge([Keyword(text=k.text, category=k.category, source=name) for k in seen], LIMITS)
        texts = [k.text for k in seen]
        found += texts
        chat.did("extract_preferences", phrases.taste_read(name, texts))
    last = f"ref{len(chat.references)}"
    if taste:
        yield chat.call("It names a taste too. Set it.", "adjust_taste", **taste.arguments)
        before = chat.card
        chat.card, unknown = taste.apply(before)
        chat.did("adjust_taste", phrases.taste_changed(before, chat.card, unknown))
    if kind == "draw":
        yield from plan(chat, 0, items, "The taste is read. Plan the picture.")
    elif kind == "edit":
        yield from plan(
            chat, chat.head, items, f"The taste is read. Plan the change of {chat.at_head}.", taste_too=True
        )
    elif not found:
        yield chat.answer("Nothing was found. Say so.", f"I found no taste I know in {last}. {lacks.ASK}")
    elif chat.head:
        yield from paint(
            chat, chat.at_head, False, chat.plans[chat.head - 1], f"The taste is read. Repaint {chat.at_head}."
        )
    else:
        yield chat.answer("The taste is read. Ask what to draw.", f"I read {', '.join(found[:4])}. {lacks.ASK}")


AGAIN: Final = wordings("intents.again")


def again(chat: Chat) -> Iterator[Decision]:
    """The same plan and taste once more."""
    chat.said = chatty(chat, chat.speaker.say(AGAIN))
    if not chat.head:
        yield chat.answer("There is no picture yet. Ask.", lacks.NO_PICTURE)
        return
    yield from paint(chat, chat.at_head, False, chat.plans[chat.head - 1], "The same again. Paint it anew.")


def too_much(chat: Chat) -> Iterator[Decision]:
    """Wishes that the world cannot serve, each with its own answer."""
    roll = chat.rng.random()
    if roll < 0.62:
        text, thought, reply = lacks.unknown_thing(chat.speaker), "I do not know these. Say so.", lacks.ONLY_SHAPES
    elif roll < 0.85:
        text, thought, reply = lacks.unknown_taste(chat.speaker), "I do not know this taste. Say so.", lacks.ONLY_TASTES
    else:
        text, thought, reply = lacks.too_many(chat.speaker), "Too many. Say so.", lacks.AT_MOST
    chat.said = chatty(chat, text)
    yield chat.answer(thought, reply)


def broken(chat: Chat) -> Iterator[Decision]:
    """A tool failed in this turn."""
    request = new_picture(chat.speaker)
    chat.said = chatty(chat, request.said)
    chat.did("plan_layout", some_error(chat), ok=False)
    yield from failed(chat)


Intent = Callable[[Chat], Iterator[Decision]]
__all__ = [
    "again",
    "broken",
    "change_picture",
    "change_taste",
    "chatty",
    "critique_of",
    "draw_new",
    "too_much",
    "use_reference",
]
