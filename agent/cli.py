"""The command line: `attune chat|web|run|render|see|replay|taste`. Nothing heavy is imported before a command runs."""

import asyncio
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tools.errors import ConfigError, InputError

if TYPE_CHECKING:
    from agent.settings import Settings

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

Profile = Annotated[str | None, typer.Option(help="pocket (embedded models) or sdxl (full-size ones).")]
Data = Annotated[Path | None, typer.Option(help="Folder for pictures, conversations and the taste card.")]
Alpha = Annotated[float | None, typer.Option(help="How strongly the taste acts; 0 switches it off.")]
BaseRatio = Annotated[float | None, typer.Option(help="Share of the whole prompt beside the regions' own, 0 to 1.")]
Seed = Annotated[int | None, typer.Option(min=0, max=2**32 - 1, help="What the pictures' noise follows from.")]


def _settings(profile: str | None, **overrides: Any) -> "Settings":
    from agent.settings import load_settings

    return load_settings(profile, **overrides)


def _version(wanted: bool) -> None:
    if wanted:
        try:
            typer.echo(f"attune {version('attune')}")
        except PackageNotFoundError:
            typer.echo("attune (not installed)")
        raise typer.Exit


@cli.callback()
def root(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")] = False,
) -> None:
    """Make and refine pictures to your taste in a conversation."""


@cli.command()
def chat(
    profile: Profile = None,
    data: Data = None,
    out: Annotated[Path, typer.Option(help="Where new pictures are saved.")] = Path("pictures"),
    conversation: Annotated[str | None, typer.Option(help="Continue this one.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the last conversation.")] = False,
    seed: Seed = None,
) -> None:
    """Talk in the terminal; picture paths in a message are attached."""
    from agent.terminal import chat as talk

    settings = _settings(profile, data=data)
    asyncio.run(talk(settings, out, conversation=conversation, resume=resume, seed=seed))


@cli.command()
def web(
    profile: Profile = None,
    data: Data = None,
    host: str = "127.0.0.1",
    port: int = 8000,
    browser: Annotated[bool, typer.Option("--browser", help="Open a browser.")] = False,
) -> None:
    """Talk in the browser."""
    from agent.settings import ROOT

    settings = _settings(profile, data=data)
    page = ROOT / "app.py"
    if not page.is_file():
        raise ConfigError(f"the web page {str(page)!r} is missing; run from a complete checkout")
    environment = {**os.environ, "ATTUNE_PROFILE": settings.profile, "ATTUNE_DATA": str(settings.data)}
    command = [sys.executable, "-m", "chainlit", "run", str(page), "--host", host, "--port", str(port)]
    os.chdir(ROOT)
    os.execve(sys.executable, [*command, *([] if browser else ["--headless"])], environment)


@cli.command()
def run(
    scenario: Annotated[Path, typer.Argument(help="A YAML file with `turns:`.")],
    out: Annotated[Path, typer.Option(help="Where the results go.")],
    profile: Profile = None,
) -> None:
    """Run a scripted conversation. Exit 0: every turn completed; 1: one failed; 2: it could not run."""
    from agent.script import run_scenario

    code = asyncio.run(
        run_scenario(
            scenario,
            out,
            lambda read, data: _settings(profile or read.profile, data=data, remember_taste=False),
            typer.echo,
        )
    )
    raise typer.Exit(code)


@cli.command()
def render(
    prompt: Annotated[str, typer.Option(help="What the whole picture shows.")],
    out: Annotated[Path, typer.Option(help="The PNG to write.")],
    background: str = "",
    region: Annotated[list[str] | None, typer.Option(help="NAME|PROMPT|left,top,right,bottom; repeat.")] = None,
    like: Annotated[list[str] | None, typer.Option(help="CATEGORY:KEYWORD[:WEIGHT]; repeat.")] = None,
    alpha: Alpha = None,
    base_ratio: BaseRatio = None,
    mode: Annotated[str | None, typer.Option(help="none, row or centred.")] = None,
    steps: Annotated[int | None, typer.Option(min=1)] = None,
    cfg: float | None = None,
    width: int | None = None,
    height: int | None = None,
    seed: Seed = None,
    profile: Profile = None,
) -> None:
    """Render one picture without the agent."""
    from agent import alone

    strengths = {"alpha": alpha, "pooled_strength": alpha, "base_ratio": base_ratio, "mode": mode}
    settings = _settings(profile, **strengths, steps=steps, cfg=cfg, width=width, height=height)
    likes, regions = like or [], region or []
    done = alone.render(
        settings, out, prompt=prompt, background=background, regions=regions, likes=likes, seed=seed or 0
    )
    typer.echo(f"{out} ({done.seconds:.1f} s)")
    for cut in done.report.get("cut", []):
        typer.echo(f"cut from {cut['text']}: {cut['dropped']}", err=True)


@cli.command()
def see(image: Path, profile: Profile = None) -> None:
    """Print the taste card read from a picture, as JSON."""
    from agent import alone

    typer.echo(alone.see(_settings(profile), image).model_dump_json(indent=2))


@cli.command()
def replay(
    image: Path,
    out: Annotated[Path | None, typer.Option(help="Write the new picture here.")] = None,
    profile: Profile = None,
) -> None:
    """Render a picture's recipe again. Exit 0: every pixel is equal; 1: some differ; 2: it could not run."""
    from agent import alone

    done = alone.replay(_settings(profile), image)
    if out is not None:
        done.image.save(out, format="PNG")
    if done.equal:
        typer.echo("equal: every pixel is the same")
    else:
        typer.echo(f"different: {done.changed:.2%} of the pixels, by at most {done.largest} of 255")
    for difference in done.differences:
        typer.echo(f"note: {difference}")
    raise typer.Exit(0 if done.equal else 1)


@cli.command()
def taste(
    data: Data = None,
    delete: Annotated[bool, typer.Option("--delete", help="Forget it.")] = False,
) -> None:
    """Print the taste card that new conversations start with, or forget it."""
    from agent.memory import TasteStore

    store = TasteStore(_settings(None, data=data).data)
    if delete:
        typer.echo("forgotten" if store.delete() else "there was nothing to forget")
    else:
        typer.echo(store.read().model_dump_json(indent=2))


def main() -> None:
    """Run the command line; what a person must mend is said in one line, with exit code 2."""
    try:
        cli()
    except (ConfigError, InputError) as error:
        typer.echo(f"attune: {error}", err=True)
        sys.exit(2)
