"""How weights were observed: data are not the distribution that made them."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, TypeAlias

from daleml import require
from daleml.analysis.distributions.rounding import Figures, Grid, Steps

Ends: TypeAlias = tuple[float | None, float | None]

_ZEROS = ("exclude", "hurdle", "censored", "error")


@dataclass(frozen=True)
class Observation:
    r"""How weights were observed: which could be seen, and how they were written down.

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
        >>> areas = np.round(np.random.default_rng(0).lognormal(-2.9, 0.85, 2000), 2)  # um2, to 0.01
        >>> print(fit_weights(areas, observation=Observation(resolution=0.01)).parameters_text())
        mu -2.917 ± 0.019, sigma 0.8395 ± 0.014

    Notes:
        With a resolution, a weight below half a step is written down as zero. ``"exclude"``
        then fits the others as weights that can be seen from half a step on, which is right
        whatever the zeros are. ``"censored"`` has smaller standard errors, and is right only if
        every zero is a small weight. ``"hurdle"`` counts small weights that were written down
        as zero among the connections, by the fit's probability of them.
    """

    truncation: Ends | None = None
    censoring: float | Ends | None = None
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
        if self.zeros == "censored":
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

    def _check_rounding(self) -> None:
        given = [
            name
            for name in ("discrete", "resolution", "significant")
            if getattr(self, name) not in (None, False)
        ]
        if len(given) > 1:
            raise ValueError(
                f"`{given[1]}` must be left out where `{given[0]}` is given; got both."
            )
        if self.resolution is not None:
            object.__setattr__(
                self, "resolution", require.positive("resolution", self.resolution)
            )
        if self.significant is not None:
            object.__setattr__(
                self, "significant", require.integer("significant", self.significant, 1)
            )

    def _check_truncation(self) -> None:
        if self.truncation is None:
            return
        try:
            low, high = self.truncation
        except (TypeError, ValueError):
            raise ValueError(
                f"`truncation` must be a pair, (low, high); got {self.truncation!r}."
            ) from None
        ends = (
            0.0 if low is None else require.non_negative("truncation[0]", low),
            (
                math.inf
                if high is None or high == math.inf
                else require.positive("truncation[1]", high)
            ),
        )
        if ends[0] >= ends[1]:
            raise ValueError(
                "`truncation` must be (low, high) with low below high; got"
                f" {self.truncation!r}."
            )
        object.__setattr__(self, "truncation", ends)
        if self.low >= self.high:  # between two numbers that can be written down
            what = "a whole number above 0 where `discrete` is True"
            if self.resolution is not None:
                what = f"a multiple of `resolution`, {self.resolution:g}"
            elif self.significant is not None:
                what = f"a number of {self.significant} significant figures"
            raise ValueError(
                f"`truncation` must hold {what}; got {ends[0]:g} to {ends[1]:g}."
            )

    def _check_censoring(self) -> None:
        if self.censoring is None:
            return
        below: float | None = None
        above: float | None = None
        if not isinstance(self.censoring, (tuple, list)):
            below = require.positive("censoring", self.censoring)
        else:
            given: Any = self.censoring
            if len(given) != 2:
                raise ValueError(
                    f"`censoring` must be a number or a pair, (low, high); got {given!r}."
                )
            below = (
                None if given[0] is None else require.positive("censoring[0]", given[0])
            )
            unbounded = given[1] is None or given[1] == math.inf
            above = None if unbounded else require.positive("censoring[1]", given[1])
        if self.discrete and below is not None:  # of counts, the least is one
            raise ValueError(
                "`censoring` must be None where `discrete` is True; got both."
            )
        if below is not None and above is not None and below >= above:
            raise ValueError(
                "`censoring` must be (low, high) with low below high; got"
                f" {self.censoring!r}."
            )
        object.__setattr__(
            self, "censoring", below if above is None else (below, above)
        )
        for threshold, end in (
            (below, self.censored_below),
            (above, self.censored_above),
        ):
            if threshold is not None and not self.low < end < self.high:
                raise ValueError(
                    f"`censoring` must lie inside `truncation`; got {threshold} and"
                    f" {self.truncation}."
                )

    # -- what it means
    # -------------------------------------------------------------------------------------------------

    @property
    def grid(self) -> Grid | None:
        """The numbers that can be written down; None if all can."""
        if self.discrete:
            return Steps(1.0)
        if self.resolution is not None:
            return Steps(self.resolution)
        return None if self.significant is None else Figures(self.significant)

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
        """The upper end of what was seen; of rounded weights, half a step above the most."""
        high = (
            math.inf
            if self.truncation is None or self.truncation[1] is None
            else self.truncation[1]
        )
        if self.grid is None or not math.isfinite(high):
            return high
        return float(self.grid.above(self.grid.floor(high)))

    @property
    def censored_below(self) -> float:
        """The threshold up to which magnitudes are only known to be no larger.

        0 if there is none.
        """
        given = (
            self.censoring[0] if isinstance(self.censoring, tuple) else self.censoring
        )
        if given is not None:
            return (
                given
                if self.grid is None
                else float(self.grid.above(self.grid.floor(given)))
            )
        return (
            self.grid.least
            if self.grid is not None and self.zeros == "censored"
            else 0.0
        )

    @property
    def censored_above(self) -> float:
        """The ceiling from which on magnitudes are only known to be no smaller.

        Infinite if there is none.
        """
        given = self.censoring[1] if isinstance(self.censoring, tuple) else None
        if given is None:
            return math.inf
        return (
            given
            if self.grid is None
            else float(self.grid.below(self.grid.ceil(given)))
        )

    @property
    def whole(self) -> bool:
        """Whether every magnitude was seen, as it is."""
        censored = self.censoring is not None or self.zeros == "censored"
        return (
            self.grid is None
            and not censored
            and self.low == 0
            and self.high == math.inf
        )

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, ready for JSON."""
        truncation = (
            None
            if self.truncation is None
            else [end if math.isfinite(end or 0) else None for end in self.truncation]
        )
        return {
            "truncation": truncation,
            "censoring": (
                list(self.censoring)
                if isinstance(self.censoring, tuple)
                else self.censoring
            ),
            "discrete": self.discrete,
            "zeros": self.zeros,
            "resolution": self.resolution,
            "significant": self.significant,
        }

    def __str__(self) -> str:
        parts = ["counts, zero not seen"] if self.discrete else []
        if self.grid is not None and not self.discrete:
            parts.append(str(self.grid))
        if self.truncation is not None:
            parts.append(
                f"seen from {self.low:g} to {self.high:g}"
                if self.high < math.inf
                else f"seen above {self.low:g}"
            )
        below, above = (
            self.censoring
            if isinstance(self.censoring, tuple)
            else (self.censoring, None)
        )
        if below is not None:
            parts.append(f"censored at {below:g}")
        if above is not None:
            parts.append(f"censored above {above:g}")
        if self.zeros == "censored":
            parts.append(f"zeros no larger than {self.censored_below:g}")
        return ", ".join(parts)


def one_observation(observation: Observation | None, **said: Any) -> Observation:
    """Return the observation that was given, or the one that the keywords describe.

    Raises:
        TypeError: If ``observation`` is no :class:`Observation`.
        ValueError: If both were given.
    """
    defaults = {field.name: field.default for field in fields(Observation)}
    given = [
        name
        for name, value in said.items()
        if value is not defaults[name] and value != defaults[name]
    ]
    if observation is None:
        return Observation(**said)
    if not isinstance(observation, Observation):
        raise TypeError(
            f"`observation` must be an Observation; got {type(observation).__name__}."
        )
    if given:
        raise ValueError(
            f"`observation` must be left out where `{given[0]}` is given; got both: say the"
            " second inside the first."
        )
    return observation
