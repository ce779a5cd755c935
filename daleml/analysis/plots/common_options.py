"""The options that plots share: names of axes, a title, a unit, labels, the width of a figure.

A plot is decorated with :func:`options`, which reads them, refuses those that make no sense for
it, and applies the ones that need nothing of the plot itself.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ParamSpec, TypeAlias, TypedDict, TypeVar

from daleml.analysis.plots import figure_sizes
from daleml.analysis.plots.lettering import (
    axis_name,
    name,
    settle,
    without_a_word_on_glyphs,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

P = ParamSpec("P")
R = TypeVar("R")

Labels: TypeAlias = Sequence[str] | Mapping[Any, str]
"""Names to show: in the order of the figure, or by the names that the result has."""


class Words(TypedDict, total=False):
    """The options of every plot.

    Attributes:
        xlabel: The name of the horizontal axis.
        ylabel: The name of the vertical axis.
        title: What stands above the axes.
        width: The width of a new figure: in inches, or "single", "double", "120 mm".
    """

    xlabel: str | None
    ylabel: str | None
    title: str | None
    width: float | str | None


class UnitWords(Words, total=False):
    """The options of a plot of something measured.

    Attributes:
        unit: Of what is measured, as "nm^2".
    """

    unit: str | None


class LabelWords(Words, total=False):
    """The options of a plot that names units, groups or curves.

    Attributes:
        labels: Their names, in place of those that the result has.
    """

    labels: Labels | None


class AllWords(UnitWords, total=False):
    """The options of a plot that takes them all.

    Attributes:
        labels: As of :class:`LabelWords`.
    """

    labels: Labels | None


_WHY_NOT = {
    "labels": "it names no units, groups or curves that could have other names",
    "unit": "what it draws has no unit, or has its own",
}

# The width that was asked for, in inches, while a plot draws: new axes are as wide.
_WIDTH: ContextVar[float | None] = ContextVar("width", default=None)


def options(
    words: Any, *, own: Collection[str] = (), axes: str = "ax"
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Give a plot the options that all share.

    Args:
        words: Which it takes: :class:`Words`, or one that adds to it.
        own: Those among "xlabel", "ylabel" and "title" that the plot applies itself.
        axes: The parameter that holds the axes to draw on.
    """
    # A typed dictionary has the annotations of what it adds to before its own.
    taken = dict(words.__annotations__)

    def decorate(plot: Callable[P, R]) -> Callable[P, R]:
        public = _signature(plot, taken)

        @functools.wraps(plot)
        def drawn(*args: P.args, **keywords: P.kwargs) -> R:
            _refuse(plot.__name__, taken, keywords, public)
            bound = _bound(plot.__name__, public, args, keywords)
            for key in taken:
                _require_option(key, bound.arguments.get(key))
            given = {key: bound.arguments.pop(key, None) for key in taken}
            is_new = bound.arguments.get(axes) is None
            width = given.pop("width")
            if width is not None and not is_new:
                raise ValueError(
                    f"`width` must be left out where `{axes}` is given, whose figure has a"
                    f" width; got {width!r}."
                )
            chosen = {key: one for key, one in given.items() if one is not None}
            # Letters are measured as the plot is made.
            with _new_axes(width), without_a_word_on_glyphs():
                made = plot(*bound.args, **bound.kwargs, **chosen)
                _apply(made, {key: chosen[key] for key in chosen if key not in own})
                for one in _all_axes(made):
                    settle(one, is_new=is_new)
            return made

        drawn.__signature__ = public  # type: ignore[attr-defined]
        return drawn

    return decorate


def _signature(plot: Callable[..., Any], taken: Mapping[str, Any]) -> inspect.Signature:
    """Return the signature of a plot with its options written out, as people and tools read it."""
    signature = inspect.signature(plot)
    parameters = []
    for one in signature.parameters.values():
        if one.kind is not inspect.Parameter.VAR_KEYWORD:
            parameters.append(one)
    for key, hint in taken.items():
        written = getattr(hint, "__forward_arg__", hint)
        parameters.append(
            inspect.Parameter(
                key, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=written
            )
        )
    return signature.replace(parameters=parameters)


def _refuse(
    plot: str, taken: Collection[str], keywords: Mapping[str, Any], public: Any
) -> None:
    """Raise where a plot is given an option that others take and it does not."""
    for key, why in _WHY_NOT.items():
        if key in keywords and key not in taken and key not in public.parameters:
            raise TypeError(f"`{key}` must be left out of plots.{plot}: {why}.")


def _bound(
    plot: str, public: inspect.Signature, args: Any, keywords: Mapping[str, Any]
) -> inspect.BoundArguments:
    """Return what was given by name of parameter, or raise as a function does, with its name."""
    unknown = [key for key in keywords if key not in public.parameters]
    if unknown:
        near = difflib.get_close_matches(unknown[0], public.parameters, n=1)
        hint = f" Did you mean `{near[0]}`?" if near else ""
        raise TypeError(
            f"plots.{plot} has no argument `{unknown[0]}`; it takes"
            f" {', '.join(public.parameters)}.{hint}"
        )
    try:
        return public.bind(*args, **keywords)
    except TypeError as error:
        raise TypeError(f"plots.{plot}: {error}.") from None


def _require_option(key: str, value: object) -> None:
    if value is None:
        return
    if key in ("xlabel", "ylabel", "title", "unit") and not isinstance(value, str):
        raise TypeError(f"`{key}` must be text; got {type(value).__name__}.")
    if key == "width":
        figure_sizes.inches(value)
    if key == "labels" and (
        isinstance(value, str) or not isinstance(value, (Sequence, Mapping))
    ):
        raise TypeError(
            "`labels` must be a sequence of names, or a mapping from names to names; got"
            f" {type(value).__name__}."
        )


@contextmanager
def _new_axes(width: float | str | None) -> Iterator[None]:
    """Let new axes have a width, and letters that suit it."""
    wide = None if width is None else figure_sizes.inches(width)
    token = _WIDTH.set(wide)
    try:
        with figure_sizes.letters(wide):
            yield
    finally:
        _WIDTH.reset(token)


def width_asked() -> float | None:
    """Return the width that a plot was asked for, in inches; None where it was not."""
    return _WIDTH.get()


def _all_axes(made: Any) -> list[Axes]:
    return list(made) if isinstance(made, tuple) else [made]


def _apply(made: Any, words: Mapping[str, Any]) -> None:
    """Name the axes that a plot returned."""
    drawn = _all_axes(made)
    if "title" in words:
        letters = drawn[0].xaxis.label.get_fontsize()
        drawn[0].set_title(axis_name(words["title"]), fontsize=letters)
    if "xlabel" in words:
        drawn[-1].set_xlabel(axis_name(words["xlabel"]))
    if "ylabel" in words:
        drawn[0].set_ylabel(axis_name(words["ylabel"]))


# -- units and labels ------------------------------------------------------------------------------

_RAISED = str.maketrans("0123456789-+", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺")


def unit_text(unit: str) -> str:
    """Return a unit as it is printed: "nm^2" becomes nm², and "um" µm.

    Example:
        >>> unit_text("um^2"), unit_text("s^-1"), unit_text("synapses")
        ('µm²', 's⁻¹', 'synapses')
    """
    raised = re.sub(r"\^(-?\d+)", lambda found: found[1].translate(_RAISED), unit)
    return re.sub(r"\bu(?=(?:m|s|V|A|S|F|M)(?![A-Za-z]))", "µ", raised)


def quantity(what: str, unit: str | None) -> str:
    """Return the name of what is measured with its unit, as an axis has it.

    Example:
        >>> quantity("size", "nm^2"), quantity("size", None)
        ('size (nm²)', 'size')
    """
    return axis_name(f"{what} ({unit_text(unit)})" if unit else what)


def relabelled(found: Sequence[Any], labels: Labels | None) -> list[str]:
    """Return the names to show for those that a result has.

    Args:
        found: The names in the result.
        labels: Others in their place: one for each in order, or a mapping from some of them.

    Raises:
        ValueError: If there are too many or too few, or a name is none of the result's.

    Example:
        >>> relabelled([0, 1], {0: "axons"}), relabelled([0, 1], ["axons", "dendrites"])
        (['axons', '1'], ['axons', 'dendrites'])
    """
    shown = [str(one) for one in found]
    if labels is None:
        return list(map(name, shown))
    if isinstance(labels, Mapping):
        by_text = {str(key): str(label) for key, label in labels.items()}
        for key in by_text:
            if key not in shown:
                raise ValueError(
                    f"`labels` must map names in the figure ({_few(shown)}); got {key!r}."
                )
        return [name(by_text.get(one, one)) for one in shown]
    if len(labels) != len(shown):
        raise ValueError(
            f"`labels` must be {len(shown)} names, one for each of {_few(shown)}; got"
            f" {len(labels)}."
        )
    return [name(label) for label in labels]


def _few(names: Sequence[str]) -> str:
    """Return a few names, and how many more there are."""
    if len(names) <= 4:
        return ", ".join(names)
    return f"{', '.join(names[:3])} ... {names[-1]}"
