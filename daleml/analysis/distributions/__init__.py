"""Distributions of synaptic weights: fitted as they were observed, and compared.

What was observed

- ``observation``: which weights could be seen, and how they were written down; ``rounding``,
  ``interval_samples``; ``recording`` and ``rounding_detection`` notice what was not said.
- ``observed_sample``: a sample together with how it was observed, which all the rest works on.

One family

- ``families``: a file per family, each with its density and, where there is one, the closed
  form of its fit; ``family_names`` is the list.
- ``fit``: maximum likelihood, by ``likelihood`` and ``likelihood_maximum``; ``weight_fit`` is
  the result, ``intervals`` and ``bootstrap`` say how sure it is, ``goodness`` whether it fits.
- ``power_law_tail``: the tail that is closest to a power law.

Several families, several groups

- ``comparison``: families ranked, by ``family_ranking`` and the tests of ``vuong``.
- ``by_group``: groups fitted apart; ``group_comparison`` is the result, ``group_tests`` says
  whether the groups differ, ``effects`` by how much, ``clusters`` allows for nested data.
- ``resemblance``: a network's weights beside a brain's, free of scale, by ``shape_test``.
"""
