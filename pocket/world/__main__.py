"""`python -m pocket.world --sheet FILE`: look at the pocket world."""

import argparse
from pathlib import Path

from pocket.world.sheet import world_sheet


def main() -> None:
    """Write the labelled contact sheet."""
    parser = argparse.ArgumentParser(prog="python -m pocket.world", description="Draw the pocket world.")
    parser.add_argument(
        "--sheet", type=Path, required=True, metavar="FILE", help="where to write the contact sheet (PNG)"
    )
    parser.add_argument("--seed", type=int, default=0, help="which scenes to draw")
    args = parser.parse_args()
    args.sheet.parent.mkdir(parents=True, exist_ok=True)
    world_sheet(args.seed).save(args.sheet, format="PNG")


if __name__ == "__main__":
    main()
