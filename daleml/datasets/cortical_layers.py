"""Connection probabilities between the layers of a cortical column, by cell type."""

from __future__ import annotations

from daleml.datasets.cell_type_table import CellTypeTable
from daleml.datasets.shipped_cell_types import FACTS, tables_of


def potjans_diesmann() -> CellTypeTable:
    r"""The cortical microcircuit: excitatory and inhibitory cells of layers 2/3, 4, 5 and 6.

    The probability :math:`p_{ij}` of the pathway from type :math:`j` to type :math:`i` is that
    a pair of cells of the column below 1 mm² has at least one synapse. For :math:`N_i N_j` pairs
    the column has

    .. math:: K_{ij} = \frac{\ln (1 - p_{ij})}{\ln (1 - 1 / (N_i N_j))}

    synapses, so that some pairs have several.

    Returns:
        A :class:`CellTypeTable` of 23E, 4E, 5E, 6E, 23I, 4I, 5I, 6I with every probability and
        strength. Strengths are postsynaptic potentials: 0.15 mV of excitatory types, 0.6 mV of
        inhibitory ones, 0.3 mV from 4E to 23E. ``types`` has ``count``, ``external_inputs`` per
        cell and ``rate_hz``, the spontaneous rates of the full model.

    Example:
        >>> from daleml.datasets import potjans_diesmann
        >>> column = potjans_diesmann()
        >>> sum(column.counts.values())
        77169
        >>> float(column.matrix("probability").loc["5E", "5I"])
        0.3726

    Notes:
        A circuit of fewer units with these probabilities has fewer synapses per unit. The
        model draws strengths with a relative standard deviation of 0.1, delays of 1.5 ms
        (excitatory) and 0.75 ms (inhibitory), and gives external inputs 8 Hz.

    References:
        Potjans & Diesmann 2014, the cell-type specific cortical microcircuit.
    """
    return CellTypeTable(
        "Cortical microcircuit",
        *tables_of("potjans_diesmann"),
        source="the parameters of NEST's implementation of the model, receivers in rows",
        # The file is under the GPL; nothing of it but printed numbers is used.
        licence=FACTS,
        citation="Potjans & Diesmann 2014",
        probability_means="a pair in the column below 1 mm2 has at least one synapse",
        strength_means="postsynaptic potential in mV",
    )


def billeh() -> CellTypeTable:
    r"""Mouse V1: E, PV and SST cells within each of the layers 2/3, 4, 5 and 6.

    The probability of the pathway from type :math:`j` to type :math:`i` is that of a pair of
    cells at a lateral distance of 75 µm: :math:`p_{ij} = p_{ij}(d = 75\,\mu\text{m})`.

    Returns:
        A :class:`CellTypeTable` of 23E, 4E, 5E, 6E, 23PV, 23SST, ..., 6SST. Pathways between
        layers are not in it: take one layer by ``select("23*")``. Strengths are unitary
        postsynaptic potentials in mV, of layer 2/3 only.

    Example:
        >>> from daleml.datasets import billeh
        >>> layer = billeh().select("23*")
        >>> layer.probability["23E->23PV"], layer.strength["23E->23PV"]
        (0.395, 1.49)

    Notes:
        The numbers are those of another group's implementation, and were not compared with
        the paper's. There is no VIP in them.

    References:
        Billeh et al. 2020.
    """
    return CellTypeTable(
        "Mouse V1, within layers",
        *tables_of("billeh"),
        source="another group's implementation of the model; not compared with the paper",
        licence=FACTS,
        citation="Billeh et al. 2020",
        probability_means="a pair at a lateral distance of 75 um is connected",
        strength_means="unitary postsynaptic potential in mV",
    )
