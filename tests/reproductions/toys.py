"""A made-up experiment and claims about it, quick to run."""

import json
import time

import numpy as np

from daleml import reproductions
from daleml.reproductions import Check, Claim, Experiment


def numbers(seed, options):
    time.sleep(options.get("sleep", 0))
    if options.get("breaks") == seed:
        raise RuntimeError("a seed that breaks")
    rng = np.random.default_rng(seed)
    return {"effect": 1 + 0.1 * rng.normal(), "none": rng.normal(), "third": 1 / 3}


def found(folder):
    """Return what a run found, but for the minutes that it took."""
    content = json.loads((folder / "claims.json").read_text(encoding="utf-8"))
    for one in content["claims"]:
        del one["minutes"]
    return content


def experiment(name="toy", seeds=4, **options):
    return Experiment(
        name,
        numbers,
        dict.fromkeys(reproductions.BUDGETS, options),
        dict.fromkeys(reproductions.BUDGETS, seeds),
    )


def claim(*checks, of=None, id="9a"):
    checks = checks or (Check("effect", "an effect", at_least=0.5, no_effect=0.0),)
    return Claim(id, "There is an effect.", "nowhere", of or experiment(), checks)
