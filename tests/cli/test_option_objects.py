"""Options that travel together reach a command as one object."""

import inspect
from dataclasses import dataclass
from typing import Annotated

import typer
from typer.testing import CliRunner

from daleml.cli.option_objects import with_objects


@dataclass(frozen=True)
class Seen:
    """How something was seen."""

    low: Annotated[float | None, typer.Option("--from", help="The least.")] = None
    counts: Annotated[bool, typer.Option("--counts")] = False


CALLS = []


@with_objects
def look(name: str, seen: Seen, times: Annotated[int, typer.Option()] = 1) -> None:
    """Look."""
    CALLS.append((name, seen, times))


def test_fields_are_options_in_their_place_and_arrive_as_one_object():
    app = typer.Typer()
    app.command()(look)
    done = CliRunner().invoke(app, ["x", "--from", "2", "--counts", "--times", "3"])
    assert done.exit_code == 0, done.output
    assert CALLS.pop() == ("x", Seen(2.0, True), 3)
    assert CliRunner().invoke(app, ["y"]).exit_code == 0
    assert CALLS.pop() == ("y", Seen(), 1)
    assert list(inspect.signature(look).parameters) == [
        "name",
        "low",
        "counts",
        "times",
    ]


def test_it_can_be_called_by_the_names_of_the_options():
    look("z", 1.5, times=2)
    assert CALLS.pop() == ("z", Seen(1.5), 2)
