"""The units of a circuit by population, as far as the circuit says."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from daleml import modules

UNNAMED = "units"
"""What the units of a circuit without populations are called together."""

Units = NDArray[np.int64]


def groups_of(rnn: nn.Module, n_units: int) -> dict[str, Units]:
    """Return the numbers of the units of each population that has any, by its name.

    A module that does not say has one group, ``"units"``.
    """
    populations: Any = getattr(rnn, "populations", None)
    names = getattr(populations, "names", ())
    if populations is None or populations.size != n_units or not names:
        return {UNNAMED: np.arange(n_units)}
    found = {}
    for name in names:
        units = np.arange(n_units)[populations[name]]
        if units.size:
            found[name] = units
    return found


def signs_of(rnn: nn.Module, groups: dict[str, Units]) -> dict[str, int]:
    """Return 1 for each group whose units all excite, -1 where all inhibit, of a circuit that says.

    Groups of both kinds, and those of a circuit that does not say, are left out.
    """
    signs = None
    if modules.method(rnn, "output_signs") is not None:
        signs = modules.output_signs(rnn)
    if signs is None or len(signs) != sum(map(len, groups.values())):
        return {}
    found = {}
    for name, units in groups.items():
        of_group = set(signs.numpy()[units].tolist())
        if of_group in ({1}, {-1}):
            found[name] = int(of_group.pop())
    return found


def excitatory_units(rnn: nn.Module, n_units: int) -> Units:
    """Return the units that excite.

    Raises:
        ValueError: If the circuit does not say which they are, or none does.
    """
    say = modules.method(rnn, "output_signs")
    signs = None
    if say is not None:
        signs = modules.output_signs(rnn)
    if signs is None or len(signs) != n_units:
        raise ValueError(
            "`rnn` must say which of its units excite and which inhibit, by `output_signs`;"
            f" got {type(rnn).__name__}."
        )
    units: Units = np.flatnonzero(signs.numpy() > 0)
    if not units.size:
        raise ValueError("`rnn` must have units that excite; got one without.")
    return units


def units_of(rnn: nn.Module, population: str | None, n_units: int) -> Units:
    """Return the units of a population, area or pattern; of None, those that inhibit.

    Raises:
        TypeError: If ``population`` is no name.
        ValueError: If the circuit has no populations, or none that inhibits or is called so.
    """
    if population is None:
        exciting = excitatory_units(rnn, n_units)
        units = np.setdiff1d(np.arange(n_units), exciting)
        if not units.size:
            raise ValueError(
                "`rnn` must have units that inhibit; got one without: name a `population`."
            )
        return units
    if not isinstance(population, str):
        raise TypeError(
            f"`population` must be the name of one; got {type(population).__name__}."
        )
    populations: Any = getattr(rnn, "populations", None)
    if populations is None:
        raise ValueError(
            "`rnn` must have `populations` for one to be named; got"
            f" {type(rnn).__name__}."
        )
    found: Units = populations.index(population, argument="population").numpy()
    return found
