"""The taste card: limits, rejection, dislikes, and that editing never changes a card in place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tools.adjust import adjust_taste
from tools.arguments import AdjustTaste
from tools.taste import Keyword, TasteCard
from tools.types import Category

LIMITS: dict[Category, int] = {"artistic_style": 1, "atmosphere": 1, "theme": 1, "visual_elements": 2}


def seen(text: str, category: Category = "atmosphere") -> Keyword:
    return Keyword(text=text, category=category, source="ref1")


def said(text: str, category: Category = "atmosphere", weight: float = 1.0) -> Keyword:
    return Keyword(text=text, category=category, weight=weight)


def texts(card: TasteCard) -> list[str]:
    return [k.text for k in card.keywords]


def test_the_newest_like_of_a_full_category_wins() -> None:
    card = TasteCard().merge([said("gloomy"), said("city", "theme"), said("joyful")], LIMITS)

    assert texts(card) == ["city", "joyful"]
    assert card.rejected == ()


def test_the_oldest_like_of_a_full_category_goes() -> None:
    card = TasteCard().merge([said(text, "visual_elements") for text in ("sun", "stars", "frame")], LIMITS)

    assert texts(card) == ["stars", "frame"]


def test_a_dislike_takes_no_likes_place() -> None:
    card = TasteCard().merge([said("gloomy"), said("joyful", weight=-1.0)], LIMITS)

    assert texts(card) == ["gloomy", "joyful"]


def test_a_rejected_keyword_comes_back_only_by_the_persons_word() -> None:
    card = TasteCard().add(seen("Gloomy")).drop("gloomy")

    assert texts(card.add(seen("gloomy"))) == []
    back = card.add(said("gloomy"))
    assert texts(back) == ["gloomy"]
    assert texts(back.drop("gloomy").add(seen("GLOOMY"))) == []


def test_a_picture_does_not_overrule_a_dislike() -> None:
    card = TasteCard().add(said("sun", "visual_elements", -1.0)).add(seen("sun", "visual_elements"))

    assert card.dislikes[0].text == "sun"
    assert card.likes == ()


def test_a_keyword_switched_off_acts_no_more_but_stays() -> None:
    card = TasteCard().add(said("gloomy")).toggle("GLOOMY")

    assert card.active == ()
    assert card.toggle("gloomy").phrase == "gloomy 1.0"


def test_weights_are_held_to_their_range() -> None:
    card = TasteCard().add(said("gloomy")).weigh("gloomy", 7.0)

    assert card.keywords[0].weight == 2.0
    with pytest.raises(ValidationError):
        said("gloomy", weight=2.1)


def test_an_adjustment_drops_weighs_and_adds_in_that_order() -> None:
    card = TasteCard().merge([said("gloomy"), said("city", "theme")])
    wanted = AdjustTaste.model_validate(
        {
            "add": [{"text": "joyful", "category": "atmosphere", "weight": 1.0}],
            "drop": ["gloomy", "rain"],
            "weigh": [{"text": "city", "weight": 0.5}],
        }
    )

    adjusted = adjust_taste(card, wanted, LIMITS)

    assert adjusted.card.phrase == "joyful 1.0, city 0.5"
    assert adjusted.unknown == ("rain",)


keywords = st.builds(
    Keyword,
    text=st.sampled_from(["gloomy", "Gloomy", "joyful", "city", "sun", "stars", "frame"]),
    category=st.sampled_from(["artistic_style", "atmosphere", "theme", "visual_elements"]),
    weight=st.floats(-2, 2),
    source=st.sampled_from(["user", "ref1"]),
)


@given(st.lists(keywords, max_size=12), st.sampled_from(["gloomy", "sun"]))
def test_no_sequence_of_merges_breaks_the_card(found: list[Keyword], dropped: str) -> None:
    card = TasteCard().merge(found, LIMITS)

    assert len({k.key for k in card.keywords}) == len(card.keywords)
    for category, limit in LIMITS.items():
        assert sum(k.category == category and k.weight > 0 for k in card.keywords) <= limit
    assert card.drop(dropped).find(dropped) is None
    assert TasteCard.model_validate_json(card.model_dump_json()) == card
