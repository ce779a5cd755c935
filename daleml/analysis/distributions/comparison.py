"""Several families fitted to one sample: the ranking, and what it can and cannot tell."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from daleml.analysis.distributions.families.family_labels import family_label
from daleml.analysis.distributions.families.family_names import find
from daleml.analysis.distributions.families.lognormal_mixture import LogNormalMixture
from daleml.analysis.distributions.goodness import GoodnessOfFit
from daleml.analysis.distributions.p_values import LEVEL, bare_p
from daleml.analysis.distributions.vuong import FEW, PairTest, pair_test
from daleml.analysis.distributions.weight_fit import WeightFit

if TYPE_CHECKING:
    import pandas as pd

# Of two families whose AICc differs by less than this, the second has about as much support, by
# the usual convention.
_ABOUT_AS_GOOD = 2.0

# A mixture must beat its own component by this AICc: no test holds, and chance gives a dozen.
_IRREGULAR = 20.0

# A family must beat by this AICc one that it becomes where a parameter ends: chance gives so
# much in 2 %.
_AT_AN_END = 4.0

# What tails run off to.
_POWER_LAW = "a power law"

# Nobody will have so many times the weights of the sample.
_FAR = 100


@dataclass(frozen=True)
class Comparison:
    """Several families fitted to one sample, best first by AICc.

    Attributes:
        fits: One per family.
        goodness: By family, the test whether the sample could be drawn from it, where that was
            asked for.
        failures: Families that could not be fitted, each with the sentence that says why.

    Example:
        >>> from daleml.analysis import compare_families
        >>> result = compare_families([0.4, 0.7, 0.9, 1.5, 2.3] * 4, ["exponential", "gamma"])
        >>> result.best.family, list(result.cannot_tell)
        ('gamma', [])
        >>> print(result["exponential"].parameters_text())
        scale 1.16 ± 0.26
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
        """Return the p-value of the goodness of fit of a family, as a table has it.

        It is ``< 0.01`` where it may be less.
        """
        test = self.goodness.get(family)
        if test is None:
            return "–"
        return bare_p(test.p_value, test.n_boot)

    @property
    def cannot_tell(self) -> tuple[str, ...]:
        """The families that this sample is too small to tell from the best one."""
        if self._too_few():
            return tuple(fit.family for fit in self.fits[1:])
        found = []
        for fit, test in zip(self.fits[1:], self.tests, strict=True):
            gap = fit.aicc - self.best.aicc
            # Families that say nearly the same of every weight differ by less than their
            # fitting does.
            alike = test.p_variance > LEVEL and gap < _AT_AN_END
            if gap < self._enough(fit, test) or test.p_value > LEVEL or alike:
                found.append(fit.family)
        return tuple(found)

    def _enough(self, fit: WeightFit, test: PairTest) -> float:
        """Return the AICc by which the best family must be ahead of another to be told from it."""
        if test.test:
            return _ABOUT_AS_GOOD
        if isinstance(self.best.rule, LogNormalMixture):
            return _IRREGULAR
        return _IRREGULAR if isinstance(fit.rule, LogNormalMixture) else _AT_AN_END

    def _too_few(self) -> bool:
        enough = self.best.total >= FEW and not self._two_values()
        return not enough or not all(math.isfinite(fit.aicc) for fit in self.fits)

    def _two_values(self) -> bool:
        """Whether there are at most two distinct values, which two parameters describe exactly."""
        values = self.best.observed.data.values
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
        """Return one row per family, best first.

        The columns are AICc, its difference from the best, the Akaike weight, tests and
        parameters.
        """
        import pandas as pd

        aicc = np.array([fit.aicc for fit in self.fits])
        # Without an AICc of any family, differences and weights are undefined.
        delta = np.full(len(aicc), math.nan)
        if math.isfinite(aicc[0]):
            delta = aicc - aicc[0]
        likelihoods = np.exp(-delta / 2)
        columns = {
            "family": [fit.family for fit in self.fits],
            "aicc": aicc,
            "delta": delta,
            "weight": likelihoods / likelihoods.sum(),
            "log_likelihood": [fit.log_likelihood for fit in self.fits],
            "p_as_good": [math.nan, *(test.p_value for test in self.tests)],
        }
        if self.goodness:
            p_values = {name: test.p_value for name, test in self.goodness.items()}
            names = columns["family"]
            columns["p_fits"] = [p_values.get(name, math.nan) for name in names]
        columns["parameters"] = [fit.parameters_text() for fit in self.fits]
        return pd.DataFrame(columns)

    def text_table(self) -> pd.DataFrame:
        """Return the table as it is printed.

        Families have their readable names; a p-value that was counted reads ``< 0.01`` where it
        may be less.
        """
        table = self.table()
        if "p_fits" in table:
            table["p_fits"] = [self.p_fits_text(name) for name in table["family"]]
        table["family"] = table["family"].map(family_label)
        return table

    def conclusion(self) -> str:
        """Say in one sentence what the sample can and cannot tell, among these families only."""
        best = self.best
        label = family_label(best.family)
        if len(self.fits) == 1:
            return (
                f"Only the {label} was fitted, so nothing was"
                f" compared{self._verdict_of_fit()}."
            )
        n = round(best.total)
        if self._too_few():
            return self._why_too_few(n)
        # What contains the best family, and is no better, is no rival.
        unneeded = [name for name in self.cannot_tell if _has_become(self[name], best)]
        rivals = [name for name in self.cannot_tell if name not in unneeded]
        rest = self._verdict_of_fit()
        if unneeded:
            contained = f"the {_listed(unneeded)}, of which it is a special case"
            rest = f"; {contained}, is no better{rest}"
        if rivals:
            return (
                f"The {label} ranks first, but {n:,} weights are too few to tell it from"
                f" the {_listed(rivals)}{self._more_needed(rivals, n)}{rest}."
            )
        return f"The {label} describes these weights best{self._gap(unneeded)}{rest}."

    def _more_needed(self, rivals: Sequence[str], n: int) -> str:
        """Say how many weights would tell the best family from one of its rivals."""
        needed = math.inf
        for test in self.tests:
            if test.test and test.worse in rivals:
                needed = min(needed, test.n_needed)
        if n < needed < _FAR * n:
            return f"; about {_rounded(needed):,} would tell one of them apart"
        return ""

    def _gap(self, unneeded: Sequence[str]) -> str:
        """Say how far the next family is behind."""
        for fit in self.fits[1:]:
            if fit.family not in unneeded:
                behind = fit.aicc - self.best.aicc
                return f"; the {family_label(fit.family)}, next, is {behind:,.1f} AICc behind"
        return ""

    def _verdict_of_fit(self) -> str:
        test = self.goodness.get(self.best.family)
        if test is None:
            return ""
        if test.unjudged:
            return f"; its goodness of fit was not judged: {test.reason}"
        if not test.can_reject:
            return f"; {test.n_boot} bootstrap samples are too few to test its goodness of fit"
        if test.p_value < LEVEL:
            return f"; yet it does not describe them fully (goodness of fit, {test.p_text()})"
        return f"; nothing speaks against it (goodness of fit, {test.p_text()})"

    def to_dict(self) -> dict[str, Any]:
        """Return the results as plain values, ready for JSON."""
        tests = []
        for test in self.tests:
            tests.append({name: _plain(value) for name, value in asdict(test).items()})
        goodness = {name: test.to_dict() for name, test in self.goodness.items()}
        return {
            "best": self.best.family,
            "conclusion": self.conclusion(),
            "cannot_tell": list(self.cannot_tell),
            "fits": [fit.to_dict() for fit in self.fits],
            "tests": tests,
            "goodness_of_fit": goodness,
            "failures": dict(self.failures),
        }

    def __str__(self) -> str:
        best = self.best
        seen = f" ({best.observation})" if str(best.observation) else ""
        header = (
            f"{best.n:,} weights{seen}; {best.n_zero:,} zeros and {best.n_dropped:,} other"
            " values left out"
        )
        if best.connection:
            header += f"; {best.connection}"
        if best.sample.n_absent:
            header += f"; {best.sample.density_text()}"
        rows = self.text_table()
        rows["p_as_good"] = rows["p_as_good"].map(bare_p)
        table = rows.to_string(index=False, float_format=lambda value: f"{value:,.2f}")
        failed = ""
        for name, problem in self.failures.items():
            failed += f"\n{family_label(name)}: {problem}"
        return f"{header}\n{table}{failed}\n{self.conclusion()}"


def _has_become(fit: WeightFit, best: WeightFit) -> bool:
    """Whether the best family is a special case of another, or what that has run off to."""
    ran_off = fit.limit == _POWER_LAW and best.family == "powerlaw"
    return ran_off or best.family in fit.rule.special_cases


def _listed(names: Sequence[str]) -> str:
    labels = list(map(family_label, names))
    if len(labels) == 1:
        return labels[0]
    return f"{', '.join(labels[:-1])} or {labels[-1]}"


def _rounded(n: float) -> int:
    """Return a number to two digits: it is an extrapolation."""
    digits = max(math.floor(math.log10(n)) - 1, 0)
    return int(math.ceil(n / 10**digits) * 10**digits)


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: None for what is not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
