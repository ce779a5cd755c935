"""Options that travel together as one object.

A command may take a frozen dataclass. Each of its fields is then an option of the command line,
and the command gets one object: how a table is read, how weights were observed. Typer itself
knows single options only (https://github.com/fastapi/typer/issues/154).
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints


def with_objects(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command that takes dataclasses be called with their fields, one option each."""
    signature = inspect.signature(command)
    hints = get_type_hints(command, include_extras=True)
    objects = {}
    options = []
    for name, parameter in signature.parameters.items():
        if dataclasses.is_dataclass(hints[name]):
            objects[name] = hints[name]
            options += _fields_as_parameters(hints[name])
        else:
            options.append(parameter.replace(annotation=hints[name]))
    # Fields stand where their object stood, which is the order of `--help`.
    flat = inspect.Signature(options, return_annotation=None)

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        # Bound by name and by position, as any function is: it may be called from Python too.
        bound = flat.bind(*args, **kwargs)
        bound.apply_defaults()
        given = bound.arguments
        for name, kind in objects.items():
            fields = [field.name for field in dataclasses.fields(kind)]
            given[name] = kind(**{field: given.pop(field) for field in fields})
        command(**given)

    # Typer, and the names of options in errors, read the signature and the annotations.
    vars(wrapped)["__signature__"] = flat
    annotations = {option.name: option.annotation for option in options}
    wrapped.__annotations__ = annotations | {"return": None}
    return wrapped


def _fields_as_parameters(kind: type) -> list[inspect.Parameter]:
    """Return a parameter for each field of a dataclass, with its default and its annotation."""
    hints = get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=field.default,
            annotation=hints[field.name],
        )
        for field in dataclasses.fields(kind)
    ]
