"""A sample of weights together with how it was observed: what fits and comparisons work on."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike

from daleml._support.keyword_names import meant
from daleml._support.shared_options import described_options, lists_options
from daleml.analysis.distributions.families.parameter_kinds import Array
from daleml.analysis.distributions.likelihood_data import LikelihoodData, read_sample
from daleml.analysis.distributions.observation import (
    SEEN_WHOLE,
    Bounds,
    Observation,
    one_observation,
)
from daleml.analysis.distributions.recorded_values import recorded
from daleml.analysis.distributions.streamed_data import (
    StreamedData,
    is_streamed,
    stream,
)
from daleml.analysis.weights.sample import WeightSample, WeightsLike
from daleml.analysis.weights.sampling import weight_sample

# Values whose logarithms have a smaller standard deviation are the same but for rounding.
_LEAST_LOG_SD = 1e-5

# A rounding finer than this fraction of a value leaves parameters and their errors as they are.
_FINE = 1e-4


class SampleOptions(TypedDict, total=False):
    """Options of how a sample is taken from weights.

    Args:
        sign: +1 to take the excitatory weights, -1 the inhibitory ones; default: those there
            are, if of one sign.
        pool: Whether to take all magnitudes together, whatever their sign and parameter.
        drop_missing: Whether to leave NaN out, counted, instead of refusing it.
        sample_weights: How often each value counts; 2 is the value twice. Default: once.
    """

    sign: int | None
    pool: bool
    drop_missing: bool
    sample_weights: ArrayLike | None


class ObservationOptions(TypedDict, total=False):
    """The fields of an :class:`Observation`, as options."""

    truncation: Bounds | None
    censoring: float | Bounds | None
    discrete: bool
    zeros: str
    resolution: float | None
    significant: int | None


class FitOptions(SampleOptions, ObservationOptions, total=False):
    """Options of how a sample is taken from weights, and of how it was observed.

    :class:`SampleOptions` describes the first, :class:`Observation` the second: its fields are
    options under their own names. Functions that take them list them in their signature.

    Example:
        >>> from daleml.analysis import fit_weights
        >>> options: FitOptions = {"truncation": (0.1, None), "sign": 1}
        >>> print(fit_weights([0.2, 0.3, -0.4, 0.5], "exponential", **options).n)
        3
    """


DEFAULTS: Mapping[str, Any] = {
    "sign": None,
    "pool": False,
    "drop_missing": False,
    "sample_weights": None,
    **{name: getattr(SEEN_WHOLE, name) for name in ObservationOptions.__annotations__},
}
"""What each option is where it is left out."""

lists_fit_options = lists_options(
    FitOptions, described_options(FitOptions, DEFAULTS, (SampleOptions, Observation))
)
"""Decorates a function that takes ``**options: Unpack[FitOptions]``."""

lists_observation_options = lists_options(
    ObservationOptions, described_options(ObservationOptions, DEFAULTS, (Observation,))
)
"""Decorates a function that takes ``**options: Unpack[ObservationOptions]``."""


@dataclass(frozen=True)
class ObservedSample:
    """A sample of weights, and how it was observed.

    Attributes:
        sample: The magnitudes, as they were.
        observation: How they were observed.
    """

    sample: WeightSample
    observation: Observation

    @property
    def whole(self) -> bool:
        """Whether every magnitude was seen as it is, and counts once."""
        return (
            self.observation.whole
            and self.sample.intervals is None
            and self.sample.frequencies is None
        )

    @functools.cached_property
    def nearly_whole(self) -> bool:
        """Whether every magnitude was seen, as it is or rounded too finely to show."""
        observation = self.observation
        if observation.whole or self.sample.intervals is not None:
            return observation.whole and self.sample.intervals is None
        bounded = (
            observation.truncation is not None or observation.censoring is not None
        )
        if observation.grid is None or bounded or observation.zeros == "censored":
            return False
        values = self.data.values
        return bool(np.all(observation.grid.widths(values) < _FINE * values))

    @property
    def total(self) -> float:
        """How many magnitudes there are, as sample weights count them."""
        return float(self.sample.n) if self.whole else self.data.total

    @functools.cached_property
    def data(self) -> LikelihoodData:
        """The magnitudes as a likelihood needs them.

        Of very many, they are values that stand for the magnitudes of narrow bins.
        """
        streamed = self.streamed
        if streamed is not None:
            return streamed.data
        return read_sample(self.sample, self.observation)

    @functools.cached_property
    def streamed(self) -> StreamedData | None:
        """What a pass over very many magnitudes yields; None if they are held in memory."""
        if not is_streamed(self.sample):
            return None
        return stream(self.sample, self.observation)

    def counted_values(self) -> tuple[Array, Array]:
        """Return the magnitudes, and how often each counts.

        Of very many they are values that stand for the magnitudes of narrow bins, and for the
        censored ones their bounds.
        """
        if self.streamed is None:
            values = self.sample.values()
            counts = self.sample.counts()
            return values, np.ones(values.size) if counts is None else counts
        data = self.data
        n_below = data.n_censored
        if self.observation.zeros == "censored":
            n_below -= self.sample.zero_weight
        bounds = np.array([data.threshold, data.ceiling])
        censored = np.array([n_below, data.n_above])
        seen = censored > 0
        return (
            np.append(data.values, bounds[seen]),
            np.append(data.counts, censored[seen]),
        )

    def n_censored(self) -> tuple[int, int]:
        """Return how many magnitudes are censored, below and above, each counted once."""
        observation = self.observation
        if observation.censoring is None and observation.zeros != "censored":
            return 0, 0
        n_below = self.sample.n_zero if observation.zeros == "censored" else 0
        n_above = 0
        for values in self.sample.chunks():
            if observation.grid is not None:
                values = recorded(values, observation).values
            n_below += int(np.count_nonzero(values <= observation.censored_below))
            n_above += int(np.count_nonzero(values >= observation.censored_above))
        return n_below, n_above


def observe(
    weights: WeightsLike,
    observation: Observation | None,
    options: Mapping[str, Any],
    own: Sequence[str] = (),
) -> ObservedSample:
    """Take a sample from anything weight-like, as it was observed.

    Args:
        weights: A tensor, an array, a module, a state dict, or a sample.
        observation: How it was observed; None if ``options`` say so.
        options: As :class:`FitOptions` lists them.
        own: The other keywords of the function that was called, see :func:`split_options`.

    Raises:
        TypeError: If there is no such option.
        ValueError: If the weights do not vary, or cannot be read.
    """
    taken, observation = split_options(observation, options, own)
    return ObservedSample(require_spread(weight_sample(weights, **taken)), observation)


def split_options(
    observation: Observation | None, options: Mapping[str, Any], own: Sequence[str] = ()
) -> tuple[dict[str, Any], Observation]:
    """Return the options of how a sample is taken, and the observation.

    Args:
        observation: How it was observed; None if ``options`` say so.
        options: As :class:`FitOptions` lists them.
        own: The other keywords of the function that was called, one of which may be meant.

    Raises:
        TypeError: If there is no such option.
        ValueError: If an observation is given both as a whole and in options.
    """
    if not options and observation is None:
        return {}, SEEN_WHOLE
    taken: dict[str, Any] = {}
    seen: dict[str, Any] = {}
    for name, value in options.items():
        if name not in DEFAULTS:
            near = meant(name, ["observation", *own, *DEFAULTS])
            end = f": did you mean `{near}`?" if near else "."
            raise TypeError(
                f"`{name}` must be one of the options {', '.join(DEFAULTS)}; got an"
                f" option of no such name{end}"
            )
        if name in SampleOptions.__annotations__:
            taken[name] = value
        else:
            seen[name] = value
    return taken, one_observation(observation, **seen)


def has_spread(sample: WeightSample) -> bool:
    """Say whether the values differ by more than rounding."""
    return sample.log_moments[1] >= _LEAST_LOG_SD


def require_spread(sample: WeightSample) -> WeightSample:
    """Raise unless the values differ."""
    if not sample.log_moments[1] >= _LEAST_LOG_SD:
        raise ValueError(
            f"`weights` must vary to be fitted; got {sample.n} values of"
            f" {sample.moments.mean:.6g}."
        )
    return sample
