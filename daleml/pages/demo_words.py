"""The sentences of the demo's page that hang on what was found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from daleml.analysis import family_label

Arms = Mapping[str, Mapping[str, Any]]

_KEPT = 1.5
"""A distance that grew by less than this factor is said to be kept."""

_ALIKE = 0.02
"""Entropies that differ by less than this are said to be alike."""


def checked_steps(arms: Arms) -> tuple[int, int]:
    """Return how many steps were judged by the law, and how many of them broke it."""
    steps = lawless = 0
    for arm in arms.values():
        # Only networks under the law have been judged by it.
        if arm["sign_violations"]:
            steps += arm["steps"]
            lawless += arm["lawless_steps"]
    return steps, lawless


def lead(arms: Arms) -> str:
    """Return the sentence that a reader takes away."""
    checks, broken = checked_steps(arms)
    # The page must not claim what this run did not find, whatever runs before it did.
    law = f"{broken:,} of those steps left a synapse with the wrong sign"
    if broken == 0:
        law = "no synapse of any of them had the wrong sign, ever"
    n_lawful = sum(bool(arm["sign_violations"]) for arm in arms.values())
    flips = np.mean(arms["mlp"]["sign_flips"])
    return (
        f"Neurons excite or inhibit, never both. Under that law {n_lawful} networks learned;"
        f" after each of {checks:,} steps of learning all their signs were checked, and"
        f" {law}. An ordinary network's weights changed sign in {flips:.1%} of cases."
    )


def errors(arms: Arms) -> str:
    """Say how the networks compare, and how little a difference means."""
    error = {key: float(np.mean(arm["test_error"])) for key, arm in arms.items()}
    said = []
    for key in ("column_ei", "dann_sgd", "dann_eg"):
        points = 100 * (error[key] - error["mlp"])
        said.append(f"{arms[key]['label']} by {points:+.1f} points")
    return (
        f"Beside the MLP's {error['mlp']:.2%}, the test error differs for"
        f" {', for '.join(said)}. It is the mean of the last five epochs. Learning rates are"
        " one of a few that were tried on these same test digits, so differences of a point"
        " mean little."
    )


def kept_shape(arms: Arms) -> list[str]:
    """Say what each rule left of the log-normal that two networks began with."""
    start = float(np.mean(arms["dann_eg"]["ks_lognormal_before"]))
    after_sgd = float(np.mean(arms["dann_sgd"]["ks_lognormal"]))
    after_eg = float(np.mean(arms["dann_eg"]["ks_lognormal"]))
    return [
        (
            "Both DANNs began with the same log-normal excitatory weights. Gradient descent"
            f" adds, so weights that shrink run into zero. {_changed(start, after_sgd)} EG"
            f" multiplies, so no weight reaches zero. {_changed(start, after_eg)}"
        ),
        (
            "The distance of z-scored ln|w| from the normal (Kolmogorov-Smirnov, mean of"
            f" the hidden layers) was {start:.4f} at the start; it is {after_sgd:.4f} after"
            f" gradient descent and {after_eg:.4f} after EG. The other two networks began"
            " from other distributions, so only these two compare learning rules."
        ),
    ]


def _changed(before: float, after: float) -> str:
    """Say what became of a distance from log-normal."""
    if after < before / _KEPT:
        return "Here the weights came nearer to a log-normal."
    if after <= _KEPT * before:
        return "Here the shape of ln|w| stayed nearly as it was."
    return f"Here the distance from log-normal grew {after / before:.0f}-fold."


def spectra(arms: Arms, layer: int) -> str:
    """Say how evenly the singular values of one layer are spread, at the start."""
    # An ordinary weight has its own name, the effective weight of a layer that of the layer.
    entropy = {
        "MLP": _before(arms["mlp"], f"{layer}.weight"),
        "column EI": _before(arms["column_ei"], str(layer)),
        "DANN": _before(arms["dann_sgd"], str(layer)),
    }
    return (
        "The singular values of what multiplies a layer's input, largest first. At the start"
        f" the normalised entropy H of the second layer is {_listed(entropy)}."
        f" {_nearer(entropy, 'MLP')} The mean of the column-EI matrix is one direction of"
        " its own; a DANN's inhibition starts by removing the mean exactly, which leaves one"
        " singular value at zero."
    )


def _before(arm: Mapping[str, Any], matrix: str) -> float:
    return float(arm["svd_entropy"][matrix][0])


def row_spectra(entropy: Mapping[str, float]) -> str:
    """Say how evenly the singular values of the recurrent weights are spread, at the start.

    Args:
        entropy: That of the RNN, of column EI and of the DANN, by these names.
    """
    return (
        "Before learning, the normalised entropy H of the effective recurrent weight is"
        f" {_listed(entropy)}. {_nearer(entropy, 'RNN')} These learning rates, too, are one"
        " of a few that were tried on the same test digits."
    )


def _listed(entropy: Mapping[str, float]) -> str:
    said = [f"{value:.3f} for the {name}" for name, value in entropy.items()]
    said = [one.replace("the column EI", "column EI") for one in said]
    return f"{', '.join(said[:-1])} and {said[-1]}"


def _nearer(entropy: Mapping[str, float], ordinary: str) -> str:
    """Say which of two lawful networks starts with the spectrum of the ordinary one."""
    gap = {name: abs(value - entropy[ordinary]) for name, value in entropy.items()}
    if abs(gap["DANN"] - gap["column EI"]) < _ALIKE:
        return f"Both lawful networks start equally far from the {ordinary}."
    near, far = sorted(("DANN", "column EI"), key=lambda name: gap[name])
    near, far = (name.replace("DANN", "the DANN") for name in (near, far))
    return (
        f"{near[0].upper()}{near[1:]} starts nearer to the {ordinary} than {far} does."
    )


def rivals(families: list[str]) -> str:
    """Return the families that the log-normal was compared with."""
    names = [family_label(name) for name in families if name != "lognormal"]
    return f"{', '.join(names[:-1])} and {names[-1]}"


def unfitted(synapses: Mapping[str, list[Mapping[str, Any]]]) -> str:
    """Say which populations no family was fitted to, if any."""
    met = set()
    for key, rows in synapses.items():
        # The reasons are looked for in the tables that the page shows, and no others.
        if key != "mlp":
            met |= {row["not fitted"] for row in rows}
    reasons = [f"`{reason}`" for reason in ("too few", "nearly equal") if reason in met]
    if not reasons:
        return ""
    which = " or ".join(reasons)
    return f"Where weights are {which}, no family is named: any would fit."


def how_fitted(counts: Mapping[str, bool]) -> str:
    """Say which connectomes were fitted as counts, and why the others were not."""
    said = []
    for name, whole in counts.items():
        short = name.partition(",")[0]
        if whole:
            said.append(
                f"Those of {short} are whole numbers, and are fitted as counts, of which"
                " zero is not seen."
            )
        else:
            said.append(
                f"Those of {short} are means of counts, which are no whole numbers: they"
                " cannot be fitted as counts, and a continuous fit describes them without"
                " settling which family they come from."
            )
    return " ".join(said)


def first_of_brains(brains: Mapping[str, list[Mapping[str, Any]]]) -> str:
    """Say which family ranks first for all synapses of each connectome."""
    said = []
    for name, rows in brains.items():
        whole = rows[0]
        if not whole["best family"]:
            continue
        one = f"For {name.partition(',')[0]} the {family_label(whole['best family'])} ranks first"
        behind = whole["log-normal behind by (AICc)"]
        if whole["best family"] != "lognormal":
            one += f", with the log-normal {behind:,.1f} AICc behind"
        said.append(f"{one}.")
    return " ".join(said)
