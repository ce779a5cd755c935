"""A task of spatial working memory, with distractors during the delay."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from daleml import require
from daleml.tasks import durations as lasting
from daleml.tasks.durations import Duration, whole_steps
from daleml.tasks.timeline import Timeline
from daleml.tasks.trials import Trials, within
from daleml.tasks.two_choices import ChoiceTask, normal_cdf


@dataclass(frozen=True, kw_only=True)
class DelayedResponse(ChoiceTask):
    r"""Say where the cue was, after a delay in which distractors appear elsewhere.

    One of :math:`k` locations is cued, one-hot. During the delay each distractor appears, with
    the probability ``p_distractor``, at one of the other locations, each of which is equally
    likely, and is to be ignored. Class :math:`i` is location :math:`i`.

    Args:
        fixation_ms: Duration before the cue; may be 0. This and the others are numbers of ms, or a
            :class:`Duration` that is drawn for each trial.
        cue_ms: Duration of the cue.
        delay_ms: Duration between cue and answer.
        decision_ms: Duration of the answer.
        n_locations: How many locations there are, :math:`k`, at least 2.
        distractors: When each distractor begins, in ms since the delay began: numbers, or
            distributions. They must end within the shortest delay.
        distractor_ms: How long a distractor lasts, in ms.
        distractor_strength: Input of a distractor at its location, where that of the cue is 1.
        p_distractor: Probability that a distractor appears.
        noise_sd: Standard deviation of the noise on cue and distractors in a step of 100 ms.
        baseline: Added to all locations while something is shown at one of them.
        fixate: Whether the loss counts the steps before the decision too.
        grace_ms: For how long after the decision has begun nothing counts.
        catch: Fraction of trials without a cue and distractors.
        input_noise: Standard deviation of the noise of every input in a step of 100 ms.
        input_baseline: Added to every input, at every step.
        dt_ms: Duration of a step.

    Raises:
        TypeError: If a setting is of the wrong type.
        ValueError: If a setting is out of range, a duration is no multiple of ``dt_ms``, or a
            distractor does not end within the shortest delay.

    Example:
        >>> task = DelayedResponse(n_locations=4)
        >>> task.n_steps, task.n_outputs, task.chance, task.ideal
        (16, 5, 0.25, 1.0)
        >>> list(task.sample(3).conditions)
        ['location', 'distractor_1', 'choice']

    Notes:
        ``distractor_1``, ... are the locations of the distractors, 0 where there was none. Times
        and strengths are chosen here.

    References:
        Suzuki & Gottlieb 2013 Nature Neuroscience 16:98, for the experiment.
    """

    fixation_ms: float | Duration = 0.0
    cue_ms: float | Duration = 200.0
    delay_ms: float | Duration = 1200.0
    decision_ms: float | Duration = 200.0
    n_locations: int = 8
    distractors: Sequence[float | Duration] = (500.0,)
    distractor_ms: float = 200.0
    distractor_strength: float = 1.0
    p_distractor: float = 1.0

    _no_periods: ClassVar[frozenset[str]] = ChoiceTask._no_periods | {"distractor_ms"}

    def __post_init__(self) -> None:
        require.integer("n_locations", self.n_locations, minimum=2)
        require.positive("distractor_strength", self.distractor_strength)
        require.fraction("p_distractor", self.p_distractor)
        onsets: object = self.distractors
        if not isinstance(onsets, Sequence) or isinstance(onsets, str):
            raise TypeError(
                f"`distractors` must be a sequence of times in ms; got {onsets!r}."
            )
        # A frozen dataclass is set this way once, when it is made.
        object.__setattr__(self, "distractors", tuple(onsets))
        super().__post_init__()
        whole_steps("distractor_ms", self.distractor_ms, self.dt_ms)
        shortest = int(self._distributions()["delay"][0][0]) * self.dt_ms
        for counts, _ in self._distractor_onsets():
            last = int(counts[-1]) * self.dt_ms + self.distractor_ms
            if last > shortest + 1e-6 * self.dt_ms:
                raise ValueError(
                    "`distractors` must end within the shortest delay,"
                    f" {shortest:g} ms; got one that ends at {last:g}."
                )

    def _distractor_onsets(self) -> list[tuple[Tensor, Tensor]]:
        found = []
        for onset in self.distractors:
            found.append(
                lasting.distribution("distractors", onset, self.dt_ms, may_be_zero=True)
            )
        return found

    @property
    def input_names(self) -> tuple[str, ...]:
        """The fixation cue and the locations."""
        return ("fixation", *(f"location {i + 1}" for i in range(self.n_locations)))

    @property
    def output_names(self) -> tuple[str, ...]:
        """The classes."""
        return ("fixate", *(f"location {i + 1}" for i in range(self.n_locations)))

    @property
    def stimulus_means(self) -> tuple[float, ...]:
        """1 for the location that is cued, 0 for the others."""
        return (1.0, *[0.0] * (self.n_locations - 1))

    @property
    def ideal(self) -> float | None:
        r"""Accuracy of an ideal observer, which is 1 without noise.

        With noise and no distractors, it is that of the largest of :math:`k` sums,

        .. math::
            \int \phi(z - d)\, \Phi(z)^{k - 1} dz, \qquad d = \sqrt{T / 100\,\text{ms}} / \sigma,

        for a cue that lasts :math:`T`. A noisy distractor tells where the cue was not. With two
        locations, and distractors that always appear, it is :math:`\Phi(d / \sqrt{2})` with
        :math:`T` the sum of :math:`s^2 T` over cue and distractors of strength :math:`s`; for
        more locations there is no closed form.
        """
        sd = self._total_sd
        if sd == 0:
            return self._with_catch(1.0)
        n_shown = len(self.distractors) * self.p_distractor
        told = 0.0
        if n_shown:
            # With one other location, a distractor tells the cue's as well as the cue does.
            if self.n_locations > 2 or self.p_distractor < 1:
                return None
            told = n_shown * self.distractor_strength**2 * self.distractor_ms

        def accuracy(cue_ms: float) -> float:
            separation = math.sqrt((cue_ms + told) / 100) / sd
            return largest_of(self.n_locations, separation)

        return self._with_catch(self._mean_over("cue", accuracy))

    def _sample(self, n: int, generator: torch.Generator | None) -> Trials:
        timeline = self._timeline(n, generator)
        location = torch.randint(self.n_locations, (n,), generator=generator)
        inputs = self._blank(timeline)
        self._show(inputs, timeline, "cue", self._one_hot(location), generator)
        conditions = {"location": location + 1}
        for number, counts in enumerate(self._distractor_onsets(), start=1):
            others = torch.randint(1, self.n_locations, (n,), generator=generator)
            elsewhere = (location + others) % self.n_locations
            appears = torch.rand(n, generator=generator) < self.p_distractor
            onsets = lasting.draw(*counts, n, generator)
            shown = self.distractor_strength * self._one_hot(elsewhere)
            self._distract(inputs, timeline, onsets, shown, appears, generator)
            conditions[f"distractor_{number}"] = torch.where(appears, elsewhere + 1, 0)
        conditions["choice"] = location + 1
        return self._trials(inputs, location + 1, conditions, timeline)

    def _distract(
        self,
        inputs: Tensor,
        timeline: Timeline,
        onsets: Tensor,
        means: Tensor,
        appears: Tensor,
        generator: torch.Generator | None,
    ) -> None:
        """Write a distractor into the delay of the trials in which it appears."""
        n_steps = round(self.distractor_ms / self.dt_ms)
        starts = timeline.starts[timeline.names.index("delay")] + onsets
        ends = torch.where(appears, starts + n_steps, starts)
        noisy = self._noisy(means, n_steps, generator)
        times, trials = within(starts, ends, len(inputs)).nonzero(as_tuple=True)
        # Distractors may overlap, and then add up.
        inputs[times, trials, 1:] += noisy[times - starts[trials], trials]

    def _one_hot(self, locations: Tensor) -> Tensor:
        coded = torch.nn.functional.one_hot(locations, self.n_locations)
        return coded.to(torch.get_default_dtype())


def largest_of(n: int, separation: float) -> float:
    r"""Return the probability that one of ``n`` normal variables is the largest.

    Their standard deviations are 1, its mean is ``separation``, and that of the others is 0.
    """
    if n == 2:
        return normal_cdf(separation / math.sqrt(2))
    # A sum over a fine grid of a smooth integrand that ends is exact to many digits.
    step = 0.01
    z = torch.arange(-9.0, 9.0, step, dtype=torch.float64)
    density = torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)
    below = torch.special.ndtr(z + separation) ** (n - 1)
    return float((density * below).sum()) * step
