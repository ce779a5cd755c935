"""Misspelt keyword arguments, answered with the name that was meant."""

from __future__ import annotations

import difflib
import inspect
from typing import Any, Self

_MEANT = {
    "dt": "dt_ms",
    "tau": "tau_ms",
    "exc": "n_exc",
    "excitatory": "n_exc",
    "n_excitatory": "n_exc",
    "inh": "n_inh",
    "inhibitory": "n_inh",
    "n_inhibitory": "n_inh",
    "in_features": "populations",
    "in_channels": "populations",
    "hidden": "hidden_size",
    "units": "hidden_size",
    "alpha": "leak",
    "sigma": "noise",
    "sigma_rec": "noise",
    "sigma_in": "input_noise",
    "learn_tau": "train_tau",
    "trainable_tau": "train_tau",
    "activation": "nonlinearity",
    "learning_rate": "lr",
    "seed": "generator",
    "rho": "spectral_radius",
    "density": "mask",
}
"""What arguments are called here that other libraries, and papers, call otherwise.

A name counts only where the class has the argument that was meant.
"""


class Keywords:
    """A base class: where an argument is misspelt, it says which one was meant."""

    def __new__(cls, *arguments: Any, **keywords: Any) -> Self:
        """Look at the names of the arguments, and leave their values to the constructor."""
        # Before `__init__`, whose own error would name no other argument.
        if keywords:
            _require_known(cls, keywords)
        return super().__new__(cls)


def _require_known(cls: type, keywords: dict[str, Any]) -> None:
    parameters = inspect.signature(cls.__init__).parameters  # type: ignore[misc]
    kinds = [parameter.kind for parameter in parameters.values()]
    if inspect.Parameter.VAR_KEYWORD in kinds:
        return
    for name in keywords:
        if name in parameters:
            continue
        near = meant(name, [known for known in parameters if known != "self"])
        if near is not None:
            raise TypeError(
                f"{cls.__name__} has no argument `{name}`; did you mean `{near}`?"
            )


def meant(name: str, known: list[str]) -> str | None:
    """Return the argument that was meant; None if that cannot be told."""
    if _MEANT.get(name) in known:
        return _MEANT[name]
    # `tau` of an argument called `tau_ms`.
    near = [one for one in known if one.startswith(f"{name}_")]
    if not near:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    return near[0] if near else None
