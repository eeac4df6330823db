"""Boxes, layouts, their defects and their changes; recipes as names of pictures."""

import pytest
from pydantic import ValidationError

from tools.phrases import checked, no_image, plan_ready, taste_changed
from tools.recipe import Recipe
from tools.taste import Keyword, TasteCard
from tools.types import Box, Check, Critique, Layout, Region, changes


def box(left: int, top: int, right: int, bottom: int) -> Box:
    return Box(left=left / 1000, top=top / 1000, right=right / 1000, bottom=bottom / 1000)


def region(name: str, where: Box, prompt: str = "") -> Region:
    return Region(name=name, prompt=prompt or f"a {name}", box=where)


LEFT, RIGHT, TOP = box(60, 320, 420, 680), box(580, 320, 940, 680), box(320, 20, 680, 300)
TWO = Layout(
    enriched_prompt="a red circle and a blue square", regions=(region("red circle", LEFT), region("blue square", RIGHT))
)


def kinds(layout: Layout, **limits: int) -> list[str]:
    bounds = {"max_tokens": 8, "max_regions": 3} | limits
    return [d.kind for d in layout.lint(cell=0.125, tokens=lambda text: len(text.split()), **bounds)]


@pytest.mark.parametrize("edges", [(0.5, 0.0, 0.5, 1.0), (0.6, 0.0, 0.5, 1.0), (0.0, 0.0, 1.1, 1.0), (-0.1, 0.0, 1, 1)])
def test_a_box_is_a_rectangle_of_the_picture(edges: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValidationError):
        Box(left=edges[0], top=edges[1], right=edges[2], bottom=edges[3])


@pytest.mark.parametrize(
    ("where", "place"),
    [
        (LEFT, "left"),
        (RIGHT, "right"),
        (TOP, "top"),
        (box(0, 0, 300, 300), "top left"),
        (box(400, 400, 600, 600), "middle"),
        (box(800, 800, 1000, 1000), "bottom right"),
    ],
)
def test_a_place_is_the_third_that_holds_the_centre(where: Box, place: str) -> None:
    assert where.place == place


def test_overlap_by_hand() -> None:
    """Two boxes of area .04 share .02: .02 / (.04 + .04 - .02) = 1/3."""
    assert box(0, 0, 200, 200).overlap(box(100, 0, 300, 200)) == pytest.approx(1 / 3)
    assert box(0, 0, 200, 200).overlap(box(200, 0, 300, 200)) == 0.0


def test_a_clean_layout_has_no_defects() -> None:
    assert kinds(TWO) == []


@pytest.mark.parametrize(
    ("layout", "found"),
    [
        (Layout(enriched_prompt="a circle", regions=(region("red circle", box(0, 0, 100, 500)),)), ["small"]),
        (Layout(enriched_prompt="a square", regions=(region("red circle", LEFT),)), ["missing"]),
        (
            Layout(
                enriched_prompt="a cat, a dog", regions=(region("cat", LEFT), region("dog", box(80, 340, 420, 700)))
            ),
            ["overlap"],
        ),
        (Layout(enriched_prompt="one two three four five six seven eight nine"), ["long"]),
        (Layout(enriched_prompt="cat", regions=(region("cat", LEFT, "a " * 9),)), ["long"]),
    ],
    ids=["small", "missing", "overlap", "long-prompt", "long-region"],
)
def test_every_defect_is_named(layout: Layout, found: list[str]) -> None:
    assert kinds(layout) == found


def test_too_many_regions_are_named() -> None:
    assert kinds(TWO, max_regions=1) == ["many"]


def test_changes_are_what_is_new_and_what_went() -> None:
    green = region("green square", RIGHT)
    star = region("yellow star", TOP)

    recoloured = changes(TWO, TWO.model_copy(update={"regions": (TWO.regions[0], green)}))
    added = changes(TWO, TWO.model_copy(update={"regions": (*TWO.regions, star)}))
    removed = changes(TWO, TWO.model_copy(update={"regions": TWO.regions[:1]}))
    moved = changes(TWO, TWO.model_copy(update={"regions": (TWO.regions[0], region("blue square", TOP))}))

    assert (recoloured.phrase, recoloured.boxes) == ("change green square", (RIGHT, RIGHT))
    assert (added.phrase, added.boxes) == ("change yellow star", (TOP,))
    assert (removed.phrase, removed.boxes) == ("remove blue square", (RIGHT,))
    assert moved.boxes == (RIGHT, TOP)
    assert changes(TWO, TWO).phrase == "no change"


def test_a_box_that_wobbles_by_a_hair_has_not_moved() -> None:
    wobbled = TWO.model_copy(update={"regions": (region("red circle", box(62, 320, 421, 680)), TWO.regions[1])})

    assert changes(TWO, wobbled).boxes == ()


def check(subject: str, *, hard: bool, passed: bool) -> Check:
    return Check(kind="region", subject=subject, question="?", hard=hard, passed=passed)


def test_a_missing_subject_outweighs_any_number_of_soft_checks() -> None:
    missing = Critique(checks=(check("cat", hard=True, passed=False), check("gloomy", hard=False, passed=True)))
    weak = Critique(checks=(check("cat", hard=True, passed=True), *[check("gloomy", hard=False, passed=False)] * 9))

    assert weak.rank > missing.rank
    assert missing.missing == ("cat",)


def test_the_words_for_a_check() -> None:
    bad = Critique(checks=(check("cat", hard=True, passed=False), check("gloomy", hard=False, passed=False)))

    assert checked("@2", bad, 1) == "check @2 (1 try left): missing cat; weak: gloomy"
    assert checked("@2", bad, 0, best="@1") == "check @2 (no try left): missing cat; weak: gloomy; best @1"
    assert checked("@2", Critique(), 1, best="@2") == "check @2: passed"
    assert checked("@2", bad) == "check @2: missing cat; weak: gloomy"


def test_the_words_for_plans_cards_and_what_is_not_there() -> None:
    card = TasteCard().add(Keyword(text="gloomy", category="atmosphere"))
    after = card.weigh("gloomy", 0.5).add(Keyword(text="sun", category="visual_elements", weight=-1.0))

    assert plan_ready(TWO, "new", None) == "plan ready: red circle left, blue square right"
    assert taste_changed(card, after) == "taste changed: gloomy 0.5, no sun"
    assert taste_changed(card, card.drop("gloomy"), ["rain"]) == "taste changed: -gloomy; not on the card: rain"
    assert taste_changed(card, card) == "taste unchanged"
    assert [no_image("@9", n) for n in (0, 1, 3)] == [
        "there is no @9, no picture yet",
        "there is no @9, only @1",
        "there is no @9, only @1 to @3",
    ]


def test_equal_recipes_have_equal_names_and_every_field_counts() -> None:
    recipe = Recipe(layout=TWO, seed=1)

    assert Recipe.model_validate_json(recipe.model_dump_json()).digest == recipe.digest
    others = [
        recipe.model_copy(update={"seed": 2}),
        recipe.model_copy(update={"taste": TasteCard().add(Keyword(text="sun", category="theme"))}),
        recipe.model_copy(update={"parent": "0" * 16}),
        recipe.model_copy(update={"strengths": recipe.strengths.model_copy(update={"alpha": 0.1})}),
    ]
    assert len({r.digest for r in [recipe, *others]}) == 5


def test_a_grown_box_is_cut_at_the_canvas() -> None:
    grown = Box(left=0.02, top=0.3, right=0.5, bottom=0.98).grown(0.04)

    assert grown.edges == pytest.approx((0.0, 0.26, 0.54, 1.0))
