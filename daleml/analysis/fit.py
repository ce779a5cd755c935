"""Fit families of distributions to weights by maximum likelihood, and rank them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from daleml.analysis.families import FAMILIES, Family
from daleml.analysis.weights import WeightSample, WeightsLike, weight_sample

if TYPE_CHECKING:
    import pandas as pd

_CANNOT_TELL = 2.0  # difference in AICc below which a rival has about as much support, by the usual convention


@dataclass(frozen=True)
class WeightFit:
    """A family fitted to a sample of weights.

    Attributes:
        family: The family's name.
        params: Maximum-likelihood parameters by name.
        stderr: Their standard errors, from the expected Fisher information.
        log_likelihood: Of the ``n`` magnitudes, natural log, in the units of the weights.
        n: Number of magnitudes fitted.
        n_zero: Number of exact zeros, which no family here can explain; left out.
        n_dropped: Number of other values left out: of the other sign, or missing.
        sample: The magnitudes, as they were.
    """

    family: str
    params: Mapping[str, float]
    stderr: Mapping[str, float]
    log_likelihood: float
    n: int
    n_zero: int
    n_dropped: int
    sample: WeightSample = field(repr=False, compare=False)
    _family: Family = field(repr=False, compare=False)

    @property
    def aic(self) -> float:
        """Akaike's criterion, :math:`2k - 2 ln L`."""
        return 2 * len(self.params) - 2 * self.log_likelihood

    @property
    def aicc(self) -> float:
        """Akaike's criterion corrected for small samples; infinite where ``n`` is too small for it."""
        k = len(self.params)
        room = self.n - k - 1
        return self.aic + 2 * k * (k + 1) / room if room > 0 else math.inf

    def distribution(self) -> Any:
        """Return the fitted distribution, frozen, from ``scipy.stats``: ``pdf``, ``cdf``, ``ppf``, ``rvs``..."""
        return self._family.distribution(tuple(self.params.values()))

    def ks_distance(self) -> float:
        r"""Return the Kolmogorov-Smirnov distance :math:`\max_w |F_n(w) - F(w)|` between sample and fit.

        For the log-normal it is the distance of z-scored :math:`\ln w` from the normal. It is a measure of misfit; its
        textbook p-value does not hold for parameters fitted to the same sample.
        """
        cdf = self.distribution().cdf(np.sort(self.sample.values()))
        steps = np.arange(self.n + 1) / self.n
        return float(max(np.max(steps[1:] - cdf), np.max(cdf - steps[:-1])))

    def to_dict(self) -> dict[str, Any]:
        """Return the results as plain values, ready for JSON; the sample is left out."""
        names = ("family", "log_likelihood", "n", "n_zero", "n_dropped", "aic")
        finite_aicc = self.aicc if math.isfinite(self.aicc) else None
        return {name: getattr(self, name) for name in names} | {
            "aicc": finite_aicc,
            "params": dict(self.params),
            "stderr": dict(self.stderr),
        }

    def __str__(self) -> str:
        values = ", ".join(f"{name} = {value:.4g} ± {self.stderr[name]:.2g}" for name, value in self.params.items())
        left_out = f"{self.n_zero:,} zeros and {self.n_dropped:,} other values left out"
        return f"{self.family}: {values} (n = {self.n:,}, {left_out})"


@dataclass(frozen=True)
class Comparison:
    """Several families fitted to one sample, best first by AICc."""

    fits: tuple[WeightFit, ...]

    @property
    def best(self) -> WeightFit:
        """The fit with the lowest AICc."""
        return self.fits[0]

    def __getitem__(self, family: str) -> WeightFit:
        for fit in self.fits:
            if fit.family == family:
                return fit
        raise KeyError(family)

    def table(self) -> pd.DataFrame:
        """Return one row a family, best first: AICc, its difference to the best, Akaike weight, parameters."""
        import pandas as pd

        aicc = np.array([fit.aicc for fit in self.fits])
        delta = aicc - aicc[0] if math.isfinite(aicc[0]) else np.full(len(aicc), math.nan)
        likelihoods = np.exp(-delta / 2)  # all undefined if no family has an AICc
        columns = {
            "family": [fit.family for fit in self.fits],
            "aicc": aicc,
            "delta": delta,
            "weight": likelihoods / likelihoods.sum(),
            "log_likelihood": [fit.log_likelihood for fit in self.fits],
            "parameters": [
                ", ".join(f"{name} {value:.4g} ± {fit.stderr[name]:.2g}" for name, value in fit.params.items())
                for fit in self.fits
            ],
        }
        return pd.DataFrame(columns)

    def conclusion(self) -> str:
        """Say in one sentence what the ranking supports, among these families only."""
        if len(self.fits) == 1:
            return f"Only {self.best.family} was fitted, so nothing was compared."
        if not all(math.isfinite(fit.aicc) for fit in self.fits):
            return f"{self.best.n} weights are too few to rank these families."
        rivals = [fit.family for fit in self.fits[1:] if fit.aicc - self.best.aicc < _CANNOT_TELL]
        if rivals:
            return (
                f"{self.best.family} ranks first, and {', '.join(rivals)} is about as well supported (AICc within 2)."
            )
        gap = self.fits[1].aicc - self.best.aicc
        return (
            f"{self.best.family} describes these weights best; {self.fits[1].family}, next, is {gap:,.1f} AICc behind."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the results as plain values, ready for JSON."""
        return {"best": self.best.family, "conclusion": self.conclusion(), "fits": [fit.to_dict() for fit in self.fits]}

    def __str__(self) -> str:
        best = self.best
        header = f"{best.n:,} weights; {best.n_zero:,} zeros and {best.n_dropped:,} other values left out"
        table = self.table().to_string(index=False, float_format=lambda value: f"{value:,.2f}")
        return f"{header}\n{table}\n{self.conclusion()}"


def fit_weights(
    weights: WeightsLike,
    family: str | Family = "lognormal",
    *,
    sign: int | None = None,
    pool: bool = False,
    drop_missing: bool = False,
) -> WeightFit:
    r"""Fit one family to the magnitudes of weights, by maximum likelihood with the location fixed at 0.

    Args:
        weights: A tensor, an array, a module, a state dict, or a ``WeightSample``.
        family: ``"lognormal"`` (parameters mu, sigma, of :math:`\ln w`), ``"gamma"`` (shape, scale), ``"weibull"``
            (shape, scale), ``"exponential"`` (scale), ``"halfnormal"`` (scale), or a :class:`Family`.
        sign: +1 to fit the excitatory weights, -1 the inhibitory ones; default: those there are, if of one sign.
        pool: Whether to fit all magnitudes together, whatever their sign and parameter.
        drop_missing: Whether to leave NaN out, counted, instead of refusing it.

    Returns:
        The fit, with zeros and dropped values counted.

    Raises:
        TypeError: If the weights are not numbers.
        ValueError: If the family is unknown; if weights are NaN or infinite, of both signs or of several parameters
            without ``sign`` or ``pool``; if fewer than two differ from zero, or they do not vary.

    Example:
        >>> import numpy as np
        >>> weights = np.random.default_rng(0).lognormal(mean=-2, sigma=1, size=10_000)
        >>> print(fit_weights(weights))
        lognormal: mu = -1.994 ± 0.01, sigma = 0.9981 ± 0.0071 (n = 10,000, 0 zeros and 0 other values left out)

    Notes:
        ``scipy.stats.lognorm.fit`` frees the location unless told not to, and then returns nonsense on weights; here
        it is fixed at 0, and the log-normal is the mean and the standard deviation of the logarithms.
    """
    chosen = _family(family)
    sample = _require_spread(weight_sample(weights, sign=sign, pool=pool, drop_missing=drop_missing))
    return _fit(sample, chosen)


def compare_families(
    weights: WeightsLike,
    families: Sequence[str | Family] = tuple(FAMILIES),
    *,
    sign: int | None = None,
    pool: bool = False,
    drop_missing: bool = False,
) -> Comparison:
    """Fit several families to one sample and rank them by AICc.

    Args:
        weights: As for :func:`fit_weights`.
        families: Their names, or :class:`Family` objects; default: all.
        sign: As for :func:`fit_weights`.
        pool: As for :func:`fit_weights`.
        drop_missing: As for :func:`fit_weights`.

    Raises:
        ValueError: As :func:`fit_weights`, or if ``families`` is empty.

    Example:
        >>> import numpy as np
        >>> weights = np.random.default_rng(0).gamma(shape=2, size=5_000)
        >>> compare_families(weights).conclusion()
        'gamma describes these weights best; weibull, next, is 53.5 AICc behind.'
    """
    chosen = [_family(family) for family in ((families,) if isinstance(families, (str, Family)) else families)]
    if not chosen:
        raise ValueError("`families` must name at least one family; got none.")
    sample = _require_spread(weight_sample(weights, sign=sign, pool=pool, drop_missing=drop_missing))
    fits = [_fit(sample, family) for family in chosen]
    return Comparison(tuple(sorted(fits, key=lambda fit: (fit.aicc, -fit.log_likelihood))))


def _fit(sample: WeightSample, family: Family) -> WeightFit:
    params = family.estimate(sample)
    return WeightFit(
        family=family.name,
        params=dict(zip(family.parameters, params, strict=True)),
        stderr=dict(zip(family.parameters, family.stderr(params, sample.n), strict=True)),
        log_likelihood=family.log_likelihood(params, sample),
        n=sample.n,
        n_zero=sample.n_zero,
        n_dropped=sample.n_dropped,
        sample=sample,
        _family=family,
    )


def _family(family: str | Family) -> Family:
    if isinstance(family, Family):
        return family
    name = family.lower().replace("-", "") if isinstance(family, str) else ""
    if name not in FAMILIES:
        raise ValueError(f"`family` must be one of {', '.join(FAMILIES)}; got {family!r}.")
    return FAMILIES[name]


def _require_spread(sample: WeightSample) -> WeightSample:
    if sample.moments.log_sd < 1e-5:
        raise ValueError(f"`weights` must vary to be fitted; got {sample.n} values of {sample.moments.mean:.6g}.")
    return sample
