"""Keyword-only options that several functions or classes share, declared and documented once.

Whoever takes them says ``**options: Unpack[SomeOptions]``, so that type checkers know them all.
:func:`lists_options` writes them into its signature and its docstring, where ``help`` and
editors look.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

_Owner = TypeVar("_Owner", bound=Callable[..., Any])

_OF_ANY_MODULE = ("generator", "device", "dtype")
_COLUMNS = 92
# Docstrings of functions name them with stars, those of classes without.
_ENTRY = re.compile(r"^( *)(?:\*\*)?options: .*\n(?:\1 +.*\n)*", re.MULTILINE)


class Option(NamedTuple):
    """What a keyword is without its type, which stands beside it in a ``TypedDict``."""

    default: Any
    text: str


def options_of(kind: type) -> dict[str, Option]:
    """Return the options that a ``TypedDict`` of ``Annotated`` types lists.

    Those that any module of torch takes come last, as in the signatures of torch.
    """
    names = sorted(kind.__annotations__, key=lambda name: name in _OF_ANY_MODULE)
    return {name: kind.__annotations__[name].__metadata__[0] for name in names}


def described_options(
    kind: type, defaults: Mapping[str, Any], described_by: tuple[type, ...]
) -> dict[str, Option]:
    """Return the options that a ``TypedDict`` of plain types lists.

    Args:
        kind: The options and their types.
        defaults: What each option is where it is left out.
        described_by: Classes whose docstrings describe the options under ``Args``.
    """
    texts: dict[str, str] = {}
    for source in described_by:
        texts |= argument_descriptions(inspect.getdoc(source) or "")
    options = {}
    for name in kind.__annotations__:
        # Under `python -OO` there are no docstrings: no text is found, and none is needed.
        text = texts[name] if texts else ""
        options[name] = Option(defaults[name], text)
    return options


def argument_descriptions(doc: str) -> dict[str, str]:
    r"""Return what the section ``Args`` of a docstring says of each argument, on one line.

    Example:
        >>> doc = "Add.\n\nArgs:\n    x: One\n        of two.\n    y: Another.\n"
        >>> argument_descriptions(doc)
        {'x': 'One of two.', 'y': 'Another.'}
    """
    found = re.search(r"^Args:\n((?:    .*\n|\n)*)", doc + "\n", re.MULTILINE)
    if found is None:
        return {}
    by_name = {}
    for entry in re.split(r"\n(?=\w)", textwrap.dedent(found[1]).strip()):
        name, _, text = entry.partition(":")
        by_name[name] = " ".join(text.split())
    return by_name


def completed(
    owner: Callable[..., Any], options: Mapping[str, Option], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Return all options, those that were not given at their defaults.

    Raises:
        TypeError: If ``owner`` takes no such option, in the words of Python.
    """
    for name in given:
        if name not in options:
            called = owner.__name__
            if isinstance(owner, type):
                called += ".__init__"
            raise TypeError(f"{called}() got an unexpected keyword argument {name!r}")
    return {name: option.default for name, option in options.items()} | dict(given)


def lists_options(
    kind: type, options: Mapping[str, Option] | None = None
) -> Callable[[_Owner], _Owner]:
    """Let a function or class that takes ``**options`` list each in signature and docstring.

    Args:
        kind: A ``TypedDict`` of the options and their types.
        options: Their defaults and texts; default: those that stand beside the types.

    Returns:
        A decorator that returns the function or class itself, its signature and docstring
        completed.
    """
    listed = options_of(kind) if options is None else options

    def decorate(owner: _Owner) -> _Owner:
        function: Any = owner
        if isinstance(owner, type):
            # `inspect` takes a class's signature from its constructor.
            function = owner.__init__  # type: ignore[misc]
        vars(function)["__signature__"] = _explicit_signature(function, kind, listed)
        # Without docstrings, as of `python -OO`, there is nothing to write into.
        if owner.__doc__ is not None:
            owner.__doc__ = _ENTRY.sub(_entries_writer(listed), owner.__doc__)
        return owner

    return decorate


def _explicit_signature(
    function: Callable[..., Any], kind: type, options: Mapping[str, Option]
) -> inspect.Signature:
    signature = inspect.signature(function)
    positional, keyword_only = [], []
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD or parameter.name in options:
            # A class that inherits its constructor finds the options in its signature already.
            continue
        if parameter.kind is parameter.KEYWORD_ONLY:
            keyword_only.append(parameter)
        else:
            positional.append(parameter)
    listed = []
    for name, option in options.items():
        listed.append(
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=option.default,
                annotation=_type_of(kind, name),
            )
        )
    return signature.replace(parameters=[*positional, *listed, *keyword_only])


def _type_of(kind: type, name: str) -> Any:
    """Return the type of an option as it is written."""
    written = kind.__annotations__[name]
    if hasattr(written, "__metadata__"):
        # What `Annotated` annotates: the option's default and text stand beside it.
        written = written.__origin__
    # A type that is named by a string stays one, as in the signatures beside it.
    return getattr(written, "__forward_arg__", written)


def _entries_writer(options: Mapping[str, Option]) -> Callable[[re.Match[str]], str]:
    """Return what writes an entry per option in place of that of ``options``."""

    def written(entry: re.Match[str]) -> str:
        lines = []
        for name, option in options.items():
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
