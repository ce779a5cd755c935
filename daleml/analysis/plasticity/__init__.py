"""Plasticity: what learning changed in a network, and by which rule it seems to have learned.

=================  =========================================================================
module             what it holds
=================  =========================================================================
``dual_geometry``  ``infer_geometry``: the potential under which weights were learned
``dual_change``    the change of weights in the dual of one potential
``before_after``   the weights of the same synapses before and after learning
``normality``      how far a sample is from normal, and what chance leaves of that
``rich_lazy``      ``regime``: whether a network learned richly or lazily
``probes``         running a network on probes with given weights
=================  =========================================================================
"""

from daleml.analysis.plasticity.dual_geometry import (
    DualChange,
    GeometryInference,
    infer_geometry,
)
from daleml.analysis.plasticity.rich_lazy import Regime, regime

__all__ = ["DualChange", "GeometryInference", "Regime", "infer_geometry", "regime"]
