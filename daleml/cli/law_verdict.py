"""How ``daleml check`` shows a verdict on Dale's law."""

from __future__ import annotations

from typing import TYPE_CHECKING

from daleml._support import safe_text
from daleml.cli.terminal import print_table

if TYPE_CHECKING:
    from rich.console import Console

    from daleml.law import SignReport, Violation


def show(screen: Console, report: SignReport) -> None:
    """Print the units that break the law, the verdict, and what a reader must know of it."""
    if report.violations:
        import pandas as pd

        print_table(
            screen,
            pd.DataFrame(map(_row, report.violations)),
            "Units that break Dale's law",
        )
    screen.print(str(report).splitlines()[0], soft_wrap=True)
    for remark in report.remarks():
        screen.print(
            safe_text.shown(remark), soft_wrap=True
        )  # of one line, whatever a tensor is called
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
