"""Experimental data, each with its source, licence and citation.

Connectomes, each a :class:`Connectome` (tidy tables, a graph, weights by sign, Dale's law checked):

- :func:`celegans`: 302 neurons of the worm, 3,638 chemical connections; a choice of sign rules.
- :func:`fly_visual`: 65 cell types of the fly's visual system, 605 connections, all signed.
- :func:`larva_mushroom_body`: 209 or 213 neurons of the fly's larva, signed by class where the
  class is.
- :func:`larva`: 366 neurons of the larva's brain, signed by transmitter; from files of yours.
- :func:`mossy_fibres`: boutons onto granule cells of mouse cerebellum; from a file of yours.
- :func:`read_connectome`: tables of FlyWire, MICrONS, the hemibrain, the worm, or of yours.

Synapses one by one, each a :class:`SynapseTable` (tidy columns with units, and what could not
be seen), from files of yours:

- :func:`kasthuri`: 1,700 synapses of mouse somatosensory cortex, excitatory and inhibitory.
- :func:`microns_l23`: 1,961 synapses between pyramidal cells of mouse visual cortex.
- :func:`cerebellum`: 8,722 synapses of granule cells onto Purkinje cells.
- :func:`read_synapses`: any table of yours.

Cell types and the pathways between them, each a :class:`CellTypeTable` (probabilities, strengths,
or both, which ``Blocks`` of ``daleml.layers`` takes):

- :func:`potjans_diesmann`: excitatory and inhibitory cells of four cortical layers.
- :func:`v1dd`: 19 cell types of mouse V1, peak probabilities by electron microscopy.
- :func:`billeh`: E, PV and SST within four layers of mouse V1, probabilities at 75 um.
- :func:`campagnola`: strengths between E, PV, SST and VIP of mouse visual cortex.
- :func:`pfeffer`: relative strengths of what PV, SST and VIP cells inhibit.
- :func:`garcia_del_molino`: a rate model of E, PV, SST and VIP.

Images, as an :class:`ImageSplit` (tensors, a fixed split):

- :func:`digits`: 1,797 handwritten digits of 8 x 8 pixels.
- :func:`fashion_mnist`: articles of clothing of 28 x 28 pixels, 10,000 of them or all 70,000,
  from files of yours.

Nothing is downloaded, and each call returns tables of its own: edit them freely. Files of yours
are looked for where ``path`` says, or in the folder that the environment variable
``DALEML_DATA`` names.

A new data set is a file called by what was measured, as ``mouse_visual_cortex``, with one
function that returns one of the four classes:

==============================  ====================================================
module                          what it holds
==============================  ====================================================
``connectome``                  the class :class:`Connectome`
``synapse_table``               the class :class:`SynapseTable`
``cell_type_table``             the class :class:`CellTypeTable`
``cell_type_checks``            what it refuses
``unit_counts``                 how many units it gives to each type
``image_split``                 the class :class:`ImageSplit`
``shipped_tables``              reading tables of ``data/``, for what may be shipped
``shipped_cell_types``          reading those of cell types
``local_files``                 finding and checking files that may not be shipped
``own_synapses``                ``read_synapses``: any table of the user's
``worm_celegans``               ``celegans``
``fly_visual_system``           ``fly_visual``
``fly_larva``                   ``larva``, ``larva_mushroom_body``
``mouse_cerebellum``            ``cerebellum``, ``mossy_fibres``
``mouse_somatosensory_cortex``  ``kasthuri``
``mouse_visual_cortex``         ``microns_l23``
``cortical_layers``             ``potjans_diesmann``, ``billeh``
``mouse_cell_types``            ``v1dd``, ``campagnola``, ``pfeffer``
``interneuron_circuit``         ``garcia_del_molino``
``digit_images``                ``digits``
``fashion_images``              ``fashion_mnist``
``published_connectomes``       ``read_connectome``
``published_layouts``           the tables that it knows, and the signs of transmitters
``neuron_tables``               tables of neurons beside connections
``sign_sources``                what says the signs of their connections
``worm_workbooks``              adjacency matrices in workbooks
==============================  ====================================================
"""

from __future__ import annotations

from daleml.datasets.cell_type_table import CellTypeTable
from daleml.datasets.connectome import Connectome
from daleml.datasets.cortical_layers import billeh, potjans_diesmann
from daleml.datasets.digit_images import digits
from daleml.datasets.fashion_images import fashion_mnist
from daleml.datasets.fly_larva import larva, larva_mushroom_body
from daleml.datasets.fly_visual_system import fly_visual
from daleml.datasets.image_split import ImageSplit
from daleml.datasets.interneuron_circuit import garcia_del_molino
from daleml.datasets.mouse_cell_types import campagnola, pfeffer, v1dd
from daleml.datasets.mouse_cerebellum import cerebellum, mossy_fibres
from daleml.datasets.mouse_somatosensory_cortex import kasthuri
from daleml.datasets.mouse_visual_cortex import microns_l23
from daleml.datasets.own_synapses import read_synapses
from daleml.datasets.published_connectomes import read_connectome
from daleml.datasets.synapse_table import SynapseTable
from daleml.datasets.worm_celegans import celegans

__all__ = [
    "CellTypeTable",
    "Connectome",
    "ImageSplit",
    "SynapseTable",
    "billeh",
    "campagnola",
    "celegans",
    "cerebellum",
    "digits",
    "fashion_mnist",
    "fly_visual",
    "garcia_del_molino",
    "kasthuri",
    "larva",
    "larva_mushroom_body",
    "microns_l23",
    "mossy_fibres",
    "pfeffer",
    "potjans_diesmann",
    "read_connectome",
    "read_synapses",
    "v1dd",
]
