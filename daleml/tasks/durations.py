"""Durations that differ from trial to trial: distributions over whole numbers of steps."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from daleml import require
from daleml._support.keyword_names import Keywords


class Duration(ABC):
    """A duration that is drawn anew for each trial, a whole number of steps.

    Wherever a task takes a duration in ms, it takes one of these too: :class:`Uniform`,
    :class:`TruncatedExponential`, :class:`Choice`, or one of your own, which says in
    ``distribution`` how likely each number of steps is.

    Example:
        >>> import torch
        >>> from daleml.tasks import PerceptualDecision
        >>> task = PerceptualDecision(stimulus_ms=Uniform(300, 900), dt_ms=50)
        >>> trials = task.sample(4, generator=torch.Generator().manual_seed(0))
        >>> trials.conditions["stimulus_ms"]
        tensor([900., 750., 550., 850.])
    """

    @abstractmethod
    def distribution(self, dt_ms: float) -> tuple[Tensor, Tensor]:
        """Return numbers of steps, ascending, and the probability of each.

        Args:
            dt_ms: Duration of a step.

        Returns:
            Two tensors of one dimension: int64, and float64.

        Raises:
            ValueError: If a duration is no whole number of steps.
        """

    def expected_ms(self, dt_ms: float) -> float:
        """Return the mean duration, given the duration of a step."""
        return expected(self, dt_ms, float)


@dataclass(frozen=True)
class Uniform(Keywords, Duration):
    """A duration of which every whole number of steps in a range is equally likely.

    Args:
        low_ms: The shortest duration, at least 0.
        high_ms: The longest one, which is drawn too.

    Raises:
        TypeError: If a bound is no number.
        ValueError: If a bound is negative, or ``high_ms`` is not above ``low_ms``.

    Example:
        >>> steps, probabilities = Uniform(400, 800).distribution(dt_ms=100)
        >>> steps.tolist(), probabilities.tolist()
        ([4, 5, 6, 7, 8], [0.2, 0.2, 0.2, 0.2, 0.2])
    """

    low_ms: float
    high_ms: float

    def __post_init__(self) -> None:
        _require_range(self.low_ms, self.high_ms)

    def distribution(self, dt_ms: float) -> tuple[Tensor, Tensor]:
        """Return numbers of steps, ascending, and the probability of each."""
        steps = _range(self.low_ms, self.high_ms, dt_ms)
        return steps, torch.full(steps.shape, 1 / len(steps), dtype=torch.float64)


@dataclass(frozen=True)
class TruncatedExponential(Keywords, Duration):
    r"""A duration whose end comes at a constant rate, so that waiting tells nothing of it.

    .. math:: P(T = t) \propto e^{-(t - t_\text{low}) / \tau}

    over the whole numbers of steps from :math:`t_\text{low}` to :math:`t_\text{high}`.

    Args:
        mean_ms: :math:`\tau`, by which a duration would exceed ``low_ms`` on average if nothing
            were cut off at ``high_ms`` and steps were short.
        low_ms: The shortest duration, at least 0.
        high_ms: The longest one, which is drawn too.

    Raises:
        TypeError: If an argument is no number.
        ValueError: If one is out of range, or ``high_ms`` is not above ``low_ms``.

    Example:
        >>> duration = TruncatedExponential(300, low_ms=100, high_ms=1500)
        >>> steps, probabilities = duration.distribution(dt_ms=100)
        >>> len(steps), round(float(probabilities[1] / probabilities[0]), 3)  # exp(-1/3)
        (15, 0.717)

    Notes:
        The hazard is constant up to ``high_ms``, at which what is left of the probability ends.

    References:
        Song, Yang, Wang 2016 PLoS Comput Biol 12:e1004792, for stimuli of such durations.
    """

    mean_ms: float
    low_ms: float
    high_ms: float

    def __post_init__(self) -> None:
        require.positive("mean_ms", self.mean_ms)
        _require_range(self.low_ms, self.high_ms)

    def distribution(self, dt_ms: float) -> tuple[Tensor, Tensor]:
        """Return numbers of steps, ascending, and the probability of each."""
        steps = _range(self.low_ms, self.high_ms, dt_ms)
        # The factor of a softmax cancels, so that the shortest may stand for 0.
        beyond = (steps - steps[0]).double() * dt_ms
        return steps, torch.softmax(-beyond / self.mean_ms, dim=0)


@dataclass(frozen=True)
class Choice(Keywords, Duration):
    """A duration that is one of several.

    Args:
        values_ms: The durations, each at least 0 and other than the others.
        probabilities: How likely each of them is, up to a factor; default: all alike.

    Raises:
        TypeError: If ``values_ms`` is no sequence, or holds something else than numbers.
        ValueError: If there is none, one stands twice or is negative, or ``probabilities`` are
            not as many, negative, or all 0.

    Example:
        >>> steps, probabilities = Choice((200, 400, 800), (2, 1, 1)).distribution(dt_ms=100)
        >>> steps.tolist(), probabilities.tolist()
        ([2, 4, 8], [0.5, 0.25, 0.25])
    """

    values_ms: Sequence[float]
    probabilities: Sequence[float] | None = None

    def __post_init__(self) -> None:
        values = numbers("values_ms", self.values_ms)
        if len(set(values)) < len(values):
            raise ValueError(
                f"`values_ms` must hold each duration once; got {self.values_ms!r}."
            )
        # A frozen dataclass is set this way once, when it is made.
        object.__setattr__(self, "values_ms", values)
        if self.probabilities is None:
            return
        weights = numbers("probabilities", self.probabilities)
        if len(weights) != len(values):
            raise ValueError(
                f"`probabilities` must be {len(values)}, one per duration; got"
                f" {len(weights)}."
            )
        if not sum(weights):
            raise ValueError("`probabilities` must not all be 0.")
        object.__setattr__(self, "probabilities", weights)

    def distribution(self, dt_ms: float) -> tuple[Tensor, Tensor]:
        """Return numbers of steps, ascending, and the probability of each."""
        steps = [
            whole_steps("values_ms", value, dt_ms, may_be_zero=True)
            for value in self.values_ms
        ]
        # Sorted, since the shortest and the longest are looked for at the ends.
        weights = self.probabilities or [1.0] * len(steps)
        likely = torch.tensor(weights, dtype=torch.float64)
        counts, order = torch.tensor(steps).sort()
        return counts, (likely / likely.sum())[order]


def whole_steps(
    name: str, value: object, dt_ms: float, *, may_be_zero: bool = False
) -> int:
    """Return how many steps a duration has, or raise if that is no whole number of them."""
    check = require.non_negative if may_be_zero else require.positive
    duration = check(name, value)
    n_steps = round(duration / dt_ms)
    # Durations such as 0.1 + 0.2 are whole numbers of steps but for rounding.
    if not math.isclose(duration, n_steps * dt_ms, rel_tol=1e-9):
        raise ValueError(
            f"`{name}` must be a multiple of `dt_ms`, {dt_ms:g}; got {duration:g}."
        )
    return n_steps


def distribution(
    name: str, value: object, dt_ms: float, *, may_be_zero: bool = False
) -> tuple[Tensor, Tensor]:
    """Return the numbers of steps of a duration, fixed or drawn, and their probabilities.

    Args:
        name: What the argument is called.
        value: A number of ms, or a :class:`Duration`.
        dt_ms: Duration of a step.
        may_be_zero: Whether it may last 0 ms.

    Raises:
        TypeError: If it is something else.
        ValueError: If it is no whole number of steps, or 0 ms where that may not be.
    """
    if not isinstance(value, Duration):
        # A range as other packages write it, or a distribution that was not made.
        if isinstance(value, (Sequence, type)) and not isinstance(value, str):
            raise TypeError(
                f"`{name}` must be a number of ms, or a duration that is drawn, such as"
                f" tasks.Uniform(400, 800); got {value!r}."
            )
        steps = whole_steps(name, value, dt_ms, may_be_zero=may_be_zero)
        return torch.tensor([steps]), torch.ones(1, dtype=torch.float64)
    try:
        counts, probabilities = value.distribution(dt_ms)
    except ValueError as error:
        # It knows its own arguments, and not which of the task's it is.
        raise ValueError(f"{str(error).removesuffix('.')}, in `{name}`.") from error
    _require_distribution(name, value, counts, probabilities)
    if not may_be_zero and int(counts[0]) == 0:
        raise ValueError(f"`{name}` must be above 0; got {value} with 0 ms in it.")
    return counts, probabilities


def _require_distribution(
    name: str, value: Duration, counts: object, probabilities: object
) -> None:
    """Raise unless a duration, which may be of the user's own, gives a distribution."""
    rule = (
        f"`distribution` of {type(value).__name__}, of `{name}`, must give whole numbers of"
        " steps, ascending, and the probability of each, as tensors"
    )
    if not isinstance(counts, Tensor) or not isinstance(probabilities, Tensor):
        raise TypeError(
            f"{rule}; got {type(counts).__name__} and {type(probabilities).__name__}."
        )
    if counts.ndim != 1 or counts.dtype != torch.int64 or not len(counts):
        raise ValueError(f"{rule}; got {counts.dtype} of shape {tuple(counts.shape)}.")
    if counts.shape != probabilities.shape:
        raise ValueError(f"{rule}; got {len(counts)} and {len(probabilities)}.")
    if int(counts[0]) < 0 or bool((counts.diff() <= 0).any()):
        raise ValueError(f"{rule}; got {counts.tolist()}.")
    total = float(probabilities.sum())
    if bool((probabilities < 0).any()) or not math.isclose(total, 1, rel_tol=1e-6):
        raise ValueError(f"{rule}; got probabilities that sum to {total:g}.")


def expected(value: object, dt_ms: float, of: Callable[[float], float]) -> float:
    """Return the mean of a function of a duration in ms."""
    if not isinstance(value, Duration):
        return of(require.non_negative("value", value))
    counts, probabilities = value.distribution(dt_ms)
    terms = []
    for count, probability in zip(counts.tolist(), probabilities.tolist(), strict=True):
        terms.append(probability * of(count * dt_ms))
    return math.fsum(terms)


def draw(
    counts: Tensor, probabilities: Tensor, n: int, generator: torch.Generator | None
) -> Tensor:
    """Draw numbers of steps for ``n`` trials."""
    # What cannot vary draws nothing, so that other numbers do not depend on it.
    if len(counts) == 1:
        return counts.expand(n)
    which = torch.multinomial(probabilities, n, replacement=True, generator=generator)
    return counts[which]


def _range(low_ms: float, high_ms: float, dt_ms: float) -> Tensor:
    """Return all numbers of steps from one duration to another."""
    low = whole_steps("low_ms", low_ms, dt_ms, may_be_zero=True)
    high = whole_steps("high_ms", high_ms, dt_ms)
    return torch.arange(low, high + 1)


def _require_range(low_ms: float, high_ms: float) -> None:
    low = require.non_negative("low_ms", low_ms)
    if require.positive("high_ms", high_ms) <= low:
        raise ValueError(f"`high_ms` must be above `low_ms`, {low:g}; got {high_ms:g}.")


def numbers(name: str, values: object) -> tuple[float, ...]:
    """Return numbers that are not negative, at least one, or raise."""
    # Arrays and tensors of one dimension are sequences too, but not by their class.
    if isinstance(values, Tensor | np.ndarray):
        values = values.tolist()
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise TypeError(f"`{name}` must be a sequence of numbers; got {values!r}.")
    if not values:
        raise ValueError(f"`{name}` must have at least one value; got none.")
    return tuple(require.non_negative(name, value) for value in values)
