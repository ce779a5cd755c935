"""The choice of a learning rate by held-out training examples: one rule for all papers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

Candidate = TypeVar("Candidate")


class ValidationScore(NamedTuple):
    """What a candidate scored on examples held out of the training set.

    Attributes:
        error: What has to be low: a fraction missed, or an accuracy with its sign turned.
        loss: What decides between equals. A loss that is not finite is of one that diverged.
    """

    error: float
    loss: float = 0.0


def best_by_validation(scores: Mapping[Candidate, ValidationScore]) -> Candidate:
    """Return the candidate with the lowest error on held-out examples.

    Of equals, the one with the lowest loss is taken; of those, the first. One that diverged is
    never taken.

    Args:
        scores: What each candidate scored, such as each learning rate of a grid.

    Raises:
        ValueError: If all diverged.

    Example:
        >>> scores = {0.1: ValidationScore(0.2, 0.5), 0.3: ValidationScore(0.2, 0.4)}
        >>> best_by_validation(scores)
        0.3
    """
    # NaN would compare as neither lower nor higher, and the order of the grid would decide.
    finite = [one for one, score in scores.items() if math.isfinite(score.loss)]
    if not finite:
        raise ValueError(
            "`scores` must hold a learning rate that did not diverge; got"
            f" {list(scores)}, which all did."
        )
    # Scores are tuples: the error is compared first, then the loss.
    return min(finite, key=lambda one: scores[one])


@dataclass(frozen=True)
class Choice:
    """A learning rate, and what it was chosen from.

    Attributes:
        lr: The chosen one.
        errors: The validation error, by rate.
    """

    lr: float
    errors: dict[float, float]

    def largest_usable(self, error: float) -> float:
        """Return the largest rate that ends with at most this validation error.

        Args:
            error: The largest error that counts as usable.

        Returns:
            The rate; NaN if there is none.
        """
        usable = [lr for lr, found in self.errors.items() if found <= error]
        return max(usable, default=math.nan)
