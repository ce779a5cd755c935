"""Layers whose units are excitatory or inhibitory.

========================  ==========================================================================================
Column EI                 presynaptic units are partitioned; one signed weight, lawful by projection or EG
``EILinear``              dense
------------------------  ------------------------------------------------------------------------------------------
Dale's ANN (DANN)         all units excite; interneurons inhibit between them, ``Wex - Wei Wix``
``DANNLinear``            dense, subtractive or shunting
------------------------  ------------------------------------------------------------------------------------------
``init``                  initialisations that make them learn
``functional``            the same maths as functions of tensors
========================  ==========================================================================================
"""

from daleml.layers import functional, init
from daleml.layers.linear import DANNLinear, EILinear

__all__ = ["DANNLinear", "EILinear", "functional", "init"]
