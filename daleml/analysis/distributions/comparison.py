"""Several families fitted to one sample, ranked, and what the ranking can and cannot tell."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from daleml import require
from daleml.analysis.distributions.families import (
    SIMPLE,
    Family,
    LogNormalMixture,
    find,
    find_all,
)
from daleml.analysis.distributions.fit import (
    Material,
    WeightFit,
    fit_material,
    require_spread,
)
from daleml.analysis.distributions.goodness import GoodnessOfFit, goodness_of_fit
from daleml.analysis.distributions.observation import Ends, Observation, one_observation
from daleml.analysis.distributions.p_values import bare_p
from daleml.analysis.distributions.vuong import FEW, PairTest, pair_test
from daleml.analysis.weights.sample import WeightsLike
from daleml.analysis.weights.sampling import weight_sample

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "FEW",
    "Comparison",
    "PairTest",
    "compare_families",
    "compare_material",
    "pair_test",
]

_MANY = 3  # parameters, which only the best family may have to be worth a bootstrap
# difference in AICc below which a rival has about as much support, by the usual convention
_ABOUT_AS_GOOD = 2.0
_LEVEL = 0.05
# AICc by which a mixture must beat its own component: no test holds, and chance gives a dozen
_IRREGULAR = 20.0
# AICc likewise, of a family that the other becomes where a parameter ends: chance gives so much
# in 2 %
_AT_AN_END = 4.0
_ONE_FAMILY = (
    1e-9  # of variances: two families of which neither says what the other does not
)
_POWER_LAW = "a power law"  # what tails run off to
_FAR = 100  # times the sample: so many more weights nobody will have


@dataclass(frozen=True)
class Comparison:
    """Several families fitted to one sample, best first by AICc.

    Attributes:
        fits: One a family.
        goodness: By family, the test whether the sample could be drawn from it, where that was
            asked for.
        failures: Families that could not be fitted, each with the sentence that says why.
    """

    fits: tuple[WeightFit, ...]
    goodness: Mapping[str, GoodnessOfFit] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)

    @property
    def best(self) -> WeightFit:
        """The fit with the lowest AICc."""
        return self.fits[0]

    def __getitem__(self, family: str) -> WeightFit:
        names = [fit.family for fit in self.fits]
        if family not in names:
            try:
                family = find(family).name
            except ValueError:
                raise KeyError(family) from None
        if family not in names:
            raise KeyError(family)
        return self.fits[names.index(family)]

    @functools.cached_property
    def tests(self) -> tuple[PairTest, ...]:
        """The best family against each of the others, in their order."""
        return tuple(pair_test(self.best, other) for other in self.fits[1:])

    @property
    def p_fits(self) -> float:
        """The p-value of the goodness of fit of the best family; NaN where that was not tested."""
        test = self.goodness.get(self.best.family)
        return math.nan if test is None else test.p_value

    def p_fits_text(self, family: str) -> str:
        """Return the p-value of the goodness of fit of a family as a table has it, ``< 0.01`` where it may be less."""
        test = self.goodness.get(family)
        return "–" if test is None else bare_p(test.p_value, test.n_boot)

    @property
    def cannot_tell(self) -> tuple[str, ...]:
        """The families that this sample is too small to tell from the best one."""
        if self._too_few():
            return tuple(fit.family for fit in self.fits[1:])
        found = []
        for fit, test in zip(self.fits[1:], self.tests, strict=True):
            gap = fit.aicc - self.best.aicc
            # families that say nearly the same of every weight differ by less than their
            # fitting does
            alike = test.p_variance > _LEVEL and gap < _AT_AN_END
            if gap < self._enough(fit, test) or test.p_value > _LEVEL or alike:
                found.append(fit.family)
        return tuple(found)

    def _enough(self, fit: WeightFit, test: PairTest) -> float:
        """Return the AICc by which the best family must be ahead of another to be told from it."""
        if test.test:
            return _ABOUT_AS_GOOD
        mixture = any(
            isinstance(one.rule, LogNormalMixture) for one in (self.best, fit)
        )
        return _IRREGULAR if mixture else _AT_AN_END

    def _too_few(self) -> bool:
        enough = self.best.total >= FEW and not self._two_values()
        return not enough or not all(math.isfinite(fit.aicc) for fit in self.fits)

    def _two_values(self) -> bool:
        """Whether there are no more than two different values, which two parameters can describe exactly."""
        values = self.best.material.data.values
        return bool(np.all((values == values.min()) | (values == values.max())))

    def _why_too_few(self, n: int) -> str:
        if n >= FEW and self._two_values():
            return (
                "2 different values are too few to rank these families, however often each"
                " was seen."
            )
        return (
            f"{n} weights are too few to rank these families; give at least {FEW}, better"
            " hundreds."
        )

    def table(self) -> pd.DataFrame:
        """Return one row a family, best first.

        AICc, its difference to the best, Akaike weight, tests, parameters.
        """
        import pandas as pd

        aicc = np.array([fit.aicc for fit in self.fits])
        delta = (
            aicc - aicc[0] if math.isfinite(aicc[0]) else np.full(len(aicc), math.nan)
        )
        likelihoods = np.exp(-delta / 2)  # all undefined if no family has an AICc
        columns = {
            "family": [fit.family for fit in self.fits],
            "aicc": aicc,
            "delta": delta,
            "weight": likelihoods / likelihoods.sum(),
            "log_likelihood": [fit.log_likelihood for fit in self.fits],
            "p_as_good": [math.nan, *(test.p_value for test in self.tests)],
        }
        if self.goodness:
            found = [self.goodness.get(fit.family) for fit in self.fits]
            columns["p_fits"] = [
                math.nan if test is None else test.p_value for test in found
            ]
        columns["parameters"] = [fit.parameters_text() for fit in self.fits]
        return pd.DataFrame(columns)

    def text_table(self) -> pd.DataFrame:
        """Return the table as it is printed.

        A p-value that was counted reads ``< 0.01`` where it may be less.
        """
        table = self.table()
        if "p_fits" in table:
            table["p_fits"] = [self.p_fits_text(name) for name in table["family"]]
        return table

    def conclusion(self) -> str:
        """Say in one sentence what the sample can and cannot tell, among these families only."""
        best = self.best
        if len(self.fits) == 1:
            return (
                f"Only {best.family} was fitted, so nothing was"
                f" compared{self._verdict_of_fit()}."
            )
        n = round(best.total)
        if self._too_few():
            return self._why_too_few(n)
        unneeded = [name for name in self.cannot_tell if _has_become(self[name], best)]
        rivals = [name for name in self.cannot_tell if name not in unneeded]
        more_general = (
            f"; {_listed(unneeded)}, of which it is a special case, is no better"
            if unneeded
            else ""
        )
        if rivals:
            needed = min(
                (
                    test.n_needed
                    for test in self.tests
                    if test.test and test.worse in rivals
                ),
                default=math.inf,
            )
            more = (
                f"; about {_rounded(needed):,} would tell one of them apart"
                if n < needed < _FAR * n
                else ""
            )
            return (
                f"{best.family} ranks first, but {n:,} weights are too few to tell it from "
                f"{_listed(rivals)}{more}{more_general}{self._verdict_of_fit()}."
            )
        told_apart = [fit for fit in self.fits[1:] if fit.family not in unneeded]
        gap = (
            f"; {told_apart[0].family}, next, is {told_apart[0].aicc - best.aicc:,.1f} AICc"
            " behind"
            if told_apart
            else ""
        )
        return (
            f"{best.family} describes these weights"
            f" best{gap}{more_general}{self._verdict_of_fit()}."
        )

    def _verdict_of_fit(self) -> str:
        test = self.goodness.get(self.best.family)
        if test is None:
            return ""
        if test.unjudged:
            return f"; its goodness of fit was not judged: {test.reason}"
        if not test.can_reject:
            return f"; {test.n_boot} bootstrap samples are too few to test its goodness of fit"
        if test.p_value < _LEVEL:
            return f"; yet it does not describe them fully (goodness of fit, {test.p_text()})"
        return f"; nothing speaks against it (goodness of fit, {test.p_text()})"

    def to_dict(self) -> dict[str, Any]:
        """Return the results as plain values, ready for JSON."""
        tests = [
            {name: _plain(value) for name, value in asdict(test).items()}
            for test in self.tests
        ]
        return {
            "best": self.best.family,
            "conclusion": self.conclusion(),
            "cannot_tell": list(self.cannot_tell),
            "fits": [fit.to_dict() for fit in self.fits],
            "tests": tests,
            "goodness_of_fit": {
                name: test.to_dict() for name, test in self.goodness.items()
            },
            "failures": dict(self.failures),
        }

    def __str__(self) -> str:
        best = self.best
        seen = f" ({best.observation})" if str(best.observation) else ""
        header = (
            f"{best.n:,} weights{seen}; {best.n_zero:,} zeros and {best.n_dropped:,} other"
            " values left out"
        )
        header += f"; {best.connection}" if best.connection else ""
        rows = self.text_table()
        rows["p_as_good"] = rows["p_as_good"].map(bare_p)
        table = rows.to_string(index=False, float_format=lambda value: f"{value:,.2f}")
        failed = "".join(
            f"\n{name}: {problem}" for name, problem in self.failures.items()
        )
        return f"{header}\n{table}{failed}\n{self.conclusion()}"


def compare_families(
    weights: WeightsLike,
    families: str | Family | Sequence[str | Family] = SIMPLE,
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
    gof: int = 0,
    rng: int | np.random.Generator = 0,
    jobs: int | None = None,
    progress: Callable[[int, int], object] | bool = False,
) -> Comparison:
    """Fit several families to one sample and rank them by AICc.

    Args:
        weights: As for :func:`fit_weights`.
        families: Their names, or :class:`Family` objects; ``"all"`` adds the generalised gamma
            and mixtures of log-normals to the default, every family of one or two parameters.
        sign: As for :func:`fit_weights`.
        pool: As for :func:`fit_weights`.
        drop_missing: As for :func:`fit_weights`.
        truncation: As for :func:`fit_weights`.
        censoring: As for :func:`fit_weights`.
        discrete: As for :func:`fit_weights`.
        zeros: As for :func:`fit_weights`.
        sample_weights: As for :func:`fit_weights`.
        resolution: As for :func:`fit_weights`.
        observation: As for :func:`fit_weights`.
        gof: Number of bootstrap samples of a goodness-of-fit test of the best family and of
            each of one or two parameters, see :func:`goodness_of_fit`; 0 for none.
        rng: As for :func:`goodness_of_fit`.
        jobs: As for :func:`goodness_of_fit`.
        progress: As for :func:`goodness_of_fit`; called with the tests of all families together.

    Raises:
        ValueError: As :func:`fit_weights`, if no family can be fitted, or if ``families`` is empty.

    Example:
        >>> import numpy as np
        >>> weights = np.random.default_rng(0).gamma(shape=2, size=5_000)
        >>> compare_families(weights, ("gamma", "weibull", "lognormal")).conclusion()
        'gamma describes these weights best; weibull, next, is 53.5 AICc behind.'

    Notes:
        AICc ranks. Whether a rival can be ruled out is another question, and Vuong's test
        answers it: see :func:`pair_test`. Whether any of them is true is a third, and ``gof``
        answers that one.
    """
    chosen = find_all(families)
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
    return compare_material(
        Material(require_spread(sample), observation),
        chosen,
        gof=gof,
        rng=rng,
        jobs=jobs,
        progress=progress,
    )


def compare_material(
    material: Material,
    families: Sequence[Family],
    *,
    gof: int = 0,
    rng: int | np.random.Generator = 0,
    jobs: int | None = None,
    progress: Callable[[int, int], object] | bool = False,
) -> Comparison:
    """Fit several families to a sample as it was observed, and rank them."""
    require.integer("gof", gof)
    fits, failures = [], {}
    for family in families:
        try:
            fits.append(fit_material(material, family))
        except (
            ValueError
        ) as problem:  # of few weights a mixture cannot be fitted, and others can
            failures[family.name] = str(problem)
    if not fits:
        raise ValueError(next(iter(failures.values())))
    fits.sort(key=lambda fit: (fit.aicc, -fit.log_likelihood))
    goodness = {}
    # a mixture takes as long as ten families of two parameters, and of those that rank behind
    # nobody asks;
    # of fewer weights than tell families apart any family can be fitted well
    asked = gof if fits[0].total >= FEW else 0
    tested = [
        fit for fit in fits if asked and (fit is fits[0] or len(fit.params) < _MANY)
    ]
    for i, fit in enumerate(tested):
        say: Callable[[int, int], object] | bool = progress
        if callable(progress):
            say = functools.partial(_among, progress, i, len(tested))
        goodness[fit.family] = goodness_of_fit(
            fit, gof, rng=rng, jobs=jobs, progress=say
        )
    return Comparison(tuple(fits), goodness, failures)


def _among(
    progress: Callable[[int, int], object], i: int, of: int, done: int, total: int
) -> None:
    progress(i * total + done, of * total)


def _has_become(fit: WeightFit, best: WeightFit) -> bool:
    """Whether the best family is a special case of another, or what that has run off to."""
    ran_off = fit.limit == _POWER_LAW and best.family == "powerlaw"
    return ran_off or best.family in fit.rule.special_cases


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _rounded(n: float) -> int:
    """Return a number to two digits: it is an extrapolation."""
    digits = max(math.floor(math.log10(n)) - 1, 0)
    return int(math.ceil(n / 10**digits) * 10**digits)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
