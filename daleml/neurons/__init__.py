"""Biophysical neurons: Morris-Lecar cells and networks of them.

- ``morris_lecar``: :class:`MorrisLecar`, the currents of one cell and its step.
- ``coupled_cells``: steps of cells that drive each other.
- ``morris_lecar_network``: :class:`MorrisLecarNetwork`, with an input and a readout.
- ``silencing``: :class:`Silencing`, the smallest task for a gradient through spikes.
"""

from daleml.neurons.morris_lecar import MorrisLecar
from daleml.neurons.morris_lecar_network import MorrisLecarNetwork
from daleml.neurons.silencing import Silencing

__all__ = ["MorrisLecar", "MorrisLecarNetwork", "Silencing"]
