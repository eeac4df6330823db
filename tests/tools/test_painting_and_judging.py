"""How a recipe reaches the image core, how a picture is questioned, and what of the arguments is refused."""

import json
import math

import pytest
from pydantic import ValidationError

from prompts import load_pack
from tools.arguments import TOOLS, LayoutDraft, TasteRead, tool_specs
from tools.asks import draft_line, layout_messages, questions
from tools.errors import ToolError
from tools.judge import advice, verdict
from tools.paint import request_of, seed_after
from tools.plan import layout_of
from tools.read import keywords_of
from tools.recipe import Recipe
from tools.taste import Keyword, TasteCard
from tools.types import Box, Category, Layout, Region

PACK = load_pack("pocket")
CIRCLE = Region(name="red circle", prompt="a red circle", box=Box(left=0.06, top=0.32, right=0.42, bottom=0.68))
LAYOUT = Layout(enriched_prompt="a red circle.", regions=(CIRCLE,))


def like(text: str, category: Category, weight: float = 1.0) -> Keyword:
    return Keyword(text=text, category=category, weight=weight)


def test_things_to_be_seen_enter_the_prompt_and_the_rest_acts_through_guidance() -> None:
    card = TasteCard().merge(
        [
            like("halftone", "artistic_style"),
            like("city", "theme"),
            like("stars", "visual_elements", 1.5),
            like("rays", "visual_elements", 0.5),
            like("sun", "visual_elements", -1.0),
        ]
    )
    recipe = Recipe(layout=LAYOUT, taste=card, in_prompt=("theme", "visual_elements"), empty_background="plain", seed=1)

    request = request_of(recipe)

    assert request.prompt == "a red circle, city, stars"
    assert request.background == "city, stars"
    assert [(k.text, k.weight) for k in request.keywords] == [
        ("halftone", 1.0),
        ("stars", 1.5),
        ("rays", 0.5),
        ("sun", -1.0),
    ]


def test_a_background_without_words_gets_the_recipes_own() -> None:
    assert request_of(Recipe(layout=LAYOUT, empty_background="plain", seed=1)).background == "plain"
    assert request_of(Recipe(layout=LAYOUT, seed=1)).background == ""


def test_written_looks_also_enter_the_regions_and_things_do_not() -> None:
    card = TasteCard().merge([like("halftone", "artistic_style"), like("stars", "visual_elements")])
    recipe = Recipe(layout=LAYOUT, taste=card, in_prompt=("artistic_style", "visual_elements"), seed=1)

    request = request_of(recipe)

    assert request.prompt == "a red circle, halftone, stars"
    assert request.regions[0].prompt == "a red circle, halftone"
    assert request.keywords == ()


def test_a_region_says_where_it_lies_only_if_the_recipe_wants_it() -> None:
    plain = request_of(Recipe(layout=LAYOUT, seed=1)).regions[0].prompt

    placed = request_of(Recipe(layout=LAYOUT, place_in_regions=True, seed=1)).regions[0].prompt

    assert placed.startswith(plain)
    assert LAYOUT.regions[0].box.place in placed.removeprefix(plain)


def test_seeds_of_a_conversation_stay_in_range_and_apart() -> None:
    seeds = {seed_after(2**32 - 1, n) for n in range(1, 200)}

    assert len(seeds) == 199
    assert all(0 <= s < 2**32 for s in seeds)


def test_thousandths_become_fractions_once() -> None:
    draft = LayoutDraft.model_validate(
        {
            "regions": [{"name": "cat", "prompt": "a cat", "box": [0, 100, 500, 1000]}],
            "background": "",
            "prompt": "a cat",
        }
    )

    assert layout_of(draft).regions[0].box.edges == (0.0, 0.1, 0.5, 1.0)
    with pytest.raises(ToolError, match="left < right"):
        layout_of(draft.model_copy(update={"regions": [draft.regions[0].model_copy(update={"box": [5, 0, 5, 9]})]}))


def test_a_layout_is_shown_as_it_is_asked_for() -> None:
    assert draft_line(LAYOUT) == "a red circle [60,320,420,680]"
    assert "base: a red circle [60,320,420,680]" in layout_messages("bigger", TasteCard(), LAYOUT, PACK)[0].text
    renamed = LAYOUT.model_copy(update={"regions": (CIRCLE.model_copy(update={"prompt": "a round thing"}),)})
    assert draft_line(renamed) == "red circle = a round thing [60,320,420,680]"


def test_every_region_and_every_keyword_is_asked_about() -> None:
    card = TasteCard().merge([like("sun", "visual_elements", -1.0), like("gloomy", "atmosphere")])

    asked = questions(LAYOUT, card, PACK)

    assert [(q.text, q.hard, q.expected) for q in asked] == [
        ("Is there a red circle at the left?", True, True),
        ("Is the mood gloomy?", False, True),
        ("Does it show sun?", True, False),
    ]


def test_a_verdict_follows_the_probability_and_the_expectation() -> None:
    region, _, dislike = questions(
        LAYOUT, TasteCard().merge([like("sun", "visual_elements", -1.0), like("gloomy", "atmosphere")]), PACK
    )

    assert (verdict(region, 0.8).passed, verdict(region, 0.8).confidence) == (True, 0.8)
    assert (verdict(region, 0.2).passed, verdict(region, 0.2).confidence) == (False, 0.8)
    assert (verdict(dislike, 0.2).passed, verdict(dislike, 0.8).passed) == (True, False)
    assert (verdict(region, math.nan).passed, verdict(region, math.nan).confidence) == (False, None)


def test_the_best_advice_is_about_the_first_hard_failure() -> None:
    region, gloomy, sun = questions(
        LAYOUT, TasteCard().merge([like("sun", "visual_elements", -1.0), like("gloomy", "atmosphere")]), PACK
    )

    assert advice([verdict(gloomy, 0.1), verdict(region, 0.1)]) == "paint red circle left again"
    assert advice([verdict(sun, 0.9)]) == "leave out sun"
    assert advice([verdict(gloomy, 0.1)]) == "give gloomy more weight"
    assert advice([verdict(region, 0.9)]) == ""


def test_what_is_read_twice_is_kept_once() -> None:
    seen = TasteRead(artistic_style=["wash"], atmosphere=["Wash", " "], theme=[], visual_elements=["sun"])

    assert [(k.text, k.category, k.source) for k in keywords_of(seen, "ref1")] == [
        ("wash", "artistic_style", "ref1"),
        ("sun", "visual_elements", "ref1"),
    ]


def test_the_tools_are_described_to_any_model() -> None:
    specs = tool_specs()

    assert [s["function"]["name"] for s in specs] == list(TOOLS)
    for spec in specs:
        parameters = spec["function"]["parameters"]
        assert spec["function"]["description"]
        assert parameters["additionalProperties"] is False
        assert parameters["required"] == list(parameters["properties"])
    assert json.dumps(specs)


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("plan_layout", {"base": "@0"}),
        ("plan_layout", {"base": "ref1"}),
        ("generate_image", {"base": "new"}),
        ("generate_image", {"base": "new", "keep": True, "speed": "fast"}),
        ("extract_preferences", {"image": "new"}),
        ("adjust_taste", {"add": [{"text": "x", "category": "mood", "weight": 1}], "drop": [], "weigh": []}),
        ("adjust_taste", {"add": [], "drop": [], "weigh": [{"text": "x", "weight": 3}]}),
        ("critique", {"image": "ref1"}),
    ],
)
def test_arguments_outside_their_type_are_refused(tool: str, arguments: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TOOLS[tool].model_validate(arguments)
