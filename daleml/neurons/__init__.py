"""Biophysical neurons: Morris-Lecar cells and networks of them."""

from daleml.neurons.cell_network import MorrisLecarNetwork
from daleml.neurons.morris_lecar import MorrisLecar
from daleml.neurons.silencing import Silencing

__all__ = ["MorrisLecar", "MorrisLecarNetwork", "Silencing"]
