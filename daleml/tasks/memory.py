"""Tasks of memory, in which what was shown must be held until it is asked for."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from daleml import require
from daleml.tasks.durations import Duration
from daleml.tasks.task import RegressionTask, consecutive
from daleml.tasks.trials import Period, Trials
from daleml.tasks.two_choices import ChoiceTask, normal_cdf


@dataclass(frozen=True)
class AddingProblem(RegressionTask):
    r"""Add the two values that were marked.

    .. math:: z_i = \sum_{t=1}^{T} m_{t i} x_{t i}, \qquad x_{t i} \sim U(0, 1)

    where the marker :math:`m` is 1 at two steps, 0 at the others: one step drawn from the first
    half of the trial, one from the second, each uniformly. The sum is asked for at the last
    step.

    Args:
        length: How many steps, :math:`T`, at least 2. If it is odd, the second half is the
            longer one.
        dt_ms: Duration of a step.

    Raises:
        TypeError: If ``length`` is not an integer.
        ValueError: If a setting is out of range.

    Example:
        >>> import torch
        >>> task = AddingProblem(length=20)
        >>> trials = task.sample(3, generator=torch.Generator().manual_seed(0))
        >>> values, markers = trials.inputs.unbind(-1)
        >>> torch.equal((values * markers).sum(0), trials.targets[-1, :, 0])
        True
        >>> round(task.chance, 4), task.ideal
        (0.1667, 0.0)

    Notes:
        Hochreiter & Schmidhuber drew values from [-1, 1], scaled the sum, marked the ends with
        -1, and drew both steps from the first half or less of a trial of random length; here
        values are rates, and the length is fixed.

    References:
        Hochreiter & Schmidhuber 1997 Neural Computation 9:1735.
        Li, Cornford, Ghosh, Richards 2023 NeurIPS, for a length of 20.
    """

    length: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        require.integer("length", self.length, minimum=2)

    @property
    def input_names(self) -> tuple[str, ...]:
        """The value and its marker."""
        return ("value", "marker")

    @property
    def output_names(self) -> tuple[str, ...]:
        """The sum."""
        return ("sum",)

    @property
    def periods(self) -> tuple[Period, ...]:
        """The two halves."""
        first = self.length // 2
        return consecutive(
            first_half=first * self.dt_ms,
            second_half=(self.length - first) * self.dt_ms,
        )

    @property
    def chance(self) -> float:
        """Mean squared error of always answering 1: the variance of the sum of two values, 2/12."""
        return 1 / 6

    @property
    def ideal(self) -> float:
        """No error: the inputs hold all there is to know."""
        return 0.0

    def _sample(self, n: int, generator: torch.Generator | None) -> Trials:
        first_half = self.length // 2
        values = torch.rand(self.length, n, generator=generator)
        first = torch.randint(first_half, (n,), generator=generator)
        second = torch.randint(first_half, self.length, (n,), generator=generator)
        trial = torch.arange(n)
        # One marker in each half, so that the first value is held across the middle.
        markers = torch.zeros(self.length, n)
        markers[first, trial] = 1
        markers[second, trial] = 1
        targets = torch.zeros(self.length, n, 1)
        targets[-1, :, 0] = values[first, trial] + values[second, trial]
        mask = torch.zeros(self.length, n, dtype=torch.bool)
        mask[-1] = True
        return self._named_trials(
            inputs=torch.stack([values, markers], dim=-1),
            targets=targets,
            mask=mask,
            conditions={"first_step": first, "second_step": second},
        )


@dataclass(frozen=True, kw_only=True)
class DelayedMatchToSample(ChoiceTask):
    r"""Say whether the test is what the sample was, before the delay.

    One of :math:`k` stimuli is shown, one-hot; after the delay the same one (a match, in half
    of the trials) or another, each of the others being equally likely. Class 1 is a match,
    class 2 a non-match.

    Args:
        fixation_ms: Duration before the sample; may be 0. This and the others are numbers of ms, or
            a :class:`Duration` that is drawn for each trial.
        sample_ms: Duration of the sample.
        delay_ms: Duration without a stimulus; may be 0.
        test_ms: Duration of the test.
        decision_ms: Duration of the answer, without a stimulus.
        n_stimuli: How many stimuli there are, :math:`k`, at least 2.
        noise_sd: Standard deviation of the noise on sample and test, in a step of 100 ms.
        baseline: Added to all stimulus inputs while one is shown, to keep noisy inputs above 0.
        fixate: Whether the loss counts the steps before the decision too.
        grace_ms: For how long after the decision has begun nothing counts.
        catch: Fraction of trials without a sample and a test.
        input_noise: Standard deviation of the noise of every input in a step of 100 ms.
        input_baseline: Added to every input, at every step.
        dt_ms: Duration of a step.

    Raises:
        TypeError: If a setting is of the wrong type.
        ValueError: If a setting is out of range, or a duration is no multiple of ``dt_ms``.

    Example:
        >>> task = DelayedMatchToSample(n_stimuli=4)
        >>> task.input_names
        ('fixation', 'stimulus 1', 'stimulus 2', 'stimulus 3', 'stimulus 4')
        >>> task.n_steps, task.steps("delay"), task.ideal
        (8, slice(1, 6, None), 1.0)
        >>> print(task.sample(10))
        10 trials of 8 steps, 800 ms: 5 inputs, 3 outputs

    Notes:
        Durations are those of Liu et al., who used NeuroGym's ``DelayMatchSample-v0``. In
        NeuroGym 2.3 that has noise of 0.1, shows stimuli as bumps on a ring, and the opposite
        one in a non-match; with two stimuli the ring is one-hot, and the opposite one the only
        other.

    References:
        Liu, Baratin, Cornford, Mihalas, Shea-Brown, Lajoie 2024 ICLR.
    """

    fixation_ms: float | Duration = 0.0
    sample_ms: float | Duration = 100.0
    delay_ms: float | Duration = 500.0
    test_ms: float | Duration = 100.0
    decision_ms: float | Duration = 100.0
    n_stimuli: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        require.integer("n_stimuli", self.n_stimuli, minimum=2)

    @property
    def input_names(self) -> tuple[str, ...]:
        """The fixation cue and the stimuli."""
        return ("fixation", *(f"stimulus {i + 1}" for i in range(self.n_stimuli)))

    @property
    def output_names(self) -> tuple[str, ...]:
        """The classes."""
        return ("fixate", "match", "non-match")

    @property
    def stimulus_means(self) -> tuple[float, ...]:
        """1 for the stimulus that is shown, 0 for the others."""
        return (1.0, *[0.0] * (self.n_stimuli - 1))

    @property
    def ideal(self) -> float | None:
        r"""Accuracy of an ideal observer, which is 1 without noise.

        With noise and two stimuli, it is

        .. math:: p q + (1 - p)(1 - q), \qquad p = \Phi(\sqrt{T / 200\,\text{ms}} / \sigma),

        where :math:`p` is the probability to tell the sample, which lasts :math:`T`, and
        :math:`q` the same of the test: means over durations, if these vary. With noise and more
        stimuli there is no closed form, nor with catch trials and input noise.
        """
        if self._total_sd == 0:
            return self._with_catch(1.0)
        if self.n_stimuli > 2:
            return None
        p, q = (
            self._mean_over("sample", self._told),
            self._mean_over("test", self._told),
        )
        # An observer who is wrong twice is right about the match.
        return self._with_catch(p * q + (1 - p) * (1 - q))

    def _told(self, duration_ms: float) -> float:
        """Return the probability to tell one of two stimuli from the other."""
        # Two inputs are compared, and both are noisy: hence 200 ms and not 100.
        return normal_cdf((duration_ms / 200) ** 0.5 / self._total_sd)

    def _sample(self, n: int, generator: torch.Generator | None) -> Trials:
        timeline = self._timeline(n, generator)
        sample = torch.randint(self.n_stimuli, (n,), generator=generator)
        choice = torch.randint(1, 3, (n,), generator=generator)
        # Drawn for matches too, so that the same seed gives the same trials whatever was chosen.
        others = torch.randint(1, self.n_stimuli, (n,), generator=generator)
        test = torch.where(choice == 1, sample, (sample + others) % self.n_stimuli)
        inputs = self._blank(timeline)
        for period, shown in (("sample", sample), ("test", test)):
            one_hot = torch.nn.functional.one_hot(shown, self.n_stimuli)
            # As floating point, of which means are.
            means = one_hot.to(inputs.dtype)
            self._show(inputs, timeline, period, means, generator)
        conditions = {"sample": sample + 1, "test": test + 1, "choice": choice}
        return self._trials(inputs, choice, conditions, timeline)
