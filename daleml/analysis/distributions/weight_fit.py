"""The result of a fit: the parameters of one family, with what was fitted and how."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from daleml.analysis.distributions import likelihood
from daleml.analysis.distributions.connection_probability import ConnectionProbability
from daleml.analysis.distributions.families.family import Family
from daleml.analysis.distributions.families.family_labels import family_label
from daleml.analysis.distributions.families.parameter_kinds import Array, Params
from daleml.analysis.distributions.kolmogorov_smirnov import ks_distance
from daleml.analysis.distributions.observation import Observation
from daleml.analysis.distributions.observed_sample import ObservedSample
from daleml.analysis.distributions.recording import hints_on_sample
from daleml.analysis.weights.sample import WeightSample

FEW = 10
"""Of fewer weights, no two families are told apart, and no fit is judged."""

# A logarithm of zero would be minus infinity, which some families cannot read.
_LEAST = 1e-300


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
        n_starts: Number of points from which the likelihood was maximised; 0 of a closed form.
        n_agree: From how many of them the search arrived at the highest maximum.
        observed: The sample, and how it was observed.
        rule: The family itself, in the form in which it was fitted.

    Example:
        >>> from daleml.analysis import fit_weights
        >>> fit = fit_weights([0.5, 1.0, 2.0, 4.0], "exponential")
        >>> fit.params, fit.n
        ({'scale': 1.875}, 4)
        >>> round(float(fit.distribution().sf(fit.params["scale"])), 3)  # above the mean
        0.368
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
    connection: ConnectionProbability | None
    n_starts: int
    n_agree: int
    observed: ObservedSample = field(repr=False, compare=False)
    rule: Family = field(repr=False, compare=False)

    @property
    def material(self) -> ObservedSample:
        """The name of :attr:`observed` in the first edition."""
        return self.observed

    @property
    def sample(self) -> WeightSample:
        """The magnitudes, as they were."""
        return self.observed.sample

    @property
    def observation(self) -> Observation:
        """How they were observed."""
        return self.observed.observation

    @property
    def total(self) -> float:
        """How many magnitudes there are, as sample weights count them."""
        return self.observed.total

    @property
    def aic(self) -> float:
        r"""Akaike's criterion, :math:`2k - 2 \ln L` with :math:`k` parameters."""
        return 2 * len(self.params) - 2 * self.log_likelihood

    @property
    def aicc(self) -> float:
        r"""Akaike's criterion corrected for small samples.

        It is :math:`\mathrm{AIC} + 2k(k + 1) / (n - k - 1)`, and infinite where ``n`` is too
        small for it.
        """
        k = len(self.params)
        freedom = self.total - k - 1
        if freedom <= 0:
            return math.inf
        return self.aic + 2 * k * (k + 1) / freedom

    @property
    def limit(self) -> str | None:
        """The simpler family that the parameters have run off to; None if to none."""
        inside = self.rule.limit(self.values)
        return inside or self.rule.limit_above(self.values, self.observation.low)

    @functools.cached_property
    def hints(self) -> tuple[str, ...]:
        """What looks wrong in how the weights were recorded, and what to pass if it is.

        Each hint is a sentence.
        """
        if self.sample.counts() is not None or self.sample.intervals is not None:
            return ()
        found = hints_on_sample(self.sample, self.observation, n_zero=self.n_zero)
        return tuple(hint.in_python for hint in found)

    @property
    def values(self) -> Params:
        """The parameters in the family's order."""
        return tuple(self.params.values())

    def distribution(self) -> Any:
        """Return the fitted distribution of all magnitudes, seen or not.

        It has the methods of ``scipy.stats``: ``pdf``, ``cdf``, ``ppf``, ``rvs`` and others.
        """
        if self.rule.needs_bound:
            return self.rule.above(self.values, self.observation.low)
        return self.rule.distribution(self.values)

    def seen_cdf(self, w: ArrayLike) -> Array:
        r"""Return :math:`P(W \le w)` of a magnitude that was seen.

        Of counts and of rounded weights, what was written down as ``w`` is included.
        """
        data = self.observed.data
        values = _upper_ends(self.observation, np.asarray(w, dtype=np.float64))
        upper = np.minimum(values, data.high)
        inside = np.maximum(upper, max(data.low, _LEAST))
        log_below = likelihood.log_interval(self.rule, self.values, data.low, inside)
        log_seen = likelihood.log_seen(self.rule, self.values, data)
        fraction = np.minimum(np.exp(log_below - log_seen), 1.0)
        return np.where(upper <= data.low, 0.0, fraction)

    def ks_distance(self) -> float:
        r"""Return the Kolmogorov-Smirnov distance :math:`\max_w |F_n(w) - F(w)|`.

        It is that between what was seen and the fit. For the log-normal it is the distance of
        z-scored :math:`\ln w` from the normal. It is a measure of misfit; its textbook p-value
        does not hold for parameters fitted to the same sample: see
        :func:`~daleml.analysis.goodness_of_fit`.
        """
        return ks_distance(self.rule, self.values, self.observed)

    def to_dict(self) -> dict[str, Any]:
        """Return the results as plain values, ready for JSON; the sample is left out."""
        names = (
            "family", "log_likelihood", "n", "n_zero", "n_dropped", "n_censored",
            "n_censored_above", "n_starts", "n_agree", "aic",
        )  # fmt: skip
        found = {name: getattr(self, name) for name in names}
        found["aicc"] = _finite(self.aicc)
        found["params"] = dict(self.params)
        found["stderr"] = {name: _finite(self.stderr[name]) for name in self.params}
        found["observation"] = self.observation.to_dict()
        found["connection"] = self.connection._asdict() if self.connection else None
        found["limit"] = self.limit
        if self.sample.n_absent:
            found["density"] = self.sample.density
        return found

    def parameters_text(self) -> str:
        """Return the parameters with their standard errors, in one line."""
        text = self._parameters("{name} {value:.4g} ± {error:.2g}")
        return f"{text} (at its limit, {self.limit})" if self.limit else text

    def _parameters(self, form: str) -> str:
        parts = []
        for name, value in self.params.items():
            parts.append(form.format(name=name, value=value, error=self.stderr[name]))
        return ", ".join(parts)

    def __str__(self) -> str:
        values = self._parameters("{name} = {value:.4g} ± {error:.2g}")
        hints = "".join(f"\nnote: {hint}" for hint in self.hints)
        return f"{family_label(self.family)}: {values} ({', '.join(self._remarks())}){hints}"

    def _remarks(self) -> list[str]:
        """Return what is said of a fit beside its parameters."""
        remarks = [f"n = {self.n:,}"]
        if str(self.observation):
            remarks.append(str(self.observation))
        if self.n_censored:
            remarks.append(f"{self.n_censored:,} of them censored")
        if self.n_censored_above:
            remarks.append(f"{self.n_censored_above:,} of them censored above")
        if self.connection:
            remarks.append(str(self.connection))
            remarks.append(f"{self.n_dropped:,} other values left out")
        else:
            remarks.append(
                f"{self.n_zero:,} zeros and {self.n_dropped:,} other values left out"
            )
        if self.n_starts > 1:
            remarks.append(f"{self.n_agree} of {self.n_starts} starts agree")
        if self.limit:
            remarks.append(f"at its limit, {self.limit}")
        if self.sample.n_absent:
            remarks.append(self.sample.density_text())
        if self.total < FEW:
            remarks.append("too few to rely on")
        return remarks


def require_fit(argument: str, value: object) -> None:
    """Raise unless ``value`` is a fit: weights are easily given in its place."""
    if not isinstance(value, WeightFit):
        raise TypeError(
            f"`{argument}` must be a WeightFit, as `fit_weights` returns; got"
            f" {type(value).__name__}."
        )


def _upper_ends(observation: Observation, values: Array) -> Array:
    """Return the largest magnitude that is written down as no more than each of ``values``."""
    grid = observation.grid
    if grid is None:
        return values
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(values), grid.above(grid.floor(values)), values)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
