"""Keyword-only options that several classes share: each has one place for type, default and text.

A class that takes them says ``**options: Unpack[SomeOptions]``, so that type checkers know them
all. :func:`lists_options` writes them into its signature and its docstring, where ``help`` and
editors look.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar, is_typeddict

C = TypeVar("C", bound=type)

_OF_ANY_MODULE = ("generator", "device", "dtype")
_COLUMNS = 92
_ENTRY = re.compile(r"^( *)options: .*\n", re.MULTILINE)


class Option(NamedTuple):
    """What a keyword is without its type, which stands beside it in a ``TypedDict``."""

    default: Any
    text: str


def options_of(kind: type) -> dict[str, Option]:
    """Return the options that a ``TypedDict`` lists, those of any module of torch last."""
    assert is_typeddict(kind)
    names = sorted(kind.__annotations__, key=lambda name: name in _OF_ANY_MODULE)
    return {name: kind.__annotations__[name].__metadata__[0] for name in names}


def completed(owner: type, kind: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options, those that were not given at their defaults.

    Raises:
        TypeError: If there is no such option, in the words of Python.
    """
    known = options_of(kind)
    for name in given:
        if name not in known:
            raise TypeError(
                f"{owner.__name__}.__init__() got an unexpected keyword argument {name!r}"
            )
    return {name: option.default for name, option in known.items()} | dict(given)


def lists_options(kind: type) -> Callable[[C], C]:
    """Return a decorator of a class: its signature and docstring list the options that it takes."""

    def listing(owner: C) -> C:
        constructor: Any = owner.__init__  # type: ignore[misc]
        constructor.__signature__ = _explicit(constructor, kind)
        # Without docstrings, as of `python -OO`, there is nothing to write into.
        if owner.__doc__ is not None:
            owner.__doc__ = _ENTRY.sub(_entries(kind), owner.__doc__)
        return owner

    return listing


def _explicit(constructor: Callable[..., Any], kind: type) -> inspect.Signature:
    signature = inspect.signature(constructor)
    options = options_of(kind)
    # A class that inherits its constructor finds the options in the signature already.
    parameters = [
        parameter
        for parameter in signature.parameters.values()
        if parameter.kind is not parameter.VAR_KEYWORD and parameter.name not in options
    ]
    for name, option in options.items():
        parameters.append(
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=option.default,
                annotation=_type_of(kind, name),
            )
        )
    return signature.replace(parameters=parameters)


def _type_of(kind: type, name: str) -> Any:
    """Return the type of an option as it is written."""
    written = kind.__annotations__[name].__origin__
    # A type that is named by a string stays one, as in the signatures beside it.
    return getattr(written, "__forward_arg__", written)


def _entries(kind: type) -> Callable[[re.Match[str]], str]:
    """Return what an entry ``options: ...`` of a docstring is replaced by."""

    def written(entry: re.Match[str]) -> str:
        lines = []
        for name, option in options_of(kind).items():
            lines += textwrap.wrap(
                f"{name}: {option.text}",
                _COLUMNS,
                initial_indent=entry[1],
                subsequent_indent=entry[1] + 4 * " ",
                break_long_words=False,
                break_on_hyphens=False,
            )
        return "\n".join(lines) + "\n"

    return written
