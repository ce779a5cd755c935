"""Layers whose units are excitatory or inhibitory.

========================  ==========================================================================================
Column EI                 presynaptic units are partitioned; one signed weight, lawful by projection or EG
``EILinear``              dense
``EIRNN``, ``EIRNNCell``  recurrent, called like ``nn.RNN`` and ``nn.RNNCell``
------------------------  ------------------------------------------------------------------------------------------
Dale's ANN (DANN)         all units excite; interneurons inhibit between them, ``Wex - Wei Wix``
``DANNLinear``            dense, subtractive or shunting
``DANNRNN``               recurrent, inhibition fed forward between time steps; and ``DANNRNNCell``
------------------------  ------------------------------------------------------------------------------------------
``init``                  initialisations that make them learn
``functional``            the same maths as functions of tensors
========================  ==========================================================================================
"""

from daleml.layers import functional, init
from daleml.layers.circuit import EffectiveWeights
from daleml.layers.linear import DANNLinear, EILinear
from daleml.layers.recurrent import DANNRNN, EIRNN, DANNRNNCell, EIRNNCell

__all__ = [
    "DANNRNN",
    "EIRNN",
    "DANNLinear",
    "DANNRNNCell",
    "EILinear",
    "EIRNNCell",
    "EffectiveWeights",
    "functional",
    "init",
]
