"""Conversion of an ordinary torch model to Dale's law, with a verdict for every parameter.

- ``conversion``: :func:`dalify`; ``conversion_steps``: what it does, in order.
- ``tracing``, ``bystanders``, ``unit_signs``, ``sign_decisions``: which units a weight reads, and
  the signs that follow.
- ``calibration``: weights drawn anew until pre-activations are those of the original.
- ``conversion_report``: :class:`DalifyReport` and :class:`Verdict`.
"""

from daleml.convert.conversion import Dalified, dalify
from daleml.convert.conversion_report import DalifyReport, Verdict

__all__ = ["Dalified", "DalifyReport", "Verdict", "dalify"]
