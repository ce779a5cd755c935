"""Singular values by rank, each spectrum scaled to a largest value of 1.

Splitting units by sign leaves one singular value far above the others. H is the normalised
entropy of the spectrum.

Alt: Two falling curves: one drops at once to a tenth, the other falls evenly.
"""

import torch

from daleml import Populations
from daleml.analysis import plots, spectrum
from daleml.layers import DANNRNN, EIRNN

torch.manual_seed(0)
circuits = {"column EI": EIRNN(3, Populations(80, 20)), "DANN": DANNRNN(3, 100)}
plots.spectrum({name: spectrum(circuit) for name, circuit in circuits.items()})
