"""Mouse somatosensory cortex: synapses of excitatory and inhibitory axons (Kasthuri 2015)."""

from __future__ import annotations

from pathlib import Path

from daleml.datasets.local_files import LocalFile
from daleml.datasets.synapse_table import SynapseTable

_FILE = LocalFile(
    "kasthuri2015_synapses.csv",
    "6a506535d741e148c2ae51d69a49b005d8b2e052ec649fe8d6a4e98b89ef634a",
    "tidied from the 2016 revision of supplement mmc6 of Kasthuri et al. 2015 Cell 162:648",
)
# The columns that hold sizes, with their units.
_UNITS = {"psd_px": "pixels", "spine_um3": "um3", "vesicles": "count"}

# The supplement's numbers for kinds of axons; three axons have others.
_AXON_TYPE = {0: "E", 1: "I"}

# Columns in which a lesser number is a code for "none" or "not scored".
_NONE_BELOW = {"vesicles": 0, "axon_len_um": 0, "spine_id": 1, "spine_vox": 1}


def kasthuri(path: str | Path | None = None, *, check: bool = True) -> SynapseTable:
    """Mouse somatosensory cortex: 1,700 synapses, 1,610 of excitatory axons, 87 of inhibitory.

    The file is not shipped, and nothing is downloaded: ``path`` says where it is.

    Args:
        path: The file ``kasthuri2015_synapses.csv``, or its folder; default: the folder that
            the environment variable ``DALEML_DATA`` names.
        check: Whether to refuse a file whose SHA-256 is another. A table of your own with the
            same columns needs False.

    Returns:
        A :class:`SynapseTable`, one row per synapse, from ``axon`` to ``dendrite``. ``psd_px`` is
        the size of the postsynaptic density, in pixels; ``spine_um3`` the volume of the spine,
        measured for 1,197; ``vesicles`` their number, counted for 798. ``axon_type`` is "E",
        "I", or "other" for three (the supplement's number is kept as ``axon_type_code``).
        ``is_spine`` is True or False. The supplement's other columns are as they are there: in
        ``mito``, ``spine_apparatus`` and the like, negative numbers are codes for "not scored".

    Raises:
        FileNotFoundError: If the file is missing; the sentence says what it is made of.
        ValueError: If ``path`` is left out where ``DALEML_DATA`` is not set, or the file is
            another.

    Example:
        >>> try:
        ...     kasthuri("no/such/folder")
        ... except FileNotFoundError as error:
        ...     print(error)  # doctest: +ELLIPSIS
        `path` must be kasthuri2015_synapses.csv or its folder; it is ...

    Notes:
        A size of a synapse stands for its strength; nothing was recorded. Excitatory and
        inhibitory sizes have different distributions: do not pool them. Spine volumes are
        voxels of 24 x 24 x 29 nm, as the header of supplement mmc6 has it, in cubic
        micrometres; the header of mmc2 calls the number of voxels cubic microns. Nineteen
        spines carry two of the synapses, and their volume is listed twice.

    References:
        Kasthuri et al. 2015 Cell 162:648.
    """
    numbers = ("axon_type", "is_spine", *_UNITS, *_NONE_BELOW)
    columns = ("axon", "dendrite", *numbers)
    table = _FILE.table(path, columns, check=check, numbers=numbers)
    # The supplement's own number stays, whatever is made of it.
    table["axon_type_code"] = table["axon_type"]
    table["axon_type"] = table["axon_type"].map(_AXON_TYPE).fillna("other")
    table["is_spine"] = table["is_spine"] == 1
    # Left in, the codes would be fitted as sizes.
    for column, least in _NONE_BELOW.items():
        table[column] = table[column].where(table[column] >= least)
    return SynapseTable(
        name="Mouse somatosensory cortex (Kasthuri 2015)",
        table=table,
        source="the 2016 revision of supplement mmc6 of Kasthuri et al. 2015",
        licence="not stated by the publisher",
        citation="Kasthuri et al. 2015 Cell 162:648",
        units=dict(_UNITS),
        pre="axon",
        post="dendrite",
    )
