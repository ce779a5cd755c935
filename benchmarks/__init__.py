"""Timed cases against torch and scipy, side by side in one process: ``python -m benchmarks``.

``timing`` and ``memory`` measure; ``optimisers``, ``dense_layers``, ``recurrent``, ``fits``,
``equilibrium``, ``evolution`` and ``guards`` list what is measured. Run by themselves:

- ``mechanisms``: three ways to keep Dale's law, by what they cost and make of the weights;
- ``calibration`` and its kin: how often intervals and verdicts are right;
- ``frames`` and ``house``: how the code reads, in numbers.
"""
