"""The signs that a weight reads, and the reason why it is lawful, exempt or unlawful."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

from daleml import modules
from daleml.convert.conversion_report import EXEMPT, LAWFUL, NOT_LAWFUL, Kind
from daleml.convert.tracing import Trace
from daleml.convert.unit_signs import Units, is_convertible
from daleml.modules import SynapticWeight
from daleml.populations import Populations

_UNITS_WITHIN = {
    "state": "its own state",
    "cells": "its own cells",
    "below": "the layer below",
}
"""The words for units that lie within a recurrent module, by what ``SynapticWeight.reads`` says."""


class SignDecision(NamedTuple):
    """What is to become of one weight.

    Attributes:
        unit_signs: The signs of the units that it reads, (pre,); None if none can be fixed.
        kind: What the weight is then.
        why: The reason, in words.
    """

    unit_signs: Tensor | None
    kind: Kind
    why: str


def decide_signs(
    traced: Trace | None,
    path: str,
    module: nn.Module,
    spec: SynapticWeight,
    fractions: tuple[float, float | None],
) -> SignDecision:
    """Decide the signs of the units that a weight reads.

    Args:
        traced: What the example showed; None if there was none.
        path: Name of the module.
        module: The module that has the weight.
        spec: What is known of the weight.
        fractions: Fractions of a layer's units, and of the inputs, that inhibit.

    Returns:
        The signs, what the weight is with them, and the reason.
    """
    if spec.reads != "input":
        units = Units(*fractions) if traced is None else traced.units
        found = units.own(path, module, spec)
        return _lawful(found, _UNITS_WITHIN[spec.reads])
    if traced is None:
        # Without an example, layers of one width are taken to read the same units.
        partition = Populations.split(modules.n_inputs(module), fractions[0])
        return _lawful(partition.signs(), "a layer of this width")
    if path not in traced.signs:
        return _unlawful(
            "did not run on the example, or not on a tensor given by position"
        )
    found = traced.signs[path]
    if path in traced.inconsistent:
        return _unlawful("reads units of other signs at another call")
    n_mixed, n_unreached = int((found == 0).sum()), int(found.isnan().sum())
    if n_mixed:
        return _unlawful(
            f"reads {n_mixed} inputs that mix excitatory and inhibitory units"
        )
    if n_unreached == found.numel():
        return SignDecision(None, EXEMPT, "reads units that have no sign")
    if n_unreached:
        return _unlawful(f"reads {n_unreached} inputs that no unit reaches")
    return _lawful(found, "")


def why_unlawful(module: nn.Module, parameter: str) -> str:
    """Return why a parameter that is no vector, and has no verdict yet, is not lawful."""
    plain = modules.plain_name(module, parameter)
    if modules.speaks(module) and plain in modules.accounted(module):
        return (
            f"a weight of {type(module).__name__}, which has not fixed its signs: call"
            " `signs.fix` in it"
        )
    computed = isinstance(module, ParametrizationList)
    if is_convertible(module):
        # A weight that is no parameter is pruned, or normalised by a hook.
        for spec in modules.synaptic_weights(module):
            computed |= spec.name not in module._parameters
    if computed:
        return "a weight is computed from it, whose signs are not its own"
    return f"a weight of {type(module).__name__}, which is not known"


def computed_weight(path: str) -> str | None:
    """Return the name of the weight that a module of ``torch.nn.utils.parametrize`` computes.

    None if ``path`` names no such module.
    """
    owner, found, rest = path.rpartition("parametrizations.")
    return owner + rest.partition(".")[0] if found else None


def _lawful(unit_signs: Tensor, of: str) -> SignDecision:
    n_exc, n_inh = int((unit_signs > 0).sum()), int((unit_signs < 0).sum())
    why = f"reads {n_exc} excitatory and {n_inh} inhibitory units"
    return SignDecision(unit_signs, LAWFUL, f"{why} of {of}" if of else why)


def _unlawful(why: str) -> SignDecision:
    return SignDecision(None, NOT_LAWFUL, why)
