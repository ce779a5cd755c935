"""A task of graded working memory: which of two vibrations was the faster one?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from daleml import require
from daleml.tasks.durations import Duration
from daleml.tasks.trials import Trials
from daleml.tasks.two_choices import ChoiceTask


@dataclass(frozen=True, kw_only=True)
class FrequencyComparison(ChoiceTask):
    r"""Say which of two vibrations, before and after a delay, had the higher frequency.

    A frequency :math:`f` is shown by two inputs, one that grows with it and one that falls,

    .. math:: x_\pm = b + \frac{1}{2} \pm \Big(u - \frac{1}{2}\Big) + \sigma_\text{step} \xi_\pm,
        \qquad u = \frac{f - f_\text{min}}{f_\text{max} - f_\text{min}} .

    Class 1 is that the first was higher, class 2 that the second was. Each pair comes in both
    orders, so that what must be held is how high the first one was, and not only whether.

    Args:
        fixation_ms: Duration before the first vibration; may be 0. This and the others are numbers
            of ms, or a :class:`Duration` that is drawn for each trial.
        first_ms: Duration of the first vibration.
        delay_ms: Duration between the two; may be 0.
        second_ms: Duration of the second vibration.
        decision_ms: Duration of the answer, without a vibration.
        pairs: Pairs of different frequencies in Hz; each, in either order, is as likely as the
            others.
        noise_sd: Standard deviation of the noise of a vibration in a step of 100 ms.
        baseline: Added to both inputs during a vibration, :math:`b`.
        fixate: Whether the loss counts the steps before the decision too.
        grace_ms: For how long after the decision has begun nothing counts.
        catch: Fraction of trials without vibrations.
        input_noise: Standard deviation of the noise of every input in a step of 100 ms.
        input_baseline: Added to every input, at every step.
        dt_ms: Duration of a step.

    Raises:
        TypeError: If a setting is of the wrong type.
        ValueError: If a setting is out of range, or a duration is no multiple of ``dt_ms``.

    Example:
        >>> import torch
        >>> task = FrequencyComparison()
        >>> task.n_steps, task.input_names[1:], task.ideal
        (45, ('rises with frequency', 'falls with frequency'), 1.0)
        >>> trials = task.sample(3, generator=torch.Generator().manual_seed(0))
        >>> trials.conditions["first_hz"], trials.conditions["second_hz"]
        (tensor([34., 26., 22.]), tensor([26., 34., 30.]))

    Notes:
        The pairs and the durations are chosen here, after those of the experiment. With noise,
        the ideal is computed numerically.

    References:
        Romo, Brody, Hernandez, Lemus 1999 Nature 399:470.
        Song, Yang, Wang 2016 PLoS Comput Biol 12:e1004792, for circuits that learn it.
    """

    fixation_ms: float | Duration = 0.0
    first_ms: float | Duration = 500.0
    delay_ms: float | Duration = 3000.0
    second_ms: float | Duration = 500.0
    decision_ms: float | Duration = 500.0
    pairs: Sequence[tuple[float, float]] = (
        (10, 18),
        (14, 22),
        (18, 26),
        (22, 30),
        (26, 34),
    )

    def __post_init__(self) -> None:
        # A frozen dataclass is set this way once, when it is made.
        object.__setattr__(self, "pairs", _pairs(self.pairs))
        super().__post_init__()

    @property
    def input_names(self) -> tuple[str, ...]:
        """The fixation cue and the two inputs of a vibration."""
        return ("fixation", "rises with frequency", "falls with frequency")

    @property
    def output_names(self) -> tuple[str, ...]:
        """The classes."""
        return ("fixate", "first is higher", "second is higher")

    @property
    def _ordered(self) -> Tensor:
        """The pairs in both orders, (2 * pairs, 2); those whose first is higher come second."""
        both = [(min(pair), max(pair)) for pair in self.pairs]
        both += [(max(pair), min(pair)) for pair in self.pairs]
        return torch.tensor(both, dtype=torch.get_default_dtype())

    def _scaled(self, frequencies: Tensor) -> Tensor:
        """Return frequencies on a scale from 0, for the lowest, to 1."""
        every = [frequency for pair in self.pairs for frequency in pair]
        lowest, highest = min(every), max(every)
        return (frequencies - lowest) / (highest - lowest)

    @property
    def stimulus_means(self) -> tuple[float, ...]:
        """Each frequency on a scale from 0 to 1, and the rest to 1."""
        scaled = self._scaled(self._ordered).flatten().tolist()
        return (*scaled, *[1 - one for one in scaled])

    @property
    def ideal(self) -> float | None:
        r"""Accuracy of an ideal observer, who knows the pairs; 1 without noise.

        With noise, an observer estimates both :math:`u` with variances :math:`\sigma^2
        50\,\text{ms} / T`, and takes the class that is the more probable:

        .. math:: \frac{1}{2} \int \max\big(p(z | 1), p(z | 2)\big)\, dz .

        None where the vibrations are noisy and vary in duration, or for catch trials with noise
        of the inputs.
        """
        if self._total_sd == 0:
            return self._with_catch(1.0)
        if isinstance(self.first_ms, Duration) or isinstance(self.second_ms, Duration):
            return None
        lasting = torch.tensor([self.first_ms, self.second_ms], dtype=torch.float64)
        # Two inputs say the same, each with noise of its own: hence 50 ms.
        sds = self._total_sd * (50 / lasting).sqrt()
        means = self._scaled(self._ordered).double() / sds
        half = len(means) // 2
        return self._with_catch(mixture_accuracy(means[:half], means[half:]))

    def _sample(self, n: int, generator: torch.Generator | None) -> Trials:
        timeline = self._timeline(n, generator)
        which = torch.randint(len(self.pairs), (n,), generator=generator)
        choice = torch.randint(1, 3, (n,), generator=generator)
        # Pairs whose first is higher stand in the second half.
        shown = self._ordered[which + len(self.pairs) * (choice == 1)]
        inputs = self._blank(timeline)
        for period, scaled in zip(
            ("first", "second"), self._scaled(shown).unbind(1), strict=True
        ):
            means = torch.stack([scaled, 1 - scaled], dim=1)
            self._show(inputs, timeline, period, means, generator)
        conditions = {
            "first_hz": shown[:, 0],
            "second_hz": shown[:, 1],
            # Without a sign, as the strength of evidence: the choice says which is higher.
            "difference_hz": (shown[:, 0] - shown[:, 1]).abs(),
            "choice": choice,
        }
        return self._trials(inputs, choice, conditions, timeline)


def mixture_accuracy(one: Tensor, other: Tensor) -> float:
    """Return how often the more probable of two classes is right, by a sum over a grid.

    Args:
        one: The means of a class in the plane, in units of the noise's standard deviation; each
            as likely as the others.
        other: Those of the other class, which is as likely.
    """
    # So far apart, an observer errs once in a thousand million trials.
    if float(torch.cdist(one, other).min()) > 12:
        return 1.0
    # Six standard deviations hold all but 1e-8 of a density.
    axes = []
    for means in torch.cat([one, other]).unbind(1):
        low, high = float(means.min()) - 6, float(means.max()) + 6
        n_points = min(2000, math.ceil((high - low) / 0.05) + 1)
        axes.append(torch.linspace(low, high, n_points, dtype=torch.float64))
    densities = []
    for means in (one, other):
        along = []
        for axis, of_axis in zip(axes, means.unbind(1), strict=True):
            along.append(_density(axis, of_axis))
        # The density of a mean is a product, and that of a class the mean of those.
        densities.append(torch.einsum("kx,ky->xy", *along) / len(means))
    cell = math.prod(float(axis[1] - axis[0]) for axis in axes)
    accuracy = float(torch.maximum(*densities).sum()) * cell / 2
    return min(accuracy, 1.0)


def _density(axis: Tensor, means: Tensor) -> Tensor:
    """Return the standard normal density around each of some means, (means, points)."""
    deviations = axis - means[:, None]
    return torch.exp(-deviations.square() / 2) / math.sqrt(2 * math.pi)


def _pairs(given: object) -> tuple[tuple[float, float], ...]:
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise TypeError(
            f"`pairs` must be a sequence of pairs of frequencies; got {given!r}."
        )
    pairs = []
    for pair in given:
        if not isinstance(pair, Sequence) or len(pair) != 2:
            raise TypeError(f"`pairs` must hold pairs of frequencies; got {pair!r}.")
        first, second = (require.positive("pairs", frequency) for frequency in pair)
        if first == second:
            raise ValueError(
                f"`pairs` must hold two different frequencies each; got {pair!r}."
            )
        pairs.append((first, second))
    return tuple(pairs)
