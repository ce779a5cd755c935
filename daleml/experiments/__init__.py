"""What any study of many runs needs, whatever it measures.

==================  ==============================================================================
``experiment``      a function of a seed and settings, with its seeds and settings by budget
``running``         run the seeds that are missing, in processes or on a cluster
``journal``         the finished seeds, kept on disk as each one ends
``cluster``         calls made by the workers of a Dask cluster
``provenance``      the machine, the versions and the commit that numbers depend on
``seed_intervals``  the mean over seeds with its confidence interval
==================  ==============================================================================

Nothing here knows of papers or claims: :mod:`daleml.reproductions` stands on this folder.
"""
