"""Potentials from plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from daleml.potentials.entropies import HyperbolicEntropy, NegativeEntropy
from daleml.potentials.norms import Euclidean, PNorm
from daleml.potentials.potential import Potential

_KINDS: dict[str, type[Potential]] = {
    kind.__name__: kind
    for kind in (Euclidean, NegativeEntropy, PNorm, HyperbolicEntropy)
}


def is_plain(potential: Potential) -> bool:
    """Whether a potential is exactly one of daleml's, which act weight by weight.

    One that inherits from them may do otherwise.

    Args:
        potential: Any potential.

    Returns:
        Whether :func:`from_dict` makes an equal one of what its ``to_dict`` says.

    Example:
        >>> from daleml.potentials import PNorm
        >>> is_plain(PNorm(3))
        True
    """
    return type(potential) in _KINDS.values()


def from_dict(data: Mapping[str, Any]) -> Potential:
    """Return the potential that :meth:`Potential.to_dict` described.

    Args:
        data: Its name, under ``"name"``, and its parameters.

    Returns:
        The potential, equal to the one that was described.

    Raises:
        ValueError: If no potential of daleml has that name.

    Example:
        >>> from_dict({"name": "PNorm", "p": 3})
        PNorm(p=3)
    """
    options = dict(data)
    name = options.pop("name", None)
    if name not in _KINDS:
        raise ValueError(f"`name` must be one of {', '.join(_KINDS)}; got {name!r}.")
    return _KINDS[name](**options)
