"""Layer 2/3 of mouse visual cortex: synapses between pyramidal cells (MICrONS)."""

from __future__ import annotations

from pathlib import Path

from daleml.datasets.local_files import LocalFile
from daleml.datasets.synapse_table import SynapseTable

_FILE = LocalFile(
    "microns_l23_synapses.csv",
    "ac22845bf2078fad27f895b0d4ab1f8b1bf980a2f00056be3f1eec6183770ae4",
    "tidied from the MICrONS layer 2/3 release v185,"
    " https://www.microns-explorer.org/phase1",
)
# The columns that hold sizes, with their units.
_UNITS = {"cleft_vx": "voxels", "spine_vol_um3": "um3"}
SMALLEST_SEEN = 49.5
"""Clefts of 50 voxels and more were kept: a bound between two whole numbers."""


def microns_l23(path: str | Path | None = None, *, check: bool = True) -> SynapseTable:
    """Layer 2/3 of mouse visual cortex: 1,961 synapses between pyramidal cells, all excitatory.

    The file is not shipped, and nothing is downloaded: ``path`` says where it is.

    Args:
        path: The file ``microns_l23_synapses.csv``, or its folder; default: the folder that the
            environment variable ``DALEML_DATA`` names.
        check: Whether to refuse a file whose SHA-256 is another. A table of your own with the
            same columns needs False.

    Returns:
        A :class:`SynapseTable`, one row per synapse, from ``pre_root_id`` to ``post_root_id``.
        ``cleft_vx`` is the size of the cleft, in voxels; ``spine_vol_um3`` the volume of the
        spine.

    Raises:
        FileNotFoundError: If the file is missing; the sentence says where it is from.
        ValueError: If ``path`` is left out where ``DALEML_DATA`` is not set, or the file is
            another.

    Example:
        >>> try:
        ...     microns_l23("no/such/folder")
        ... except FileNotFoundError as error:
        ...     print(error)  # doctest: +ELLIPSIS
        `path` must be microns_l23_synapses.csv or its folder; it is ...

    Notes:
        A cleft of fewer than 50 voxels was not taken for a synapse, so ``thresholds`` has 49.5
        for ``cleft_vx``: a fit that ignores it is wrong. The 1,961 synapses make 1,736
        connections, 189 of them by more than one synapse; whether a synapse or a connection is
        the unit, see ``per_connection``, changes the distribution.

    References:
        Dorkenwald et al. 2022 eLife 11:e76120; Turner et al. 2022 Cell.
    """
    columns = ("pre_root_id", "post_root_id", *_UNITS)
    return SynapseTable(
        name="Mouse visual cortex, layer 2/3 (MICrONS)",
        table=_FILE.table(path, columns, check=check, numbers=tuple(_UNITS)),
        source="MICrONS layer 2/3 release v185",
        licence="not for commercial use",
        citation="Dorkenwald et al. 2022 eLife 11:e76120; Turner et al. 2022 Cell",
        units=dict(_UNITS),
        pre="pre_root_id",
        post="post_root_id",
        thresholds={"cleft_vx": SMALLEST_SEEN},
    )
