"""`python -m pocket.evaluate --json FILE`: measure the embedded models and print their gates."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from pocket.evaluate.cells import Cells
from pocket.evaluate.errors import MissingWeightsError
from pocket.evaluate.image import Sample, Sampling, lines
from pocket.evaluate.parts import PARTS, Plan, run
from pocket.evaluate.report import AT_MOST, GATES, KEYS, Report, passed
from pocket.world.tiles import Line, Tile, contact_sheet, wrapped

CELLS = Path("runs/evaluate/cells.jsonl")
ROOT = Path(__file__).parents[1] / "weights"
SHEET_TILES = 24
SHEET_COLUMNS = 6


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m pocket.evaluate", description=__doc__)
    add = parser.add_argument
    add("--json", type=Path, required=True, metavar="FILE", help="result file; other parts in it are kept")
    add("--only", default=",".join(PARTS), help="parts, separated by commas (default: %(default)s)")
    add("--limit", type=int, metavar="N", help="at most N scenes or prompts a part, for a quick look")
    add("--sheet", type=Path, metavar="FILE", help="contact sheet of generated pictures (PNG)")
    add("--weights", type=Path, default=ROOT / "sdxl", metavar="DIR", help="pocket SDXL (default: %(default)s)")
    add(
        "--vlm-weights",
        type=Path,
        default=ROOT / "vlm",
        metavar="DIR",
        help="pocket Qwen-VL (default: %(default)s)",
    )
    add(
        "--cells", type=Path, default=CELLS, metavar="FILE", help="where finished cells are kept (default: %(default)s)"
    )
    add("--steps", type=int, default=Sampling().steps, help="denoising steps (default: %(default)s)")
    add("--cfg", type=float, default=Sampling().cfg, help="classifier-free guidance (default: %(default)s)")
    add("--threads", type=int, default=2, help="processor threads (default: %(default)s)")
    args = parser.parse_args(arguments)
    args.only = [part.strip() for part in args.only.split(",")]
    unknown = [part for part in args.only if part not in PARTS]
    if unknown:
        parser.error(f"--only takes {', '.join(PARTS)}, not {', '.join(unknown)}")
    if args.limit is not None and args.limit < 1:
        parser.error(f"--limit must be at least 1, got {args.limit}")
    return args


def sheet_of(samples: Sequence[Sample]) -> list[Tile]:
    """Return a tile with prompt, ticks and crosses for the first samples."""
    width = 2 * samples[0].image.width if samples else 0
    return [
        Tile(s.image, [*wrapped(s.caption.text, width), *(Line(text, right) for text, right in lines(s))])
        for s in samples[:SHEET_TILES]
    ]


def show(report: Report, part: str, console: Console) -> None:
    """Print one part with its intervals and gates."""
    table = Table(title=part, title_justify="left")
    for name in ("what", "value", "95 %", "n", "gate"):
        table.add_column(name, justify="left" if name == "what" else "right")
    for key in KEYS[part]:
        value = report.data[part][key]
        interval = report.data["interval"][part].get(key)
        gate, met = GATES[part].get(key), None if value is None else passed(part, key, value)
        sign = "" if gate is None else f"{'<=' if key in AT_MOST else '>='} {gate:g}"
        table.add_row(
            key,
            "-" if value is None else f"{value:.3f}",
            f"{interval[0]:.3f}-{interval[1]:.3f}" if interval else "",
            str(report.data["n"][part].get(key, "")),
            f"[{'green' if met else 'red'}]{sign}[/]" if sign else "",
        )
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report. Returns 0, or 2 if a part could not run; the other parts run all the same."""
    args = parsed(arguments)
    import torch

    torch.set_num_threads(args.threads)
    console = Console()
    report = Report(args.json)
    plan = Plan(args.weights, args.vlm_weights, Cells(args.cells), Sampling(args.steps, args.cfg), args.limit)
    samples: list[Sample] = []
    status = 0
    for part in args.only:
        bar = Progress(
            TextColumn(part), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console, transient=True
        )
        with bar:
            task = bar.add_task(part, total=None)
            try:
                samples += run(part, plan, report, lambda done, of: bar.update(task, completed=done, total=of))  # noqa: B023
            except MissingWeightsError as error:
                console.print(f"[red]{part}: not measured.[/] {error}")
                status = 2
                continue
        report.write()
        show(report, part, console)
    tiles = sheet_of(samples)
    if args.sheet and tiles:
        args.sheet.parent.mkdir(parents=True, exist_ok=True)
        contact_sheet(tiles, SHEET_COLUMNS).save(args.sheet, format="PNG")
    return status


if __name__ == "__main__":
    sys.exit(main())
