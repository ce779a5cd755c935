"""The base class of families: what a distribution of magnitudes must say of itself to be fitted."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from daleml.analysis.distributions.families.parameter_kinds import Array, Kind, Params

if TYPE_CHECKING:
    from daleml.analysis.distributions.likelihood_data import LikelihoodData
    from daleml.analysis.distributions.observation import Observation
    from daleml.analysis.weights.sample import WeightSample

__all__ = [
    "LOG_2PI",
    "Array",
    "Distribution",
    "Family",
    "Kind",
    "Params",
    "log_moments",
]

LOG_2PI = math.log(2 * math.pi)

# A log-likelihood starts no closer to a single value than this standard deviation of ln w.
_LEAST_LOG_SD = 1e-3

# Quantiles are looked for between the exponentials of these, all that a float holds, by so many
# halvings that no digit is left to find.
_LOG_RANGE = 700.0
_HALVINGS = 64


class Family(ABC):
    """A family of distributions of magnitudes: density, tails and quantiles, by its parameters.

    A family of one's own needs ``name``, ``parameters``, ``kinds``, :meth:`logpdf`,
    :meth:`logcdf`, :meth:`logsf` and :meth:`start`. The rest has defaults, which are slower
    than a closed form.

    Example:
        >>> import numpy as np
        >>> from daleml.analysis import fit_weights
        >>> class Rayleigh(Family):
        ...     name, parameters, kinds = "rayleigh", ("scale",), (Kind.SCALE,)
        ...     def logpdf(self, w, params):
        ...         return np.log(w / params[0] ** 2) + self.logsf(w, params)
        ...     def logcdf(self, w, params):
        ...         return np.log(-np.expm1(self.logsf(w, params)))
        ...     def logsf(self, w, params):
        ...         return -((w / params[0]) ** 2) / 2
        ...     def start(self, w, counts):
        ...         return (np.average(w, weights=counts),)
        >>> weights = np.random.default_rng(0).rayleigh(2.0, 1000)
        >>> print(fit_weights(weights, Rayleigh()).parameters_text())
        scale 2.022 ± 0.032
    """

    name: ClassVar[str]
    parameters: ClassVar[tuple[str, ...]]
    kinds: ClassVar[tuple[Kind, ...]]
    special_cases: ClassVar[frozenset[str]] = frozenset()
    """Names of the families that this one equals at some value of its parameters.

    The value lies inside their range, so that the likelihood ratio is chi-squared."""
    irregular_cases: ClassVar[frozenset[str]] = frozenset()
    """Names of the families that this one equals at the end of its range.

    There some parameters lose their meaning, so no textbook test compares the two."""

    needs_bound: ClassVar[bool] = False
    """Whether it is a distribution only above a lower end of what was seen."""
    own_unit: ClassVar[bool] = False
    """Whether its values have a unit of their own, as counts do.

    Likelihoods are then computed in that unit."""

    # -- the distribution

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
        """Return the distribution of fixed parameters, with the methods of ``scipy.stats``.

        These are ``pdf``, ``cdf``, ``sf``, ``ppf``, ``median`` and ``rvs``.
        """
        return Distribution(self, params)

    def log_mass(self, counts: Array, params: Params) -> Array | None:
        """Return the log-probabilities of counts.

        None of a family of continuous magnitudes, whose counts are rounded magnitudes.
        """
        return None

    def between(
        self, params: Params, n: int, low: float, high: float, rng: np.random.Generator
    ) -> Array | None:
        """Draw ``n`` magnitudes between two ends.

        None if there is no quicker way than to draw until enough lie between them.
        """
        return None

    def above(self, params: Params, low: float) -> Any:
        """Return the distribution of what is larger than ``low``.

        Only families with ``needs_bound`` have it.
        """
        raise NotImplementedError

    def observed_as(self, observation: Observation) -> Family:
        """Return the family to fit to weights that were observed so.

        That is this one, or its form for counts. It is asked where weights were not all seen as
        they are, and of a family with ``needs_bound`` always.

        Raises:
            ValueError: If it cannot be fitted to such weights.
        """
        return self

    # -- its parameters

    @abstractmethod
    def start(self, w: Array, counts: Array) -> Params:
        """Return parameters near the maximum of the likelihood.

        It is that of magnitudes ``w``, each of which was seen ``counts`` times.
        """

    def starts(self, data: LikelihoodData) -> Iterator[Params]:
        """Yield the parameters from which to maximise the likelihood.

        There is one starting point, or several where the likelihood has several peaks.
        """
        yield self.start(*data.complete())

    def to_free(self, params: Params) -> Array:
        """Return the free coordinates of parameters, over which likelihoods are maximised."""
        pairs = zip(params, self.kinds, strict=True)
        return np.array([kind.free(value) for value, kind in pairs])

    def from_free(self, free: Array) -> Params:
        """Return the parameters of free coordinates: undo :meth:`to_free`."""
        pairs = zip(free.tolist(), self.kinds, strict=True)
        return tuple(kind.bound(coordinate) for coordinate, kind in pairs)

    def allowed(self, params: Params) -> bool:
        """Whether a likelihood may be maximised there.

        Parameters that :meth:`from_free` returns always are allowed.
        """
        return True

    def in_unit(self, params: Params, unit: float) -> Params:
        """Return the parameters of the same weights in another unit, ``unit`` times as small."""
        pairs = zip(params, self.kinds, strict=True)
        return tuple(kind.in_unit(value, unit) for value, kind in pairs)

    # -- shorter ways, where every weight was seen as it is

    def estimate(self, sample: WeightSample) -> Params | None:
        """Return the maximum-likelihood parameters of a sample in which all weights were seen.

        None if the family has neither a closed form nor one equation: the likelihood is then
        maximised over all parameters together.
        """
        return None

    def mean_log_likelihood(self, params: Params, sample: WeightSample) -> float:
        """Return the mean log-likelihood of a sample in which all weights were seen.

        Here it takes a pass over the sample; some families have it from its moments.
        """
        total = sum(float(self.logpdf(part, params).sum()) for part in sample.chunks())
        return total / sample.n

    def stderr(self, params: Params, n: float) -> Params | None:
        """Return the standard errors of ``n`` values seen whole, by the expected information.

        None if they have no closed form.
        """
        return None

    def interval_factor(self, index: int, n: float, level: float) -> float:
        r"""Return by what to multiply :math:`\chi^2_1(\mathrm{level})` for few weights.

        It corrects the profile interval of the parameter with number ``index``.
        """
        return 1.0

    def limit(self, params: Params) -> str | None:
        """Return the simpler family that the parameters have run off to; None if to none."""
        return None

    def limit_above(self, params: Params, low: float) -> str | None:
        """Return the family that these parameters cannot be told from above ``low``, if any."""
        return None

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


@dataclass(frozen=True)
class Distribution:
    """A family with fixed parameters, for families that ``scipy.stats`` lacks.

    Its methods have the names that they have there.

    Args:
        family: The family.
        params: Its parameters, in the family's order.

    Example:
        >>> from daleml.analysis.distributions.families import find
        >>> round(Distribution(find("weibull"), (1.0, 2.0)).median(), 3)
        1.386
    """

    family: Family
    params: Params

    def logpdf(self, w: Any) -> Any:
        """Return the logarithm of the density; minus infinity unless ``w`` is above zero."""
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
        low = np.full(levels.shape, -_LOG_RANGE)
        high = np.full(levels.shape, _LOG_RANGE)
        # Each level is compared with the tail that is smaller, which has more digits.
        upper = levels > 0.5
        target = np.log(
            np.where(upper, 1 - levels, levels),
            where=(levels > 0) & (levels < 1),
            out=np.zeros_like(levels),
        )
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            w = np.exp(middle)
            below = np.where(
                upper,
                self.family.logsf(w, self.params) > target,
                self.family.logcdf(w, self.params) < target,
            )
            low = np.where(below, middle, low)
            high = np.where(below, high, middle)
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
        """Return a function of positive numbers, and its values at zero and at infinity."""
        values = np.asarray(w, dtype=np.float64)
        inside = (values > 0) & (values < np.inf)
        result = np.where(values > 0, ends[1], ends[0])
        result = np.where(np.isnan(values), np.nan, result)
        result[inside] = function(values[inside], self.params)
        return result[()]


def log_moments(w: Array, counts: Array) -> tuple[float, float]:
    """Return mean and standard deviation of ln w, the second never quite 0."""
    logs = np.log(w)
    mean = float(np.average(logs, weights=counts))
    variance = float(np.average((logs - mean) ** 2, weights=counts))
    return mean, max(math.sqrt(variance), _LEAST_LOG_SD)
