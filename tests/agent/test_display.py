"""Cards: what happens in a turn becomes things to see, each in a place of its own."""

from pathlib import Path

from PIL import Image

from agent import events, words
from agent.display import Card, TurnDisplay, history
from agent.lobby import Lobby
from agent.session import Session, Studio
from tests.agent.conftest import turn
from tests.agent.scripted import ScriptedChat, call, plan
from tools.recipe import ImageRecord, Recipe
from tools.types import Layout

RECORD = ImageRecord(
    id="@1",
    recipe=Recipe(layout=Layout(enriched_prompt="a star"), seed=5),
    path="p",
    latents_path="l",
    seconds=1,
    turn=1,
)


def drawn(*happened: events.Event, loading: bool = False) -> list[Card]:
    """Return what the page shows in the end, oldest first."""
    display, page = TurnDisplay(loading), dict[str, Card]()
    for event in happened:
        page |= {card.key: card for card in display.cards(event)}
    return list(page.values())


def test_a_thought_grows_in_place_and_ends_whole() -> None:
    (card,) = drawn(events.Thought("I "), events.Thought("plan."), events.Thought("I plan.", final=True))

    assert (card.kind, card.text, card.done) == ("thought", "I plan.", True)


def test_a_thought_that_is_whole_only_after_the_answer_began_is_no_second_one() -> None:
    end = events.Answer("Yes.", (), "", "answered")
    cards = drawn(events.Thought("Hm"), events.AnswerPiece("Ye"), events.Thought("Hm.", final=True), end)

    assert [(c.kind, c.text, c.done) for c in cards] == [("thought", "Hm.", True), ("answer", "Yes.", True)]


def test_a_tool_ends_with_what_it_found() -> None:
    layout = Layout(enriched_prompt="a star", background_prompt="seaside")
    begun = events.ToolStarted("plan_layout", {"base": "new"})
    (card,) = drawn(begun, events.Planned(layout), events.ToolFinished("plan_layout", "plan ready"))

    assert card.title == "Plan the layout"
    assert card.text == "plan ready\n\n- behind: seaside"


def test_a_picture_develops_in_place(tmp_path: Path) -> None:
    sketch = Image.new("RGB", (8, 8))
    sketch.save(tmp_path / "done.png")
    begun = (events.ToolStarted("generate_image", {}), events.Progress(1, 2, sketch))
    half = drawn(*begun)[-1]
    tool, whole = drawn(
        *begun, events.Painted(RECORD, tmp_path / "done.png"), events.ToolFinished("generate_image", "image @1")
    )

    assert half.text.endswith("1 of 2")
    assert half.images[0]["url"].startswith("data:image/jpeg")
    assert (whole.key, whole.images[0]["path"]) == (half.key, str(tmp_path / "done.png"))
    assert whole.text.startswith("**@1** a star")
    assert "seed 5" in whole.text
    assert tool.done


def test_a_stopped_picture_stays_as_far_as_it_came() -> None:
    stopped = events.ToolFinished("generate_image", "stopped", ok=False)
    tool, picture = drawn(events.ToolStarted("generate_image", {}), events.Progress(1, 2), stopped)

    assert (tool.ok, picture.done) == (False, True)
    assert picture.text.startswith(words.UNFINISHED)


def test_loading_is_shown_until_something_happens() -> None:
    (waiting,) = drawn(events.TurnStarted(1), loading=True)
    (over, _) = drawn(events.TurnStarted(1), events.Thought("Hm"), loading=True)

    assert (waiting.title, waiting.done, over.done) == ("Load the models", False, True)


def test_only_what_a_person_must_mend_is_an_error() -> None:
    kinds = {kind: drawn(events.Failed(kind, "why"))[-1].kind for kind in ("input", "config", "busy", "error")}

    assert kinds == {"input": "note", "config": "error", "busy": "note", "error": "error"}


async def test_history_shows_the_words_and_the_pictures(session: Session, chat: ScriptedChat) -> None:
    chat.documents.append(plan(("red circle", (60, 320, 420, 680))))
    chat.replies += [call("plan_layout", base="new"), call("generate_image", base="new", keep=False), "There it is."]
    await turn(session, "a red circle")

    cards = list(history(await session.state(), session))

    assert [c.kind for c in cards] == ["said", "picture", "answer"]
    assert Path(cards[1].images[0]["path"]).is_file()
    assert words.title(await session.state()) == "a red circle"


async def test_a_visitor_comes_back_to_their_own_conversation(studio: Studio, chat: ScriptedChat) -> None:
    chat.replies += ["Hello.", "Hello."]
    await turn(await Lobby(studio).session("ann"), "I am Ann")
    await turn(await Lobby(studio).session("ben"), "I am Ben")

    lobby = Lobby(studio)
    back = await lobby.enter("ann")
    assert back is not None
    assert words.title(await back.state()) == "I am Ann"
    assert await lobby.enter("carl") is None
    assert sorted(title for _, title in await lobby.earlier()) == ["I am Ann", "I am Ben"]


async def test_leaving_begins_anew_and_reopening_returns(studio: Studio, chat: ScriptedChat) -> None:
    chat.replies.append("Hello.")
    lobby = Lobby(studio)
    first = await lobby.session("ann")
    await turn(first, "I am Ann")

    lobby.leave("ann")
    assert await lobby.enter("ann") is None
    assert await lobby.reopen("ann", first.id) is first
    assert await lobby.reopen("ann", "made up") is None
    assert await lobby.enter("ann") is first
