"""daleml: networks that keep Dale's law, and still learn well.

A synapse has a *sign* that is a fact about the neuron, and a *strength* that learns. daleml
keeps the two apart:

    Populations -> signs -> layer -> parameter groups -> optimiser -> snapshot -> weight sample
    -> fit -> result -> plot

Conventions, everywhere:

- weights are ``(post, pre)``, like ``nn.Linear``'s, so Dale's law fixes the sign of each *column*;
- excitatory units come first; signs are +1 and -1, one a presynaptic unit, stored and never
  inferred;
- rates are non-negative; all of a DANN's matrices are too, and its minus is structure;
- randomness comes from ``generator=``, never from a global seed set behind your back;
- in-place functions end in ``_``; logarithms are natural; results are frozen and have
  ``to_dict()``;
- an error is one sentence: argument, rule, value.
"""

import importlib
import pkgutil
import sys
from typing import TYPE_CHECKING, Any

from daleml import layers, optim, signs
from daleml._support import moved_modules
from daleml.populations import Populations

if TYPE_CHECKING:
    from daleml import analysis, datasets, tasks
    from daleml.training import train

__version__ = "0.1.0"

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


def __getattr__(name: str) -> Any:
    """Import what costs time when it is first asked for."""
    if name == "dalify":
        from daleml.convert import dalify

        return dalify
    if name == "train":
        from daleml.training import train

        return train
    if name.startswith("_"):
        raise AttributeError(f"module 'daleml' has no attribute {name!r}")
    is_module = any(found.name == name for found in pkgutil.iter_modules(__path__))
    if is_module or name in moved_modules.MOVED:
        return importlib.import_module(f"daleml.{name}")
    from daleml._support.public_names import hint

    end = f"; {found}" if (found := hint(name)) else ""
    # `from daleml import EG` asks here through importlib, which would drop the text of an
    # AttributeError.
    if sys._getframe(1).f_globals.get("__name__") == "importlib._bootstrap" and end:
        raise ImportError(
            f"cannot import name {name!r} from 'daleml'{end}", name="daleml"
        )
    raise AttributeError(f"module 'daleml' has no attribute {name!r}{end}")


def __dir__() -> list[str]:
    return sorted(__all__)
