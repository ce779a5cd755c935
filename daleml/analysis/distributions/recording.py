"""What looks wrong in how weights were recorded, and which observation would be right.

Hints, not verdicts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daleml.analysis.distributions.observation import Observation
from daleml.analysis.distributions.rounding import Steps
from daleml.analysis.distributions.rounding_detection import Rounding, detect_rounding

Array = NDArray[np.float64]

_ENOUGH = 50  # values, below which an edge cannot be told from chance
_AT_LEAST = 5
_NOT_THIN = 0.2  # of the height of the peak
_PILE = 4  # equal values at an end, fewer than which may be chance
_PILED = 2.5  # times the fullest of the neighbouring cells
_NEIGHBOURS = 2  # cells beside an end, to compare with
_FOLLOWING = 10  # distinct values, whose distances a gap is compared with
_GAP = 8.0  # times their median distance
_GAP_OF_IT = 0.1  # of the value behind it
_LARGE = 1e4  # a whole number as large is not said to be one: half of one is nothing beside it
_FEW_BELOW = 0.5  # times the positive values: more negative ones are of another kind


@dataclass(frozen=True)
class Hint:
    """What looks wrong, and what to say about it if it is.

    Attributes:
        said: What looks wrong: a sentence that lacks its end.
        changes: What to change of the observation, by the names of its fields.
    """

    said: str
    changes: Mapping[str, Any] = field(default_factory=dict)

    def followed(self, observation: Observation) -> Observation:
        """Return the observation changed as the hint says."""
        return replace(observation, **self.changes)

    @property
    def in_python(self) -> str:
        """The sentence for those who call a function."""
        words = {
            name: f"{name}={_plain(value)}" for name, value in self.changes.items()
        }
        if "significant" in words:
            words["significant"] = f"observation=Observation({words['significant']})"
        return self._sentence(list(words.values()))

    @property
    def in_options(self) -> str:
        """The sentence for those who give a command."""
        words: list[str] = []
        for name, value in self.changes.items():
            if name in ("truncation", "censoring"):
                ends = value if isinstance(value, tuple) else (value, None)
                stem = "truncate" if name == "truncation" else "censor"
                below = (
                    _short(ends[0])
                    if name == "truncation" and ends[0]
                    else _plain(ends[0])
                )
                words += [f"--{stem}-below {below}"] if ends[0] else []
                words += [f"--{stem}-above {_plain(ends[1])}"] if ends[1] else []
            else:
                words.append(
                    f"--{name}" if value is True else f"--{name} {_shown(value)}"
                )
        return self._sentence(words)

    def _sentence(self, words: list[str]) -> str:
        return (
            f"{self.said}, pass {' and '.join(f'`{word}`' for word in words)}."
            if words
            else f"{self.said}."
        )


def recording_hints(
    values: Array,
    observation: Observation,
    *,
    n_zero: int = 0,
    negative: Array | None = None,
) -> tuple[Hint, ...]:
    """Return what looks wrong in magnitudes.

    Args:
        values: Magnitudes above zero, of all groups.
        observation: How the caller says they were observed.
        n_zero: Number of exact zeros that were left out.
        negative: Sizes of the values of the other sign that were left out.
    """
    found: list[Hint] = []
    if not values.size:
        return ()
    rounding = detect_rounding(values) if observation.grid is None else None
    whole = bool(np.all(values == np.floor(values)))
    by_one = (
        rounding is None
        or not isinstance(rounding.grid, Steps)
        or rounding.grid.size <= 1
    )
    if whole and observation.grid is None and by_one:
        if values.min() < _LARGE:
            said = (
                "All values are whole numbers and were fitted as continuous ones; if they"
                " are counts"
            )
            found.append(Hint(said, {"discrete": True}))
    elif rounding is not None and rounding.matters:
        found.append(_rounded(rounding))
    if n_zero and observation.resolution is not None and observation.zeros == "exclude":
        found.append(
            Hint(
                f"{n_zero:,} zeros were left out, and the fits are of what is rounded to"
                f" more than zero; if they are weights below {observation.low:g} and no"
                " absent ones",
                {"zeros": "censored"},
            )
        )
    step = _step(observation, rounding, whole=whole)
    pile = _pile_above(values, observation, step)
    found += [pile] if pile else []
    floor = _pile_below(
        values,
        observation,
        step,
        ceiling=pile.changes["censoring"][1] if pile else math.inf,
    )
    found += [floor] if floor else []
    if (
        floor is None
        and observation.truncation is None
        and observation.censored_below == 0
    ):
        edge = _edge(values, observation, step, whole=whole)
        found += [edge] if edge else []
    noise = None if negative is None else noise_hint(values, negative)
    return (*found, *([noise] if noise else []))


def noise_hint(values: Array, negative: Array) -> Hint | None:
    r"""Say so if values of the other sign look like small weights with measurement noise on them.

    Noise of standard deviation :math:`s` on a weight :math:`w` adds about :math:`(s/w)^2` to
    the variance of :math:`\ln w`, most where weights are small, and turns some of them
    negative.
    """
    if (
        not negative.size
        or values.size + negative.size < 20
        or negative.size > _FEW_BELOW * values.size
    ):
        return None
    middle = float(np.median(values))
    if negative.max() > middle or (negative.size > 2 and np.ptp(negative) == 0):
        return None  # one number time and again is no noise, but a code
    noise = float(np.sqrt(np.mean(negative**2)))
    said = (
        f"{negative.size:,} values of the other sign are all smaller than the median of the"
        f" {values.size:,} others: they look like small weights with measurement noise, of"
        f" about {noise:.2g}, as after a baseline is subtracted; noise of standard"
        " deviation s adds about (s / w)^2 to the variance of ln w, so that sigma comes"
        " out too large, and no fit here takes it out again"
    )
    return Hint(said)


def _rounded(rounding: Rounding) -> Hint:
    changes: dict[str, Any] = {"significant": getattr(rounding.grid, "number", None)}
    if isinstance(rounding.grid, Steps):
        changes = {"resolution": rounding.grid.size}
    said = (
        f"The values are {rounding.said} and were fitted as if they were not; if that is"
        " how they were recorded"
    )
    return Hint(said, changes)


def _step(observation: Observation, rounding: Rounding | None, *, whole: bool) -> float:
    """Return the step between values that are recorded; 0 if it is too fine to show."""
    if isinstance(observation.grid, Steps):
        return observation.grid.size
    if rounding is not None and rounding.matters and isinstance(rounding.grid, Steps):
        return rounding.grid.size
    return 1.0 if whole else 0.0


# -- values that pile up at an end
# -------------------------------------------------------------------------------------


def _pile_above(values: Array, observation: Observation, step: float) -> Hint | None:
    """Say so if many values equal the largest, as those of a saturated instrument do."""
    if observation.censored_above < math.inf or math.isfinite(observation.high):
        return None
    distinct, counts = np.unique(values, return_counts=True)
    if not _piled(counts[::-1], distinct[::-1], step):
        return None
    largest, beside = float(distinct[-1]), float(distinct[-2])
    said = (
        f"{counts[-1]:,} values equal the largest, {largest:g}, where larger values thin"
        " out: it may be a ceiling at which an instrument saturates; if larger ones were"
        " recorded as it"
    )
    ceiling = largest
    if _apart(-distinct[::-1]):
        ceiling = _digits(beside, upwards=True)
        said = (
            f"{counts[-1]:,} values equal the largest, {largest:g}, and none lies between"
            f" {beside:g} and it: it may stand for all that are larger than {ceiling:g}, or"
            " for a value that is missing; if for larger ones"
        )
    return Hint(said, {"censoring": (observation.censored_below or None, ceiling)})


def _pile_below(
    values: Array, observation: Observation, step: float, *, ceiling: float
) -> Hint | None:
    """Say so if many values equal the smallest, as those do that were set to a limit of detection."""
    if observation.censored_below > 0 or observation.truncation is not None:
        return None
    distinct, counts = np.unique(values, return_counts=True)
    if (
        observation.discrete
        or (step and distinct[0] < 1.5 * step)
        or not _piled(counts, distinct, step)
    ):
        # next to zero, where many families have most of their values, nothing is told from a
        # pile
        return None
    smallest, beside = float(distinct[0]), float(distinct[1])
    limit = smallest
    said = (
        f"{counts[0]:,} values equal the smallest, {smallest:g}: it may be a limit of"
        " detection that was written down for all that are smaller; if so"
    )
    if _apart(distinct):  # as half a limit of detection, which many write down
        limit = _digits(beside, upwards=False)
        said = (
            f"{counts[0]:,} values equal the smallest, {smallest:g}, and none lies between"
            f" it and {beside:g}: it may stand for all that are smaller than {limit:g};"
            " if so"
        )
    above = min(observation.censored_above, ceiling)
    return Hint(said, {"censoring": limit if math.isinf(above) else (limit, above)})


def _apart(ascending: Array) -> bool:
    """Whether the first of several values lies much farther from the second than those that follow from each other."""
    gaps = np.diff(ascending[: 2 + _FOLLOWING])
    return bool(
        gaps.size > 3
        and gaps[0] > _GAP * np.median(gaps[1:])
        and gaps[0] > _GAP_OF_IT * abs(ascending[1])
    )


def _digits(value: float, *, upwards: bool) -> float:
    """Return a number of three figures beside a value, on the side where no other value lies."""
    step = 10.0 ** (math.floor(math.log10(value)) - 2)
    steps = value / step
    whole = math.ceil(steps - 1e-9) if upwards else math.floor(steps + 1e-9)
    if abs(whole - steps) < 1e-6:  # the value itself, which must stay outside
        whole += 1 if upwards else -1
    return float(f"{whole * step:.3g}")


def _piled(counts: NDArray[np.intp], distinct: Array, step: float) -> bool:
    """Whether the first of several counts stands out of those beside it, empty cells of a grid among them."""
    if counts.size < 3 or counts[0] < _PILE:
        return False
    near = counts[1 : 1 + _NEIGHBOURS]
    if not step:
        return bool(counts[0] > _PILED * near.max() + 1)
    away = np.abs(distinct[1 : 1 + _NEIGHBOURS] - distinct[0]) / step
    beside = near[away < _NEIGHBOURS + 0.5]
    fullest = float(beside.max()) if beside.size else 0.0
    return bool(counts[0] > _PILED * max(fullest, 1.0) and counts[0] > _PILE)


def _edge(
    values: Array, observation: Observation, step: float, *, whole: bool
) -> Hint | None:
    """Say so if values do not thin out towards the smallest, as those above a threshold of detection do not."""
    values = np.sort(values)
    smallest = float(values[0])
    if values.size < _ENOUGH or (step and smallest < 1.5 * step):
        # of counts, and of rounded values, what lies below half a step is not seen, which a
        # grid knows
        return None
    logs = np.log(values)
    width = max(0.1 * float(logs.std()), math.log1p(step / smallest) if step else 0.0)
    near = np.searchsorted(
        logs, logs + width * (1 + 1e-9), side="left"
    ) - np.searchsorted(logs, logs, side="left")
    if near[0] < max(_AT_LEAST, _NOT_THIN * near.max()):
        return None
    half_a_step_below = bool(step) and not observation.discrete
    bound = (
        float(f"{smallest - step / 2:.12g}")
        if half_a_step_below
        else _rounded_down(smallest)
    )
    return Hint(
        f"The smallest value, {smallest:g}, may be a threshold of detection: {near[0]:,}"
        " values lie at it or just above, where a distribution that was seen whole thins"
        " out; if smaller ones could not be seen",
        {"truncation": (bound, None)},
    )


def _rounded_down(value: float) -> float:
    """Return a value of at most six digits that is not above it, so that a bound there leaves nothing out."""
    rounded = float(f"{value:.6g}")
    if rounded <= value:
        return rounded
    unit = 10.0 ** (math.floor(math.log10(value)) - 5)
    return float(f"{value - unit:.6g}")


def _plain(value: object) -> str:
    """Return a value as Python would read it, to the last digit.

    A bound that is rounded may miss the values at it.
    """
    if isinstance(value, tuple):
        return f"({', '.join(_plain(one) for one in value)})"
    return (
        repr(float(value)).removesuffix(".0")
        if isinstance(value, float)
        else repr(value)
    )


def _short(bound: float) -> str:
    """Return a bound in few digits.

    The command leaves out a value that then lies below it, and says so.
    """
    exact = f"{bound:.12g}"
    return exact if len(exact) < 10 else f"{bound:g}"


def _shown(value: object) -> str:
    return value if isinstance(value, str) else _plain(value)
