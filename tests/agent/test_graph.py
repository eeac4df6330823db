"""The state machine through its front door: what is called, painted, checked, kept and said."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agent.events import Checked, Failed, Notice, Painted, Progress, Thought, ToolFinished, ToolStarted
from agent.graph import build
from agent.session import Session
from tests.agent.conftest import answer, only, turn
from tests.agent.scripted import ScriptedChat, call, calls, plan, taste
from tools.errors import ConfigError, ToolError
from tools.paint import Painter
from tools.reasoner import MalformedError, Reasoner
from vlm.errors import MalformedOutputError

CIRCLE = ("red circle", (60, 320, 420, 680))
SQUARE = ("blue square", (580, 320, 940, 680))
GREEN = ("green square", (580, 320, 940, 680))


def new_picture(chat: ScriptedChat, *regions: tuple[str, tuple[int, int, int, int]]) -> None:
    chat.replies += [call("plan_layout", base="new"), call("generate_image", base="new", keep=False), "There it is."]
    chat.documents.append(plan(*(regions or (CIRCLE, SQUARE))))


async def test_a_new_picture_is_planned_painted_checked_and_delivered(session: Session, chat: ScriptedChat) -> None:
    new_picture(chat)

    events = await turn(session, "a red circle and a blue square")

    assert [e.tool for e in only(events, ToolStarted)] == ["plan_layout", "generate_image", "critique"]
    assert [e.step for e in only(events, Progress)] == [1, 2, 3]
    assert only(events, Painted)[0].path.is_file()
    assert len(only(events, Checked)[0].critique.checks) == 2
    assert answer(events).text == "There it is."
    assert (answer(events).head, answer(events).stop_reason) == ("@1", "answered")
    assert [e.text for e in only(events, Thought) if e.final] == ["I shall plan_layout.", "I shall generate_image."]


async def test_the_model_is_shown_what_the_turn_has_done(session: Session, chat: ScriptedChat) -> None:
    new_picture(chat)

    await turn(session, "a red circle and a blue square")

    first, last = chat.shown[0][-1].text, chat.shown[-1][-1].text
    assert first.endswith("said: a red circle and a blue square\ndone: nothing")
    assert last.endswith(
        "done: plan ready: red circle left, blue square right\ndone: image @1 from new\ndone: check @1: passed"
    )


async def test_an_edit_keeps_every_other_pixel(session: Session, chat: ScriptedChat) -> None:
    new_picture(chat)
    await turn(session, "a red circle and a blue square")
    chat.replies += [call("plan_layout", base="@1"), call("generate_image", base="@1", keep=True), "Changed."]
    chat.documents.append(plan(CIRCLE, GREEN))

    events = await turn(session, "make the square green")

    state = await session.state()
    before, after = (np.asarray(Image.open(session.path(i.path)).convert("RGB")) for i in state.images)
    assert only(events, ToolFinished)[0].result == "plan ready from @1: change green square"
    assert (before[:, :30] == after[:, :30]).all()
    assert (before[24:40, 42:56] != after[24:40, 42:56]).any()
    assert state.images[1].recipe.parent == state.images[0].recipe.digest


async def test_a_change_of_taste_keeps_the_seed(session: Session, chat: ScriptedChat) -> None:
    new_picture(chat)
    await turn(session, "a red circle and a blue square")
    gloomy = [{"text": "gloomy", "category": "atmosphere", "weight": 1.0}]
    chat.replies += [
        call("adjust_taste", add=gloomy, drop=[], weigh=[]),
        call("generate_image", base="@1", keep=False),
        "Gloomier.",
    ]

    await turn(session, "make it gloomy")

    state = await session.state()
    first, second = state.images
    assert state.card.phrase == "gloomy 1.0"
    assert first.recipe.seed == second.recipe.seed
    assert second.recipe.taste == state.card


async def test_the_same_again_takes_another_seed(session: Session, chat: ScriptedChat) -> None:
    new_picture(chat)
    await turn(session, "a red circle and a blue square")
    chat.replies += [call("generate_image", base="@1", keep=False), "Another."]

    await turn(session, "another one like that")

    first, second = (await session.state()).images
    assert first.recipe.layout == second.recipe.layout
    assert first.recipe.seed != second.recipe.seed


@pytest.mark.parametrize(("second", "best"), [("worse", "@1"), ("equal", "@1"), ("better", "@2")])
async def test_the_best_attempt_is_kept_and_a_tie_keeps_the_earlier(
    session: Session, chat: ScriptedChat, second: str, best: str
) -> None:
    chat.documents.append(plan(CIRCLE, SQUARE))
    again = call("generate_image", base="new", keep=False)
    chat.replies += [call("plan_layout", base="new"), again, again, "The best I could."]
    answers = iter(
        {"worse": [0.9, 0.1, 0.1, 0.1], "equal": [0.9, 0.1, 0.1, 0.9], "better": [0.9, 0.1, 0.9, 0.9]}[second]
    )
    chat.yes = lambda _: next(answers)

    events = await turn(session, "a red circle and a blue square")

    results = [e.result for e in only(events, ToolFinished) if e.tool == "critique"]
    assert results[0] == "check @1 (1 try left): missing blue square right"
    assert answer(events).images == ("@1", "@2")
    assert answer(events).head == best
    assert (await session.state()).layout is not None


async def test_a_budget_of_images_ends_the_turn_with_a_reason(session: Session, chat: ScriptedChat) -> None:
    chat.documents.append(plan(CIRCLE))
    chat.replies += [call("plan_layout", base="new"), *[call("generate_image", base="new", keep=False)] * 4]
    chat.yes = 0.1

    events = await turn(session, "a red circle")

    assert answer(events).stop_reason == "images"
    assert answer(events).images == ("@1", "@2")
    assert "The best picture so far is @1" in answer(events).text


async def test_a_budget_of_rounds_ends_the_turn_with_a_reason(session: Session, chat: ScriptedChat) -> None:
    chat.replies += [call("recall_image", image="@9")] * 20

    events = await turn(session, "go back to @9")

    assert answer(events).stop_reason == "rounds"
    assert len(only(events, ToolStarted)) == session.studio.settings.max_rounds


async def test_a_tool_error_is_told_to_the_model(session: Session, chat: ScriptedChat) -> None:
    new_picture(chat)
    await turn(session, "a red circle and a blue square")
    chat.replies += [call("recall_image", image="@9"), "There is no @9."]

    events = await turn(session, "go back to @9")

    assert only(events, ToolFinished)[0].ok is False
    assert chat.shown[-1][-1].text.endswith("done: error: there is no @9, only @1")
    assert answer(events).head == "@1"


async def test_calls_after_an_image_wait_for_its_critique(session: Session, chat: ScriptedChat) -> None:
    chat.documents.append(plan(CIRCLE))
    both = calls(("generate_image", {"base": "new", "keep": False}), ("recall_image", {"image": "@1"}))
    chat.replies += [call("plan_layout", base="new"), both, "Done."]

    events = await turn(session, "a red circle")

    assert [e.tool for e in only(events, ToolStarted)] == ["plan_layout", "generate_image", "critique", "recall_image"]


async def test_what_follows_a_failed_call_is_not_run(session: Session, chat: ScriptedChat) -> None:
    both = calls(("recall_image", {"image": "@1"}), ("plan_layout", {"base": "new"}))
    chat.replies += [both, "There is nothing to go back to."]

    events = await turn(session, "go back, then draw")

    assert [e.tool for e in only(events, ToolStarted)] == ["recall_image"]


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        ("generate_image", {"base": "new", "keep": False}, "no plan yet"),
        ("generate_image", {"base": "@1", "keep": True}, "no picture yet"),
        ("extract_preferences", {"image": "ref1"}, "nothing attached"),
        ("recall_image", {"image": "the blue one"}, "bad arguments: image"),
        ("sing", {}, "there is no tool 'sing'"),
    ],
)
async def test_impossible_calls_say_what_is_possible(
    session: Session, chat: ScriptedChat, tool: str, arguments: dict[str, object], told: str
) -> None:
    chat.replies += [call(tool, **arguments), "I see."]

    events = await turn(session, "do it")

    assert told in only(events, ToolFinished)[0].result
    assert answer(events).text == "I see."


async def test_a_reference_is_read_into_the_card(session: Session, chat: ScriptedChat, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "navy").save(tmp_path / "mood.png")
    chat.replies += [call("extract_preferences", image="ref1"), "I read gloomy and halftone. What shall I draw?"]
    chat.documents.append(taste(artistic_style=["halftone"], atmosphere=["gloomy"]))

    await turn(session, "", [tmp_path / "mood.png"])

    state = await session.state()
    assert state.card.phrase == "halftone 1.0, gloomy 1.0"
    assert {k.source for k in state.card.keywords} == {"ref1"}
    assert "refs: ref1 new" in chat.shown[0][-1].text
    assert "refs: ref1 read" in chat.shown[-1][-1].text


async def test_a_malformed_decision_gets_one_repair_then_the_turn_ends(session: Session, chat: ScriptedChat) -> None:
    bad = MalformedOutputError("cut off", "<tool_call>{")
    chat.replies += [bad, bad]

    events = await turn(session, "hello")

    assert answer(events).stop_reason == "malformed"
    assert "cut off" in chat.shown[1][-1].text


async def test_a_model_that_thinks_aloud_before_a_call_has_its_words_shown_as_thought(
    session: Session, chat: ScriptedChat
) -> None:
    aloud = call("recall_image", image="@1")
    aloud.additional_kwargs.clear()
    aloud.content = "Let me go back first."
    chat.replies += [aloud, "There is no picture yet."]

    events = await turn(session, "go back")

    assert [e.text for e in only(events, Thought) if e.final] == ["Let me go back first."]
    assert answer(events).text == "There is no picture yet."


async def test_a_plan_that_cannot_be_read_falls_back_to_the_words(session: Session, chat: ScriptedChat) -> None:
    chat.replies += [call("plan_layout", base="new"), call("generate_image", base="new", keep=False), "Done."]
    chat.documents += [MalformedOutputError("not JSON", "{"), MalformedOutputError("not JSON", "{")]

    events = await turn(session, "a red circle")

    (record,) = (await session.state()).images
    assert record.recipe.layout.enriched_prompt == "a red circle"
    assert record.recipe.layout.regions == ()
    assert answer(events).text == "Done."


async def test_a_defective_plan_is_repaired_once(session: Session, chat: ScriptedChat) -> None:
    chat.replies += [call("plan_layout", base="new"), "Planned."]
    chat.documents += [plan(("red circle", (600, 320, 420, 680))), plan(CIRCLE)]

    await turn(session, "a red circle")

    layout = (await session.state()).layout
    assert layout is not None
    assert layout.regions[0].box.left == 0.06
    assert "must have left < right" in chat.shown[2][-1].text


async def test_a_missing_model_is_said_and_the_conversation_goes_on(session: Session, chat: ScriptedChat) -> None:
    working = session.studio.models
    session.studio.models = BrokenModels()

    events = await turn(session, "hello")

    assert isinstance(events[-1], Failed)
    assert events[-1].kind == "config"
    assert "ATTUNE_CHAT_MODEL" in events[-1].message
    session.studio.models = working
    chat.replies.append("Here I am.")
    assert answer(await turn(session, "are you there?")).text == "Here I am."
    assert [line.role for line in (await session.state()).dialogue] == ["person", "agent", "person", "agent"]


class BrokenModels:
    async def reasoner(self) -> Reasoner:
        raise ConfigError("no model there (setting ATTUNE_CHAT_MODEL)")

    async def painter(self) -> Painter:
        raise AssertionError("the painter is not reached")


async def test_a_long_message_is_cut_and_said_so(session: Session, chat: ScriptedChat) -> None:
    chat.replies.append("That is long.")

    events = await turn(session, "circle " * 2000)

    assert len(only(events, Notice)) == 2
    assert len((await session.state()).turn.said) <= 4000
    assert " (cut)" in chat.shown[0][-1].text


def test_a_malformed_error_is_a_tool_error() -> None:
    assert issubclass(MalformedError, ToolError)


def test_the_diagram_is_the_one_drawn() -> None:
    """Routing lives in `build` alone; this is the picture in its docstring, edge by edge."""
    edges = {(e.source, e.target) for e in build(None).get_graph().edges}  # pyright: ignore[reportArgumentType]

    assert edges == {
        ("__start__", "intake"),
        ("intake", "reason"),
        ("reason", "act"),
        ("reason", "deliver"),
        ("act", "critique"),
        ("act", "act"),
        ("act", "reason"),
        ("act", "deliver"),
        ("critique", "act"),
        ("critique", "reason"),
        ("critique", "deliver"),
        ("deliver", "__end__"),
    }
