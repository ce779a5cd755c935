"""Initialisations that make sign-constrained layers learn.

All work in place, under ``no_grad``, and draw from ``generator``.

======================================  ====================================================
``exponential_``, ``lognormal_``        positive numbers of a given mean
``column_ei_``                          a weight whose columns have signs
``dann_``, ``dann_iclr2021_``           the three matrices of a Dale's ANN
``lognormal_model_``                    every weight of a model, log-normal
``spectral_radius_``                    a recurrent weight of a given spectral radius
``svd_spectrum_``, ``low_rank_``        a weight of given singular values, or of a given rank
``rectified_radius``                    how fast rates that are not negative grow in a weight
``balance_rows_``                       rows whose excitation and inhibition cancel
======================================  ====================================================
"""

from daleml.layers.init.draws import (
    RECTIFIED_MEAN,
    Draw,
    column_ei_,
    dann_,
    dann_iclr2021_,
    exponential_,
    lognormal_,
)
from daleml.layers.init.matrix_spectra import (
    balance_rows_,
    has_loop,
    low_rank_,
    radius_factor,
    spectral_radius_,
    svd_spectrum_,
)
from daleml.layers.init.rectified_spectra import rectified_radius
from daleml.layers.init.whole_model import lognormal_model_

__all__ = [
    "RECTIFIED_MEAN",
    "Draw",
    "balance_rows_",
    "column_ei_",
    "dann_",
    "dann_iclr2021_",
    "exponential_",
    "has_loop",
    "lognormal_",
    "lognormal_model_",
    "low_rank_",
    "radius_factor",
    "rectified_radius",
    "spectral_radius_",
    "svd_spectrum_",
]
