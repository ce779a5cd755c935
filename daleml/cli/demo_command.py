"""``daleml demo``: networks learn digits, and a report says what they found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from daleml.cli.terminal import console, plainly, print_table


@plainly
def demo(
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Folder for the report, figures and JSON."),
    ] = Path("demo"),
    epochs: Annotated[int, typer.Option(help="Epochs each network learns for.")] = 30,
    seeds: Annotated[int, typer.Option(help="Number of seeds.")] = 3,
    recurrent: Annotated[
        bool,
        typer.Option(
            "--recurrent",
            help="Train three recurrent networks too, for twice the epochs.",
        ),
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            help=(
                "Networks to train at once, at least 1; never more than cores or networks."
                " Default: one per core."
            )
        ),
    ] = None,
) -> None:
    """Teach four networks digits, prove their signs, and fit their synapses beside real ones."""
    from daleml import demo as demonstration
    from daleml.pages import demo_page, demo_rows_page

    screen = console()
    with screen.status("learning digits"):
        results = demonstration.run(
            output,
            epochs=epochs,
            seeds=seeds,
            recurrent=recurrent,
            jobs=jobs,
            # Above the spinner, which would else be torn by a line of somebody else.
            say=lambda line: screen.print(line),
        )
    print_table(screen, demo_page.summary(results), "Four networks learned digits")
    if recurrent:
        print_table(
            screen,
            demo_rows_page.summary(results),
            "Three recurrent networks learned them row by row",
        )
    screen.print(f"report: {output / 'report.html'}", soft_wrap=True)
