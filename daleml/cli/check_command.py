"""``daleml check``: a verdict on whether a checkpoint obeys Dale's law."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daleml._support import safe_text
from daleml.cli.terminal import console, plainly, print_table

if TYPE_CHECKING:
    from rich.console import Console

    from daleml.law import SignReport, Violation


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
                " pre), as in PyTorch; 0, (pre, post), as in Keras and JAX. Default: 1."
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
    from daleml.weight_files import read_state

    notes: list[str] = []
    report = signs.check(read_state(file, notes.append), dim=dim)
    if not report.n_parameters:
        raise ValueError(f"`{file}` must hold a weight to judge; got none.")
    screen = console()
    _show(screen, report)
    for note in notes:
        screen.print(f"note: {note}", soft_wrap=True)
    if not report:
        raise typer.Exit(1)


def _show(screen: Console, report: SignReport) -> None:
    """Print the units that break the law, the verdict, and what a reader must know of it."""
    if report.violations:
        import pandas as pd

        rows = pd.DataFrame(map(_row, report.violations))
        print_table(screen, rows, "Units that break Dale's law")
    screen.print(str(report).splitlines()[0], soft_wrap=True)
    for remark in report.remarks():
        # One line each, whatever a tensor is called.
        screen.print(safe_text.shown(remark), soft_wrap=True)
    if report.transposed:
        screen.print("Say so with `--dim 0`.", soft_wrap=True)


def _row(violation: Violation) -> dict[str, str | int | float]:
    should_be = "excitatory" if violation.sign > 0 else "inhibitory"
    return {
        "parameter": safe_text.shown(violation.parameter),
        "unit": violation.unit,
        "should be": "absent" if violation.absent else should_be,
        "wrong": f"{violation.count} of {violation.size}",
        "worst": violation.worst,
    }
