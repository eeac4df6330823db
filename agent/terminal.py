"""`attune chat`: the conversation in a terminal. Words that are paths of picture files are attached."""

import asyncio
import shlex
import shutil
import signal
from pathlib import Path

from rich.console import Console

from agent import events
from agent.models import Models
from agent.session import Session, Studio
from agent.settings import Settings
from tools.errors import ConfigError

PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff"}
HELP = "Say what you want to see. Picture paths in a message are attached. Ctrl-C stops a turn, /quit or Ctrl-D leaves."


def split_attachments(line: str) -> tuple[str, list[Path]]:
    """Part a line into its words and the picture files named in it."""
    try:
        words = shlex.split(line) if any(suffix in line.lower() for suffix in PICTURES) else []
    except ValueError:
        words = line.split()
    files = [Path(word).expanduser() for word in words if Path(word).suffix.lower() in PICTURES]
    if not files:
        return line.strip(), []
    return " ".join(word for word in words if Path(word).suffix.lower() not in PICTURES), files


async def chat(
    settings: Settings,
    out: Path,
    *,
    conversation: str | None = None,
    resume: bool = False,
    seed: int | None = None,
    models: Models | None = None,
) -> None:
    """Talk until the person leaves.

    Args:
        settings: the profile and the data folder.
        out: where new pictures are saved.
        conversation: the one to continue.
        resume: whether to continue the last one instead.
        seed: of a new one.
        models: where the models come from, if not from the settings.

    Raises:
        ConfigError: the models or the data folder cannot be used.
    """
    console = Console()
    async with Studio.open(settings, models) as studio:
        if resume and conversation is None:
            known = await studio.conversations()
            conversation = known[0] if known else None
        session = await studio.session(conversation, seed=seed)
        console.print(HELP, style="dim")
        for line in (await session.state()).dialogue:
            console.print(f"{'you' if line.role == 'person' else 'attune'}: {line.text}", style="dim", markup=False)
        while (said := await _ask()) is not None:
            text, files = split_attachments(said)
            if text in {"/quit", "/exit"}:
                break
            await take_turn(session, text, files, out, console)
        console.print(f"Continue with: attune chat --conversation {session.id}", style="dim")


async def _ask() -> str | None:
    try:
        return await asyncio.to_thread(input, "you> ")
    except EOFError:
        return None


async def take_turn(session: Session, text: str, files: list[Path], out: Path, console: Console) -> None:
    """Take one turn and show it; Ctrl-C stops it and keeps the conversation."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, session.stop)
    broken = ""
    try:
        async for event in session.send(text, files):
            if isinstance(event, events.Failed) and event.kind == "config":
                broken = event.message
            else:
                show(event, out, console)
    finally:
        loop.remove_signal_handler(signal.SIGINT)
    if broken:
        raise ConfigError(broken)


def show(event: events.Event, out: Path, console: Console) -> None:
    """Print one event; save a new picture under its number."""
    match event:
        case events.Thought(text, final=True):
            console.print(f"  {text}", style="dim italic", markup=False)
        case events.Notice(text):
            console.print(f"  {text}", style="yellow", markup=False)
        case events.ToolFinished(tool, result, ok):
            console.print(f"  {tool}: {result}", style="dim" if ok else "red", markup=False)
        case events.Progress(step, steps) if console.is_terminal:
            console.print(f"  step {step}/{steps}", style="dim", end="\n" if step == steps else "\r")
        case events.Painted(record, path):
            out.mkdir(parents=True, exist_ok=True)
            file = out / f"{record.id.removeprefix('@'):0>2}-{record.recipe.digest[:8]}.png"
            shutil.copyfile(path, file)
            seed, seconds = record.recipe.seed, record.seconds
            console.print(f"  {record.id} saved as {file} (seed {seed}, {seconds:.1f} s)", style="green", markup=False)
        case events.Answer(text):
            console.print(f"attune: {text}", markup=False)
        case events.Failed(_, message):
            console.print(f"attune: {message}", style="red", markup=False)
        case _:
            pass
