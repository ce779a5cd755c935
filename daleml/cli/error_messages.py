"""The end of a command: a sentence and an exit code, never a traceback.

Exit codes: 0 all is well; 1 a verdict against what was judged (``daleml check``: the law is
broken); 2 an error, in what was typed, in a file, or inside daleml; 128 and the number of the
signal where one stopped it, as shells count.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import inspect
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, get_type_hints

import typer

from daleml._support import safe_text
from daleml._support.stop_signals import Stopped

_P = ParamSpec("_P")

ERROR = 2

_LONGEST = 1_000
"""Characters of an error: a cell of megabytes is not repeated."""

_TRACEBACK = "DALEML_TRACEBACK"
"""The variable of the environment that asks for tracebacks."""

# Options named like their argument need no line: they are read off the command.
_OPTIONS_OF_ARGUMENTS = {
    "censoring": "`--censor-below`",
    "family": "`--families`",
    "n_boot": "`--gof`",
    "out": "`--out`",
    "rng": "`--seed`",
    "sample_weights": "`--weights-column`",
    "truncation": "`--truncate-below` and `--truncate-above`",
    "weights": "the weights",
}
"""What a command calls the arguments of functions behind it, where its options differ."""


def plainly(command: Callable[_P, None]) -> Callable[_P, None]:
    """Say what is wrong in one sentence and exit with 2, instead of showing a traceback."""
    options = _options(command)

    @functools.wraps(command)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            command(*args, **kwargs)
            _flush()
        except (typer.Exit, typer.Abort):
            raise
        except KeyboardInterrupt as stop:
            number = stop.signal if isinstance(stop, Stopped) else signal.SIGINT
            _say(f"stopped by {number.name}, before all was done.")
            raise typer.Exit(128 + number) from None
        except BrokenPipeError:
            # Whoever reads has seen enough, as `head` has: that is no error to tell of.
            _drop_output()
            raise typer.Exit(128 + 13) from None
        except Exception as error:
            if os.environ.get(_TRACEBACK):
                raise
            if _is_of_output(error):
                _drop_output()
                error = OSError(
                    f"standard output could not be written to: {sentence(error)}"
                )
            # A file may be called `weights`, and is then no argument.
            given = {str(value) for value in (*args, *kwargs.values())}
            words = {name: options[name] for name in options.keys() - given}
            _say(f"error: {sentence(error, words)}")
            raise typer.Exit(ERROR) from None

    return wrapped


def sentence(
    error: BaseException, options: Mapping[str, str] = _OPTIONS_OF_ARGUMENTS
) -> str:
    """Return what went wrong as one line, short enough to read, in the words of the command line.

    Args:
        error: What was raised.
        options: What to call the arguments that it names.
    """
    line = " ".join(_reason(error).split())
    return safe_text.shortened(safe_text.shown(in_options(line, options)), _LONGEST)


def in_options(text: str, options: Mapping[str, str] = _OPTIONS_OF_ARGUMENTS) -> str:
    """Return a sentence about arguments in the words of the command line.

    ``--sign`` for ``sign``.
    """
    # Errors name arguments between backticks.
    text = re.sub(r"`(\w+)`", lambda found: options.get(found[1], found[0]), text)
    # No option does this: the readers of tables do.
    text = text.replace(": `drop_missing=True` leaves NaN out, and counts them", "")
    return text.replace("` is True", "` is given")


def _reason(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        file = f"`{error.filename}`: " if error.filename else ""
        return f"{file}{error.strerror}."
    text = str(error)
    # torch raises a RuntimeError where others raise a MemoryError.
    of_torch = isinstance(error, RuntimeError) and "allocate memory" in text
    if isinstance(error, MemoryError) or of_torch:
        return (
            "memory ran out; use a smaller file, or fewer `--jobs`, or a machine with more"
            " of it."
        )
    # Own errors name an argument or a file between backticks. Whatever else comes up is a fault
    # inside.
    if isinstance(error, (ValueError, OSError)) or "`" in text:
        return text
    return (
        f"daleml itself failed, which should not happen: {text or 'without a word'}. Please"
        f" report it with what you typed and what {_TRACEBACK}=1 in front of it shows."
    )


def _options(command: Callable[..., Any]) -> dict[str, str]:
    """Return how the command line writes each argument of a command and of what is behind it."""
    found = dict(_OPTIONS_OF_ARGUMENTS)
    hints = get_type_hints(command, include_extras=True)
    for name in inspect.signature(command).parameters:
        for note in getattr(hints.get(name), "__metadata__", ()):
            if type(note).__name__ != "OptionInfo":
                continue
            own = [flag for flag in note.param_decls or () if flag.startswith("--")]
            # Typer derives a flag from the name where none was declared.
            flags = [*own, f"--{name.replace('_', '-')}"]
            found[name] = f"`{flags[0]}`"
    return found


def _say(line: str) -> None:
    # Nobody may listen to standard error either.
    with contextlib.suppress(OSError):
        typer.echo(line, err=True)


def _flush() -> None:
    if sys.stdout is not None:
        # A full disk or a closed pipe is found out here, not after the last line.
        sys.stdout.flush()


def _is_of_output(error: Exception) -> bool:
    """Whether what was printed could not be, as on a full disk.

    Errors of files name them, those of streams do not.
    """
    # A disk that is full, broken or over its quota, a file too large, a closed stream.
    full = {
        errno.ENOSPC,
        errno.EIO,
        errno.EFBIG,
        errno.EBADF,
        getattr(errno, "EDQUOT", errno.ENOSPC),
    }
    return (
        isinstance(error, OSError)
        and error.filename is None
        and error.errno in full
        and len(error.args) > 1
    )


def _drop_output() -> None:
    """Point standard output at nothing, so that Python's own flush at the end is quiet too."""
    # The stream may have no file behind it.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
