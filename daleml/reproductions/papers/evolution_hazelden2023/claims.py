"""Hazelden et al. 2023: losses alone teach biophysical networks what gradients cannot."""

from __future__ import annotations

from daleml.reproductions.claim import Check, Claim, Paper
from daleml.reproductions.papers.evolution_hazelden2023.experiments import (
    FIRING,
    HORIZONS,
    INTEGRATION,
    SILENCING,
    SPIRAL,
)
from daleml.reproductions.sweep import Panel, Sweep

# The label of the axis of three panels.
_TIME = "time that the gradient goes through, ms"
_SWEEP = Sweep(
    name="horizon",
    title="Sign and size of the gradient against the horizon.",
    caption=(
        "Left and middle, one neuron to be silenced, as in e2: its loss rises with the"
        " weight, and half would be right by chance; a gradient by evolution is one"
        " estimate a seed. Right, the network of e3 before it learns."
    ),
    panels=(
        Panel(
            SILENCING,
            "horizons_ms",
            {"backpropagation": "bp_positive_{x:g}", "evolution": "es_positive_{x:g}"},
            _TIME,
            "share of gradients of the right sign",
            y_limits=(0, 1.03),
            reference=0.5,
            # A gradient of random sign.
            reference_label="by chance",
        ),
        Panel(
            SILENCING,
            "horizons_ms",
            {
                "backpropagation, s.d.": "bp_sd_{x:g}",
                "evolution": "es_{x:g}",
                "slope of the loss": "slope_{x:g}",
            },
            _TIME,
            "gradient of one neuron",
            log_y=True,
        ),
        Panel(
            HORIZONS,
            "horizons_ms",
            {"backpropagation": "norm_{x:g}"},
            _TIME,
            "norm of the network's gradient",
            log_y=True,
        ),
    ),
)

_PREPRINT = "arXiv 2311.10869 v2"

PAPER = Paper(
    "evolution",
    "J. Hazelden, Y. H. Liu, E. Shlizerman, E. Shea-Brown (2023) Evolutionary algorithms as"
    " an alternative to backpropagation for supervised training of biophysical neural"
    " networks and neural ODEs, arXiv 2311.10869 v2",
    (
        Claim(
            "e1",
            "The Morris-Lecar neuron of the network is of type I: it begins to fire at a"
            " low rate.",
            f"{_PREPRINT}, constants of the network's cells",
            FIRING,
            (
                Check(
                    "rheobase",
                    "current at which firing begins, µA/cm²",
                    at_least=39.5,
                    at_most=40.5,
                ),
                Check("onset_hz", "firing rate there, Hz", at_most=5.0),
                Check(
                    "block",
                    "current of depolarisation block, µA/cm²",
                    at_least=110.0,
                    at_most=120.0,
                ),
                Check(
                    "at_100_hz",
                    "firing rate at 100 µA/cm², Hz",
                    at_least=23.0,
                    at_most=25.0,
                ),
            ),
            "Spikes are counted after the onset's transient; a cell that will rest may fire"
            " once before.",
        ),
        Claim(
            "e2",
            "Where spikes are all or none, backpropagation's gradient misleads, and"
            " evolution's does not.",
            f"{_PREPRINT}, figure 1: turn a neuron off",
            SILENCING,
            (
                Check(
                    "bp_positive",
                    "share of gradients with the slope's sign, at the best horizon",
                    # As many would be right by chance.
                    at_most=0.5,
                ),
                Check(
                    "bp_spread",
                    "their spread over the slope, at the calmest horizon",
                    at_least=30.0,
                    no_effect=1.0,
                ),
                Check(
                    "es_least",
                    "smallest slope by evolution over the horizons",
                    at_least=0.125,
                    no_effect=0.0,
                ),
                Check(
                    "es_most",
                    "largest slope by evolution over the horizons",
                    at_most=0.5,
                ),
            ),
            "The network's cell, by the semi-implicit step: the figure's own cell leaves"
            " its capacitance out. Horizons of 100, 200, 400 and 800 ms, weights in [0.55,"
            " 0.60]; evolution smooths over 0.1, more widely than that. The slope is that"
            " of a line through 201 weights: spikes make the loss a staircase, and at 200"
            " ms one step of it lies within that range.",
        ),
        Claim(
            "e3",
            "The gradient through the network grows with the time it goes through.",
            f"{_PREPRINT}, why backpropagation fails",
            HORIZONS,
            (
                Check(
                    "decades_800",
                    "growth of its norm from 200 to 800 ms, decades",
                    # A decade is a factor of ten: from 200 to 800 ms, at least twentyfold.
                    at_least=1.3,
                    no_effect=0.0,
                ),
                Check(
                    "decades_1200",
                    "growth from 200 to 1,200 ms, decades",
                    # At least a hundredfold.
                    at_least=2.0,
                    no_effect=0.0,
                ),
            ),
            "At the initial weights, 32 cells, the published steps of 0.1 ms; a longer"
            " phrase is one of longer words. Growth is averaged in decades, since norms"
            " differ by orders of magnitude from seed to seed.",
        ),
        Claim(
            "e4",
            "Antithetic pairs learn far better than the published one-sided estimate, at"
            " the same population.",
            f"{_PREPRINT}, spiral neural ODE",
            SPIRAL,
            (
                Check(
                    "ratio",
                    "error one-sided over error in pairs, after 50 steps",
                    at_least=5.0,
                    # Both estimates would learn equally well.
                    no_effect=1.0,
                ),
            ),
            "The paper's own estimator is the one-sided. The same initial weights and"
            " batches for both; Runge-Kutta at the data's times; 200 hidden units in the"
            " quick budget, the published 1,000 in the paper's.",
        ),
        Claim(
            "e5",
            "Evolution teaches the network to integrate evidence, beyond what its readout"
            " alone could.",
            f"{_PREPRINT}, figure 3",
            INTEGRATION,
            (
                Check("es", "accuracy by evolution", at_least=0.6, no_effect=1 / 3),
                Check(
                    "es_minus_readout",
                    "less that of the readout alone",
                    at_least=0.1,
                    no_effect=0.0,
                ),
            ),
            "32 cells, the published steps of 0.1 ms, 32 members in pairs. The readout"
            " alone is trained to the end on as many phrases, which favours it. The quick"
            " budget gives evolution 120 steps, far fewer than it needs.",
        ),
        Claim(
            "e6",
            "Evolution succeeds at integrating evidence where backpropagation fails.",
            f"{_PREPRINT}, abstract and figure 3",
            INTEGRATION,
            (
                Check(
                    "es_minus_bp",
                    "accuracy by evolution less that by backpropagation",
                    at_least=0.0,
                    no_effect=0.0,
                ),
                Check("bp", "accuracy by backpropagation", at_most=0.45),
            ),
            "As many steps of both, one optimiser, the norm clipped at 10, no NaN met. In"
            " the authors' saved runs backpropagation rises to 0.45 to 0.63 and falls back"
            " to chance within 200 steps.",
        ),
        Claim(
            "e7",
            "Evolution trains a stiff neural ODE that backpropagation cannot.",
            f"{_PREPRINT}, abstract",
            None,
            (),
            "The paper's text at hand names neither the equation nor a number. The usual"
            " benchmark, Robertson's reaction, is in daleml.learning, with a solver that"
            " either gradient can go through.",
        ),
    ),
    (_SWEEP,),
)
