"""What people ask to be drawn or changed, in many wordings, each with the plan it should lead to."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from pocket.vlm.layouts import DEFAULT_COLOUR, MOST, SIDES, Item, arrange, box_at, place_of, seat, step_side
from pocket.vlm.words import Speaker, article, chance, listed, pick, plural, wordings
from pocket.world.scene import HELD_OUT_OBJECTS
from pocket.world.vocabulary import COLOURS, PLACES, SHAPES

OPEN: Final = wordings("requests.open")
JOIN: Final = wordings("requests.join")
SIDE_OF: Final = {
    "left": ("left", "right"),
    "right": ("right", "left"),
    "above": ("top", "bottom"),
    "below": ("bottom", "top"),
}
RELATION: Final = {key: wordings(f"requests.relation.{key}") for key in SIDE_OF}
COUNT: Final = {2: ("two", "2", "a pair of"), 3: ("three", "3"), 4: ("four", "4")}


@dataclass(frozen=True)
class Request:
    """Words, the plan they start from and the plan they lead to."""

    said: str
    result: tuple[Item, ...]
    base: tuple[Item, ...] = ()


def subject(rng: np.random.Generator, phrasing: str) -> tuple[str, str]:
    """Draw a shape and a colour; combinations kept from training appear only in measurement."""
    while True:
        shape, colour = pick(rng, SHAPES), pick(rng, COLOURS)
        if phrasing == "test" or (shape, colour) not in HELD_OUT_OBJECTS:
            return shape, colour


def some_items(speaker: Speaker, count: int) -> list[Item]:
    """Draw `count` different subjects with sizes, without places."""
    rng = speaker.rng
    items: list[Item] = []
    while len(items) < count:
        shape, colour = subject(rng, speaker.phrasing)
        if all((shape, colour) != (i.shape, i.colour) for i in items):
            items.append(Item(shape, colour, pick(rng, ("", "", "", "small", "big"))))
    return items


def wish(speaker: Speaker) -> tuple[str, tuple[Item, ...]]:
    """Return words for the subjects of a new picture, without opener, and the plan."""
    rng = speaker.rng
    count = int(rng.choice(4, p=(0.34, 0.4, 0.18, 0.08))) + 1
    roll = rng.random()
    if roll < 0.10 and count > 1:
        shape, colour = subject(rng, speaker.phrasing)
        word = f"{speaker.word(colour, 0.85)} {plural(shape)}"
        return f"{pick(rng, COUNT[count])} {word}", arrange([Item(shape, colour)] * count)
    items = some_items(speaker, count)
    if roll < 0.28 and count >= 2:
        return related(speaker, items)
    share = pick(rng, (0.0, 0.5, 1.0, 1.0))
    texts: list[str] = []
    for i, item in enumerate(items):
        if chance(rng, 0.06):
            item = replace(item, colour=DEFAULT_COLOUR[item.shape])
            size = pick(rng, ("big ", "large ")) if item.size == "big" else "small " if item.size else ""
            text = article(size + speaker.word(item.shape))
        else:
            noun = speaker.noun(item.colour, item.shape, item.size)
            text = f"the {noun}" if chance(rng, 0.03) else noun if chance(rng, 0.05) else article(noun)
        if chance(rng, share):
            taken = {o.place for o in items}
            item = replace(item, place=pick(rng, [p for p in PLACES if p not in taken]), named=True)
            text += f" {speaker.place(item.place)}"
        items[i] = item
        texts.append(text)
    join = speaker.say(JOIN)
    return listed(texts, join) if chance(rng, 0.6) else join.join(texts), arrange(items)


def related(speaker: Speaker, items: list[Item]) -> tuple[str, tuple[Item, ...]]:
    """Place the second subject by its relation to the first; any further ones are only listed."""
    where = pick(speaker.rng, tuple(SIDE_OF))
    one, other = SIDE_OF[where]
    items[0], items[1] = replace(items[0], place=one), replace(items[1], place=other)
    first, second = (article(speaker.noun(i.colour, i.shape, i.size)) for i in items[:2])
    text = f"{first} {speaker.say(RELATION[where])} {second}"
    for item in items[2:]:
        text += speaker.say(JOIN) + article(speaker.noun(item.colour, item.shape, item.size))
    return text, arrange(items)


def new_picture(speaker: Speaker) -> Request:
    """Return a request for a new picture without any word of taste."""
    if chance(speaker.rng, 0.015):
        return Request(speaker.say(SURPRISE), arrange([Item("star", "yellow")]))
    text, items = wish(speaker)
    return Request(speaker.say(OPEN, x=text), items)


def some_base(speaker: Speaker, *, strict: bool = False) -> tuple[Item, ...]:
    """Draw the plan of an earlier picture: mostly as the model would make it, sometimes with boxes moved by hand."""
    rng = speaker.rng
    _, items = wish(speaker)
    if strict or chance(rng, 0.75):
        return items
    return tuple(jogged(rng, i) for i in items)


def jogged(rng: np.random.Generator, item: Item) -> Item:
    """Move a box by hand: another side and corner, still in tens."""
    side = int(rng.integers(23, 51)) * 10
    left, top = (int(rng.integers(4, (960 - side) // 10 + 1)) * 10 for _ in range(2))
    edges = (left, top, left + side, top + side)
    return replace(item, edges=edges, place=place_of(edges))


def rephrased(rng: np.random.Generator, items: Sequence[Item], which: int, speaker: Speaker) -> str:
    """Name one subject of a plan so that it cannot be confused: by shape, colour, both, or place."""
    item = items[which]
    rest = [o for i, o in enumerate(items) if i != which]
    ways = [f"the {speaker.word(item.colour, 0.85)} {speaker.word(item.shape, 0.85)}"]
    if all(o.shape != item.shape for o in rest):
        ways += [f"the {speaker.word(item.shape, 0.8)}"] * 3
    if all(o.colour != item.colour for o in rest):
        ways += [f"the {item.colour} one"]
    if all(o.place != item.place for o in rest):
        where = "in the middle" if item.place == "middle" else f"{pick(rng, ('on', 'at'))} the {item.place}"
        ways += [f"the one {where}", f"the {item.shape} {where}"]
    if not rest:
        ways += ["it"]
    twins = any(o.name == item.name for o in rest)
    return pick(rng, ways[1:] if twins and len(ways) > 1 else ways)


SURPRISE: Final = wordings("requests.surprise")
RECOLOUR: Final = wordings("requests.recolour")
RESHAPE: Final = wordings("requests.reshape")
MOVE: Final = wordings("requests.move")
TO: Final = wordings("requests.to")
RESIZE: Final = {2: wordings("requests.resize.bigger"), -2: wordings("requests.resize.smaller")}
ADD: Final = wordings("requests.add")
REMOVE: Final = wordings("requests.remove")
KEEP: Final = wordings("requests.keep")
AND: Final = wordings("requests.and")


def edit(speaker: Speaker, base: tuple[Item, ...]) -> Request:
    """Return a request that changes one or two things of a plan."""
    rng = speaker.rng
    text, result = _one_edit(speaker, tuple(replace(i, named=False) for i in base))
    if chance(rng, 0.15) and result:
        more, result = _one_edit(speaker, result)
        text += speaker.say(AND) + more
    return Request(text + speaker.say(KEEP), result, base)


def _one_edit(speaker: Speaker, base: tuple[Item, ...]) -> tuple[str, tuple[Item, ...]]:
    rng = speaker.rng
    kinds = ["add"] if len(base) < MOST else []
    if base:
        kinds += ["recolour", "recolour", "reshape", "move", "move", "bigger", "smaller"]
    if len(base) > 1:
        kinds += ["remove", "swap"]
    kind = pick(rng, kinds)
    if kind == "add":
        return _add(speaker, base)
    which = int(rng.integers(len(base)))
    item, name = base[which], rephrased(rng, base, which, speaker)
    if kind == "remove":
        return speaker.say(REMOVE, x=name, n=item.shape), (*base[:which], *base[which + 1 :])
    if kind == "swap":
        return _swap(speaker, base)
    if kind == "recolour":
        _, colour = subject_like(rng, speaker.phrasing, shape=item.shape, other_than=item.colour)
        changed, text = replace(item, colour=colour), speaker.say(RECOLOUR, x=name, c=speaker.word(colour, 0.85))
    elif kind == "reshape":
        shape, _ = subject_like(rng, speaker.phrasing, colour=item.colour, other_than=item.shape)
        changed = replace(item, shape=shape)
        text = speaker.say(RESHAPE, x=name, s=article(speaker.word(shape, 0.85)))
    elif kind == "move":
        taken = {o.place for o in base}
        place = pick(rng, [p for p in PLACES if p not in taken])
        where = speaker.say(TO, p=place if place != "middle" else pick(rng, ("middle", "centre", "center")))
        changed = replace(item, place=place, edges=box_at(place, item.side // 20 * 20), named=True)
        text = speaker.say(MOVE, x=name, p=where)
    else:
        steps = 2 if kind == "bigger" else -2
        side = step_side(item.side, steps)
        size = "big" if side >= 440 else "small" if side <= 240 else ""
        changed = replace(item, size=size, edges=box_at(item.place, side))
        text = speaker.say(RESIZE[steps], x=name, n=item.shape)
    return text, (*base[:which], changed, *base[which + 1 :])


def subject_like(
    rng: np.random.Generator, phrasing: str, *, other_than: str, shape: str = "", colour: str = ""
) -> tuple[str, str]:
    """Draw a subject that shares a shape or a colour and differs in the other."""
    while True:
        s, c = subject(rng, phrasing)
        s, c = shape or s, colour or c
        fresh = c != other_than if shape else s != other_than
        if fresh and (phrasing == "test" or (s, c) not in HELD_OUT_OBJECTS):
            return s, c


def _add(speaker: Speaker, base: tuple[Item, ...]) -> tuple[str, tuple[Item, ...]]:
    rng = speaker.rng
    item = some_items(speaker, 1)[0]
    while any(item.name == o.name for o in base):
        item = some_items(speaker, 1)[0]
    text = article(speaker.noun(item.colour, item.shape, item.size))
    count = len(base) + 1
    if chance(rng, 0.6):
        place = pick(rng, [p for p in PLACES if p not in {o.place for o in base}])
        item = replace(item, place=place, edges=box_at(place, SIDES[item.size][count - 1]), named=True)
        text += f" {speaker.place(place)}"
    else:
        item = seat(item, base, count)
    return speaker.say(ADD, s=text), (*base, item)


SWAP: Final = wordings("requests.swap")


def _swap(speaker: Speaker, base: tuple[Item, ...]) -> tuple[str, tuple[Item, ...]]:
    rng = speaker.rng
    one, two = (int(i) for i in rng.choice(len(base), 2, replace=False))
    a, b = base[one], base[two]
    items = list(base)
    items[one] = replace(a, place=b.place, edges=b.edges)
    items[two] = replace(b, place=a.place, edges=a.edges)
    return speaker.say(SWAP, x=rephrased(rng, base, one, speaker), y=rephrased(rng, base, two, speaker)), tuple(items)
