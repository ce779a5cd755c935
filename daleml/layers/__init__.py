"""Layers whose units are excitatory or inhibitory.

==============================  ==============================================================
Column EI                       The presynaptic units are partitioned. There is one signed
                                weight, which projection or EG keeps lawful.
``EILinear``                    dense
``EIConv1d``, ``EIConv2d``      convolutional, over channels
``EIRNN``, ``EIRNNCell``        recurrent, called like ``nn.RNN`` and ``nn.RNNCell``
``Readout``                     what a circuit says: takes the pair that a circuit returns
------------------------------  --------------------------------------------------------------
Dale's ANN (DANN)               All units excite; interneurons inhibit between them,
                                ``Wex - Wei Wix``.
``DANNLinear``                  dense, subtractive or shunting
``DANNConv1d``, ``DANNConv2d``  convolutional, with two banks of filters
``DANNRNN``, ``DANNRNNCell``    recurrent, with inhibition fed forward between time steps
------------------------------  --------------------------------------------------------------
``Blocks``                      one number for each pathway between named populations
``silence``, ``drive``          blocks in which units of a circuit are silent, or driven
``silence_pathway``,            blocks in which recurrent synapses transmit nothing
``lesion``
``populations_after``           which outputs of a pooling or flattening inhibit
``init``                        initialisations that make these layers learn
``functional``                  the same maths as functions of tensors
==============================  ==============================================================
"""

from daleml.layers import dynamics, functional, init
from daleml.layers._recurrent.circuit import EffectiveWeights
from daleml.layers.blocks import Blocks
from daleml.layers.conv import DANNConv1d, DANNConv2d, EIConv1d, EIConv2d
from daleml.layers.linear import DANNLinear, EILinear
from daleml.layers.perturbations import drive, lesion, silence, silence_pathway
from daleml.layers.propagation import populations_after
from daleml.layers.readout import Readout
from daleml.layers.recurrent import DANNRNN, EIRNN
from daleml.layers.recurrent_cells import DANNRNNCell, EIRNNCell

__all__ = [
    "DANNRNN",
    "EIRNN",
    "Blocks",
    "DANNConv1d",
    "DANNConv2d",
    "DANNLinear",
    "DANNRNNCell",
    "EIConv1d",
    "EIConv2d",
    "EILinear",
    "EIRNNCell",
    "EffectiveWeights",
    "Readout",
    "drive",
    "dynamics",
    "functional",
    "init",
    "lesion",
    "populations_after",
    "silence",
    "silence_pathway",
]
