"""The rates of interneurons: a published model of E, PV, SST and VIP populations."""

from __future__ import annotations

from daleml.datasets.cell_type_table import CellTypeTable
from daleml.datasets.shipped_cell_types import tables_of


def garcia_del_molino() -> CellTypeTable:
    r"""A rate model of E, PV, SST and VIP: its weights, and what else its equations need.

    With the rates :math:`r` in Hz and currents in pA,

    .. math::
        \tau_r \dot r_i = -r_i + \phi_i\Big(V_l + \frac{1}{g_i}
        \big(\sum_j \pm w_{ij} r_j + I_i\big)\Big), \qquad
        \phi_i(V) = \frac{V - V_t}{\tau_i (V_t - V_r) (1 - e^{-(V - V_t) / \sigma})}

    where :math:`V_l, V_t, V_r` = -70, -50, -60 mV, :math:`\sigma` = 1 mV and
    :math:`\tau_r` = 2 ms.

    Returns:
        A :class:`CellTypeTable` of E, PV, SST, VIP without probabilities: its units are whole
        populations, and a strength of 0 is a pathway that is not there. ``types`` has
        ``leak_ns`` (:math:`g`), ``tau_ms`` (:math:`\tau`), ``low_rate_hz`` and
        ``high_rate_hz`` (the two baselines) and ``low_current_pa`` (:math:`I` of the low one).

    Example:
        >>> from daleml.datasets import garcia_del_molino
        >>> model = garcia_del_molino()
        >>> model.strength["VIP->SST"], model.strength["SST->VIP"]
        (2.7896, 0.156)
        >>> model.populations(4).sizes
        {'E': 1, 'PV': 1, 'SST': 1, 'VIP': 1}

    Notes:
        The currents of the high baseline follow from its rates, since they are a fixed point.

    References:
        Garcia del Molino, Yang, Mejias & Wang 2017 eLife 6:e29742.
    """
    return CellTypeTable(
        "Interneuron rate model",
        *tables_of("garcia_del_molino"),
        source="public implementations of the model, receivers in rows",
        licence="CC BY 4.0",
        citation="Garcia del Molino, Yang, Mejias & Wang 2017 eLife 6:e29742",
        strength_means="current in pA for each Hz of the sending population",
    )
