"""What a shell completes, beyond the names of commands and options.

Called at each press of the Tab key: nothing here imports torch.
"""

from __future__ import annotations


def papers(incomplete: str) -> list[str]:
    """Return the papers whose names begin so."""
    from daleml.reproductions.papers import FOLDERS

    return [name for name in FOLDERS if name.startswith(incomplete)]


def budgets(incomplete: str) -> list[str]:
    """Return the budgets whose names begin so."""
    from daleml.reproductions import BUDGETS

    return [name for name in BUDGETS if name.startswith(incomplete)]


def families(incomplete: str) -> list[str]:
    """Return lists of families that begin so: each adds one family to those before the comma."""
    from daleml.analysis.distributions.families.family_names import FAMILIES, OF_TAILS

    *before, last = incomplete.split(",")
    begun = "".join(f"{name}," for name in before)
    found = ["all"] if not before else []
    found += [name for name in (*FAMILIES, *OF_TAILS) if name not in before]
    return [begun + name for name in found if name.startswith(last)]
