"""All commands together, and the options of ``daleml`` itself."""

from __future__ import annotations

from typing import Annotated

import typer

from daleml.cli.check_command import check
from daleml.cli.demo_command import demo
from daleml.cli.entry import Command, Commands
from daleml.cli.fit_command import fit
from daleml.cli.reproduce_command import reproduce
from daleml.cli.spectrum_command import spectrum

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


for command in (demo, fit, reproduce, spectrum, check):
    app.command(cls=Command)(command)
