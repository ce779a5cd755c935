"""The comparison of several families: fit each, test each, and rank them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Unpack

import numpy as np

from daleml import require
from daleml.analysis.distributions.comparison import Comparison
from daleml.analysis.distributions.families.family import Family
from daleml.analysis.distributions.families.family_names import SIMPLE, find_all
from daleml.analysis.distributions.fit import fit_sample
from daleml.analysis.distributions.goodness import GoodnessOfFit, goodness_of_fit
from daleml.analysis.distributions.observation import Observation
from daleml.analysis.distributions.observed_sample import (
    FitOptions,
    ObservedSample,
    lists_fit_options,
    observe,
)
from daleml.analysis.distributions.weight_fit import FEW, WeightFit
from daleml.analysis.weights.sample import WeightsLike

# A family of so many parameters takes as long as ten of two: only the best one of them is
# worth a bootstrap.
_MANY = 3

# The keywords of `compare_families` beside the shared options, for whoever misspells one.
_OWN = ("families", "gof", "rng", "jobs", "progress")


@lists_fit_options
def compare_families(
    weights: WeightsLike,
    families: str | Family | Sequence[str | Family] = SIMPLE,
    *,
    observation: Observation | None = None,
    gof: int = 0,
    rng: int | np.random.Generator = 0,
    jobs: int | None = None,
    progress: Callable[[int, int], object] | bool = False,
    **options: Unpack[FitOptions],
) -> Comparison:
    r"""Fit several families to one sample and rank them by AICc.

    With the largest log-likelihood :math:`\ln L` of a family of :math:`k` parameters,

    .. math:: \mathrm{AICc} = 2k - 2 \ln L + \frac{2k(k + 1)}{n - k - 1} .

    Args:
        weights: A tensor, an array, a module, a state dict, or a ``WeightSample``.
        families: Their names, or ``Family`` objects; ``"all"`` adds the generalised gamma and
            mixtures of log-normals to the default, every family of one or two parameters.
        observation: How the weights were observed, in one object; default: as the options from
            ``truncation`` to ``significant`` say.
        gof: Number of bootstrap samples of a goodness-of-fit test of the best family and of
            each of one or two parameters, see :func:`goodness_of_fit`; 0 for none.
        rng: A seed of that test, or a generator to take one from.
        jobs: Processes to use where the test is long. Default: one per core.
        progress: True for a bar on standard error; or a callback, which is called with the
            number of bootstrap samples done and that of all, for all families together.
        **options: How the sample is taken and how it was observed: :class:`FitOptions`.

    Returns:
        The fits, best first, with what can and cannot be told from them.

    Raises:
        TypeError: If the weights are not numbers.
        ValueError: If the weights cannot be read as :func:`fit_weights` needs them, if no
            family can be fitted, or if ``families`` is empty.

    Example:
        >>> import numpy as np
        >>> weights = np.random.default_rng(0).gamma(shape=2, size=5_000)
        >>> compare_families(weights, ("gamma", "weibull", "lognormal")).conclusion()
        'The gamma describes these weights best; the Weibull, next, is 53.5 AICc behind.'

    Notes:
        AICc ranks. Whether a rival can be ruled out is another question, and Vuong's test
        answers it: see :func:`pair_test`. Whether any of them is true is a third, and ``gof``
        answers that one.

    References:
        Hurvich & Tsai 1989, Biometrika 76:297 (AICc).
    """
    chosen = find_all(families)
    observed = observe(weights, observation, options, _OWN)
    return compare_sample(
        observed, chosen, gof=gof, rng=rng, jobs=jobs, progress=progress
    )


def compare_sample(
    observed: ObservedSample,
    families: Sequence[Family],
    *,
    gof: int = 0,
    rng: int | np.random.Generator = 0,
    jobs: int | None = None,
    progress: Callable[[int, int], object] | bool = False,
) -> Comparison:
    """Fit several families to a sample as it was observed, and rank them.

    Raises:
        ValueError: If no family can be fitted.
    """
    require.integer("gof", gof)
    fits: list[WeightFit] = []
    failures: dict[str, str] = {}
    for family in families:
        # Of few weights a mixture cannot be fitted, and others can.
        try:
            fits.append(fit_sample(observed, family))
        except ValueError as problem:
            failures[family.name] = str(problem)
    if not fits:
        raise ValueError(next(iter(failures.values())))
    fits.sort(key=lambda fit: (fit.aicc, -fit.log_likelihood))
    # Of fewer weights than tell families apart, any family can be fitted well.
    tested = []
    if gof and fits[0].total >= FEW:
        simple = [fit for fit in fits[1:] if len(fit.params) < _MANY]
        tested = [fits[0], *simple]
    goodness: dict[str, GoodnessOfFit] = {}
    for i, fit in enumerate(tested):
        part = part_of(progress, i, len(tested))
        goodness[fit.family] = goodness_of_fit(
            fit, gof, rng=rng, jobs=jobs, progress=part
        )
    return Comparison(tuple(fits), goodness, failures)


def part_of(
    progress: Callable[[int, int], object] | bool, i: int, n: int
) -> Callable[[int, int], object] | bool:
    """Return a callback for part ``i`` of ``n``, which reports on all of them together."""
    if not callable(progress):
        return progress
    report = progress
    return lambda done, total: report(i * total + done, n * total)
