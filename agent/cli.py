"""The command line: `attune chat|web|run|render|see|replay`. Nothing heavy is imported before a command runs."""

import typer

cli = typer.Typer(no_args_is_help=True, add_completion=False)


@cli.callback()
def root() -> None:
    """Make and refine pictures to your taste in a conversation."""


def main() -> None:
    """Run the command line."""
    cli()
