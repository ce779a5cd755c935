"""Observation: which weights could be seen, and how they were written down."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

from daleml import require
from daleml.analysis.distributions.rounding import Figures, Grid, Steps

Bounds: TypeAlias = tuple[float | None, float | None]
"""A lower and an upper bound of magnitudes; None where there is none."""

_ZEROS = ("exclude", "hurdle", "censored", "error")


@dataclass(frozen=True)
class Observation:
    r"""How weights were observed: which could be seen, and how they were written down.

    Data are not the distribution that made them. Every fit, comparison and report takes either
    one observation or its fields as options.

    Args:
        truncation: ``(low, high)``: magnitudes outside were not seen, and nobody knows how many
            there were. Either end may be None. For counts and rounded weights the bounds are
            compared with the numbers as written down, and a number equal to a bound was seen.
        censoring: Of magnitudes up to this, it is known only that they are no larger, as below
            a detection limit. Or ``(low, high)``, either of which may be None: those from
            ``high`` on are known only to be no smaller, as where an instrument saturates.
        discrete: Whether magnitudes are whole numbers, 1 or more: a count :math:`k` stands for
            what lies between :math:`k - \tfrac12` and :math:`k + \tfrac12`, and counts of zero
            were not seen.
        zeros: ``"exclude"`` counts exact zeros and leaves them out; ``"hurdle"`` takes them for
            pairs without a connection, so that a fit has a connection probability beside the
            strengths of those there are; ``"censored"`` takes them for magnitudes too small to
            be written down, no larger than half a step of ``resolution`` or than the lower end
            of ``censoring``; ``"error"`` refuses them.
        resolution: The step to whose multiples magnitudes were rounded: each stands for all
            that lie within half a step of it.
        significant: The number of significant figures to which they were rounded, where that is
            what was done.

    Raises:
        TypeError: If a bound is not a number.
        ValueError: If nothing lies between the bounds, ``zeros`` is none of the four, or both
            roundings are given.

    Example:
        >>> import numpy as np
        >>> from daleml.analysis import fit_weights
        >>> rng = np.random.default_rng(0)
        >>> areas = np.round(rng.lognormal(-2.9, 0.85, 2000), 2)  # in um2, to 0.01
        >>> to_a_hundredth = Observation(resolution=0.01)
        >>> print(fit_weights(areas, observation=to_a_hundredth).parameters_text())
        mu -2.917 ± 0.019, sigma 0.8395 ± 0.014

    Notes:
        With a resolution, a weight below half a step is written down as zero. ``"exclude"``
        then fits the others as weights that can be seen from half a step on, which is right
        whatever the zeros are. ``"censored"`` has smaller standard errors, and is right only if
        every zero is a small weight. ``"hurdle"`` counts small weights that were written down
        as zero among the connections, by the fit's probability of them.
    """

    truncation: Bounds | None = None
    censoring: float | Bounds | None = None
    discrete: bool = False
    zeros: str = "exclude"
    resolution: float | None = None
    significant: int | None = None

    def __post_init__(self) -> None:
        if self.zeros not in _ZEROS:
            raise ValueError(
                f"`zeros` must be one of {', '.join(_ZEROS)}; got {self.zeros!r}."
            )
        require.flag("discrete", self.discrete)
        self._check_rounding()
        self._check_truncation()
        self._check_censoring()
        self._check_censored_zeros()

    def _check_rounding(self) -> None:
        given = []
        for name in ("discrete", "resolution", "significant"):
            if getattr(self, name) not in (None, False):
                given.append(name)
        if len(given) > 1:
            raise ValueError(
                f"`{given[1]}` must be left out where `{given[0]}` is given; got both."
            )
        if self.resolution is not None:
            self._set("resolution", require.positive("resolution", self.resolution))
        if self.significant is not None:
            significant = require.integer("significant", self.significant, 1)
            self._set("significant", significant)

    def _check_truncation(self) -> None:
        if self.truncation is None:
            return
        try:
            low, high = self.truncation
        except (TypeError, ValueError):
            raise ValueError(
                f"`truncation` must be a pair, (low, high); got {self.truncation!r}."
            ) from None
        low = 0.0 if low is None else require.non_negative("truncation[0]", low)
        if high is None or high == math.inf:
            high = math.inf
        else:
            high = require.positive("truncation[1]", high)
        if low >= high:
            raise ValueError(
                "`truncation` must be (low, high) with low below high; got"
                f" {self.truncation!r}."
            )
        self._set("truncation", (low, high))
        # Both bounds may lie between the same two numbers that can be written down.
        if self.low >= self.high:
            raise ValueError(
                f"`truncation` must hold {self._recordable()}; got {low:g} to {high:g}."
            )

    def _recordable(self) -> str:
        """Return in words what can be written down above zero."""
        if self.resolution is not None:
            return f"a multiple of `resolution`, {self.resolution:g}"
        if self.significant is not None:
            return f"a number of {self.significant} significant figures"
        return "a whole number above 0 where `discrete` is True"

    def _check_censoring(self) -> None:
        if self.censoring is None:
            return
        below, above = self._read_censoring(self.censoring)
        # The least count is one, and it stands for all that is rounded to it.
        if self.discrete and below is not None:
            raise ValueError(
                "`censoring` must be None where `discrete` is True; got both."
            )
        if below is not None and above is not None and below >= above:
            raise ValueError(
                "`censoring` must be (low, high) with low below high; got"
                f" {self.censoring!r}."
            )
        self._set("censoring", below if above is None else (below, above))
        for given, bound in (
            (below, self.censored_below),
            (above, self.censored_above),
        ):
            if given is not None and not self.low < bound < self.high:
                raise ValueError(
                    f"`censoring` must lie inside `truncation`; got {given} and"
                    f" {self.truncation}."
                )

    @staticmethod
    def _read_censoring(given: Any) -> Bounds:
        if not isinstance(given, (tuple, list)):
            return require.positive("censoring", given), None
        if len(given) != 2:
            raise ValueError(
                f"`censoring` must be a number or a pair, (low, high); got {given!r}."
            )
        below, above = given
        if below is not None:
            below = require.positive("censoring[0]", below)
        if above == math.inf:
            above = None
        if above is not None:
            above = require.positive("censoring[1]", above)
        return below, above

    def _check_censored_zeros(self) -> None:
        if self.zeros != "censored":
            return
        if self.grid is None and not self.censored_below:
            raise ValueError(
                '`zeros` must not be "censored" unless `resolution` or `censoring` says'
                " below what a magnitude is written down as zero; got neither."
            )
        if self.truncation is not None and (self.truncation[0] or 0) > 0:
            raise ValueError(
                '`zeros` must not be "censored" where `truncation` leaves out what is'
                f" small; got {self.low:g}."
            )

    def _set(self, name: str, value: object) -> None:
        # A frozen dataclass keeps its fields in the form in which they were checked.
        object.__setattr__(self, name, value)

    # -- what it means

    @property
    def grid(self) -> Grid | None:
        """The numbers that can be written down; None if all can."""
        if self.discrete:
            return Steps(1.0)
        if self.resolution is not None:
            return Steps(self.resolution)
        if self.significant is not None:
            return Figures(self.significant)
        return None

    @property
    def low(self) -> float:
        """The lower end of what was seen; of rounded weights, half a step below the least."""
        low = 0.0 if self.truncation is None else float(self.truncation[0] or 0.0)
        if self.grid is None or (low == 0 and self.zeros == "censored"):
            return low
        if low == 0:
            return self.grid.least
        return float(self.grid.below(self.grid.ceil(low)))

    @property
    def high(self) -> float:
        """The upper end of what was seen; of rounded weights, half a step above the largest."""
        high = None if self.truncation is None else self.truncation[1]
        if high is None:
            high = math.inf
        if self.grid is None or not math.isfinite(high):
            return high
        return float(self.grid.above(self.grid.floor(high)))

    @property
    def thresholds(self) -> Bounds:
        """The two ends of ``censoring``, as a pair."""
        if isinstance(self.censoring, tuple):
            return self.censoring
        return self.censoring, None

    @property
    def censored_below(self) -> float:
        """The threshold up to which magnitudes are only known to be no larger; 0 without one."""
        given = self.thresholds[0]
        if self.grid is None:
            return given or 0.0
        if given is not None:
            return float(self.grid.above(self.grid.floor(given)))
        return self.grid.least if self.zeros == "censored" else 0.0

    @property
    def censored_above(self) -> float:
        """The ceiling from which on magnitudes are only known to be no smaller.

        It is infinite without one.
        """
        given = self.thresholds[1]
        if given is None:
            return math.inf
        if self.grid is None:
            return given
        return float(self.grid.below(self.grid.ceil(given)))

    @functools.cached_property
    def whole(self) -> bool:
        """Whether every magnitude was seen, as it is."""
        unbounded = self.low == 0 and self.high == math.inf
        censored = self.censoring is not None or self.zeros == "censored"
        return self.grid is None and unbounded and not censored

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        if self.truncation is not None:
            low, high = self.truncation
            found["truncation"] = [low, None if high == math.inf else high]
        if isinstance(self.censoring, tuple):
            found["censoring"] = list(self.censoring)
        return found

    def __str__(self) -> str:
        parts = []
        if self.discrete:
            parts.append("counts, zero not seen")
        elif self.grid is not None:
            parts.append(str(self.grid))
        if self.truncation is not None and self.high < math.inf:
            parts.append(f"seen from {self.low:g} to {self.high:g}")
        elif self.truncation is not None:
            parts.append(f"seen above {self.low:g}")
        below, above = self.thresholds
        if below is not None:
            parts.append(f"censored at {below:g}")
        if above is not None:
            parts.append(f"censored above {above:g}")
        if self.zeros == "censored":
            parts.append(f"zeros no larger than {self.censored_below:g}")
        return ", ".join(parts)


SEEN_WHOLE = Observation()
"""The observation of weights that were all seen, as they are."""


def one_observation(observation: Observation | None, **options: Any) -> Observation:
    """Return the observation that was given, or the one that the options describe.

    Args:
        observation: The observation; None if options are given instead.
        **options: Fields of :class:`Observation`.

    Raises:
        TypeError: If ``observation`` is no :class:`Observation`.
        ValueError: If both were given.

    Example:
        >>> str(one_observation(None, truncation=(0.1, None)))
        'seen above 0.1'
    """
    if observation is None:
        return Observation(**options)
    if not isinstance(observation, Observation):
        raise TypeError(
            f"`observation` must be an Observation; got {type(observation).__name__}."
        )
    for name, value in options.items():
        default = getattr(SEEN_WHOLE, name)
        if value is not default and value != default:
            raise ValueError(
                f"`observation` must be left out where `{name}` is given; got both: say"
                " the second inside the first."
            )
    return observation
