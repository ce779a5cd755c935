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
    # `daleml` alone is somebody who does not know the commands yet.
    no_args_is_help=True,
    # Completion would write into the shell's own files.
    add_completion=False,
    # What goes wrong is one sentence here, see `error_messages`.
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


# The order of `--help`: what to try first, then what to do with weights.
for command in (demo, fit, reproduce, spectrum, check):
    app.command(cls=Command)(command)
