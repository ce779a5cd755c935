"""Arguments that circuits and cells share.

Sizes and partitions, as ``nn.RNN`` or a partition says them.
"""

from __future__ import annotations

import warnings

from torch import nn

from daleml import require
from daleml.layers._recurrent.wiring import DANN
from daleml.populations import Populations, require_no_pair

DANN_FIXED = frozenset({"n_inh", "shunting", "input_mean", "spectral_radius"})
"""What cannot be set on a DANN.

The last two mean nothing to it, since its inhibition centres any input.
"""


def sizes(name: str, given: Populations | int) -> Populations:
    """Read a size or a partition; what is neither is refused in the words of ``nn.RNN``."""
    if isinstance(given, Populations):
        return given
    require_no_pair(name, given)
    if isinstance(given, bool):
        raise TypeError(f"{name} should be of type int, got: bool")
    given = int(given) if hasattr(given, "__index__") else given  # numpy's integers too
    wrong = {
        "input_size": 1,
        "hidden_size": 1,
        name if name == "input_size" else "hidden_size": given,
    }
    nn.RNN(**wrong, device="meta")
    return Populations(given)


def partition(given: Populations | int) -> Populations:
    """Read the units of a circuit, and say that an int leaves it without inhibition."""
    units = sizes("hidden_size", given)
    if not isinstance(given, Populations):
        warnings.warn(
            f"`hidden_size` is an int, so all {units.size} units excite and nothing"
            f" inhibits; write Populations.split({units.size}) for a fifth of inhibitory"
            f" ones, or Populations({units.size}) if you mean it.",
            UserWarning,
            stacklevel=3,
        )
    return units


def dann_parts(
    input_size: int, hidden_size: int, n_inh: int | None, shunting: bool, eps: float
) -> tuple[Populations, Populations, DANN]:
    """Read the sizes of a DANN, and say what its wiring is."""
    inputs, units = sizes("input_size", input_size), sizes("hidden_size", hidden_size)
    if inputs.n_inh or units.n_inh:
        raise ValueError(
            f"a DANN's inputs and units must all be excitatory; got {inputs} and {units}."
        )
    require.positive("eps", eps)
    n_inh = (
        max(units.size // 10, 1)
        if n_inh is None
        else require.integer("n_inh", n_inh, minimum=1)
    )
    return inputs, units, DANN(n_inh, require.flag("shunting", shunting))
