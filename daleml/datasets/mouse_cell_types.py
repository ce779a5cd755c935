"""Connection probabilities and strengths between the cell types of mouse visual cortex."""

from __future__ import annotations

from daleml.datasets.cell_type_table import CellTypeTable
from daleml.datasets.shipped_cell_types import FACTS, tables_of

# The licence's text, which has to go with the numbers, stands beside the tables.
_ALLEN = "BSD-3-Clause, Copyright (c) 2026, Allen Institute"


def v1dd() -> CellTypeTable:
    r"""Mouse V1: peak connection probabilities between 19 cell types, by electron microscopy.

    The probability falls with the lateral distance :math:`d` of two cells, and the table has
    its peak:

    .. math:: p_{ij}(d) = p_{ij} \exp\left(-\frac{d^2}{2 \sigma^2}\right)

    Returns:
        A :class:`CellTypeTable` of 23E, 4E, 5ET, 5IT, 5NP, 6E, then 1I and the PV, SST and VIP
        cells of layers 2/3 to 6 (23PV, ..., 6VIP), with a probability for each pathway and no
        strengths: see :func:`campagnola`.

    Example:
        >>> from daleml.datasets import v1dd
        >>> v1 = v1dd().select("23*", "4*")
        >>> round(v1.probability["23E->23PV"], 3), round(v1.probability["23PV->23E"], 3)
        (0.286, 0.676)

    Notes:
        A circuit without distances that uses the peak has too many synapses. The model takes
        :math:`\sigma` = 127 µm from E to E, 100 from E to inhibitory types, 97 from them to E
        and 127 among them. Ten pathways have 2.44e-5, where the source's estimate ends.
        Electron microscopy finds more than recordings in slices do: the same pathways of
        other sources differ by several times, and cannot be mixed with these.

    References:
        The matrix of the biorealistic model of mouse V1 of the Allen Institute, derived from
        the data set V1DD. Campagnola et al. 2022, for the distances.
    """
    return CellTypeTable(
        "Mouse V1, electron microscopy (V1DD)",
        *tables_of("v1dd"),
        source=(
            "base_props/pmax_matrix_v1dd.csv of AllenInstitute/biorealistic-v1-model,"
            " senders in rows, rounded to six digits"
        ),
        licence=_ALLEN,
        citation="V1DD, by the Allen Institute's biorealistic model of mouse V1",
        probability_means="a pair at no lateral distance is connected: the peak",
    )


def campagnola() -> CellTypeTable:
    r"""Mouse visual cortex: strengths of synapses between 23E, PV, SST and VIP cells.

    The strength :math:`w_{ij}` is the mean over connected pairs of the resting postsynaptic
    potential, in mV.

    Returns:
        A :class:`CellTypeTable` without probabilities. 23E is layer 2/3; PV, SST and VIP are of
        all layers. ``pathways`` has the ``median`` and ``sd`` too, the number of pairs
        ``n_pairs``, and ``sigma_ln``, the standard deviation of the logarithm of the fitted
        log-normal distribution, where the fit is good.

    Example:
        >>> from daleml.datasets import campagnola
        >>> campagnola().known("strength")["PV->PV"]
        0.654
        >>> campagnola().strength
        Traceback (most recent call last):
        ...
        ValueError: `strength` must be known for every pathway; got none for VIP->23E (1 of 16) in
        Mouse synaptic strengths: take some types by select(...), or known("strength") with
        numbers of yours for the rest.

    Notes:
        From VIP to 23E 3 pairs were found, too few. The probability of the same pairs is a
        matter of recordings in slices, 7.3 % of 20,949 pairs; that of :func:`v1dd` is not.

    References:
        Campagnola et al. 2022, as the biorealistic model of mouse V1 of the Allen Institute
        characterises it.
    """
    return CellTypeTable(
        "Mouse synaptic strengths",
        *tables_of("campagnola"),
        source="psp_characterization.csv of AllenInstitute/biorealistic-v1-model",
        licence=_ALLEN,
        citation="Campagnola et al. 2022",
        strength_means="mean resting postsynaptic potential in mV",
    )


def pfeffer() -> CellTypeTable:
    r"""Mouse V1: how strongly PV, SST and VIP cells inhibit, relative to PV onto E.

    The strength is relative: :math:`w_{ij} = c_{ij} / c_{\text{E},\text{PV}}` for the
    inhibition :math:`c_{ij}` of type :math:`i` by type :math:`j`.

    Returns:
        A :class:`CellTypeTable` of E, PV, SST, VIP without probabilities. Nine pathways are
        known; what E sends was not measured.

    Example:
        >>> from daleml.datasets import pfeffer
        >>> pfeffer().known("strength")["SST->VIP"]
        0.77

    Notes:
        The numbers are those on which two independent implementations agree, apart from PV
        to VIP, which only one of them has.

    References:
        Pfeffer et al. 2013.
    """
    return CellTypeTable(
        "Inhibition of and by interneurons",
        *tables_of("pfeffer"),
        source="two independent implementations; not compared with the paper",
        licence=FACTS,
        citation="Pfeffer et al. 2013",
        strength_means="inhibition relative to that of PV onto E",
    )
