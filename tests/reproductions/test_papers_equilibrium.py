"""The claims of equilibrium propagation: whole, and read from numbers that are measured."""

import math

from daleml.reproductions.papers.equilibrium_laborieux2022.claims import PAPER


def test_claims_are_whole_and_read_numbers_that_are_measured():
    assert [claim.id for claim in PAPER.claims] == [f"h{n}" for n in range(1, 11)]
    cheap = {"holomorphic or not", "lawful feedback"}
    for claim in PAPER.claims:
        assert claim.paper == PAPER.name
        if claim.experiment is None:
            assert claim.note
            continue
        assert claim.checks
        assert claim.experiment.seeds["quick"] >= 3
        assert claim.experiment.seeds["paper"] >= 5
        if claim.experiment.name in cheap:
            numbers = claim.experiment.run(0, claim.experiment.settings["quick"])
            assert numbers == claim.experiment.run(
                0, claim.experiment.settings["quick"]
            )
            assert all(math.isfinite(numbers[check.number]) for check in claim.checks)
