"""The fly's larva: its neurons of known transmitter, and its mushroom bodies."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Literal

from daleml.datasets.connectome import Connectome
from daleml.datasets.local_files import LocalFile

_ORIGIN = (
    "joined by name from the connectome of Winding et al. 2023 Science 379:eadd9330 and "
    "https://github.com/funkelab/drosophila_neurotransmitters"
)
_NEURONS = LocalFile(
    "larva_signed_neurons.csv",
    "0a03c4280f0799a4eea1a5acdc94fc1105d92ced0c05e39ba8d890162efe9b9b",
    _ORIGIN,
)
_EDGES = LocalFile(
    "larva_signed_edges.csv",
    "bfb7552e3a5a284bb6dd2398cd5aa16c05e036ff4b061905903b645716b7ea4e",
    _ORIGIN,
)

# The name and the sign of a class, by its letter. Output neurons are of both signs, and input
# neurons modulate.
_CLASSES = {
    "K": ("Kenyon cell", 1),
    "P": ("projection neuron", 1),
    "O": ("output neuron", None),
    "I": ("input neuron", None),
}


def larva(
    path: str | Path | None = None, *, glutamate: int | None = -1, check: bool = True
) -> Connectome:
    r"""The larva of the fly: 366 neurons of known transmitter, and their 12,345 connections.

    The sign of the edge from neuron :math:`j` to neuron :math:`i` is that of the sender's
    transmitter, :math:`s_{ij} = s(t_j)`: acetylcholine +1, GABA -1. Dale's law holds by that
    rule. The files are not shipped, and nothing is downloaded: ``path`` says where they are.

    Args:
        path: The folder of ``larva_signed_edges.csv`` and ``larva_signed_neurons.csv``;
            default: the folder that the environment variable ``DALEML_DATA`` names.
        glutamate: Sign of the 26 glutamatergic neurons: -1, as their chloride channels have it
            where they were recorded in the fly's olfactory system; +1; or None, unknown.
        check: Whether to refuse files whose SHA-256 is another.

    Returns:
        A :class:`Connectome`; weights are synapse counts, integers. ``neurons`` has ``name``,
        ``group`` (KCs, PNs, MBONs, ...), ``hemisphere`` (L, R) and ``transmitter``
        (acetylcholine, 300 neurons; gaba, 40; glutamate, 26).

    Raises:
        FileNotFoundError: If a file is missing; the sentence says what it is made of.
        ValueError: If ``path`` is left out where ``DALEML_DATA`` is not set, a file is another,
            or ``glutamate`` is no sign.

    Example:
        >>> try:
        ...     larva("no/such/folder")
        ... except FileNotFoundError as error:
        ...     print(error)  # doctest: +ELLIPSIS
        `path` must be larva_signed_neurons.csv or its folder; it is ...

    Notes:
        They are 14 % of the brain's neurons, and no fair sample: 222 are Kenyon cells, whose
        transmitter is known for the class. Half of the matches between the two sources are of
        low confidence, 2 of 5 as they score it.

    References:
        Winding et al. 2023 Science 379:eadd9330; Pedigo et al. 2023 eLife 12:e83739.
        Liu & Wilson 2013 PNAS, for glutamate that inhibits.
    """
    if isinstance(glutamate, bool) or glutamate not in (1, -1, None):
        raise ValueError(f"`glutamate` must be +1, -1 or None; got {glutamate!r}.")
    of_neurons = ("neuron", "name", "simple_group", "hemisphere", "nt")
    neurons = _NEURONS.table(path, of_neurons, check=check)
    of_edges = ("source", "target", "synapses")
    edges = _EDGES.table(path, of_edges, check=check, numbers=("synapses",))
    neurons = neurons.rename(columns={"simple_group": "group", "nt": "transmitter"})
    signs = {"acetylcholine": 1, "gaba": -1, "glutamate": glutamate}
    # A transmitter without a sign leaves the sign missing.
    of_neuron = neurons.set_index("neuron")["transmitter"].map(signs)
    edges["weight"] = edges["synapses"].astype("float64")
    edges["sign"] = edges["source"].map(of_neuron).astype("Int8")
    return Connectome(
        name="Larva of the fly, neurons of known transmitter",
        neurons=neurons,
        edges=edges[["source", "target", "weight", "sign"]].copy(),
        source=(
            "Winding et al. 2023, joined with funkelab/drosophila_neurotransmitters by name"
        ),
        licence="MIT; CC BY 4.0",
        citation=(
            "Winding et al. 2023 Science 379:eadd9330; Pedigo et al. 2023 eLife 12:e83739"
        ),
        weight_unit="synapses",
    )


def larva_mushroom_body(side: Literal["left", "right"] = "left") -> Connectome:
    """The mushroom body of the fly's larva: every neuron and connection of a centre of learning.

    Args:
        side: "left", 209 neurons and 7,425 connections; or "right", 213 and 7,536.

    Returns:
        A :class:`Connectome`; weights are synapse counts, integers. A neuron's name is the
        letter of its class and a number in the order of the source: K1, K2, ..., P1, ...
        ``neurons`` has ``letter`` and ``cell_class``: Kenyon cell, projection neuron, output
        neuron or input neuron. Kenyon cells and projection neurons excite, as classes (+1);
        output neurons are of both kinds and input neurons modulate, so the signs of their edges
        are missing.

    Raises:
        ValueError: If there is no such side.

    Example:
        >>> from daleml.datasets import larva_mushroom_body
        >>> print(larva_mushroom_body("left"))
        Mushroom body of the fly's larva, left: 209 neurons, 7425 edges, 6519 of known sign
        Eichler et al. 2017 Nature 548:175
        >>> larva_mushroom_body().graph()["K1"]["K2"]
        {'weight': 4.0, 'sign': 1}

    Notes:
        All known signs are +1: the graph is for degrees, strengths and reciprocity. It cannot
        say whether the larva keeps Dale's law.

    References:
        Eichler et al. 2017 Nature 548:175.
    """
    if side not in ("left", "right"):
        raise ValueError(f'`side` must be "left" or "right"; got {side!r}.')
    import numpy as np
    import pandas as pd

    home = resources.files("daleml.datasets") / "data" / "larva_mushroom_body"
    matrix = home / f"larva_mushroom_body_{side}_adjacency.txt"
    labels = home / f"larva_mushroom_body_{side}_labels.txt"
    with matrix.open(encoding="utf-8") as file:
        counts = np.loadtxt(file)
    letters = pd.Series(labels.read_text(encoding="utf-8").split())
    # Neurons have no names in the source: they are numbered within their class.
    names = letters + (letters.groupby(letters).cumcount() + 1).astype(str)
    # Rows send, columns receive.
    pre, post = np.nonzero(counts)
    of_class = pd.DataFrame(_CLASSES, index=["name", "sign"]).T
    signs = letters.map(of_class["sign"]).astype("Int8")
    edges = {
        "source": names.to_numpy()[pre],
        "target": names.to_numpy()[post],
        "weight": counts[pre, post],
        "sign": signs.iloc[pre].reset_index(drop=True),
    }
    cell_class = letters.map(of_class["name"])
    return Connectome(
        name=f"Mushroom body of the fly's larva, {side}",
        neurons=pd.DataFrame(
            {"neuron": names, "letter": letters, "cell_class": cell_class}
        ),
        edges=pd.DataFrame(edges),
        source="copied from the PyPI wheel graspologic 3.4.4",
        licence="MIT",
        citation="Eichler et al. 2017 Nature 548:175",
        weight_unit="synapses",
    )
