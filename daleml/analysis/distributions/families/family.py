r"""What a family of distributions on the positive numbers knows of itself."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from daleml.analysis.weights.sample import WeightSample

if TYPE_CHECKING:
    from daleml.analysis.distributions.likelihood import Observed
    from daleml.analysis.distributions.observation import Observation

Array: TypeAlias = NDArray[np.float64]
Params: TypeAlias = tuple[float, ...]

LOG_2PI = math.log(2 * math.pi)


class Kind(Enum):
    """What becomes of a parameter when the unit of the weights changes, and where it lives."""

    SCALE = "positive; in the unit of the weights"
    LOCATION = "any number; in the unit of the weights"
    LOG_LOCATION = "any number; a logarithm of weights"
    SHAPE = "positive; free of units"
    REAL = "any number; free of units"
    SHARE = "between 0 and 1; free of units"

    def free(self, value: float) -> float:
        """Map a parameter of this kind to a number without bounds."""
        if self in (Kind.SCALE, Kind.SHAPE):
            return math.log(value)
        if self is Kind.LOCATION:  # straight near zero, a logarithm far off
            return math.asinh(value)
        return math.log(value / (1 - value)) if self is Kind.SHARE else value

    def bound(self, place: float) -> float:
        """Undo :meth:`free`."""
        if self in (Kind.SCALE, Kind.SHAPE):
            return math.exp(place) if place < 700 else math.inf
        if self is Kind.LOCATION:
            return (
                math.sinh(place) if abs(place) < 700 else math.copysign(math.inf, place)
            )
        if self is Kind.SHARE:
            return 1 / (1 + math.exp(-place)) if place > -700 else 0.0
        return float(place)

    def slope(self, value: float) -> float:
        """Return how fast a parameter changes with the number that it is mapped to."""
        if self in (Kind.SCALE, Kind.SHAPE):
            return value
        if self is Kind.LOCATION:
            return math.hypot(1, value)
        return value * (1 - value) if self is Kind.SHARE else 1.0


class Family(ABC):
    """A family of distributions of magnitudes.

    Density, tails and quantiles, as functions of its parameters.

    A family of one's own needs ``name``, ``parameters``, ``kinds``, :meth:`logpdf`,
    :meth:`logcdf`, :meth:`logsf` and :meth:`start`; the rest has defaults, which are slower
    than a closed form.
    """

    name: ClassVar[str]
    parameters: ClassVar[tuple[str, ...]]
    kinds: ClassVar[tuple[Kind, ...]]
    special_cases: ClassVar[frozenset[str]] = frozenset()
    """Names of the families that this one becomes at some value of its parameters, inside their range."""
    irregular_cases: ClassVar[frozenset[str]] = frozenset()
    """Those that it becomes where parameters lose their meaning or end, so that no textbook test compares the two."""

    needs_bound: ClassVar[bool] = False
    """Whether it is no distribution without the lower end of what was seen."""
    own_unit: ClassVar[bool] = False
    """Whether its values have a unit of their own, as counts do, in which likelihoods must be computed."""

    # -- the distribution
    # ----------------------------------------------------------------------------------------------

    @abstractmethod
    def logpdf(self, w: Array, params: Params) -> Array:
        """Return the logarithm of the density."""

    @abstractmethod
    def logcdf(self, w: Array, params: Params) -> Array:
        r"""Return :math:`\ln P(W \le w)`."""

    @abstractmethod
    def logsf(self, w: Array, params: Params) -> Array:
        r"""Return :math:`\ln P(W > w)`, precise in the far tail."""

    def cdf(self, w: Array, params: Params) -> Array:
        r"""Return :math:`P(W \le w)`."""
        return np.exp(self.logcdf(w, params))

    def ppf(self, q: Array, params: Params) -> Array:
        """Return the quantiles of levels ``q``."""
        return np.asarray(self.distribution(params).ppf(q), dtype=np.float64)

    def sample(self, params: Params, n: int, rng: np.random.Generator) -> Array:
        """Draw ``n`` magnitudes."""
        return self.ppf(rng.uniform(size=n), params)

    def distribution(self, params: Params) -> Any:
        """Return it with its parameters fixed: ``pdf``, ``cdf``, ``ppf``, ``rvs``...

        As in ``scipy.stats``.
        """
        return Distribution(self, params)

    def log_mass(self, counts: Array, params: Params) -> Array | None:
        """Return the log-probabilities of counts, of a family of counts.

        Else None: they are rounded magnitudes.
        """
        return None

    def between(
        self, params: Params, n: int, low: float, high: float, rng: np.random.Generator
    ) -> Array | None:
        """Draw ``n`` magnitudes between two ends, if there is a shorter way than to try.

        Else None.
        """
        return None

    def above(self, params: Params, low: float) -> Any:
        """Return the distribution of what is larger than ``low``, of a family that needs a bound."""
        raise NotImplementedError

    def observed_as(self, observation: Observation) -> Family:
        """Return what to fit to weights observed so: this family, or its form for counts.

        Raises:
            ValueError: If it cannot be fitted to such weights.
        """
        return self

    # -- its parameters
    # ------------------------------------------------------------------------------------------------

    @abstractmethod
    def start(self, w: Array, counts: Array) -> Params:
        """Return parameters near the maximum of the likelihood of ``w``, each seen ``counts`` times."""

    def starts(self, data: Observed) -> Iterator[Params]:
        """Yield where to begin climbing.

        One place, or several where the likelihood has several peaks.
        """
        yield self.start(*data.complete())

    def to_free(self, params: Params) -> Array:
        """Map parameters to numbers without bounds, in which likelihoods are climbed."""
        return np.array(
            [kind.free(value) for value, kind in zip(params, self.kinds, strict=True)]
        )

    def from_free(self, free: Array) -> Params:
        """Undo :meth:`to_free`."""
        return tuple(
            kind.bound(place)
            for place, kind in zip(free.tolist(), self.kinds, strict=True)
        )

    def allowed(self, params: Params) -> bool:
        """Whether a likelihood is to be climbed there; :meth:`from_free` leads nowhere else."""
        return True

    def in_unit(self, params: Params, unit: float) -> Params:
        """Return the parameters of the same weights measured in another unit, ``unit`` times as small."""
        return tuple(
            (
                p * unit
                if k in (Kind.SCALE, Kind.LOCATION)
                else p + math.log(unit)
                if k is Kind.LOG_LOCATION
                else p
            )
            for p, k in zip(params, self.kinds, strict=True)
        )

    # -- shortcuts, where every weight was seen
    # ------------------------------------------------------------------------

    def estimate(self, sample: WeightSample) -> Params | None:
        """Return the maximum-likelihood parameters of a sample seen whole.

        None if there is no shorter way to them.
        """
        return None

    def mean_log_likelihood(self, params: Params, sample: WeightSample) -> float:
        """Return the mean log-likelihood of a sample seen whole.

        Here by a pass over it, elsewhere from its moments.
        """
        return (
            sum(float(self.logpdf(chunk, params).sum()) for chunk in sample.chunks())
            / sample.n
        )

    def stderr(self, params: Params, n: float) -> Params | None:
        """Return the standard errors of ``n`` values seen whole, by the expected information.

        None if not known.
        """
        return None

    def interval_factor(self, index: int, n: float, level: float) -> float:
        r"""Return by what to multiply :math:`\chi^2_1(\mathrm{level})` for a profile interval of few weights."""
        return 1.0

    def limit(self, params: Params) -> str | None:
        """Say which simpler family the parameters have run off to, if they have."""
        return None

    def limit_above(self, params: Params, low: float) -> str | None:
        """Say what they have run off to as far as what is larger than ``low`` can tell, if they have."""
        return None

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


@dataclass(frozen=True)
class Distribution:
    """A family with its parameters fixed, for those that ``scipy.stats`` lacks.

    The methods of the same names.
    """

    family: Family
    params: Params

    def logpdf(self, w: Any) -> Any:
        """Return the logarithm of the density; that of numbers not above zero is minus infinity."""
        return self._on_positive(self.family.logpdf, w, (-np.inf, -np.inf))

    def pdf(self, w: Any) -> Any:
        """Return the density."""
        return np.exp(self.logpdf(w))

    def cdf(self, w: Any) -> Any:
        r"""Return :math:`P(W \le w)`."""
        return np.exp(self._on_positive(self.family.logcdf, w, (-np.inf, 0.0)))

    def sf(self, w: Any) -> Any:
        r"""Return :math:`P(W > w)`."""
        return np.exp(self._on_positive(self.family.logsf, w, (0.0, -np.inf)))

    def ppf(self, q: Any) -> Any:
        """Return the quantiles, by halving the interval of ln w that holds them."""
        levels = np.asarray(q, dtype=np.float64)
        low, high = np.full(levels.shape, -700.0), np.full(levels.shape, 700.0)
        upper = levels > 0.5
        target = np.log(
            np.where(upper, 1 - levels, levels),
            where=(levels > 0) & (levels < 1),
            out=np.zeros_like(levels),
        )
        for _ in range(64):
            middle = (low + high) / 2
            w = np.exp(middle)
            below = np.where(
                upper,
                self.family.logsf(w, self.params) > target,
                self.family.logcdf(w, self.params) < target,
            )
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        found = np.exp((low + high) / 2)
        found = np.where(levels <= 0, 0.0, np.where(levels >= 1, np.inf, found))
        return np.where((levels >= 0) & (levels <= 1), found, np.nan)[()]

    def median(self) -> float:
        """Return the median."""
        return float(self.ppf(0.5))

    def rvs(self, size: int | tuple[int, ...] = 1, random_state: Any = None) -> Any:
        """Draw magnitudes."""
        rng = np.random.default_rng(random_state)
        return self.family.sample(self.params, int(np.prod(size)), rng).reshape(size)

    def _on_positive(self, function: Any, w: Any, ends: tuple[float, float]) -> Any:
        values = np.asarray(w, dtype=np.float64)
        inside = (values > 0) & (values < np.inf)
        result = np.where(
            np.isnan(values), np.nan, np.where(values > 0, ends[1], ends[0])
        )
        result[inside] = function(values[inside], self.params)
        return result[()]


def log_moments(w: Array, counts: Array) -> tuple[float, float]:
    """Return mean and standard deviation of ln w."""
    logs = np.log(w)
    mean = float(np.average(logs, weights=counts))
    return mean, max(
        float(np.sqrt(np.average((logs - mean) ** 2, weights=counts))), 1e-3
    )
