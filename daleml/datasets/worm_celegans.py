"""The worm: C. elegans' chemical connectome, with a choice of rules for the signs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from daleml.datasets.connectome import Connectome
from daleml.datasets.shipped_tables import read_table

if TYPE_CHECKING:
    from pandas import DataFrame, Series

WormSignRule = Literal["receptor", "transmitter", "majority"]
"""The name of a rule that gives the worm's edges their signs."""

# The signs of predicted polarities; "complex" and "no pred" have none.
_POLARITY_SIGN = {"+": 1, "-": -1}
_TRANSMITTER_SIGN = {"ACh": 1, "Glu": 1, "GABA": -1}


def celegans(signs: WormSignRule = "receptor") -> Connectome:
    r"""C. elegans: 302 neurons, and 3,638 chemical connections between 297 of them.

    A transmitter is not a sign: what a synapse does is decided by the receptors it meets, and many
    neurons of the worm have synapses of both signs. The rule is therefore a choice, for the edge
    from neuron :math:`j` to neuron :math:`i` with :math:`w_{ij}` sections and predicted polarity
    :math:`p_{ij}`:

    - ``"receptor"``: :math:`s_{ij} = p_{ij}`, predicted from the receptors of neuron :math:`i`;
      unknown where the prediction is "complex" or there is none. Dale's law need not hold.
    - ``"transmitter"``: the sender's fast transmitter, acetylcholine and glutamate +1, GABA -1;
      unknown where the sender has none or two. Dale's law holds.
    - ``"majority"``: :math:`s_{ij} = \operatorname{sign} \sum_i p_{ij} w_{ij}`, the sum over the
      predicted edges of the sender; unknown for a tie or no prediction. Dale's law holds.

    Args:
        signs: Name of the rule.

    Returns:
        A :class:`Connectome`; weights are EM sections (synapses times their size), integers.
        ``neurons`` has ``transmitter`` (as printed by Wang et al. 2024), ``fast_transmitter``
        (ACh, Glu, GABA, two joined by "+", or empty), ``exc_sections`` and ``inh_sections`` (its
        predicted sections; missing where it has no prediction). ``edges`` has ``polarity`` too:
        "+", "-", "complex" or "no pred", whatever the rule.

    Raises:
        ValueError: If there is no rule of that name.

    Example:
        >>> from daleml.datasets import celegans
        >>> worm = celegans(signs="receptor")
        >>> worm.weights(+1).size, worm.weights(-1).size
        (1327, 425)
        >>> len(worm.dale_violations()), len(celegans(signs="majority").dale_violations())
        (97, 0)

    Notes:
        Of the 142 neurons with acetylcholine alone and a prediction, 42 are mostly inhibitory, so
        the transmitter rule is the least faithful. Weights are counts of at least 1: fit them as
        such.

    References:
        Fenyves et al. 2020 PLoS Comput Biol 16:e1007974, for weights and polarity.
        Wang et al. 2024 eLife 13:RP95402, for transmitters.
    """
    if signs not in tuple(_RULES):
        rules = ", ".join([f'"{rule}"' for rule in _RULES])
        raise ValueError(f"`signs` must be one of {rules}; got {signs!r}.")
    neurons = _neurons()
    edges = read_table("celegans_signed_edges.csv")
    edges["weight"] = edges["em_sections"].astype("float64")
    # Int8 of pandas: a sign may be missing.
    edges["sign"] = _RULES[signs](edges, neurons).astype("Int8")
    return Connectome(
        name=f"C. elegans, signs by {signs}",
        neurons=neurons,
        edges=edges[["source", "target", "weight", "sign", "polarity"]].copy(),
        source="tidied from S3 of Fenyves 2020 and supplement 2 of Wang 2024",
        licence="CC BY 4.0",
        citation=(
            "Fenyves et al. 2020 PLoS Comput Biol 16:e1007974; Wang et al. 2024 eLife"
            " 13:RP95402"
        ),
        weight_unit="EM sections",
    )


def _neurons() -> DataFrame:
    import pandas as pd

    table = read_table("celegans_neurons.csv")
    new_names = {
        "wang2024": "transmitter",
        "fast_nt": "fast_transmitter",
        "pred_exc_sections": "exc_sections",
        "pred_inh_sections": "inh_sections",
    }
    table = table.rename(columns=new_names)
    for column in ("exc_sections", "inh_sections"):
        table[column] = pd.to_numeric(table[column]).astype("Int64")
    return table


def _receptor_signs(edges: DataFrame, neurons: DataFrame) -> Series:
    return edges["polarity"].map(_POLARITY_SIGN)


def _transmitter_signs(edges: DataFrame, neurons: DataFrame) -> Series:
    of_neuron = neurons.set_index("neuron")["fast_transmitter"].map(_TRANSMITTER_SIGN)
    return edges["source"].map(of_neuron)


def _majority_signs(edges: DataFrame, neurons: DataFrame) -> Series:
    """Return the sign of most of a sender's predicted sections."""
    table = neurons.set_index("neuron")
    excess = table["exc_sections"] - table["inh_sections"]
    # A tie has no sign, and neither has a neuron without a prediction.
    return edges["source"].map(excess.clip(-1, 1).mask(excess == 0))


_RULES = {
    "receptor": _receptor_signs,
    "transmitter": _transmitter_signs,
    "majority": _majority_signs,
}
