"""Claims of several papers, one row for each: the check that decides, beside its bound.

What ``daleml reproduce`` leaves in ``claims.json`` is drawn as it is.

Alt: Two blocks of rows, each under the name of a paper, with marks and bars beside a line.
"""

from daleml.analysis import plots


def claim(paper, code, verdict, mean, owner):
    """Return a claim with one check, as claims.json holds it."""
    check = {
        "label": "gap between the arms",
        "expected": "at least 1",
        "at_least": 1.0,
        "at_most": None,
        "no_effect": 0.0,
        "verdict": verdict,
        "mean": mean,
        "low": mean - 0.5,
        "high": mean + 0.5,
    }
    claim = {"paper": paper, "id": code, "verdict": verdict, "owner": owner}
    return claim | {"measured": [check]}


rows = (
    ("dann", "9a", "holds", 2.4, "the paper's"),
    ("dann", "9b", "cannot tell", 1.2, "ours"),
    ("eg", "9c", "does not hold", 0.3, "the paper's"),
    ("eg", "9d", "holds", 9.0, "by construction"),
)
plots.forest_overview({"claims": [claim(*row) for row in rows]})
