"""Experimental data that ships with daleml, each with its source, licence and citation.

Connectomes, each a :class:`Connectome` (tidy tables, a graph, weights by sign, Dale's law checked):

- :func:`celegans`: 302 neurons of the worm, 3,638 chemical connections; a choice of sign rules.
- :func:`fly_visual`: 65 cell types of the fly's visual system, 605 connections, all signed.

Images, as an :class:`ImageSplit` (tensors, a fixed split):

- :func:`digits`: 1,797 handwritten digits of 8 x 8 pixels.
- :func:`fashion_mnist`: 10,000 articles of clothing of 28 x 28 pixels, from files of yours.

Nothing is downloaded, and each call returns tables of its own: edit them freely.
"""

from __future__ import annotations

from daleml.datasets.celegans import celegans
from daleml.datasets.connectome import Connectome
from daleml.datasets.digits import ImageSplit, digits
from daleml.datasets.fashion import fashion_mnist
from daleml.datasets.fly import fly_visual

__all__ = ["Connectome", "ImageSplit", "celegans", "digits", "fashion_mnist", "fly_visual"]
