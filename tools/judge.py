"""`critique`: look at a picture and say, question by question, whether it is what was asked for and liked.

The forced step after every new picture and the tool for earlier ones are this one function.
"""

import threading

from prompts import Pack
from tools.asks import ImageBlock, Question, question_messages, questions
from tools.reasoner import Reasoner
from tools.taste import TasteCard
from tools.types import Check, Critique, Layout

YES_FROM = 0.5
"""From this probability on, the answer counts as yes."""


async def critique(
    reasoner: Reasoner, image: ImageBlock, layout: Layout, card: TasteCard, pack: Pack, stop: threading.Event
) -> Critique:
    """Check a picture against its plan and the taste card, in that order."""
    checks: list[Check] = []
    for question in questions(layout, card, pack):
        share = await reasoner.yes(question_messages(image, question.text), stop)
        checks.append(verdict(question, share))
    return Critique(checks=tuple(checks), best_advice=advice(checks))


def verdict(question: Question, share: float) -> Check:
    """Turn the probability of "Yes" into a check; NaN, a model that says neither, is a failure without confidence."""
    known = share == share
    yes = known and share >= YES_FROM
    return Check(
        kind=question.kind,
        subject=question.subject,
        question=question.text,
        hard=question.hard,
        passed=known and yes == question.expected,
        confidence=(share if yes else 1.0 - share) if known else None,
    )


def advice(checks: list[Check]) -> str:
    """Name the one change that would help most: the first hard failure, else the first soft one."""
    failed = sorted((c for c in checks if not c.passed), key=lambda c: not c.hard)
    if not failed:
        return ""
    first = failed[0]
    match first.kind:
        case "region":
            return f"paint {first.subject} again"
        case "dislike":
            return f"leave out {first.subject}"
        case _:
            return f"give {first.subject} more weight"
