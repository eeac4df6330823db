"""Run a scripted conversation in a data folder of its own and write what came of it."""

import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from agent import events
from agent.models import Models
from agent.report import Picture, TurnReport, Used, write_lines, write_page, write_transcript
from agent.scenario import Said, Scenario, load_scenario
from agent.session import Session, Studio
from agent.settings import Settings
from tools.errors import ConfigError

COMPLETED, TURN_FAILED, COULD_NOT_RUN = 0, 1, 2
"""Exit codes."""


async def run_scenario(
    path: Path,
    out: Path,
    settings_of: Callable[[Scenario, Path], Settings],
    tell: Callable[[str], None],
    models: Callable[[Settings], Models] | None = None,
) -> int:
    """Run a scenario; return the exit code.

    Args:
        path: the YAML file.
        out: where the pictures, `turns.jsonl`, `transcript.md` and `index.html` go.
        settings_of: the settings for this scenario and a data folder.
        tell: told a line of progress now and then.
        models: where the models come from, if not from the settings.

    Raises:
        ConfigError: it could not run, or not to its end.
    """
    scenario = load_scenario(path)
    title = scenario.title or path.stem
    _prepare(out)
    turns: list[TurnReport] = []
    with tempfile.TemporaryDirectory(prefix="attune-") as data:
        settings = settings_of(scenario, Path(data))
        async with Studio.open(settings, models(settings) if models else None) as studio:
            session = await studio.session("scenario", seed=scenario.seed)
            for number, said in enumerate(scenario.turns, start=1):
                tell(f"{number}/{len(scenario.turns)} {said.say or '(pictures only)'}")
                report = await _turn(session, number, said, out)
                tell(f"    {report.answer or report.error}")
                turns.append(report)
                # Written as it goes, so that a run that is cut short leaves what it has.
                write_lines(turns, out)
    write_transcript(title, turns, out)
    page = write_page(title, turns, out)
    tell(f"page: {page.resolve()}")
    return COMPLETED if all(turn.completed for turn in turns) else TURN_FAILED


def _prepare(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        for old in (*out.glob("image-*.png"), *out.glob("attached-*.png")):
            old.unlink()
    except OSError as error:
        raise ConfigError(f"cannot write to {str(out)!r}: {error.strerror}") from error


async def _turn(session: Session, number: int, said: Said, out: Path) -> TurnReport:
    report = TurnReport(turn=number, say=said.say)
    started = time.monotonic()
    running: events.ToolStarted | None = None
    broken = ""
    async for event in session.send(said.say, said.attach):
        match event:
            case events.Thought(text, final=True):
                report.thoughts.append(text)
            case events.Notice(text):
                report.notices.append(text)
            case events.ToolStarted():
                running = event
            case events.ToolFinished(tool, result, ok) if running is not None:
                report.tools.append(tool)
                report.steps.append(Used(tool=tool, arguments=running.arguments, result=result, ok=ok))
            case events.Answer():
                report.answer, report.stop_reason, report.head = event.text, event.stop_reason, event.head
            case events.Failed("config", message):
                broken = message
            case events.Failed(_, message):
                report.error = message
            case _:
                pass
    if broken:
        raise ConfigError(broken)
    report.seconds = round(time.monotonic() - started, 3)
    return await _completed(session, report, out)


async def _completed(session: Session, report: TurnReport, out: Path) -> TurnReport:
    """Add what the conversation now remembers, and copy its new pictures."""
    state = await session.state()
    report.taste, report.layout = state.card, state.layout
    report.critique = state.critiques.get(state.head)
    report.head, report.head_file = state.head, _file(state.head)
    if state.turn.stop_reason is None or report.error:
        return report
    for record in (r for r in state.images if r.id in state.turn.made):
        shutil.copyfile(session.path(record.path), out / _file(record.id))
        picture = Picture(
            id=record.id, file=_file(record.id), seed=record.recipe.seed, parent=record.parent, seconds=record.seconds
        )
        report.images.append(picture)
    for reference in (r for r in state.references if r.id in state.turn.attached):
        name = f"attached-{reference.id}.png"
        with Image.open(session.path(reference.path)) as image:
            image.save(out / name)
        report.attach.append(name)
    return report


def _file(image: str) -> str:
    return f"image-{int(image.removeprefix('@')):02}.png" if image else ""
