"""Fit a family of distributions to weights, by maximum likelihood."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from daleml.analysis.distributions import likelihood
from daleml.analysis.distributions.families import Family, find
from daleml.analysis.distributions.families.family import Array, Params
from daleml.analysis.distributions.likelihood import Observed
from daleml.analysis.distributions.observation import Ends, Observation, one_observation
from daleml.analysis.distributions.recording import recording_hints
from daleml.analysis.distributions.rounding import Steps
from daleml.analysis.weights.sample import WeightSample, WeightsLike
from daleml.analysis.weights.sampling import weight_sample

FEW = 10
"""Weights, below which no two families are told apart, and no fit is judged."""
_SPREAD = 1e-5  # of ln w: below, all values are the same but for rounding
_FINE = 1e-4  # of a value: a step so fine leaves the parameters and their errors where they are
_Z = 1.959964  # of a 95 % interval


class Connection(NamedTuple):
    """How likely a pair is connected.

    The share of values that are not zero, with Wilson's 95 % interval.
    """

    probability: float
    low: float
    high: float

    def __str__(self) -> str:
        return (
            f"connection probability {self.probability:.3g} [{self.low:.3g},"
            f" {self.high:.3g}]"
        )


@dataclass(frozen=True)
class Material:
    """What a fit works on: a sample, and how it was observed."""

    sample: WeightSample
    observation: Observation

    @property
    def whole(self) -> bool:
        """Whether every magnitude was seen as it is, and counts once."""
        plain = self.sample.counts() is None and self.sample.intervals is None
        return self.observation.whole and plain

    @property
    def nearly_whole(self) -> bool:
        """Whether every magnitude was seen, as it is or rounded by less than what shows in any result."""
        observation = self.observation
        if self.sample.intervals is not None or observation.whole:
            return observation.whole and self.sample.intervals is None
        unbounded = Observation(
            discrete=observation.discrete,
            resolution=observation.resolution,
            significant=observation.significant,
            zeros=observation.zeros,
        )
        if (
            observation.grid is None
            or unbounded != observation
            or observation.zeros == "censored"
        ):
            return False
        data = self.data
        return bool(np.all(observation.grid.widths(data.values) < _FINE * data.values))

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
        stderr: Their standard errors: by the expected Fisher information where it has a closed
            form and every weight was seen, else by the observed one. NaN where the likelihood
            is flat.
        log_likelihood: Of the ``n`` magnitudes, given that they were seen; natural log, in the
            units of the weights.
        n: Number of magnitudes fitted, the censored ones too.
        n_zero: Number of exact zeros, which no family here can explain; left out, unless they
            were taken for censored.
        n_dropped: Number of other values left out: of the other sign, or missing.
        n_censored: Number of magnitudes known only to be no larger than the threshold.
        n_censored_above: Number of magnitudes known only to be no smaller than the ceiling.
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
    n_censored_above: int
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
        """Akaike's criterion corrected for small samples.

        Infinite where ``n`` is too small for it.
        """
        k = len(self.params)
        room = self.total - k - 1
        return self.aic + 2 * k * (k + 1) / room if room > 0 else math.inf

    @property
    def limit(self) -> str | None:
        """The simpler family that the parameters have run off to.

        None where they stay within their range.
        """
        return self.rule.limit(self.values) or self.rule.limit_above(
            self.values, self.observation.low
        )

    @functools.cached_property
    def hints(self) -> tuple[str, ...]:
        """What looks wrong in how the weights were recorded, and what to pass if it is.

        A sentence each.
        """
        if self.sample.counts() is not None or self.sample.intervals is not None:
            return ()
        found = recording_hints(
            self.sample.values(),
            self.observation,
            n_zero=self.n_zero,
            negative=self.sample.others(),
        )
        return tuple(hint.in_python for hint in found)

    @property
    def values(self) -> Params:
        """The parameters in the family's order."""
        return tuple(self.params.values())

    def distribution(self) -> Any:
        """Return the fitted distribution of all magnitudes, seen or not.

        ``pdf``, ``cdf``, ``ppf``, ``rvs``...
        """
        if self.rule.needs_bound:
            return self.rule.above(self.values, self.observation.low)
        return self.rule.distribution(self.values)

    def seen_cdf(self, w: ArrayLike) -> Array:
        r"""Return :math:`P(W \le w)` of a magnitude that was seen.

        Of counts, up to and with ``w``.
        """
        data = self.material.data
        values = np.asarray(w, dtype=np.float64)
        upper = np.minimum(_reached(self.observation, values), data.high)
        inside = np.maximum(upper, max(data.low, 1e-300))
        share = np.exp(
            likelihood.log_interval(self.rule, self.values, data.low, inside)
            - likelihood.log_seen(self.rule, self.values, data)
        )
        return np.where(upper <= data.low, 0.0, np.minimum(share, 1.0))

    def ks_distance(self) -> float:
        r"""Return the Kolmogorov-Smirnov distance :math:`\max_w |F_n(w) - F(w)|` between what was seen and the fit.

        For the log-normal it is the distance of z-scored :math:`\ln w` from the normal. It is a
        measure of misfit; its textbook p-value does not hold for parameters fitted to the same
        sample: see :func:`~daleml.analysis.goodness_of_fit`.
        """
        return ks_distance(self.rule, self.values, self.material)

    def to_dict(self) -> dict[str, Any]:
        """Return the results as plain values, ready for JSON; the sample is left out."""
        names = (
            "family", "log_likelihood", "n", "n_zero", "n_dropped", "n_censored", "n_censored_above", "n_starts",
            "n_agree", "aic",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names} | {
            "aicc": self.aicc if math.isfinite(self.aicc) else None,
            "params": dict(self.params),
            "stderr": {
                name: value if math.isfinite(value) else None
                for name, value in self.stderr.items()
            },
            "observation": self.observation.to_dict(),
            "connection": self.connection._asdict() if self.connection else None,
            "limit": self.limit,
        }

    def parameters_text(self) -> str:
        """Return the parameters with their standard errors, in one line."""
        text = ", ".join(
            f"{name} {value:.4g} ± {self.stderr[name]:.2g}"
            for name, value in self.params.items()
        )
        return f"{text} (at its limit, {self.limit})" if self.limit else text

    def __str__(self) -> str:
        values = ", ".join(
            f"{name} = {value:.4g} ± {self.stderr[name]:.2g}"
            for name, value in self.params.items()
        )
        parts = [f"n = {self.n:,}"]
        parts += [str(self.observation)] if str(self.observation) else []
        parts += [f"{self.n_censored:,} of them censored"] if self.n_censored else []
        parts += (
            [f"{self.n_censored_above:,} of them censored above"]
            if self.n_censored_above
            else []
        )
        if self.connection:
            parts.append(str(self.connection))
            parts.append(f"{self.n_dropped:,} other values left out")
        else:
            parts.append(
                f"{self.n_zero:,} zeros and {self.n_dropped:,} other values left out"
            )
        if self.n_starts > 1:
            parts.append(f"{self.n_agree} of {self.n_starts} starts agree")
        if self.limit:
            parts.append(f"at its limit, {self.limit}")
        if self.total < FEW:
            parts.append("too few to rely on")
        said = "".join(f"\nnote: {hint}" for hint in self.hints)
        return f"{self.family}: {values} ({', '.join(parts)}){said}"


def fit_weights(
    weights: WeightsLike,
    family: str | Family = "lognormal",
    *,
    sign: int | None = None,
    pool: bool = False,
    drop_missing: bool = False,
    truncation: Ends | None = None,
    censoring: float | Ends | None = None,
    discrete: bool = False,
    zeros: str = "exclude",
    sample_weights: ArrayLike | None = None,
    resolution: float | None = None,
    observation: Observation | None = None,
) -> WeightFit:
    r"""Fit one family to the magnitudes of weights, by maximum likelihood with the location fixed at 0.

    Data are not the distribution that made them. With :math:`S` the probability that a
    magnitude is seen at all, the likelihood is that of what was observed,

    .. math:: \ln L = \sum_i c_i \ln p_i + n_c \ln P(\mathrm{low} < W \le \mathrm{threshold}) - n \ln S

    where :math:`p_i` is the density at a weight, or the probability of a count, and :math:`c_i`
    its sample weight.

    Args:
        weights: A tensor, an array, a module, a state dict, or a ``WeightSample``.
        family: ``"lognormal"`` (parameters mu, sigma, of :math:`\ln w`), ``"gamma"``,
            ``"weibull"``... see :mod:`daleml.analysis.distributions.families`; or a :class:`Family`.
        sign: +1 to fit the excitatory weights, -1 the inhibitory ones; default: those there
            are, if of one sign.
        pool: Whether to fit all magnitudes together, whatever their sign and parameter.
        drop_missing: Whether to leave NaN out, counted, instead of refusing it.
        truncation: ``(low, high)``, either may be None: magnitudes outside were not seen, as
            below a threshold of detection.
        censoring: Magnitudes up to this are known only to be no larger than it. Or ``(low,
            high)``: those from ``high`` on are known only to be no smaller, as where an
            instrument saturates.
        discrete: Whether they are counts, of which zero is not seen: a count stands for what
            lies within one half.
        zeros: ``"exclude"`` counts exact zeros and leaves them out; ``"hurdle"`` takes them for
            pairs without a connection and estimates its probability beside the strengths;
            ``"censored"`` takes them for magnitudes too small to be written down; ``"error"``
            refuses them.
        sample_weights: How often each value counts; 2 is the value twice. Default: once.
        resolution: The step to which they were rounded: each stands for all that lie within
            half a step of it.
        observation: All of this in one object, instead of ``truncation`` to ``resolution``.

    Returns:
        The fit, with zeros and dropped values counted.

    Raises:
        TypeError: If the weights are not numbers.
        ValueError: If the family is unknown; if weights are NaN or infinite, of both signs or
            of several parameters without ``sign`` or ``pool``; if fewer than two differ from
            zero, or they do not vary; if they are none that could have been observed as said.

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
        ``scipy.stats.lognorm.fit`` frees the location unless told not to, and then returns
        nonsense on weights; here it is fixed at 0, and the log-normal of weights seen whole is
        the mean and the standard deviation of the logarithms. Sample weights are frequencies:
        weights of another meaning must first be scaled to add up to the number of independent
        values.
    """
    chosen = find(family)
    observation = one_observation(
        observation,
        truncation=truncation,
        censoring=censoring,
        discrete=discrete,
        zeros=zeros,
        resolution=resolution,
    )
    sample = weight_sample(
        weights,
        sign=sign,
        pool=pool,
        drop_missing=drop_missing,
        sample_weights=sample_weights,
    )
    return fit_material(Material(require_spread(sample), observation), chosen)


def fit_material(material: Material, family: Family) -> WeightFit:
    """Fit a family to a sample as it was observed."""
    family = family.observed_as(material.observation)
    sample, whole = material.sample, material.whole
    if material.observation.zeros == "error" or not whole:
        _ = material.data  # refused here, if it cannot have been observed so
    params, n_starts, n_agree = estimate(material, family)
    if whole:
        height = sample.n * family.mean_log_likelihood(params, sample)
    else:
        height = likelihood.log_likelihood(family, params, material.data)
    errors = None
    if material.nearly_whole:
        errors = family.stderr(params, _total(material))
    if errors is None:
        errors = tuple(
            np.sqrt(
                np.diag(likelihood.covariance(family, params, material.data))
            ).tolist()
        )
    n_censored, n_above = _n_censored(material)
    n_small = sample.n_zero if material.observation.zeros == "censored" else 0
    return WeightFit(
        family=family.name,
        params=dict(zip(family.parameters, params, strict=True)),
        stderr=dict(zip(family.parameters, errors, strict=True)),
        log_likelihood=height,
        n=sample.n + n_small,
        n_zero=sample.n_zero - n_small,
        n_dropped=sample.n_dropped,
        n_censored=n_censored,
        n_censored_above=n_above,
        connection=(
            _connection(material, family, params)
            if material.observation.zeros == "hurdle"
            else None
        ),
        n_starts=n_starts,
        n_agree=n_agree,
        material=material,
        rule=family,
    )


def estimate(
    material: Material, family: Family, start: Params | None = None
) -> tuple[Params, int, int]:
    """Return the maximum-likelihood parameters.

    From how many places they were looked for, and found.

    Where there is no closed form they are looked for from ``start``, if it is given.
    """
    if material.whole:
        params = family.estimate(material.sample)
        if params is not None:
            return params, 0, 0
    found = likelihood.maximise(family, material.data, start)
    return found.params, found.n_starts, found.n_agree


def _n_censored(material: Material) -> tuple[int, int]:
    """Return how many magnitudes are censored, below and above, each counted once."""
    observation, sample = material.observation, material.sample
    if observation.censoring is None and observation.zeros != "censored":
        return 0, 0
    values = (
        sample.values()
        if observation.grid is None
        else likelihood.on_grid(sample.values(), observation)
    )
    n_below = int(np.count_nonzero(values <= observation.censored_below))
    n_below += sample.n_zero if observation.zeros == "censored" else 0
    return n_below, int(np.count_nonzero(values >= observation.censored_above))


def _reached(observation: Observation, values: Array) -> Array:
    """Return up to where magnitudes reach that were written down as no more than each of ``values``."""
    grid = observation.grid
    if grid is None:
        return values
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(values), grid.above(grid.floor(values)), values)


def ks_distance(family: Family, params: Params, material: Material) -> float:
    """Return the largest gap between the cumulative distributions of what was seen and of the fit.

    NaN of a sample of intervals, of which nobody knows the order.
    """
    data = material.data
    if not data.edged:
        return math.nan
    order = np.argsort(data.values, kind="stable")
    ends, counts = data.ends[order], data.counts[order]
    after = (data.n_censored + np.cumsum(counts)) / data.total
    seen = likelihood.log_seen(family, params, data)
    with np.errstate(all="ignore"):

        def below(place: Array | float) -> Array:
            return np.exp(
                likelihood.log_interval(family, params, data.low, place) - seen
            )

        theory = below(np.minimum(ends, data.high))
        gaps = [np.max(np.abs(after - theory))]
        if data.lower is None:  # of rounded weights, both climb in the same steps
            gaps.append(
                np.max(
                    np.abs(theory - np.append(data.n_censored / data.total, after[:-1]))
                )
            )
        if data.n_censored:
            gaps.append(
                abs(float(below(data.threshold)) - data.n_censored / data.total)
            )
        if data.n_above:
            gaps.append(
                abs(float(below(data.ceiling)) - (1 - data.n_above / data.total))
            )
    return float(max(gaps))


def require_fit(argument: str, value: object) -> None:
    """Raise unless ``value`` is a fit: weights are easily given in its place."""
    if not isinstance(value, WeightFit):
        raise TypeError(
            f"`{argument}` must be a WeightFit, as `fit_weights` returns; got"
            f" {type(value).__name__}."
        )


def has_spread(sample: WeightSample) -> bool:
    """Say whether the values differ by more than rounding."""
    return sample.log_moments[1] >= _SPREAD


def require_spread(sample: WeightSample) -> WeightSample:
    """Raise unless the values differ."""
    if not has_spread(sample):
        raise ValueError(
            f"`weights` must vary to be fitted; got {sample.n} values of"
            f" {sample.moments.mean:.6g}."
        )
    return sample


def _total(material: Material) -> float:
    return float(material.sample.n) if material.whole else material.data.total


def _connection(material: Material, family: Family, params: Params) -> Connection:
    """Return how likely a pair is connected.

    Of rounded weights, those that were rounded to zero too.
    """
    n_connected = _total(material)
    n = n_connected + material.sample.zero_weight
    share = n_connected / n
    center, reach = (
        share + _Z**2 / (2 * n),
        _Z * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)),
    )
    low, high = ((center + side * reach) / (1 + _Z**2 / n) for side in (-1, 1))
    seen = 1.0
    if (
        material.observation.resolution is not None
        and material.sample.intervals is None
    ):
        least = Steps(material.observation.resolution).least
        seen = math.exp(float(family.logsf(np.array(least), params)))
    return Connection(*(min(max(end / seen, 0.0), 1.0) for end in (share, low, high)))
