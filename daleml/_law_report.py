"""The report on Dale's law: the units that break it, what was judged, and what was not."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

SHOWN = 8
"""A report names this many units, or weights, before it counts the rest."""


class DaleError(ValueError):
    """Raised when a weight has the sign that its presynaptic unit may not have.

    Example:
        >>> from daleml import Populations, signs
        >>> from daleml.layers import EILinear
        >>> layer = EILinear(Populations(2, 1), 1)
        >>> _ = layer.weight.data.fill_(1.0)
        >>> try:
        ...     signs.check(layer).raise_for_violations()
        ... except signs.DaleError as error:
        ...     print(error)
        Dale's law is broken by 1 synapse of 1 unit (1 parameter, 3 units, 3 synapses):
          weight, unit 2 (inhibitory): 1 of 1 synapse positive, worst 1
    """


@dataclass(frozen=True)
class Violation:
    """One presynaptic unit that breaks the law in one parameter.

    Either a weight has the wrong sign, or a synapse that does not exist is not zero, or one that
    is fixed has not its strength.

    Attributes:
        parameter: Name of the parameter.
        unit: Index of the presynaptic unit.
        sign: The unit's sign, +1 or -1; 0 if it has none.
        count: Number of its synapses that break the law.
        size: Number of its synapses; where ``absent``, of those that do not exist, and where
            ``moved``, of those that are fixed.
        worst: The weight that lies farthest on the wrong side of zero; where ``moved``, farthest
            from its fixed strength.
        absent: Whether the synapses that break the law are ones that do not exist.
        moved: Whether they are ones that do not learn, and have another strength than the fixed
            one.
        population: Name of the unit's cell type; empty if nobody named it.
        onto: The units that the worst of those synapses reach, three at most, where the weight is
            sparse; else empty.

    Example:
        >>> from daleml import Populations, signs
        >>> from daleml.layers import EILinear
        >>> layer = EILinear(Populations(2, 1), 4)
        >>> _ = layer.weight.data.fill_(0.5)
        >>> print(signs.check(layer).violations[0])
        weight, unit 2 (inhibitory): 4 of 4 synapses positive, worst 0.5
    """

    parameter: str
    unit: int
    sign: int
    count: int
    size: int
    worst: float
    absent: bool = False
    moved: bool = False
    # It explains, and judges nothing: a model and its state dict have one verdict.
    population: str = field(default="", compare=False)
    onto: tuple[int, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        unit = f"{self.parameter}, unit {self.unit}"
        if self.population:
            unit += f" of {self.population}"
        worst = f"worst {self.worst:.3g}{self._reached()}"
        # Of a synapse that does not exist, the sign is of no interest.
        if self.absent:
            absent = _plural(self.size, "absent synapse")
            return f"{unit}: {self.count} of {absent} not zero, {worst}"
        if self.moved:
            fixed = _plural(self.size, "fixed synapse")
            return f"{unit}: {self.count} of {fixed} not at its strength, {worst}"
        kind, wrong = "inhibitory", "positive"
        if self.sign > 0:
            kind, wrong = "excitatory", "negative"
        if math.isnan(self.worst):
            wrong += " or NaN"
        synapses = _plural(self.size, "synapse")
        return f"{unit} ({kind}): {self.count} of {synapses} {wrong}, {worst}"

    def _reached(self) -> str:
        """Say which units the synapses reach, where that is known."""
        if not self.onto:
            return ""
        units = "unit" if len(self.onto) == 1 else "units"
        more = ", ..." if self.count > len(self.onto) else ""
        return f", onto {units} {', '.join(map(str, self.onto))}{more}"


@dataclass(frozen=True)
class Unjudged:
    """One weight that is not under the law, because nobody fixed its signs.

    Attributes:
        parameter: Its name.
        n_synapses: Its number of synapses; where ``n_units`` is given, of those units.
        n_units: Number of presynaptic units without a sign, where the others have one; None if
            the whole weight is free.

    Example:
        >>> import torch
        >>> from daleml import signs
        >>> print(signs.check(torch.nn.Linear(3, 2)).unjudged[0])
        weight, 6 synapses
    """

    parameter: str
    n_synapses: int
    n_units: int | None = None

    def __str__(self) -> str:
        if self.n_units is not None:
            units = _plural(self.n_units, "unit")
            synapses = _plural(self.n_synapses, "synapse")
            return f"{units} of {self.parameter} without a sign, {synapses}"
        return f"{self.parameter}, {_plural(self.n_synapses, 'synapse')}"


@dataclass(frozen=True)
class SignReport:
    """The verdict of ``signs.check``; true when the law holds for every weight that it judged.

    Attributes:
        violations: The units that break it, in the model's order.
        n_parameters: Number of parameters judged.
        n_units: Number of presynaptic units judged, over all parameters.
        n_synapses: Number of synapses judged; absent ones do not count.
        inferred: Names judged without declared signs: a unit there is lawful if all it makes
            has one sign.
        unjudged: The weights that are not under the law: parameters of two or more dimensions
            without signs, and units without a sign beside others.
        transposed: Whether inferred weights break the law as ``(post, pre)`` and would keep it
            as ``(pre, post)``.

    Example:
        >>> from daleml import Populations, signs
        >>> from daleml.layers import EILinear
        >>> report = signs.check(EILinear(Populations(2, 1), 4))
        >>> bool(report), report.n_synapses, report.n_violations
        (True, 12, 0)
        >>> report.raise_for_violations()
    """

    violations: tuple[Violation, ...]
    n_parameters: int
    n_units: int
    n_synapses: int
    inferred: tuple[str, ...] = ()
    unjudged: tuple[Unjudged, ...] = ()
    transposed: bool = False

    @property
    def n_violations(self) -> int:
        """Number of weights of a wrong sign, and of weights where there is no synapse."""
        return sum(violation.count for violation in self.violations)

    def __bool__(self) -> bool:
        return not self.violations

    def __str__(self) -> str:
        if not self.n_parameters:
            nothing = "Nothing to check: no parameter has its signs fixed."
            return nothing + self._free(" Not under the law: ", ".")
        lines = [self._verdict()]
        lines += [f"  {violation}" for violation in self.violations[:SHOWN]]
        hidden = len(self.violations) - SHOWN
        if hidden > 0:
            lines.append(f"  ... and {hidden:,} more units")
        return "\n".join(lines + self.remarks())

    def _verdict(self) -> str:
        """Return the first line: whether the law holds, and for what."""
        units = _plural(self.n_units, "unit")
        counts = f"{units}, {_plural(self.n_synapses, 'synapse')}"
        whole = [weight for weight in self.unjudged if weight.n_units is None]
        n_weights = self.n_parameters + len(whole)
        some = f"the {self.n_parameters:,} of {_plural(n_weights, 'weight')} that have signs"
        every = f"{_plural(self.n_parameters, 'parameter')}, {counts}"
        # A verdict says what it did not judge.
        if self and self.unjudged:
            free = self._free("; not under the law: ", ".")
            return f"Dale's law holds for {some} ({counts}){free}"
        if self:
            return f"Dale's law holds: {every}."
        judged = f"{some}: {counts}" if self.unjudged else every
        synapses = _plural(self.n_violations, "synapse")
        units = _plural(len(self.violations), "unit")
        return f"Dale's law is broken by {synapses} of {units} ({judged}):"

    def remarks(self) -> list[str]:
        """Return what a reader must know of the verdict beside its first line, a sentence each."""
        remarks = []
        if self.violations and self.unjudged:
            remarks.append(self._free("Not under the law: ", "."))
        if self.inferred:
            remarks.append(
                f"No signs were saved for {_listed(self.inferred)}: judged unit by unit, by"
                " the signs of most of its synapses."
            )
        if self.transposed:
            remarks.append(
                "Read as (pre, post), every unit keeps one sign: if that is how the weights"
                " are stored, as in Keras and JAX, say that presynaptic units lie along"
                " dimension 0."
            )
        return remarks

    def _free(self, before: str, after: str) -> str:
        """List the weights that are not under the law; nothing if there are none."""
        if not self.unjudged:
            return ""
        hidden = self.unjudged[SHOWN:]
        named = [str(weight) for weight in self.unjudged[:SHOWN]]
        if hidden:
            n_synapses = sum(weight.n_synapses for weight in hidden)
            named.append(f"and {len(hidden):,} more, {_plural(n_synapses, 'synapse')}")
        return before + "; ".join(named) + after

    def raise_for_violations(self) -> None:
        """Raise :class:`DaleError`, with the report as its text, unless the law holds."""
        if not self:
            raise DaleError(str(self))

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values, ready for JSON."""
        content = asdict(self)
        for weight in content["unjudged"]:
            # Of a weight that is free as a whole there is nothing to say.
            if weight["n_units"] is None:
                del weight["n_units"]
        return {"lawful": bool(self), "n_violations": self.n_violations, **content}


def _plural(count: int, noun: str) -> str:
    if count == 1:
        return f"{count} {noun}"
    return f"{count:,} {noun}s"


def _listed(names: tuple[str, ...]) -> str:
    """Join names, and count those beyond the first few."""
    hidden = len(names) - SHOWN
    shown = ", ".join(names[:SHOWN])
    if hidden <= 0:
        return shown
    return f"{shown} and {hidden:,} more"
