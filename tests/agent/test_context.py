"""The bounded context: every fact a decision depends on is there, in a fixed form, however long the conversation is."""

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from agent.context import reason_messages
from agent.state import Line, Reference, State, Step, Turn
from prompts import Pack, load_pack
from tools.asks import ImageBlock
from tools.recipe import ImageRecord, Recipe
from tools.taste import Keyword, TasteCard
from tools.types import Box, Layout, Region

POCKET, QWEN = load_pack("pocket"), load_pack("qwen")
CARD = TasteCard(
    keywords=(
        Keyword(text="sun", category="visual_elements", weight=-1.0),
        Keyword(text="gloomy", category="atmosphere"),
        Keyword(text="halftone", category="artistic_style", weight=0.8),
    )
)


def region(name: str, left: float) -> Region:
    return Region(name=name, prompt=f"a {name}", box=Box(left=left, top=0.35, right=left + 0.3, bottom=0.65))


LAYOUT = Layout(enriched_prompt="two things", regions=(region("red circle", 0.05), region("blue square", 0.65)))


def image(number: int, card: TasteCard = CARD) -> ImageRecord:
    recipe = Recipe(layout=LAYOUT, taste=card, seed=number)
    return ImageRecord(id=f"@{number}", recipe=recipe, path="p", latents_path="l", seconds=1.0, turn=number)


def reference(number: int, *, read: bool) -> Reference:
    return Reference(id=f"ref{number}", digest="0" * 12, path="p", name="mood.png", turn=1, read=read)


def facts(state: State) -> list[str]:
    return reason_messages(state, POCKET)[-1].text.splitlines()


def test_the_facts_of_a_busy_turn() -> None:
    state = State(
        card=CARD,
        images=(image(1, TasteCard()), image(2)),
        head="@2",
        references=(reference(1, read=True), reference(2, read=False)),
        turn=Turn(
            said="make the  square\ngreen",
            steps=(
                Step(tool="plan_layout", arguments={"base": "@2"}, result="plan ready from @2: change green square"),
                Step(tool="recall_image", arguments={"image": "@9"}, result="there is no @9, only @1 to @2", ok=False),
            ),
        ),
    )

    assert facts(state) == [
        "taste: halftone 0.8, gloomy 1.0; no: sun",
        "refs: ref1 read, ref2 new",
        "pictures: 2",
        "@1: red circle left, blue square right",
        "@2: red circle left, blue square right; halftone, gloomy",
        "head: @2",
        "said: make the square green",
        "done: plan ready from @2: change green square",
        "done: error: there is no @9, only @1 to @2",
    ]


def test_the_facts_of_a_first_turn() -> None:
    assert facts(State(turn=Turn(said=""))) == [
        "taste: none",
        "refs: none",
        "pictures: none",
        "head: none",
        "said: (nothing)",
        "done: nothing",
    ]


def test_old_pictures_are_listed_when_they_are_named_or_current() -> None:
    many = tuple(image(n) for n in range(1, 21))

    named = facts(State(images=many, head="@20", turn=Turn(said="go back to @3")))
    current = facts(State(images=many, head="@5", turn=Turn(said="thanks")))

    assert [line[:3] for line in named if line.startswith("@")] == ["@3:", "@18", "@19", "@20"]
    assert [line[:3] for line in current if line.startswith("@")] == ["@5:", "@18", "@19", "@20"]


def test_nothing_a_person_does_makes_the_pocket_context_long() -> None:
    """Bounded in characters here; the tokens of the shipped tokenizer are counted in the tests of pocket."""
    wild = TasteCard(keywords=tuple(Keyword(text=f"{n} " + "x" * 50, category="theme") for n in range(60)))
    crowd = Layout(enriched_prompt="crowd", regions=tuple(region(f"purple triangle {n}", 0.05) for n in range(16)))
    records = [image(n).model_copy(update={"recipe": Recipe(layout=crowd, taste=wild, seed=n)}) for n in range(1, 60)]
    state = State(
        card=wild,
        images=records,
        head="@1",
        references=[reference(n, read=False) for n in range(1, 30)],
        dialogue=[Line(turn=n, role="person", text="y" * 4000) for n in range(50)],
        turn=Turn(number=99, said="z" * 4000, steps=(Step(tool="critique", arguments={}, result="w" * 999),) * 40),
    )

    messages = reason_messages(state, POCKET)

    assert [type(m) for m in messages] == [SystemMessage, HumanMessage]
    assert sum(len(m.text) for m in messages) < 1750


def test_a_large_model_is_shown_calls_results_and_pictures() -> None:
    state = State(
        images=(image(1),),
        head="@1",
        references=(reference(1, read=False),),
        dialogue=(
            Line(turn=1, role="person", text="a red circle"),
            Line(turn=1, role="agent", text="@1 is ready."),
            Line(turn=2, role="person", text="again"),
        ),
        turn=Turn(
            number=2,
            said="again",
            steps=(
                Step(tool="generate_image", arguments={"base": "@1", "keep": False}, result="image @2 from @1"),
                Step(tool="critique", arguments={"image": "@2"}, result="check @2: passed", forced=True),
            ),
        ),
    )
    shown: list[str] = []

    def picture(name: str) -> ImageBlock:
        shown.append(name)
        return {"type": "image", "base64": "", "mime_type": "image/png"}

    messages = reason_messages(state, QWEN, picture)

    kinds = [SystemMessage, HumanMessage, AIMessage, HumanMessage, AIMessage, ToolMessage]
    assert [type(m) for m in messages] == kinds
    assert shown == ["@1", "ref1"]
    assert messages[-1].text == "image @2 from @1\ncheck @2: passed"
    assert isinstance(messages[-2], AIMessage)
    assert messages[-2].tool_calls[0]["args"] == {"base": "@1", "keep": False}


@pytest.mark.parametrize("pack", [POCKET, QWEN], ids=lambda pack: pack.name)
def test_the_same_state_gives_the_same_messages(pack: Pack) -> None:
    state = State(card=CARD, images=(image(1),), head="@1", turn=Turn(said="hello"))

    first, second = (reason_messages(state, pack) for _ in range(2))

    assert [m.text for m in first] == [m.text for m in second]


def test_words_of_a_person_are_never_expanded() -> None:
    assert "said: $digest {0.__class__} $$" in facts(State(turn=Turn(said="$digest {0.__class__} $$")))
