"""What any study of many runs needs, whatever it measures.

==================  ==============================================================================
``Ensemble``        models of one form, as from many seeds, trained in one batch
``experiment``      a function of a seed and settings, with its seeds and settings by budget
``running``         run the seeds that are missing, in processes or on a cluster
``journal``         the finished seeds, kept on disk as each one ends
``cluster``         calls made by the workers of a Dask cluster
``provenance``      the machine, the versions and the commit that numbers depend on
``seed_intervals``  the mean over seeds with its confidence interval
==================  ==============================================================================

Nothing here knows of papers or claims: :mod:`daleml.reproductions` stands on this folder.
"""

from typing import TYPE_CHECKING, Any

from daleml._support import lazy_names

if TYPE_CHECKING:
    from daleml.experiments.ensemble import Ensemble

__all__ = ["Ensemble"]

_HOMES = {"ensemble": ("Ensemble",)}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Import a name when it is first asked for."""
        return lazy_names.find(__name__, _HOMES, name)


def __dir__() -> list[str]:
    return sorted(__all__)
