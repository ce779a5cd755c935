"""Experimental data, each with its source, licence and citation.

Connectomes, each a :class:`Connectome` (tidy tables, a graph, weights by sign, Dale's law checked):

- :func:`celegans`: 302 neurons of the worm, 3,638 chemical connections; a choice of sign rules.
- :func:`fly_visual`: 65 cell types of the fly's visual system, 605 connections, all signed.
- :func:`larva_mushroom_body`: 209 or 213 neurons of the fly's larva, signed by class where the
  class is.
- :func:`larva`: 366 neurons of the larva's brain, signed by transmitter; from files of yours.
- :func:`mossy_fibres`: boutons onto granule cells of mouse cerebellum; from a file of yours.

Synapses one by one, each a :class:`SynapseTable` (tidy columns with units, and what could not
be seen), from files of yours:

- :func:`kasthuri`: 1,700 synapses of mouse somatosensory cortex, excitatory and inhibitory.
- :func:`microns_l23`: 1,961 synapses between pyramidal cells of mouse visual cortex.
- :func:`cerebellum`: 8,722 synapses of granule cells onto Purkinje cells.
- :func:`read_synapses`: any table of yours.

Images, as an :class:`ImageSplit` (tensors, a fixed split):

- :func:`digits`: 1,797 handwritten digits of 8 x 8 pixels.
- :func:`fashion_mnist`: 10,000 articles of clothing of 28 x 28 pixels, from files of yours.

Nothing is downloaded, and each call returns tables of its own: edit them freely. Files of yours
are looked for where ``path`` says, or in the folder that the environment variable
``DALEML_DATA`` names.
"""

from __future__ import annotations

from daleml.datasets.connectome import Connectome
from daleml.datasets.digit_images import ImageSplit, digits
from daleml.datasets.fashion import fashion_mnist
from daleml.datasets.fly import fly_visual
from daleml.datasets.fly_larva import larva, larva_mushroom_body
from daleml.datasets.kasthuri2015 import kasthuri
from daleml.datasets.microns import microns_l23
from daleml.datasets.mouse_cerebellum import cerebellum, mossy_fibres
from daleml.datasets.synapse_table import SynapseTable, read_synapses
from daleml.datasets.worm import celegans

__all__ = [
    "Connectome",
    "ImageSplit",
    "SynapseTable",
    "celegans",
    "cerebellum",
    "digits",
    "fashion_mnist",
    "fly_visual",
    "kasthuri",
    "larva",
    "larva_mushroom_body",
    "microns_l23",
    "mossy_fibres",
    "read_synapses",
]
