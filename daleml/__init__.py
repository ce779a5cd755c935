"""daleml: networks that keep Dale's law, and still learn well.

A synapse has a *sign* that is a fact about the neuron, and a *strength* that learns. daleml
keeps the two apart:

    Populations -> signs -> layer -> parameter groups -> optimiser -> snapshot -> weight sample
    -> fit -> result -> plot

Conventions, everywhere:

- weights are ``(post, pre)``, like ``nn.Linear``'s, so Dale's law fixes the sign of each *column*;
- excitatory units come first; signs are +1 and -1, one per presynaptic unit, stored and
  never inferred;
- rates are non-negative; all of a DANN's matrices are too, and its minus is structure;
- randomness comes from ``generator=``, never from a global seed set behind your back;
- in-place functions end in ``_``; logarithms are natural; results are frozen and have
  ``to_dict()``;
- an error is one sentence: argument, rule, value.
"""

import sys
from typing import TYPE_CHECKING, Any

from daleml._support import moved_modules

if TYPE_CHECKING:
    from daleml import analysis, datasets, layers, optim, signs, tasks
    from daleml.convert import dalify
    from daleml.populations import Populations
    from daleml.training import train

__version__ = "0.6.0"

# Before anything else is imported, so that no old name meets an empty folder first.
moved_modules.install()

__all__ = [
    "Populations",
    "__version__",
    "analysis",
    "dalify",
    "datasets",
    "layers",
    "optim",
    "signs",
    "tasks",
    "train",
]


# What is no submodule: submodules are found without being listed.
_HOMES = {
    "convert": ("dalify",),
    "populations": ("Populations",),
    "training": ("train",),
}


def __getattr__(name: str) -> Any:
    """Import what costs time when it is first asked for.

    ``daleml --help`` needs neither torch nor NumPy.
    """
    from daleml._support import lazy_names

    if lazy_names.knows(__name__, _HOMES, name):
        return lazy_names.find(__name__, _HOMES, name)
    message = f"module 'daleml' has no attribute {name!r}"
    if name.startswith("_"):
        raise AttributeError(message)
    from daleml._support.public_names import hint

    found = hint(name)
    # `from daleml import EG` asks here through importlib, which would drop the text of an
    # AttributeError.
    asked_by = sys._getframe(1).f_globals.get("__name__")
    if found and asked_by == "importlib._bootstrap":
        raise ImportError(
            f"cannot import name {name!r} from 'daleml'; {found}", name="daleml"
        )
    raise AttributeError(f"{message}; {found}" if found else message)


def __dir__() -> list[str]:
    return sorted(__all__)
