"""Choices of a network in trials of two alternatives, with the signed strength of the evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from daleml import require
from daleml._support.devices import on_the_cpu

# What :class:`daleml.tasks.Trials` has: analysis does not import tasks.
_NEEDED = ("inputs", "mask", "dt_ms", "conditions", "onsets", "lengths")


@dataclass(frozen=True, eq=False)
class SignedChoices:
    """What was shown in each trial, and what was chosen.

    Attributes:
        strengths: Positive where the evidence was for choice 1, negative for choice 2; NaN in
            catch trials, in which there was none.
        choices: 1 for choice 1, 0 for choice 2, NaN where none was made.
        correct: 1 for the right choice, 0 for the wrong one, NaN where none was made.

    Example:
        >>> import torch
        >>> from daleml.tasks import PerceptualDecision
        >>> task = PerceptualDecision()
        >>> trials = task.sample(5)
        >>> answers = torch.nn.functional.one_hot(trials.targets, 3).float()
        >>> signed_choices(answers, trials).n_missed
        0
    """

    strengths: NDArray[np.float64]
    choices: NDArray[np.float64]
    correct: NDArray[np.float64]

    @property
    def n(self) -> int:
        """Number of trials."""
        return len(self.strengths)

    @property
    def n_missed(self) -> int:
        """Number of trials in which no choice was made."""
        return int(np.isnan(self.choices).sum())

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain values, ready for JSON; a choice that was not made is None."""
        content: dict[str, Any] = {"n": self.n, "n_missed": self.n_missed}
        for name in ("strengths", "choices", "correct"):
            values = getattr(self, name)
            content[name] = [None if np.isnan(one) else float(one) for one in values]
        return content


@on_the_cpu
def signed_choices(
    outputs: Tensor,
    trials: Any,
    *,
    strength: str = "coherence",
    choice: str = "choice",
) -> SignedChoices:
    """Read a network's choices, and the signed strength of the evidence, from trials of a task.

    The choice is the largest output at the last step that the loss counts. Output 0 is to
    fixate, which is no choice; outputs 1 and 2 are the choices.

    Args:
        outputs: What the network answered.
        trials: What it was asked, as a task's ``sample`` returns it.
        strength: Which of the trials' conditions is the strength of the evidence.
        choice: Which of them is the right choice, 1 or 2, or 0 in a catch trial; it gives the
            strength its sign.

    Shape:
        - ``outputs``: (time, trials, 3).

    Returns:
        Strengths and choices, as :func:`daleml.analysis.activity.psychometric` takes them.

    Raises:
        TypeError: If ``outputs`` is no tensor, or ``trials`` are no trials.
        ValueError: If shapes do not fit, a condition is missing, or a right choice is no number
            from 0 to 2.

    Example:
        >>> import torch
        >>> from daleml.tasks import PerceptualDecision
        >>> task = PerceptualDecision(coherences=(0.1, 0.5))
        >>> trials = task.sample(200, generator=torch.Generator().manual_seed(0))
        >>> outputs = trials.inputs.cumsum(0)  # an integrator, without a network
        >>> outputs[..., 0] = 0.0
        >>> made = signed_choices(outputs, trials)
        >>> made.n, sorted(set(made.strengths.round(1).tolist()))
        (200, [-0.5, -0.1, 0.1, 0.5])
    """
    require_trials(outputs, trials)
    if outputs.shape[2] != 3:
        raise ValueError(
            "`outputs` must be three for each trial, to fixate and two choices; got"
            f" {outputs.shape[2]}."
        )
    size = condition(trials, strength)
    right = condition(trials, choice)
    wrong = right[(right != 0) & (right != 1) & (right != 2)]
    if wrong.size:
        raise ValueError(
            f"`choice` must name a condition that is 0, 1 or 2 in each trial; got"
            f" {wrong[0]:g} in {choice!r}."
        )
    last = last_counted(trials)
    here = torch.arange(outputs.shape[1], device=outputs.device)
    answer = outputs.detach()[last.to(outputs.device), here].argmax(-1).cpu().numpy()
    # Class 0 is to fixate: whoever still does so has not chosen.
    is_made = answer > 0
    chosen = np.where(is_made, answer == 1, np.nan)
    sign = np.select([right == 1, right == 2], [1.0, -1.0], np.nan)
    return SignedChoices(
        strengths=sign * size,
        choices=chosen,
        correct=np.where(is_made, answer == right, np.nan),
    )


def last_counted(trials: Any) -> Tensor:
    """Return the last step of each trial that the loss counts."""
    mask: Tensor = trials.mask.detach().cpu()
    if not bool(mask.any(dim=0).all()):
        raise ValueError("`trials` must each have a step that the loss counts.")
    # The largest number among the steps that count.
    steps = torch.arange(len(mask))[:, None]
    return (mask * steps).amax(dim=0)


def condition(trials: Any, name: str) -> NDArray[np.float64]:
    """Return a condition of each trial, or raise if there is none of that name."""
    require.text("condition", name)
    if name not in trials.conditions:
        names = ", ".join(repr(one) for one in trials.conditions) or "none"
        raise ValueError(
            f"`trials` must have the condition {name!r}; got those of {names}."
        )
    values = trials.conditions[name].detach().cpu().numpy()
    return np.asarray(values, dtype=np.float64)


def require_trials(outputs: Tensor, trials: Any) -> None:
    """Raise unless something is trials, and outputs are answers to them."""
    if not all(hasattr(trials, name) for name in _NEEDED):
        raise TypeError(
            "`trials` must be Trials, as a task's `sample` returns them; got"
            f" {type(trials).__name__}."
        )
    require.tensor("outputs", outputs)
    expected = tuple(trials.inputs.shape[:2])
    if outputs.ndim != 3 or tuple(outputs.shape[:2]) != expected:
        steps, n = expected
        raise ValueError(
            f"`outputs` must have shape ({steps}, {n}, n_outputs); got"
            f" {tuple(outputs.shape)}."
        )
