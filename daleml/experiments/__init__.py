"""What any study of many runs needs, whatever it measures.

==================  ==============================================================================
name                what it does
==================  ==============================================================================
``sweep``           runs a function for conditions and seeds, on any executor, and resumes
``read``            the table of a sweep, while it runs or later
``failures``        the runs that failed, with their tracebacks
``status``          how far a sweep is
``summary``         the mean over seeds of each number, with its interval
``Ensemble``        models of one form, as from many seeds, trained in one batch
==================  ==============================================================================

Below them:

======================  ==========================================================================
module                  what it holds
======================  ==========================================================================
``sweeping``            ``sweep``
``sweep_tables``        ``read``, ``failures``, ``status``
``sweep_summary``       ``summary``
``sweep_plan``          what a folder was asked for
``sweep_progress``      bars and lines of progress
``ensemble``            ``Ensemble``
``conditions``          the conditions of a sweep, from a grid, a list or by name
``run_function``        the function that is run: how it is called, whether it has changed
``run_numbers``         what it returns: numbers, or a traceback
``experiment``          a function of a seed and settings, with its seeds and settings by budget
``running``             the seeds of experiments that a journal lacks
``gathering``           jobs that are run by an executor, and gathered into a journal
``executors``           executors of all kinds, as one
``cluster``             the executor of a Dask cluster, by its address
``slurm``               the executor of a SLURM cluster, by submitit
``study_file``          a study in a file, for ``daleml sweep``
``worker_calls``        what a worker does
``isolation``           the state in which every run begins
``python_random``       Python's ``random`` for one thread
``shipping``            values that other processes are given
``result_files``        results as files, until the journal has them
``journal``             the finished runs, kept on disk as each one ends
``journal_entry``       a line of it
``provenance``          the machine, the versions and the commit that numbers depend on
``seed_intervals``      the interval of the mean over seeds, by Student's t
======================  ==========================================================================

Nothing here knows of papers or claims: :mod:`daleml.reproductions` stands on this folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from daleml._support import lazy_names

if TYPE_CHECKING:
    from daleml.experiments.ensemble import Ensemble
    from daleml.experiments.sweep_summary import summary
    from daleml.experiments.sweep_tables import Status, failures, read, status
    from daleml.experiments.sweeping import sweep

__all__ = ["Ensemble", "Status", "failures", "read", "status", "summary", "sweep"]

_HOMES = {
    "ensemble": ("Ensemble",),
    "sweep_tables": ("Status", "failures", "read", "status"),
    "sweep_summary": ("summary",),
    "sweeping": ("sweep",),
}


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Import a name when it is first asked for."""
        return lazy_names.find(__name__, _HOMES, name)


def __dir__() -> list[str]:
    return sorted(__all__)
