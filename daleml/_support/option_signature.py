"""Options that several functions share: declared and documented once, listed by each."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])


def lists_options(
    options: type, defaults: Mapping[str, Any], described_by: tuple[type, ...]
) -> Callable[[_Function], _Function]:
    """Let a function that takes ``**options`` list each of them in its signature and docstring.

    Args:
        options: A ``TypedDict`` of the options, as in ``**options: Unpack[options]``.
        defaults: What each option is where it is left out.
        described_by: Classes whose docstrings describe the options under ``Args``.

    Returns:
        A decorator that returns the function itself, with another signature and docstring.
    """
    descriptions: dict[str, str] = {}
    for source in described_by:
        descriptions |= argument_descriptions(inspect.getdoc(source) or "")

    def decorate(function: _Function) -> _Function:
        _set_signature(function, options, defaults)
        if function.__doc__:
            described = [descriptions[name] for name in options.__annotations__]
            function.__doc__ = _expanded(function.__doc__, described)
        return function

    return decorate


def argument_descriptions(doc: str) -> dict[str, str]:
    r"""Return the entries of the section ``Args`` of a docstring, by the argument's name.

    Example:
        >>> argument_descriptions("Add.\n\nArgs:\n    x: One.\n    y: Another.\n")
        {'x': 'x: One.', 'y': 'y: Another.'}
    """
    found = re.search(r"^Args:\n((?:    .*\n|\n)*)", doc + "\n", re.MULTILINE)
    entries = textwrap.dedent(found[1]).strip() if found else ""
    by_name = {}
    for entry in re.split(r"\n(?=\w)", entries):
        by_name[entry.partition(":")[0]] = entry
    return by_name


def _set_signature(
    function: Callable[..., Any], options: type, defaults: Mapping[str, Any]
) -> None:
    signature = inspect.signature(function)
    own = list(signature.parameters.values())
    listed = []
    for name, annotation in options.__annotations__.items():
        # A postponed annotation is a string, which a TypedDict wraps up.
        annotation = getattr(annotation, "__forward_arg__", annotation)
        listed.append(
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=defaults[name],
                annotation=annotation,
            )
        )
    positional = [one for one in own if one.kind is one.POSITIONAL_OR_KEYWORD]
    keyword_only = [one for one in own if one.kind is one.KEYWORD_ONLY]
    parameters = [*positional, *listed, *keyword_only]
    vars(function)["__signature__"] = signature.replace(parameters=parameters)


def _expanded(doc: str, descriptions: list[str]) -> str:
    """Return a docstring with an entry per option in place of that of ``**options``."""
    entry = re.search(r"^( +)\*\*options:.*\n(?:\1 +.*\n)*", doc, re.MULTILINE)
    assert entry is not None, "the docstring must describe `**options`"
    listed = textwrap.indent("\n".join(descriptions), entry[1])
    return doc[: entry.start()] + listed + "\n" + doc[entry.end() :]
