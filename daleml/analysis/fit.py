"""Fit a family of distributions to weights, by maximum likelihood."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from daleml.analysis import likelihood
from daleml.analysis.families import Family, find
from daleml.analysis.families.base import Array, Params
from daleml.analysis.likelihood import Observed
from daleml.analysis.observation import Observation
from daleml.analysis.weights import WeightSample, WeightsLike, weight_sample

_SPREAD = 1e-5  # of ln w: below, all values are the same but for rounding
_Z = 1.959964  # of a 95 % interval


class Connection(NamedTuple):
    """How likely a pair is connected: the share of values that are not zero, with Wilson's 95 % interval."""

    probability: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"connection probability {self.probability:.3g} [{self.low:.3g}, {self.high:.3g}]"


@dataclass(frozen=True)
class Material:
    """What a fit works on: a sample, and how it was observed."""

    sample: WeightSample
    observation: Observation

    @property
    def whole(self) -> bool:
        """Whether every magnitude was seen as it is, and counts once."""
        return self.observation.whole and self.sample.counts() is None

    @functools.cached_property
    def data(self) -> Observed:
        """The magnitudes as a likelihood sees them."""
        return likelihood.observe(self.sample, self.observation)


@dataclass(frozen=True)
class WeightFit:
    """A family fitted to a sample of weights.

    Attributes:
        family: The family's name.
        params: Maximum-likelihood parameters by name.
        stderr: Their standard errors: by the expected Fisher information where it has a closed form and every weight
            was seen, else by the observed one. NaN where the likelihood is flat.
        log_likelihood: Of the ``n`` magnitudes, given that they were seen; natural log, in the units of the weights.
        n: Number of magnitudes fitted, the censored ones too.
        n_zero: Number of exact zeros, which no family here can explain; left out.
        n_dropped: Number of other values left out: of the other sign, or missing.
        n_censored: Number of magnitudes known only to be no larger than the threshold.
        connection: With ``zeros="hurdle"``, how likely a pair is connected; else None.
        n_starts: Number of places from which the likelihood was climbed; 0 for a closed form.
        n_agree: Number of those climbs that ended at the highest peak.
        material: The sample, and how it was observed.
    """

    family: str
    params: Mapping[str, float]
    stderr: Mapping[str, float]
    log_likelihood: float
    n: int
    n_zero: int
    n_dropped: int
    n_censored: int
    connection: Connection | None
    n_starts: int
    n_agree: int
    material: Material = field(repr=False, compare=False)
    rule: Family = field(repr=False, compare=False)

    @property
    def sample(self) -> WeightSample:
        """The magnitudes, as they were."""
        return self.material.sample

    @property
    def observation(self) -> Observation:
        """How they were observed."""
        return self.material.observation

    @property
    def total(self) -> float:
        """How many magnitudes there are, as sample weights count them."""
        return _total(self.material)

    @property
    def aic(self) -> float:
        """Akaike's criterion, :math:`2k - 2 ln L`."""
        return 2 * len(self.params) - 2 * self.log_likelihood

    @property
    def aicc(self) -> float:
        """Akaike's criterion corrected for small samples; infinite where ``n`` is too small for it."""
        k = len(self.params)
        room = self.total - k - 1
        return self.aic + 2 * k * (k + 1) / room if room > 0 else math.inf

    @property
    def limit(self) -> str | None:
        """The simpler family that the parameters have run off to; None where they stay within their range."""
        return self.rule.limit(self.values)

    @property
    def values(self) -> Params:
        """The parameters in the family's order."""
        return tuple(self.params.values())

    def distribution(self) -> Any:
        """Return the fitted distribution of all magnitudes, seen or not: ``pdf``, ``cdf``, ``ppf``, ``rvs``..."""
        return self.rule.distribution(self.values)

    def seen_cdf(self, w: ArrayLike) -> Array:
        r"""Return :math:`P(W \le w)` of a magnitude that was seen; of counts, up to and with ``w``."""
        data = self.material.data
        values = np.asarray(w, dtype=np.float64)
        upper = np.minimum(np.floor(values) + 0.5 if data.half_width else values, data.high)
        inside = np.maximum(upper, max(data.low, 1e-300))
        share = np.exp(
            likelihood.log_interval(self.rule, self.values, data.low, inside)
            - likelihood.log_seen(self.rule, self.values, data)
        )
        return np.where(upper <= data.low, 0.0, np.minimum(share, 1.0))

    def ks_distance(self) -> float:
        r"""Return the Kolmogorov-Smirnov distance :math:`\max_w |F_n(w) - F(w)|` between what was seen and the fit.

        For the log-normal it is the distance of z-scored :math:`\ln w` from the normal. It is a measure of misfit; its
        textbook p-value does not hold for parameters fitted to the same sample: see
        :func:`~daleml.analysis.goodness_of_fit`.
        """
        return ks_distance(self.rule, self.values, self.material)

    def to_dict(self) -> dict[str, Any]:
        """Return the results as plain values, ready for JSON; the sample is left out."""
        names = ("family", "log_likelihood", "n", "n_zero", "n_dropped", "n_censored", "n_starts", "n_agree", "aic")
        return {name: getattr(self, name) for name in names} | {
            "aicc": self.aicc if math.isfinite(self.aicc) else None,
            "params": dict(self.params),
            "stderr": {name: value if math.isfinite(value) else None for name, value in self.stderr.items()},
            "observation": self.observation.to_dict(),
            "connection": self.connection._asdict() if self.connection else None,
            "limit": self.limit,
        }

    def parameters_text(self) -> str:
        """Return the parameters with their standard errors, in one line."""
        return ", ".join(f"{name} {value:.4g} ± {self.stderr[name]:.2g}" for name, value in self.params.items())

    def __str__(self) -> str:
        values = ", ".join(f"{name} = {value:.4g} ± {self.stderr[name]:.2g}" for name, value in self.params.items())
        parts = [f"n = {self.n:,}"]
        parts += [str(self.observation)] if str(self.observation) else []
        parts += [f"{self.n_censored:,} of them censored"] if self.n_censored else []
        if self.connection:
            parts.append(str(self.connection))
            parts.append(f"{self.n_dropped:,} other values left out")
        else:
            parts.append(f"{self.n_zero:,} zeros and {self.n_dropped:,} other values left out")
        if self.n_starts > 1:
            parts.append(f"{self.n_agree} of {self.n_starts} starts agree")
        if self.limit:
            parts.append(f"at its limit, {self.limit}")
        return f"{self.family}: {values} ({', '.join(parts)})"


def fit_weights(
    weights: WeightsLike,
    family: str | Family = "lognormal",
    *,
    sign: int | None = None,
    pool: bool = False,
    drop_missing: bool = False,
    truncation: tuple[float | None, float | None] | None = None,
    censoring: float | None = None,
    discrete: bool = False,
    zeros: str = "exclude",
    sample_weights: ArrayLike | None = None,
) -> WeightFit:
    r"""Fit one family to the magnitudes of weights, by maximum likelihood with the location fixed at 0.

    Data are not the distribution that made them. With :math:`S` the probability that a magnitude is seen at all, the
    likelihood is that of what was observed,

    .. math:: \ln L = \sum_i c_i \ln p_i + n_c \ln P(\mathrm{low} < W \le \mathrm{threshold}) - n \ln S

    where :math:`p_i` is the density at a weight, or the probability of a count, and :math:`c_i` its sample weight.

    Args:
        weights: A tensor, an array, a module, a state dict, or a ``WeightSample``.
        family: ``"lognormal"`` (parameters mu, sigma, of :math:`\ln w`), ``"gamma"``, ``"weibull"``... see
            :mod:`daleml.analysis.families`; or a :class:`Family`.
        sign: +1 to fit the excitatory weights, -1 the inhibitory ones; default: those there are, if of one sign.
        pool: Whether to fit all magnitudes together, whatever their sign and parameter.
        drop_missing: Whether to leave NaN out, counted, instead of refusing it.
        truncation: ``(low, high)``, either may be None: magnitudes outside were not seen, as below a threshold of
            detection.
        censoring: Magnitudes up to this are known only to be no larger than it.
        discrete: Whether they are counts, of which zero is not seen: a count stands for what lies within one half.
        zeros: ``"exclude"`` counts exact zeros and leaves them out; ``"hurdle"`` takes them for pairs without a
            connection and estimates its probability beside the strengths; ``"error"`` refuses them.
        sample_weights: How often each value counts; 2 is the value twice. Default: once.

    Returns:
        The fit, with zeros and dropped values counted.

    Raises:
        TypeError: If the weights are not numbers.
        ValueError: If the family is unknown; if weights are NaN or infinite, of both signs or of several parameters
            without ``sign`` or ``pool``; if fewer than two differ from zero, or they do not vary; if they are none that
            could have been observed as said.

    Example:
        >>> import numpy as np
        >>> weights = np.random.default_rng(0).lognormal(mean=-2, sigma=1, size=10_000)
        >>> print(fit_weights(weights))
        lognormal: mu = -1.994 ± 0.01, sigma = 0.9981 ± 0.0071 (n = 10,000, 0 zeros and 0 other values left out)
        >>> seen = weights[weights > 0.1]  # as a microscope would
        >>> naive, aware = fit_weights(seen), fit_weights(seen, truncation=(0.1, None))
        >>> print(f"{naive.params['sigma']:.2f} {aware.params['sigma']:.2f}")
        0.66 0.98

    Notes:
        ``scipy.stats.lognorm.fit`` frees the location unless told not to, and then returns nonsense on weights; here
        it is fixed at 0, and the log-normal of weights seen whole is the mean and the standard deviation of the
        logarithms. Sample weights are frequencies: weights of another meaning must first be scaled to add up to the
        number of independent values.
    """
    chosen, observation = find(family), Observation(truncation, censoring, discrete, zeros)
    sample = weight_sample(weights, sign=sign, pool=pool, drop_missing=drop_missing, sample_weights=sample_weights)
    return fit_material(Material(require_spread(sample), observation), chosen)


def fit_material(material: Material, family: Family) -> WeightFit:
    """Fit a family to a sample as it was observed."""
    sample, whole = material.sample, material.whole
    if material.observation.zeros == "error" or not whole:
        _ = material.data  # refused here, if it cannot have been observed so
    params, n_starts, n_agree = estimate(material, family)
    if whole:
        height = sample.n * family.mean_log_likelihood(params, sample)
    else:
        height = likelihood.log_likelihood(family, params, material.data)
    errors = family.stderr(params, _total(material)) if material.observation.whole else None
    if errors is None:
        errors = tuple(np.sqrt(np.diag(likelihood.covariance(family, params, material.data))).tolist())
    censoring = material.observation.censoring
    n_censored = 0 if censoring is None else int((sample.values() <= censoring).sum())
    return WeightFit(
        family=family.name,
        params=dict(zip(family.parameters, params, strict=True)),
        stderr=dict(zip(family.parameters, errors, strict=True)),
        log_likelihood=height,
        n=sample.n,
        n_zero=sample.n_zero,
        n_dropped=sample.n_dropped,
        n_censored=n_censored,
        connection=_connection(material) if material.observation.zeros == "hurdle" else None,
        n_starts=n_starts,
        n_agree=n_agree,
        material=material,
        rule=family,
    )


def estimate(material: Material, family: Family, start: Params | None = None) -> tuple[Params, int, int]:
    """Return the maximum-likelihood parameters; from how many places they were looked for, and found.

    Where there is no closed form they are looked for from ``start``, if it is given.
    """
    if material.whole:
        params = family.estimate(material.sample)
        if params is not None:
            return params, 0, 0
    found = likelihood.maximise(family, material.data, start)
    return found.params, found.n_starts, found.n_agree


def ks_distance(family: Family, params: Params, material: Material) -> float:
    """Return the largest gap between the cumulative distributions of what was seen and of the fit."""
    data = material.data
    values, counts = data.values, data.counts
    if not data.half_width:
        order = np.argsort(values)
        values, counts = values[order], counts[order]
    after = (data.n_censored + np.cumsum(counts)) / data.total
    seen = likelihood.log_seen(family, params, data)
    with np.errstate(all="ignore"):
        ends = np.minimum(values + data.half_width, data.high)
        theory = np.exp(likelihood.log_interval(family, params, data.low, ends) - seen)
        gaps = [np.max(np.abs(after - theory))]
        if not data.half_width:  # of counts, both climb in the same steps
            gaps.append(np.max(np.abs(theory - np.append(data.n_censored / data.total, after[:-1]))))
        if data.n_censored:
            below = math.exp(float(likelihood.log_interval(family, params, data.low, data.threshold)) - seen)
            gaps.append(abs(below - data.n_censored / data.total))
    return float(max(gaps))


def require_fit(argument: str, value: object) -> None:
    """Raise unless ``value`` is a fit: weights are easily given in its place."""
    if not isinstance(value, WeightFit):
        raise TypeError(f"`{argument}` must be a WeightFit, as `fit_weights` returns; got {type(value).__name__}.")


def require_spread(sample: WeightSample) -> WeightSample:
    """Raise unless the values differ."""
    if sample.log_moments[1] < _SPREAD:
        raise ValueError(f"`weights` must vary to be fitted; got {sample.n} values of {sample.moments.mean:.6g}.")
    return sample


def _total(material: Material) -> float:
    return float(material.sample.n) if material.sample.counts() is None else material.data.total


def _connection(material: Material) -> Connection:
    n_connected = _total(material)
    n = n_connected + material.sample.zero_weight
    share = n_connected / n
    center, reach = share + _Z**2 / (2 * n), _Z * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    low, high = ((center + side * reach) / (1 + _Z**2 / n) for side in (-1, 1))
    return Connection(share, max(low, 0.0), min(high, 1.0))
