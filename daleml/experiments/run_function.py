"""The function that a sweep runs: how it is called, and whether it is what it was."""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from daleml.experiments.conditions import Condition
from daleml.experiments.value_texts import code_text, made_with


@dataclass(frozen=True)
class RunFunction:
    """A function that measures something, given a seed and a condition.

    Attributes:
        function: The function.
        name: What the journal files its runs under.
        together: Whether it takes several seeds at once, as ``seeds``.
        takes_folder: Whether it asks for a folder of each run.
        source: The digest of its source.
    """

    function: Callable[..., Any]
    name: str
    together: bool
    takes_folder: bool
    source: str

    @classmethod
    def of(cls, run: Any) -> RunFunction:
        """Describe a function.

        Args:
            run: The function.

        Raises:
            TypeError: If it cannot be called.
        """
        if not callable(run):
            raise TypeError(
                f"`run` must be a function of a seed; got {type(run).__name__}."
            )
        names = _parameters(run)
        together = "seeds" in names and "seed" not in names
        folder = "folders" if together else "folder"
        return cls(run, _name(run), together, folder in names, source_digest(run))

    def require_taken(self, condition: Condition) -> None:
        """Make sure that the function takes the values of a condition, before it is run.

        Args:
            condition: The condition.

        Raises:
            TypeError: If it does not.
        """
        arguments = dict(condition.values)
        if self.takes_folder:
            arguments["folders" if self.together else "folder"] = ""
        try:
            signature = inspect.signature(self.function)
        except (TypeError, ValueError):
            return
        try:
            if self.together:
                signature.bind(seeds=[0], **arguments)
            elif takes_seed_by_name(self.function):
                signature.bind(seed=0, **arguments)
            else:
                signature.bind(0, **arguments)
        except TypeError as error:
            given = "seeds" if self.together else "seed"
            values = ", ".join([given, *condition.values])
            raise TypeError(
                f"`run` must take what it is given ({values}); {self.name}{signature} does"
                f" not: {error}."
            ) from None


def takes_seed_by_name(run: Any) -> bool:
    """Whether a function would take its first argument for something else than the seed.

    Args:
        run: The function.

    Example:
        >>> def run(lr=0.1, seed=0): ...
        >>> takes_seed_by_name(run), takes_seed_by_name(lambda s, lr: ...)
        (True, False)
    """
    parameters = list(_parameters(run).values())
    if not parameters:
        return False
    seed = _parameters(run).get("seed")
    if seed is None:
        return parameters[0].kind is inspect.Parameter.VAR_KEYWORD
    is_first = parameters[0] is seed and seed.kind is not inspect.Parameter.KEYWORD_ONLY
    return not is_first and seed.kind is not inspect.Parameter.POSITIONAL_ONLY


def source_digest(run: Any) -> str:
    """Return the digest of a function's source, whatever its comments and line breaks.

    What it was made with has a digest behind a dash: defaults, settings of a partial function,
    values that it closes over, attributes of the object whose method it is. Functions that it
    calls do not count.

    Args:
        run: The function, or an object that can be called.

    Example:
        >>> source_digest(lambda seed: 1) == source_digest(lambda seed: 2)
        False
    """
    function = _innermost(run)
    code = getattr(function, "__code__", None)
    text = ""
    # The source of a lambda is the whole line on which it stands.
    if getattr(function, "__name__", "") != "<lambda>":
        try:
            text = textwrap.dedent(inspect.getsource(function))
            text = ast.unparse(ast.parse(text))
        except (OSError, TypeError, SyntaxError, ValueError):
            text = ""
    if not text and code is not None:
        text = code_text(code)
    parts = [text or _name(run), *filter(None, [made_with(run)])]
    return "-".join(hashlib.sha256(part.encode()).hexdigest()[:12] for part in parts)


def _innermost(run: Any) -> Any:
    """Return the function behind partial ones, decorated ones and objects."""
    while isinstance(run, functools.partial):
        run = run.func
    run = inspect.unwrap(run)
    if inspect.isroutine(run) or inspect.isclass(run):
        return run
    # An object that can be called: what it does stands in its class.
    return type(run)


def _name(run: Any) -> str:
    while isinstance(run, functools.partial):
        run = run.func
    return str(getattr(run, "__name__", type(run).__name__))


def _parameters(run: Any) -> Mapping[str, Any]:
    try:
        return inspect.signature(run).parameters
    except (TypeError, ValueError):
        # Some functions of C have no signature.
        return {}
