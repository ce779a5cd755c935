"""The way into the command line: all commands together, in one group.

What is typed wrong becomes one sentence there, and signals become exceptions.
"""

from __future__ import annotations

import inspect
import os
import signal
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from daleml._support import safe_text
from daleml._support.stop_signals import Stopped, signals_raise
from daleml.cli.check_command import check
from daleml.cli.demo_command import demo
from daleml.cli.error_messages import ERROR
from daleml.cli.fit_command import fit
from daleml.cli.reproduce_command import reproduce
from daleml.cli.spectrum_command import spectrum
from daleml.cli.sweep_command import sweep

_LONGEST = 1_000
"""Characters of a sentence on what was typed."""


class Command(TyperCommand):
    """A command whose help reads as a manual's does: no braces, paragraphs as wide as shown."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        # Typer keeps the line breaks of all paragraphs but the first, so that a docstring
        # wrapped for the source breaks twice in a narrower terminal.
        if self.help:
            paragraphs = inspect.cleandoc(self.help).split("\n\n")
            self.help = "\n\n".join(text.replace("\n", " ") for text in paragraphs)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return what is written after the command's name."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]


class Commands(TyperGroup):
    """The group of commands."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command, and exit with its code."""
        # First of all: whatever comes next may want to print.
        _open_streams()
        came: list[signal.Signals] = []
        try:
            with signals_raise() as came:
                # Not standalone: typer would print errors in its own boxes, and exit.
                code = super().main(
                    args,
                    prog_name or "daleml",
                    complete_var,
                    False,
                    windows_expand_args,
                    **extra,
                )
        # Before the command began: the command itself tells of what stops it later.
        except KeyboardInterrupt as stop:
            code = 128 + (stop.signal if isinstance(stop, Stopped) else signal.SIGINT)
        except typer.Abort:
            code = 130
        except Exception as error:
            # Told by what it offers: newer versions of typer bring a click of their own.
            if not hasattr(error, "format_message"):
                raise
            _show(error)
            code = ERROR
        # Before and after the command itself, typer takes every stop for Ctrl-C.
        if code == 130 and came:
            code = 128 + came[0]
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else 0)
        return code


def _show(error: Any) -> None:
    """Print what is wrong with what was typed."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return
    # An error of the parser may quote what was typed, line breaks and all.
    message = " ".join(str(error.format_message()).split())
    context = getattr(error, "ctx", None)
    hint = f" See {context.command_path} --help." if context is not None else ""
    said = safe_text.shortened(safe_text.shown(message), _LONGEST).rstrip(".")
    end = "" if said.endswith("?") else "."
    typer.echo(f"error: {said}{end}{hint}", err=True)


def _open_streams() -> None:
    """Open the streams that were closed, as by ``>&-``.

    Else a file of results would be opened in their place.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The system gives the lowest number that is free, which is this one.
            os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a letter shows its code, in place of an exception.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


app = typer.Typer(
    name="daleml",
    cls=Commands,
    help=(
        "Networks that keep Dale's law: a demo, fits of weights, spectra, checks, the"
        " founding claims, and sweeps of your own."
    ),
    # `daleml` alone is somebody who does not know the commands yet.
    no_args_is_help=True,
    # `--show-completion` prints what `--install-completion` adds to the shell's own files.
    add_completion=True,
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

    A demo, fits of weights, spectra, checks, the founding claims, and sweeps of your own.
    """


# The order of `--help`: what to try first, then what to do with weights.
for command in (demo, fit, reproduce, sweep, spectrum, check):
    app.command(cls=Command)(command)
