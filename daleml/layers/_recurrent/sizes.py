"""The sizes of circuits and cells, given as ``nn.RNN`` takes them or as partitions."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from torch import nn

from daleml import require
from daleml._support.type_names import is_content, require_no_pair
from daleml.layers._recurrent.dann_wiring import DANN
from daleml.layers._shared.dann_parameters import default_n_inh
from daleml.populations import Populations

DANN_FIXED = frozenset({"n_inh", "shunting", "input_mean", "spectral_radius"})
"""The attributes that cannot be set on a DANN.

The last two mean nothing to it, since its inhibition centres any input.
"""


def sizes(name: str, given: Populations | int | Any) -> Populations:
    """Read a size or a partition; what is neither is refused in the words of ``nn.RNN``."""
    if isinstance(given, Populations):
        return given
    # A hub's config holds a description where the signature names several types.
    if is_content(given):
        return Populations.from_dict(given)
    require_no_pair(name, given)
    if isinstance(given, Mapping):
        raise TypeError(
            f"`{name}` must be a Populations or an integer; got {given}: write"
            " Populations.of(exc=..., inh=...)."
        )
    if isinstance(given, bool):
        raise TypeError(f"{name} should be of type int, got: bool")
    # Numpy has integers of its own.
    if hasattr(given, "__index__"):
        given = int(given)
    wrong = {
        "input_size": 1,
        "hidden_size": 1,
        name: given,
    }
    # torch checks sizes when a layer is built, which costs nothing on meta.
    nn.RNN(**wrong, device="meta")
    return Populations(given)


def partition(given: Populations | int | Any) -> Populations:
    """Read the units of a circuit, and say that an int leaves it without inhibition."""
    units = sizes("hidden_size", given)
    if not isinstance(given, Populations) and not is_content(given):
        warnings.warn(
            f"`hidden_size` is an int, so all {units.size} units excite and nothing"
            f" inhibits; write Populations.split({units.size}) for a fifth of inhibitory"
            f" ones, or Populations({units.size}) if you mean it.",
            UserWarning,
            stacklevel=3,
        )
    return units


def dann_parts(
    input_size: int, hidden_size: int, n_inh: int | None, options: Mapping[str, Any]
) -> tuple[Populations, Populations, DANN]:
    """Read the sizes of a DANN, and say what its wiring is."""
    inputs, units = sizes("input_size", input_size), sizes("hidden_size", hidden_size)
    if inputs.n_inh or units.n_inh:
        raise ValueError(
            f"a DANN's inputs and units must all be excitatory; got {inputs} and {units}."
        )
    require.positive("eps", options["eps"])
    n_inhibitory = default_n_inh(units.size, n_inh)
    return (
        inputs,
        units,
        DANN(n_inhibitory, require.flag("shunting", options["shunting"])),
    )
