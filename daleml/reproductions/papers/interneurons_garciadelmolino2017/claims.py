"""Garcia del Molino et al. 2017: VIP does the opposite to SST where the baseline is high."""

from __future__ import annotations

from daleml.reproductions.claim import (
    OURS,
    PAPER_DIRECTION,
    PAPER_NUMBER,
    THE_PAPERS,
    Check,
    Claim,
    Paper,
)
from daleml.reproductions.papers.interneurons_garciadelmolino2017.experiments import (
    DRAWN,
    MODEL,
)
from daleml.reproductions.sweep import Panel, Sweep

_BASELINE = "baseline, from low (0) to high (1)"
_SWEEP = Sweep(
    name="reversal",
    title="What a current to VIP does, against the baseline of the circuit.",
    caption=(
        "Left, the model: 10 pA to VIP lowers SST's rate at low baselines and raises it at"
        " high ones. Middle, 200 units with the connection probabilities of mouse V1, and"
        " the model's mean currents or measured strengths. Right, whether excitation would"
        " run away by itself: above the dashed line inhibition stabilises the circuit."
    ),
    panels=(
        Panel(
            MODEL,
            "baselines",
            {
                "E": "E_{x:g}",
                "PV": "PV_{x:g}",
                "SST": "SST_{x:g}",
                "VIP": "VIP_{x:g}",
            },
            _BASELINE,
            "change by 10 pA to VIP, Hz",
            reference=0.0,
        ),
        Panel(
            DRAWN,
            "baselines",
            {
                "SST, model's currents": "model_SST_{x:g}",
                "SST, measured strengths": "measured_SST_{x:g}",
            },
            _BASELINE,
            "change by 10 pA to VIP, Hz",
            reference=0.0,
        ),
        Panel(
            DRAWN,
            "baselines",
            {
                "model's currents": "model_alone_{x:g}",
                "measured strengths": "measured_alone_{x:g}",
            },
            _BASELINE,
            "largest eigenvalue of E by itself",
            reference=0.0,
            reference_label="E runs away above it",
        ),
    ),
)

_PAPER = "eLife 6:e29742"
_OURS = "ours, from the equations of the paper"
# The paper compares no measured strengths: these claims ask how far its own reach.
_MEASURED_SOURCE = "ours: V1DD's probabilities, strengths of Campagnola et al. 2022"
_MEASURED = (
    "Strengths are in mV, so one factor is free: E receives 0.5 pA/Hz from E, a fifth of the"
    " model's, and the baselines are stable. From VIP to E too few pairs were measured, and"
    " there is no such pathway."
)

PAPER = Paper(
    "interneurons",
    "L. C. Garcia del Molino, G. R. Yang, J. F. Mejias, X.-J. Wang (2017) Paradoxical response"
    " reversal of top-down modulation in cortical circuits with three interneuron types,"
    " eLife 6:e29742",
    (
        Claim(
            "n1",
            "The low and the high baseline are stable fixed points of the published circuit.",
            f"{_PAPER}, and its public implementations",
            MODEL,
            (
                Check(
                    "printed",
                    "currents of the low baseline, largest difference from the printed, pA",
                    # They are printed with two decimals, which were cut and not rounded.
                    at_most=0.01,
                    owner=PAPER_NUMBER,
                ),
                Check(
                    "returns",
                    "distance from the baselines after a start up to 20 % away, Hz",
                    at_most=1e-6,
                    # A start that stayed where it is would end about so far away.
                    no_effect=1.0,
                    owner=OURS,
                ),
                Check(
                    "scipy",
                    "distance from scipy's integration after 200 ms of 10 pA to VIP, Hz",
                    # What steps of 0.1 ms may leave of the transient.
                    at_most=1e-4,
                    owner=OURS,
                    by_construction=True,
                ),
            ),
            "One unit for each population, an EIRNN whose rates leak, by steps of 0.1 ms; a"
            " baseline's currents are computed from its rates: 1, 10, 3, 2 Hz of E, PV, SST"
            " and VIP at the low one; 30, 50, 30, 20 Hz at the high one. Nothing is drawn but"
            " the start of the second check: two seeds show that the others are the same.",
            owner=THE_PAPERS,
        ),
        Claim(
            "n2",
            "A current to VIP lowers the rate of SST at the low baseline, and raises it at"
            " the high one: response reversal.",
            f"{_PAPER}, abstract",
            MODEL,
            (
                Check(
                    "SST_0",
                    "change of SST at the low baseline, Hz",
                    at_most=0.0,
                    no_effect=0.0,
                    owner=PAPER_DIRECTION,
                ),
                Check(
                    "SST_1",
                    "change of SST at the high baseline, Hz",
                    at_least=0.0,
                    no_effect=0.0,
                    owner=PAPER_DIRECTION,
                ),
            ),
            "10 pA, as in the paper; the rates after 200 ms. Claimed as a direction; nothing is"
            " drawn, as in n1.",
            owner=THE_PAPERS,
            earlier="It was stated with at least 1 Hz, a bound of ours, and held.",
        ),
        Claim(
            "n3",
            "A current to VIP disinhibits E, at both baselines.",
            f"{_PAPER}",
            MODEL,
            (
                Check(
                    "E_0",
                    "change of E at the low baseline, Hz",
                    at_least=0.0,
                    no_effect=0.0,
                    owner=PAPER_DIRECTION,
                ),
                Check(
                    "E_1",
                    "change of E at the high baseline, Hz",
                    at_least=0.0,
                    no_effect=0.0,
                    owner=PAPER_DIRECTION,
                ),
            ),
            "Claimed as a direction; nothing is drawn, as in n1.",
            owner=THE_PAPERS,
            earlier="It was stated with at least 0.1 Hz, a bound of ours, and held.",
        ),
        Claim(
            "n4",
            "Inhibition stabilises the circuit at the high baseline only: there a current to"
            " PV lowers the inhibition of E, the paradoxical effect, and PV's own rate rises"
            " all the same.",
            f"{_OURS}; the paradoxical effect is that of Tsodyks et al. 1997",
            MODEL,
            (
                Check(
                    "alone_0",
                    "largest eigenvalue of E by itself at the low baseline",
                    at_most=0.0,
                    owner=OURS,
                ),
                # Above 0 excitation would run away if inhibition did not follow it.
                Check(
                    "alone_1",
                    "largest eigenvalue of E by itself at the high baseline",
                    at_least=0.0,
                    owner=OURS,
                ),
                Check(
                    "inhibition_0",
                    "change of all inhibition of E by 10 pA to PV, pA, low baseline",
                    at_least=0.0,
                    no_effect=0.0,
                    owner=OURS,
                ),
                Check(
                    "inhibition_1",
                    "change of all inhibition of E by 10 pA to PV, pA, high baseline",
                    at_most=0.0,
                    no_effect=0.0,
                    owner=OURS,
                ),
                # In a circuit of one inhibitory type this one would fall.
                Check(
                    "pv_to_pv_1",
                    "change of PV by 10 pA to PV, Hz, high baseline",
                    at_least=0.0,
                    no_effect=0.0,
                    owner=OURS,
                ),
            ),
            "Eigenvalues are in units of one over the rates' time constant. Where E by itself"
            " would run away, less E needs less inhibition: what a circuit with one type of"
            " inhibition shows in that type's rate, one with three shows in their sum. Here"
            " SST falls while PV rises.",
            owner=OURS,
        ),
        Claim(
            "n5",
            "What reverses the response is E's excitation of SST: with a constant current in"
            " its place VIP lowers SST at both baselines, and the high one is not stable.",
            _OURS,
            MODEL,
            (
                Check(
                    "lesioned_SST_0",
                    "change of SST at the low baseline, Hz",
                    at_most=-1.0,
                    no_effect=0.0,
                    owner=OURS,
                ),
                Check(
                    "lesioned_SST_1",
                    "change of SST at the high baseline, Hz",
                    at_most=-1.0,
                    no_effect=0.0,
                    owner=OURS,
                ),
                # Rates that nothing drives have the eigenvalue -1.
                Check(
                    "lesioned_whole_1",
                    "largest eigenvalue of the whole at the high baseline",
                    at_least=0.0,
                    no_effect=-1.0,
                    owner=OURS,
                ),
            ),
            "PV alone does not hold E: SST has to follow it.",
            owner=OURS,
        ),
        Claim(
            "n6",
            "The response reverses in a circuit of many units too, wired at random with the"
            " connection probabilities of mouse V1.",
            "ours: 23E, PV, SST and VIP of V1DD, the model's mean currents",
            DRAWN,
            # Directions: how much depends on the wiring.
            (
                Check(
                    "model_SST_0",
                    "change of SST at the low baseline, Hz",
                    at_most=0.0,
                    no_effect=0.0,
                    owner=OURS,
                ),
                Check(
                    "model_SST_1",
                    "change of SST at the high baseline, Hz",
                    at_least=0.0,
                    no_effect=0.0,
                    owner=OURS,
                ),
                Check(
                    "model_E_0",
                    "change of E at the low baseline, Hz",
                    at_least=0.0,
                    no_effect=0.0,
                    owner=OURS,
                ),
                Check(
                    "model_E_1",
                    "change of E at the high baseline, Hz",
                    at_least=0.0,
                    no_effect=0.0,
                    owner=OURS,
                ),
            ),
            "160 E, 20 PV, 12 SST and 8 VIP units, log-normal strengths; a background for each"
            " unit gives all of a type one rate. An E unit has 7 synapses from others, so"
            " circuits differ: near the high baseline some are not stable, and in some the"
            " response does not reverse.",
            owner=OURS,
        ),
        Claim(
            "n7",
            "With measured strengths in place of the model's, VIP disinhibits E at both"
            " baselines as well.",
            _MEASURED_SOURCE,
            DRAWN,
            (
                Check(
                    "measured_E_0",
                    "change of E at the low baseline, Hz",
                    at_least=0.0,
                    no_effect=0.0,
                    owner=OURS,
                ),
                Check(
                    "measured_E_1",
                    "change of E at the high baseline, Hz",
                    at_least=0.0,
                    no_effect=0.0,
                    owner=OURS,
                ),
            ),
            _MEASURED,
            owner=OURS,
        ),
        Claim(
            "n8",
            "With measured strengths the response of SST reverses too.",
            _MEASURED_SOURCE,
            DRAWN,
            (
                Check(
                    "measured_SST_0",
                    "change of SST at the low baseline, Hz",
                    at_most=0.0,
                    no_effect=0.0,
                    owner=OURS,
                ),
                # This is what does not hold.
                Check(
                    "measured_SST_1",
                    "change of SST at the high baseline, Hz",
                    at_least=0.0,
                    no_effect=0.0,
                    owner=OURS,
                ),
            ),
            "As n7. E by itself does not run away at any baseline of this circuit, so its"
            " excitation of SST does not outweigh what VIP takes from it. A larger factor,"
            " at which E would, makes the high baseline unstable: PV cells, which inhibit"
            " each other strongly and are wired at random, then settle elsewhere.",
            owner=OURS,
        ),
        Claim(
            "n9",
            "To silence VIP does the opposite at both baselines: E falls, and SST rises at the"
            " low one and falls at the high one.",
            "ours: 23E, PV, SST and VIP of V1DD, the model's mean currents",
            DRAWN,
            (
                Check(
                    "model_silent_E_0",
                    "change of E at the low baseline, Hz",
                    at_most=0.0,
                    no_effect=0.0,
                    owner=OURS,
                ),
                Check(
                    "model_silent_E_1",
                    "change of E at the high baseline, Hz",
                    at_most=0.0,
                    no_effect=0.0,
                    owner=OURS,
                ),
                Check(
                    "model_silent_SST_0",
                    "change of SST at the low baseline, Hz",
                    at_least=0.0,
                    no_effect=0.0,
                    owner=OURS,
                ),
                Check(
                    "model_silent_SST_1",
                    "change of SST at the high baseline, Hz",
                    at_most=0.0,
                    no_effect=0.0,
                    owner=OURS,
                ),
            ),
            "As n6, by `layers.silence`. At the high baseline VIP loses 20 Hz, far more than"
            " 10 pA add; circuits differ more than in n6.",
            owner=OURS,
        ),
    ),
    (_SWEEP,),
)
