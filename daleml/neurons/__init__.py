"""Biophysical neurons: Morris-Lecar cells and networks of them."""

from daleml.neurons.morris_lecar import MorrisLecar
from daleml.neurons.morris_lecar_network import MorrisLecarNetwork
from daleml.neurons.silencing import Silencing

__all__ = ["MorrisLecar", "MorrisLecarNetwork", "Silencing"]
