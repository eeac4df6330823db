"""The door to a conversation: bad input, stopping, restarting, branching, and what is remembered."""

import asyncio
from pathlib import Path

import pytest
from PIL import Image

from agent.events import Answer, Failed, Notice, Painted, Progress, TurnStarted
from agent.memory import TasteStore
from agent.session import Session, Studio
from agent.settings import Settings
from tests.agent.conftest import ScriptedModels, answer, only, turn
from tests.agent.scripted import ScriptedChat, call, plan
from tools.errors import ConfigError, InputError
from tools.taste import Keyword, TasteCard

CIRCLE = ("red circle", (60, 320, 420, 680))


def circle(chat: ScriptedChat, said: str = "There it is.") -> None:
    chat.replies += [call("plan_layout", base="new"), call("generate_image", base="new", keep=False), said]
    chat.documents.append(plan(CIRCLE))


async def test_an_empty_message_is_refused_and_nothing_is_lost(session: Session, chat: ScriptedChat) -> None:
    circle(chat)
    await turn(session, "a red circle")

    events = await turn(session, "  \n ")

    assert isinstance(events[-1], Failed)
    assert events[-1].kind == "input"
    state = await session.state()
    assert (len(state.images), len(state.dialogue), state.turn.number) == (1, 2, 1)
    chat.replies.append("Hello.")
    assert answer(await turn(session, "hello")).text == "Hello."


async def test_a_bad_attachment_is_named_and_the_words_still_count(
    session: Session, chat: ScriptedChat, tmp_path: Path
) -> None:
    (tmp_path / "notes.png").write_text("not a picture", encoding="utf-8")
    Image.new("RGB", (32, 32)).save(tmp_path / "good.png")
    chat.replies.append("Fine.")

    events = await turn(session, "like these", [tmp_path / "notes.png", tmp_path / "good.png"])

    assert "notes.png" in only(events, Notice)[0].text
    assert only(events, TurnStarted)[0].attached == ("ref1",)
    assert answer(events).text == "Fine."


async def test_a_lone_bad_attachment_fails_the_message_only(session: Session, tmp_path: Path) -> None:
    (tmp_path / "notes.png").write_text("not a picture", encoding="utf-8")

    events = await turn(session, "", [tmp_path / "notes.png"])

    assert isinstance(events[-1], Failed)
    assert "not a picture" in events[-1].message
    assert (await session.state()).references == ()


async def test_a_missing_file_fails_the_message_only(session: Session, tmp_path: Path) -> None:
    events = await turn(session, "like this", [tmp_path / "none.png"])

    assert isinstance(events[-1], Failed)
    assert "none.png" in events[-1].message


async def test_stopping_takes_effect_within_a_step_and_keeps_what_was_made(
    session: Session, chat: ScriptedChat
) -> None:
    chat.replies += [call("plan_layout", base="new"), call("generate_image", base="new", keep=False)]
    chat.documents.append(plan(CIRCLE))
    steps = 0

    async for event in session.send("a red circle"):
        if isinstance(event, Progress):
            steps = event.step
            session.stop()
        if isinstance(event, Answer):
            assert event.stop_reason == "stopped"

    state = await session.state()
    assert steps <= 2
    assert state.images == ()
    assert state.layout is not None
    assert state.turn.stop_reason == "stopped"
    circle(chat)
    assert answer(await turn(session, "go on")).head == "@1"


async def test_leaving_the_stream_early_stops_the_turn(session: Session, chat: ScriptedChat) -> None:
    circle(chat)

    stream = session.send("a red circle")
    async for event in stream:
        if isinstance(event, Progress):
            break
    await stream.aclose()  # pyright: ignore[reportAttributeAccessIssue]

    assert (await session.state()).turn.stop_reason == "stopped"


async def test_a_second_message_waits_its_turn(session: Session, chat: ScriptedChat) -> None:
    circle(chat)
    second: list[object] = []

    async for event in session.send("a red circle"):
        if isinstance(event, Progress) and not second:
            second += await turn(session, "and a square")

    assert isinstance(second[-1], Failed)
    assert second[-1].kind == "busy"
    assert len((await session.state()).dialogue) == 2


async def test_the_loop_stays_free_while_a_picture_is_painted(session: Session, chat: ScriptedChat) -> None:
    circle(chat)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    clock = asyncio.create_task(tick())
    events = await turn(session, "a red circle")
    clock.cancel()

    seconds = only(events, Painted)[0].record.seconds
    assert ticks >= min(5, seconds / 0.05)


async def test_a_conversation_continues_after_a_restart(settings: Settings, chat: ScriptedChat) -> None:
    circle(chat)
    async with Studio.open(settings, ScriptedModels(chat, settings)) as studio:
        await turn(await studio.session("talk", seed=7), "a red circle")
    chat.replies += [call("recall_image", image="@1"), "Back at @1."]

    async with Studio.open(settings, ScriptedModels(chat, settings)) as studio:
        session = await studio.session("talk")
        events = await turn(session, "go back to @1")
        state = await session.state()

    assert answer(events).head == "@1"
    assert state.seed == 7
    assert [line.text for line in state.dialogue] == ["a red circle", "There it is.", "go back to @1", "Back at @1."]


async def test_a_turn_that_was_cut_off_is_repaired(session: Session, chat: ScriptedChat) -> None:
    """A bug in a tool ends the run; the next turn starts clean and the dialogue has no unanswered message."""
    chat.replies += [call("plan_layout", base="new")]
    chat.documents.append(ZeroDivisionError("a bug"))
    with pytest.raises(ZeroDivisionError):
        await turn(session, "a red circle")
    chat.replies.append("Hello again.")

    events = await turn(session, "hello?")

    assert answer(events).text == "Hello again."
    state = await session.state()
    assert [line.role for line in state.dialogue] == ["person", "agent", "person", "agent"]
    assert "interrupted" in state.dialogue[1].text
    assert state.turn.steps == ()


async def test_branching_leaves_the_first_conversation_alone(session: Session, chat: ScriptedChat) -> None:
    circle(chat)
    circle(chat)
    await turn(session, "a red circle")
    await turn(session, "a new one")

    other = await session.branch("@1")

    assert (await other.state()).head == "@1"
    assert (await session.state()).head == "@2"
    with pytest.raises(InputError, match="no picture @9"):
        await session.branch("@9")


async def test_a_hundred_turns_cost_the_model_what_five_do(session: Session, chat: ScriptedChat) -> None:
    for number in range(40):
        chat.replies.append("Hello.")
        await turn(session, f"hello number {number:02}")

    sizes = [sum(len(m.text) for m in shown) for shown in chat.shown]
    assert max(sizes) == sizes[5]


async def test_only_the_last_checkpoint_is_kept(session: Session, studio: Studio, chat: ScriptedChat) -> None:
    circle(chat)
    await turn(session, "a red circle")

    async with studio.saver.conn.execute("SELECT COUNT(*) FROM checkpoints") as rows:
        found = await rows.fetchone()

    assert found is not None
    assert found[0] == 1


async def test_taste_outlives_the_conversation(settings: Settings, chat: ScriptedChat) -> None:
    remembering = settings.model_copy(update={"remember_taste": True})
    gloomy = [{"text": "gloomy", "category": "atmosphere", "weight": 1.0}]
    chat.replies += [call("adjust_taste", add=gloomy, drop=[], weigh=[]), "Noted."]
    async with Studio.open(remembering, ScriptedModels(chat, remembering)) as studio:
        await turn(await studio.session(), "I like gloomy pictures")

        state = await (await studio.session()).state()

    assert state.card.phrase == "gloomy 1.0"
    assert TasteStore(settings.data).delete()
    assert TasteStore(settings.data).read() == TasteCard()


async def test_the_card_can_be_edited_beside_the_conversation(session: Session) -> None:
    await session.change_taste(lambda card: card.add(Keyword(text="gloomy", category="atmosphere")))

    state = await session.change_taste(lambda card: card.toggle("gloomy"))

    assert state.card.active == ()
    assert len(state.card.keywords) == 1


def test_a_broken_taste_file_is_for_a_person_to_mend(tmp_path: Path) -> None:
    (tmp_path / "taste.json").write_text('{"keywords": 3}', encoding="utf-8")

    with pytest.raises(ConfigError, match="not a taste card"):
        TasteStore(tmp_path).read()
