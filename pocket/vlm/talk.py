"""Intents that look back or only talk: go back, check, compare, ask about the state, greet, thank, and nonsense."""

from collections.abc import Iterator
from typing import Final

from pocket.vlm import lacks
from pocket.vlm.decisions import ASK_CHANGE, Chat, Decision, critique_of, failed
from pocket.vlm.intents import again, broken, change_picture, change_taste, chatty, draw_new, too_much, use_reference
from pocket.vlm.words import Speaker, chance, pick, wordings
from tools import phrases
from tools.taste import TasteCard

BACK: Final = wordings("talk.back")
PREVIOUS: Final = wordings("talk.previous")
ORDINAL: Final = {1: "first", 2: "second", 3: "third", 4: "fourth"}
CHECK: Final = wordings("talk.check")
COMPARE: Final = wordings("talk.compare")
WHAT: Final = wordings("talk.what")
CURRENT: Final = wordings("talk.current")
HOW_MANY: Final = wordings("talk.how_many")
TASTE: Final = wordings("talk.taste")


def go_back(chat: Chat) -> Iterator[Decision]:
    """Return to an earlier picture, by number, order or what it shows."""
    rng, count = chat.rng, len(chat.images)
    if not count or chance(rng, 0.12):
        number = count + int(rng.integers(1, 7)) if count else int(rng.integers(1, 5))
        chat.said = chatty(
            chat, chat.speaker.say(BACK, x=f"@{number}") if count or chance(rng, 0.6) else chat.speaker.say(PREVIOUS)
        )
        if not count:
            yield chat.answer("There is no picture yet. Ask.", lacks.NO_PICTURE)
            return
        if chance(rng, 0.2):
            chat.did("recall_image", phrases.no_image(f"@{number}", count), ok=False)
        have = "@1" if count == 1 else f"@1 to @{count}"
        yield chat.answer(f"There is no @{number}. Say so.", f"There is no @{number}. I have {have}.")
        return
    number, words = target(chat)
    chat.said = chatty(chat, words)
    yield chat.call(f"Go back to @{number}.", "recall_image", image=f"@{number}")
    if chance(rng, 0.03):
        chat.did("recall_image", phrases.no_image(f"@{number}", count), ok=False)
        yield from failed(chat)
        return
    chat.head = number
    chat.did("recall_image", phrases.recalled(f"@{number}"))
    yield chat.answer("It is done. Answer.", f"@{number} is back: {chat.subjects(number)}.")


def target(chat: Chat) -> tuple[int, str]:
    """Choose an earlier picture and words for it."""
    rng, count = chat.rng, len(chat.images)
    roll = rng.random()
    if roll < 0.2 and chat.head > 1:
        return chat.head - 1, chat.speaker.say(PREVIOUS)
    if roll < 0.6:
        described = description(chat)
        if described:
            return described[0], chat.speaker.say(BACK, x=described[1])
    number = int(rng.integers(1, count + 1))
    forms = [f"@{number}", f"@{number}", f"picture {number}", f"number {number}", f"image {number}"]
    if number in ORDINAL:
        forms += [f"the {ORDINAL[number]} one", f"the {ORDINAL[number]} picture"]
    if number == count:
        forms += ["the latest one", "the newest picture"]
    return number, chat.speaker.say(BACK, x=pick(rng, forms))


def description(chat: Chat) -> tuple[int, str] | None:
    """Describe a listed picture by something that the current one lacks; the latest that fits is meant."""
    listed = [n for n in range(max(1, len(chat.images) - 3), len(chat.images) + 1) if n != chat.head]
    ways: list[tuple[str, list[int]]] = []
    for n in listed:
        for item in chat.plans[n - 1]:
            for words, test in (
                (f"the {item.colour} one", lambda i, c=item.colour: i.colour == c),
                (f"the one with the {item.shape}", lambda i, s=item.shape: i.shape == s),
                (f"the one with the {item.name}", lambda i, m=item.name: i.name == m),
                (f"the {item.name}", lambda i, m=item.name: i.name == m),
            ):
                if not any(test(i) for i in chat.plans[chat.head - 1]):
                    ways.append((words, [k for k in listed if any(test(i) for i in chat.plans[k - 1])]))
        current = {k.text for k in chat.images[chat.head - 1].recipe.taste.likes}
        for keyword in chat.images[n - 1].recipe.taste.likes:
            if keyword.text not in current:
                fits = [k for k in listed if keyword.text in {w.text for w in chat.images[k - 1].recipe.taste.likes}]
                ways.append((f"the {chat.speaker.word(keyword.text, 0.8)} one", fits))
    if not ways:
        return None
    words, fits = pick(chat.rng, ways)
    return max(fits), words


def check(chat: Chat) -> Iterator[Decision]:
    """Judge an earlier picture."""
    if not chat.head:
        yield from small_talk(chat)
        return
    rng = chat.rng
    number = int(rng.integers(max(1, len(chat.images) - 3), len(chat.images) + 1))
    words = f"@{number}"
    if chance(rng, 0.25):
        number, words = chat.head, pick(rng, ("it", "this", "the picture", "that one"))
    chat.said = chatty(chat, chat.speaker.say(CHECK, x=words))
    yield chat.call(f"Check @{number}.", "critique", image=f"@{number}")
    missing = [r.phrase for r in chat.images[number - 1].recipe.layout.regions if chance(rng, 0.3)]
    weak = [k.text for k in chat.card.likes if chance(rng, 0.2)]
    chat.did("critique", phrases.checked(f"@{number}", critique_of(missing, weak), None))
    right = f"@{number} is right: {chat.subjects(number)}."
    text = f"@{number} lacks {', '.join(missing)}." if missing else right
    yield chat.answer("It is checked. Answer.", text + (f" Weak: {', '.join(weak)}." if weak else ""))


def question(chat: Chat) -> Iterator[Decision]:
    """Answer a question about the conversation from the digest."""
    rng, count = chat.rng, len(chat.images)
    kind = pick(rng, ("taste", "taste", "what", "current", "count", "compare", "compare"))
    if kind == "taste" or not count:
        if kind == "count":
            chat.said = chatty(chat, chat.speaker.say(HOW_MANY))
            yield chat.answer("There is no picture yet. Ask.", lacks.NO_PICTURE)
            return
        chat.said = chatty(chat, chat.speaker.say(TASTE))
        yield chat.answer("A question. Answer it.", taste_words(chat.card))
        return
    listed = list(range(max(1, count - 3), count + 1))
    if kind == "count":
        chat.said = chatty(chat, chat.speaker.say(HOW_MANY))
        text = f"There are {count} pictures." if count > 1 else "There is 1 picture."
    elif kind == "current":
        chat.said = chatty(chat, chat.speaker.say(CURRENT))
        text = f"The current picture is {chat.at_head}: {chat.subjects(chat.head)}."
    elif kind == "compare" and len(listed) > 1:
        one, two = sorted(int(i) for i in rng.choice(listed, 2, replace=False))
        chat.said = chatty(chat, chat.speaker.say(COMPARE, x=f"@{one}", y=f"@{two}"))
        text = f"@{one}: {chat.images[one - 1].phrase}. @{two}: {chat.images[two - 1].phrase}."
    else:
        number = pick(rng, listed)
        chat.said = chatty(chat, chat.speaker.say(WHAT, x=f"@{number}"))
        text = f"@{number}: {chat.images[number - 1].phrase}."
    yield chat.answer("A question. Answer it.", text)


def taste_words(card: TasteCard) -> str:
    """Say a card in a sentence or two."""
    ordered = card.in_order()
    likes, dislikes = [k.text for k in ordered if k.weight > 0], [k.text for k in ordered if k.weight < 0]
    parts = [
        f"You like {', '.join(likes)}." if likes else "",
        f"You dislike {', '.join(dislikes)}." if dislikes else "",
    ]
    return " ".join(p for p in parts if p) or "You have told me no taste yet."


def small_talk(chat: Chat) -> Iterator[Decision]:
    """Greetings, thanks, help, vague wishes, nonsense, silence."""
    speaker = chat.speaker
    kinds = (
        "thanks",
        "thanks",
        "hello",
        "bye",
        "who",
        "shapes",
        "tastes",
        "vague",
        "vague",
        "vague",
        "nonsense",
        "nonsense",
        "silence",
    )
    kind = pick(chat.rng, kinds)
    words, thought, text = {
        "thanks": (lacks.THANKS, "Thanks. Answer.", lacks.WELCOME),
        "hello": (lacks.GREETING, "A greeting. Answer.", lacks.HELLO),
        "bye": (lacks.FAREWELL, "A goodbye. Answer.", lacks.BYE),
        "who": (lacks.ASK_WHO, "A question. Answer it.", lacks.WHO),
        "shapes": (lacks.ASK_SHAPES, "A question. Answer it.", lacks.ONLY_SHAPES),
        "tastes": (lacks.ASK_TASTES, "A question. Answer it.", lacks.ONLY_TASTES),
        "vague": (lacks.VAGUE, "It is vague. Ask.", lacks.CHANGE_WHAT),
        "nonsense": (None, "I do not understand. Ask.", lacks.UNCLEAR),
        "silence": (None, "Nothing was said. Ask.", lacks.ASK),
    }[kind]
    if kind == "vague" and not chat.head:
        thought, text = "There is no picture yet. Ask.", lacks.NO_PICTURE
    chat.said = speaker.typed(speaker.say(words)) if words else lacks.nonsense(speaker) if kind == "nonsense" else ""
    yield chat.answer(thought, text)


INTENTS: Final = {
    draw_new: 0.16,
    change_picture: 0.10,
    change_taste: 0.36,
    use_reference: 0.05,
    go_back: 0.09,
    too_much: 0.04,
    small_talk: 0.04,
    question: 0.13,
    check: 0.03,
    again: 0.015,
    broken: 0.005,
}
"""How often each intent is trained on; hard ones more often than people would say them."""


def some_intent(chat: Chat) -> Iterator[Decision]:
    """Play one intent, drawn by its share, in a conversation."""
    weights = list(INTENTS.values())
    intent = list(INTENTS)[int(chat.rng.choice(len(weights), p=[w / sum(weights) for w in weights]))]
    yield from intent(chat)


__all__ = ["ASK_CHANGE", "INTENTS", "Speaker", "some_intent"]
