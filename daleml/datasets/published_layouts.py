"""How published connectomes are laid out: what columns are called, and what is known of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from daleml.reading.large_tables import plain_name

FLY_SIGNS: Mapping[str, int] = {
    "ACH": 1,
    "GABA": -1,
    "GLUT": -1,
    "acetylcholine": 1,
    "gaba": -1,
    "glutamate": -1,
}
"""Acetylcholine excites in the fly; GABA and, by its chloride channels, glutamate inhibit.

Dopamine, serotonin and octopamine modulate, and have no sign here.
"""

CORTEX_SIGNS: Mapping[str, int] = {
    "aibs_coarse_excitatory": 1,
    "aibs_coarse_inhibitory": -1,
    "excitatory_neuron": 1,
    "inhibitory_neuron": -1,
    "excitatory": 1,
    "inhibitory": -1,
}
"""The classes of cells in tables of MICrONS."""


@dataclass(frozen=True)
class Layout:
    """A published layout.

    Attributes:
        name: What was measured.
        columns: Columns of the connections that tell it, in small letters and digits.
        weight_unit: Unit of a weight.
        citation: What to cite.
        signs: The sign of each transmitter, or class of cells, that its tables name.
        where: Columns of the connections, and the texts of the rows that count.
        is_synapses: Whether a row is one synapse, and not all of a pair.
    """

    name: str
    columns: frozenset[str]
    weight_unit: str
    citation: str
    signs: Mapping[str, int] = field(default_factory=dict)
    where: Mapping[str, Collection[str]] = field(default_factory=dict)
    is_synapses: bool = False


_FLYWIRE = (
    "Dorkenwald et al. 2024 Nature 634:124-138; Schlegel et al. 2024 Nature 634:139"
)
LAYOUTS = (
    Layout(
        "FlyWire, Codex",
        frozenset({"prerootid", "postrootid", "syncount"}),
        "synapses",
        _FLYWIRE,
        FLY_SIGNS,
    ),
    Layout(
        "FlyWire",
        frozenset({"preptrootid", "postptrootid", "syncount"}),
        "synapses",
        _FLYWIRE,
        FLY_SIGNS,
    ),
    Layout(
        "MICrONS",
        frozenset({"preptrootid", "postptrootid", "size"}),
        "voxels",
        "The MICrONS Consortium 2025 Nature 640:435-447",
        CORTEX_SIGNS,
        is_synapses=True,
    ),
    Layout(
        "hemibrain",
        frozenset({"bodyidpre", "bodyidpost", "weight"}),
        "synapses",
        "Scheffer et al. 2020 eLife 9:e57443",
        FLY_SIGNS,
    ),
    Layout(
        "C. elegans, chemical synapses",
        frozenset({"source", "target", "weight", "type"}),
        "sections",
        "Cook et al. 2019 Nature 571:63-71",
        where={"Type": ("chemical",)},
    ),
)
"""Those that are known."""

UNKNOWN = Layout("connectome", frozenset(), "", "")
"""Any other table of connections."""

PREDICTIONS: Mapping[str, str] = {
    "achavg": "ACH",
    "gabaavg": "GABA",
    "glutavg": "GLUT",
    "daavg": "DA",
    "seravg": "SER",
    "octavg": "OCT",
}
"""Columns of FlyWire that hold the mean probability of a transmitter, and its name."""

NEURON = (
    *("neuron", "rootid", "ptrootid", "bodyid", "neuronid", "cellid", "name", "id"),
)
"""What the column of ids in a table of neurons is called, the first that is there."""

TRANSMITTER = (
    *("transmitter", "neurotransmitter", "nttype", "topnt", "predictednt", "nt"),
    "classificationsystem",
)
"""What the column that a neuron's sign comes from is called, the first that is there."""

NEUROPIL = ("neuropil", "roi")
"""What the column of brain regions is called."""


def layout_of(columns: Collection[str]) -> Layout:
    """Return the layout that has these columns."""
    plain = set(map(plain_name, columns))
    for layout in LAYOUTS:
        if layout.columns <= plain:
            return layout
    return UNKNOWN


def first_of(columns: Collection[str], names: tuple[str, ...]) -> str | None:
    """Return the column whose name comes first among names, None if there is none."""
    by_name = {plain_name(column): column for column in reversed(list(columns))}
    for name in names:
        if name in by_name:
            return by_name[name]
    return None
