"""The command line: ``daleml demo | fit | spectrum | check | reproduce``.

It composes, and computes nothing itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from daleml._support import safe_text
from daleml.cli import table_flags
from daleml.cli.entry import Command, Commands
from daleml.cli.fit_command import fit
from daleml.cli.reproduce_command import reproduce
from daleml.cli.terminal import Weights, console, plainly, print_table

_BYTES_PER_ENTRY = (
    24  # in double precision, the copy that is decomposed, and its workspace
)
_MOST_BYTES = 2 << 30

app = typer.Typer(
    name="daleml",
    cls=Commands,
    help=(
        "Networks that keep Dale's law: a demo, fits of weights, spectra, checks, and the"
        " founding claims."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(show: bool) -> None:
    if show:
        from daleml import __version__

        typer.echo(f"daleml {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_version,
            is_eager=True,
            help="Show the version and exit.",
        ),
    ] = False,
) -> None:
    """Networks that keep Dale's law.

    A demo, fits of weights, spectra, checks, and the founding claims.
    """


@app.command(cls=Command)
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
    """Let four networks learn digits, prove their signs, and fit their synapses beside real ones."""
    from daleml import demo as demonstration
    from daleml.pages import demo_rows_page
    from daleml.pages.demo_page import summary

    screen = console()
    with screen.status("learning digits"):
        results = demonstration.run(
            output,
            epochs=epochs,
            seeds=seeds,
            recurrent=recurrent,
            jobs=jobs,
            say=lambda line: screen.print(line),
        )
    print_table(screen, summary(results), "Four networks learned digits")
    if recurrent:
        print_table(
            screen,
            demo_rows_page.summary(results),
            "Three recurrent networks learned them row by row",
        )
    screen.print(f"report: {output / 'report.html'}", soft_wrap=True)


app.command(cls=Command)(fit)
app.command(cls=Command)(reproduce)


@app.command(cls=Command)
@plainly
def spectrum(
    file: Weights,
    column: Annotated[
        str | None, typer.Option(help="Name of a matrix in a file of several.")
    ] = None,
    separator: table_flags.Separator = None,
    decimal: table_flags.Decimal = None,
    header: table_flags.Header = None,
    labels: table_flags.Labels = None,
    missing: table_flags.Missing = None,
    sheet: table_flags.Sheet = None,
    trailing: table_flags.Trailing = False,
    keep_totals: table_flags.KeepTotals = False,
) -> None:
    """Print SVD entropy, effective rank and the like of every matrix in a file."""
    import pandas as pd

    from daleml.analysis import spectrum as compute
    from daleml.weight_files import read_matrices

    measures = []
    notes: list[str] = []
    options = table_flags.gathered(
        separator, decimal, header, labels, missing, sheet, trailing, keep_totals
    )
    for name, matrix in read_matrices(
        file, column, options=options, say=notes.append
    ).items():
        _require_room(name, matrix.shape)
        result = compute(matrix).to_dict()
        shape = " x ".join(str(size) for size in result.pop("shape"))
        result.pop("singular_values")
        measures.append({"matrix": safe_text.shown(name), "shape": shape, **result})
    screen = console()
    print_table(
        screen,
        pd.DataFrame(measures).rename(columns=lambda name: name.replace("_", " ")),
        str(file.name),
    )
    for note in notes:
        screen.print(f"note: {note}")


def _require_room(name: str, shape: tuple[int, ...]) -> None:
    """Refuse a matrix whose singular values would take the memory of the machine, before it is taken."""
    rows, columns = shape
    if _BYTES_PER_ENTRY * rows * columns > _MOST_BYTES:
        raise ValueError(
            f"`{name or 'the matrix'}` must be small enough for its singular values to be"
            f" found in {_MOST_BYTES >> 30} GiB of memory; got {rows:,} x {columns:,},"
            f" which take {_BYTES_PER_ENTRY * rows * columns / (1 << 30):,.0f} GiB. Take a"
            " part of it, or call `daleml.analysis.spectrum` where there is room."
        )


@app.command(cls=Command)
@plainly
def check(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="safetensors, a torch state dict (pt, pth, ckpt), or npz.",
        ),
    ],
    dim: Annotated[
        int | None,
        typer.Option(
            help=(
                "Where presynaptic units lie in weights saved without signs: 1, (post,"
                " pre), as in PyTorch; 0, (pre, "
                "post), as in Keras and JAX. Default: 1."
            )
        ),
    ] = None,
) -> None:
    """Tell whether a checkpoint obeys Dale's law, unit by unit, unpickling nothing.

    Exit with 0 if the law holds, with 1 if it is broken, and with 2 if that cannot be told.

    A weight saved beside its signs is judged by them, and weights without signs in the same
    file are named: they are not under the law. If a file holds no signs at all, weights are
    judged by themselves: all that a presynaptic unit makes must have one sign.
    """
    from daleml import signs
    from daleml.cli import law_verdict
    from daleml.weight_files import read_state

    notes: list[str] = []
    report = signs.check(read_state(file, notes.append), dim=dim)
    if not report.n_parameters:
        raise ValueError(f"`{file}` must hold a weight to judge; got none.")
    screen = console()
    law_verdict.show(screen, report)
    for note in notes:
        screen.print(f"note: {note}", soft_wrap=True)
    if not report:
        raise typer.Exit(1)
