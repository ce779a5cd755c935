r"""Dale's law for one weight and its signs: who breaks it, and how to say so.

A weight comes with a *sign buffer*, int8, one entry a presynaptic unit, shaped so that it says
by itself where those units are: it has as few dimensions as it needs to broadcast against the
weight, or, for a grouped convolution, one more than the weight, ``(groups, 1, in / groups, 1,
...)`` against the weight split into groups. In a state dict the buffer of ``weight`` is
``weight_signs``.

Where not every synapse exists, a second buffer, ``weight_present``, says which do: int8, 1 or
0, of the weight's shape. A boolean would not survive averaging: ``AveragedModel`` subtracts
buffers. Boolean ones of older files are read. An absent synapse obeys the law when it is
exactly zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

SUFFIX = "_signs"
PRESENT = "_present"
SHOWN = 8
"""How many units, or weights, a report names before it counts the rest."""
_ROUNDING = 1e-3
"""How far a sign or a mask that went through an average in floating point may be from a whole number."""


class DaleError(ValueError):
    """Raised by ``SignReport.raise_for_violations`` when a weight has the sign its unit may not have."""


@dataclass(frozen=True)
class Violation:
    """One presynaptic unit that breaks the law in one parameter.

    By its sign, or where it makes no synapse at all.
    """

    parameter: str
    unit: int
    sign: int
    count: int
    size: int
    worst: float
    absent: bool = False

    def __str__(self) -> str:
        if self.absent:
            synapses = (
                f"{self.count} of {_plural(self.size, 'absent synapse')} not zero"
            )
            return f"{self.parameter}, unit {self.unit}: {synapses}, worst {self.worst:.3g}"
        kind, wrong = (
            ("excitatory", "negative") if self.sign > 0 else ("inhibitory", "positive")
        )
        synapses = _plural(self.size, "synapse")
        unit = f"{self.parameter}, unit {self.unit} ({kind})"
        return (
            f"{unit}: {self.count} of {synapses}"
            f" {wrong}{' or NaN' * math.isnan(self.worst)}, worst {self.worst:.3g}"
        )


@dataclass(frozen=True)
class Unjudged:
    """One weight that is not under the law, because nobody fixed its signs."""

    parameter: str
    n_synapses: int

    def __str__(self) -> str:
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
            without signs.
        transposed: Whether inferred weights break the law as ``(post, pre)`` and would keep it
            as ``(pre, post)``.
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
        """Number of weights with a sign their unit may not have, or that are not zero where there is no synapse."""
        return sum(violation.count for violation in self.violations)

    def __bool__(self) -> bool:
        return not self.violations

    def __str__(self) -> str:
        if not self.n_parameters:
            return "Nothing to check: no parameter has its signs fixed." + self._free(
                " Not under the law: ", "."
            )
        counts = (
            f"{_plural(self.n_units, 'unit')}, {_plural(self.n_synapses, 'synapse')}"
        )
        n_weights = self.n_parameters + len(self.unjudged)
        judged = f"the {self.n_parameters:,} of {_plural(n_weights, 'weight')} that have signs"
        whole = f"{_plural(self.n_parameters, 'parameter')}, {counts}"
        if self and self.unjudged:
            lines = [
                f"Dale's law holds for {judged} ({counts})"
                + self._free("; not under the law: ", ".")
            ]
        elif self:
            lines = [f"Dale's law holds: {whole}."]
        else:
            broken = (
                f"{_plural(self.n_violations, 'synapse')} of"
                f" {_plural(len(self.violations), 'unit')}"
            )
            lines = [
                f"Dale's law is broken by {broken}"
                f" ({f'{judged}: {counts}' if self.unjudged else whole}):"
            ]
            lines += [f"  {violation}" for violation in self.violations[:SHOWN]]
            hidden = len(self.violations) - SHOWN
            lines += [f"  ... and {hidden:,} more units"] if hidden > 0 else []
        return "\n".join(lines + self.remarks())

    def remarks(self) -> list[str]:
        """Return what a reader must know of the verdict beside its first line, one sentence each."""
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
        return {"lawful": bool(self), "n_violations": self.n_violations, **asdict(self)}


def violations(
    parameter: str, weight: Tensor, stored: Tensor, present: Tensor | None = None
) -> list[Violation]:
    """List the presynaptic units that break the law in one weight, judged by its buffers."""
    weight = (
        weight.detach().float() if weight.dtype.itemsize == 1 else weight.detach()
    )  # float8 has no arithmetic
    weight = (
        weight.to_dense() if weight.layout != torch.strided else weight
    )  # sparse ones have no comparisons
    grown = [] if present is None else _grown(parameter, weight, stored, present)
    signed = weight * broadcastable(stored, weight)
    lawless = ~(signed >= 0) if present is None else ~(signed >= 0) & present
    if not lawless.any():
        return grown
    signed, _ = by_unit(
        signed if present is None else signed.masked_fill(~present, 0), stored
    )
    synapses, _ = by_unit(
        torch.ones_like(lawless) if present is None else present, stored
    )
    lawless, unit_signs = by_unit(lawless, stored)
    counts, worst, sizes = (
        lawless.sum(dim=1).tolist(),
        signed.amin(dim=1).tolist(),
        synapses.sum(dim=1).tolist(),
    )
    wrong = [
        Violation(
            parameter, unit, int(sign), int(count), int(size), float(sign * lowest)
        )
        for unit, (count, size, sign, lowest) in enumerate(
            zip(counts, sizes, unit_signs.tolist(), worst, strict=True)
        )
        if count
    ]
    return wrong + grown


def _grown(
    parameter: str, weight: Tensor, stored: Tensor, present: Tensor
) -> list[Violation]:
    """List the presynaptic units with a weight where they make no synapse."""
    if not (weight != 0).logical_and_(~present).any():
        return []
    strengths, unit_signs = by_unit(weight.masked_fill(present, 0), stored)
    sizes, counts = (
        by_unit(~present, stored)[0].sum(dim=1).tolist(),
        (strengths != 0).sum(dim=1).tolist(),
    )
    worst = (
        strengths.gather(1, strengths.abs().argmax(dim=1, keepdim=True))
        .flatten()
        .tolist()
    )
    return [
        Violation(
            parameter, unit, int(sign), int(count), int(size), float(value), absent=True
        )
        for unit, (count, size, sign, value) in enumerate(
            zip(counts, sizes, unit_signs.tolist(), worst, strict=True)
        )
        if count
    ]


def by_unit(weight: Tensor, stored: Tensor) -> tuple[Tensor, Tensor]:
    """Rearrange a weight by presynaptic unit, as its sign buffer says.

    Args:
        weight: A parameter, or a tensor of its shape.
        stored: The buffer ``<parameter>_signs`` that belongs to it.

    Returns:
        The weight as ``(units, synapses each makes)``, and the sign of each unit.
    """
    if stored.ndim > weight.ndim:
        weight = _by_group(weight, stored).movedim(2, 1)
    else:
        weight = weight.movedim(weight.ndim - stored.ndim, 0)
    return weight.reshape(stored.numel(), -1), stored.flatten()


def broadcastable(stored: Tensor, weight: Tensor) -> Tensor:
    """Return a sign buffer in a shape that broadcasts against the weight."""
    if stored.ndim <= weight.ndim:
        return stored
    groups, _, *rest = stored.shape
    return stored.expand(groups, weight.shape[0] // groups, *rest).reshape(
        weight.shape[0], *rest
    )


def valid_signs(name: str, stored: Tensor) -> Tensor:
    """Return signs as int8, or raise if one is neither +1 nor -1.

    Memory nobody filled, or somebody overwrote.
    """
    if stored.is_meta:
        raise ValueError(
            f"the signs of `{name}` must have values to judge by; they are on the meta"
            " device."
        )
    whole = _whole(stored)
    wrong = ~((whole == 1) | (whole == -1))
    if wrong.any():
        unit = int(wrong.flatten().nonzero()[0])
        raise ValueError(
            f"the signs of `{name}` must be +1 or -1; got {stored.flatten()[unit].item()}"
            f" for unit {unit}."
        )
    return whole.to(torch.int8)


def valid_present(name: str, stored: Tensor) -> Tensor:
    """Return a mask as boolean, or raise if it holds anything but 0 and 1."""
    if stored.is_meta:
        raise ValueError(
            f"the mask of `{name}` must have values to judge by; it is on the meta device."
        )
    if stored.dtype == torch.bool:
        return stored
    whole = _whole(stored)
    wrong = ~((whole == 0) | (whole == 1))
    if wrong.any():
        raise ValueError(
            f"`{name}{PRESENT}` must be 0 or 1; got {stored[wrong][0].item()}."
        )
    return whole.to(torch.bool)


def _whole(stored: Tensor) -> Tensor:
    """Round what an average in floating point moved by less than its error.

    Leave anything else as it is.
    """
    if not stored.is_floating_point():
        return stored
    rounded = stored.round()
    return torch.where((stored - rounded).abs() <= _ROUNDING, rounded, stored)


def saved_signs(state: Mapping[str, Any], key: str) -> Tensor | None:
    """Return the signs saved beside the weight ``key`` of a state dict, int8.

    None if there are none.

    Raises:
        ValueError: If they do not fit the weight, or are not +1 and -1.
    """
    stored, weight = (
        state.get(key.removesuffix("_orig") + SUFFIX),
        torch.as_tensor(state[key]),
    )
    if stored is None:
        return None
    stored = torch.as_tensor(stored)
    try:
        fitted = _by_group(weight, stored) if stored.ndim > weight.ndim else weight
        torch.broadcast_to(stored, fitted.shape)
        n_pre = (
            fitted.shape[2] * fitted.shape[0]
            if fitted is not weight
            else weight.shape[weight.ndim - stored.ndim]
        )
        if stored.numel() != n_pre:
            raise RuntimeError
    except (RuntimeError, IndexError):
        raise ValueError(
            f"`{key}{SUFFIX}` must fit `{key}` of shape {tuple(weight.shape)}; got shape"
            f" {tuple(stored.shape)}."
        ) from None
    return valid_signs(key, stored)


def saved_present(state: Mapping[str, Any], key: str) -> Tensor | None:
    """Return which synapses of the weight ``key`` of a state dict exist, boolean; None if all do.

    Raises:
        ValueError: If what is saved does not fit the weight.
    """
    plain = key.removesuffix("_orig")
    present = state.get(plain + PRESENT)
    if present is None:
        return None
    present, shape = torch.as_tensor(present), torch.as_tensor(state[key]).shape
    if present.shape != shape or present.dtype not in (
        torch.bool,
        torch.int8,
        torch.uint8,
    ):
        raise ValueError(
            f"`{key}{PRESENT}` must be boolean and fit `{key}` of shape {tuple(shape)}; got"
            f" {str(present.dtype).removeprefix('torch.')} of shape {tuple(present.shape)}."
        )
    return valid_present(plain, present)


Case: TypeAlias = tuple[str, Tensor, Tensor, Tensor | None]
"""What :func:`violations` judges: a name, a weight, and its two buffers."""


def _by_group(weight: Tensor, stored: Tensor) -> Tensor:
    return weight.reshape(stored.shape[0], -1, *weight.shape[1:])


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def _listed(names: tuple[str, ...]) -> str:
    """Join names, and count those that a line has no room for."""
    hidden = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {hidden:,} more" if hidden > 0 else "")
