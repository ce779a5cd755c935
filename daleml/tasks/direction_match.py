"""Tasks of memory of a direction of motion: is the test the sample, or what a rule makes of it?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from daleml import require
from daleml.tasks.direction_stimuli import von_mises
from daleml.tasks.durations import Duration, whole_steps
from daleml.tasks.task import ClassificationTask
from daleml.tasks.timed_tasks import TimedTask
from daleml.tasks.timeline import Timeline
from daleml.tasks.trials import Trials, within
from daleml.tasks.two_choices import ChoiceTask

_TURNS = {"DMS": 0, "DMRS45": 45, "DMRS90": 90, "DMRS180": 180}
"""By how many degrees the test of a match is turned from the sample."""
_RULES = (*_TURNS, "DMC")


@dataclass(frozen=True, kw_only=True)
class DirectionMatch(ChoiceTask):
    r"""Say, while a direction of motion is shown, whether it matches the one before the delay.

    Unit :math:`i` of a ring of inputs receives :math:`h e^{\kappa (\cos(\theta - \theta_i) - 1)}`
    from direction :math:`\theta`. Half of the trials are matches. There is no fixation cue: the
    second motion is the one to answer to, while it lasts. Class 1 is a match, class 2 a
    non-match.

    Args:
        rule: What matches the sample: "DMS", the same direction; "DMRS45", "DMRS90" and "DMRS180",
            the direction turned by so many degrees; "DMC", any direction of the same category, of
            which there are two, the first and the second half of the directions.
        fixation_ms: Duration before the sample; may be 0. This and the others are numbers of ms,
            or a :class:`Duration` that is drawn for each trial.
        sample_ms: Duration of the sample.
        delay_ms: Duration without a stimulus; may be 0.
        test_ms: Duration of the test, and of the answer.
        n_directions: How many directions there are, evenly spaced.
        n_tuned: How many inputs there are, tuned to directions that are evenly spaced.
        height: Input of a unit from the direction it prefers, :math:`h`.
        concentration: :math:`\kappa`; the larger, the narrower the tuning.
        noise_sd: Standard deviation of the noise on sample and test, in a step of 100 ms.
        baseline: Added to all inputs while a stimulus is shown.
        fixate: Whether the loss counts the steps before the test too.
        grace_ms: For how long after the test has begun nothing counts.
        catch: Fraction of trials without a sample and a test.
        input_noise: Standard deviation of the noise of every input in a step of 100 ms.
        input_baseline: Added to every input, at every step.
        dt_ms: Duration of a step.

    Raises:
        TypeError: If a setting is of the wrong type.
        ValueError: If a setting is out of range, there is no such rule, a turn is no whole number
            of directions, or a duration is no multiple of ``dt_ms``.

    Example:
        >>> task = DirectionMatch(rule="DMRS90")
        >>> task.n_steps, task.n_inputs, task.chance, task.ideal
        (250, 24, 0.5, 1.0)
        >>> trials = task.sample(200)
        >>> turned = (trials.conditions["test"] - trials.conditions["sample"]) % 360
        >>> bool((turned[trials.conditions["choice"] == 1] == 90).all())
        True

    Notes:
        Times, tuning and the grace are Masse et al.'s; their noise of the inputs is an
        ``input_noise`` of 0.141, to which no ideal observer has a closed form. ``sample`` and
        ``test`` are in degrees. Which other direction a non-match shows, each as likely as the
        others, is chosen here, as are the halves of the categories.

    References:
        Masse, Yang, Song, Wang, Freedman 2019 Nature Neuroscience 22:1159.
    """

    rule: str = "DMS"
    fixation_ms: float | Duration = 500.0
    sample_ms: float | Duration = 500.0
    delay_ms: float | Duration = 1000.0
    test_ms: float | Duration = 500.0
    n_directions: int = 8
    n_tuned: int = 24
    height: float = 4.0
    concentration: float = 2.0
    grace_ms: float = 50.0
    dt_ms: float = 10.0

    def __post_init__(self) -> None:
        if self.rule not in _RULES:
            raise ValueError(
                f"`rule` must be one of {', '.join(_RULES)}; got {self.rule!r}."
            )
        _require_ring(self.n_directions, self.n_tuned, self.height, self.concentration)
        degrees = _TURNS.get(self.rule, 180)
        if degrees * self.n_directions % 360:
            raise ValueError(
                f"`n_directions` must be a multiple of {360 // math.gcd(360, degrees)}"
                f" for {self.rule}; got {self.n_directions}."
            )
        super().__post_init__()

    @property
    def durations(self) -> dict[str, float | Duration]:
        """Fixation, sample, delay, test; and the decision, which begins and ends with the test."""
        return super().durations | {"decision": 0.0}

    @property
    def begins_with(self) -> dict[str, str]:
        """The decision begins with the test."""
        return {"decision": "test"}

    @property
    def input_names(self) -> tuple[str, ...]:
        """The directions that the inputs prefer."""
        return _direction_names(self.n_tuned)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The classes."""
        return ("fixate", "match", "non-match")

    @property
    def stimulus_inputs(self) -> slice:
        """All inputs: there is no fixation cue."""
        return slice(0, self.n_tuned)

    @property
    def stimulus_means(self) -> tuple[float, ...]:
        """What the inputs receive from each direction."""
        return tuple(self._shown(torch.arange(self.n_directions)).flatten().tolist())

    @property
    def ideal(self) -> float | None:
        """Accuracy of an ideal observer: 1 without noise; with it, there is no closed form."""
        return self._with_catch(1.0) if self._total_sd == 0 else None

    def _shown(self, directions: Tensor) -> Tensor:
        """Return what the inputs receive from directions, given by their numbers."""
        angles = directions * (2 * math.pi / self.n_directions)
        return von_mises(angles, self.n_tuned, self.height, self.concentration)

    def _blank(self, timeline: Timeline | int) -> Tensor:
        if isinstance(timeline, int):
            return torch.zeros(self.n_steps, timeline, self.n_inputs)
        return torch.zeros(timeline.n_steps, timeline.n_trials, self.n_inputs)

    def _sample(self, n: int, generator: torch.Generator | None) -> Trials:
        timeline = self._timeline(n, generator)
        sample = torch.randint(self.n_directions, (n,), generator=generator)
        choice = torch.randint(1, 3, (n,), generator=generator)
        test = self._tests(sample, choice == 1, generator)
        inputs = self._blank(timeline)
        # What the units receive from each, the same at every step of its period.
        for period, shown in (("sample", sample), ("test", test)):
            self._show(inputs, timeline, period, self._shown(shown), generator)
        degrees = 360 / self.n_directions
        conditions = {
            "sample": sample * degrees,
            "test": test * degrees,
            "choice": choice,
        }
        return self._trials(inputs, choice, conditions, timeline)

    def _tests(
        self, sample: Tensor, matches: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        """Draw the tests, by the numbers of their directions."""
        n, n_directions = len(sample), self.n_directions
        if self.rule == "DMC":
            # The sample itself may be the test, as one direction of its category.
            half = n_directions // 2
            within = torch.randint(half, (n,), generator=generator)
            same = (sample >= half) == matches
            return within + half * same
        turn = _TURNS[self.rule] * n_directions // 360
        others = torch.randint(1, n_directions, (n,), generator=generator)
        return (sample + turn + torch.where(matches, 0, others)) % n_directions


@dataclass(frozen=True, kw_only=True)
class DirectionSequence(TimedTask, ClassificationTask):
    r"""Say of each of a series of directions of motion whether it is the sample's (ABBA, ABCA).

    After the sample, tests follow each other, with a delay before each. Each is a match with the
    probability ``p_match``, after which the trial is over. A test that does not match has another
    direction; under the rule "ABBA" a second such test repeats the first, which is not to be
    taken for a match, and under "ABCA" it does not. Class 1 is a match, class 2 a non-match, to be
    answered while each test lasts.

    Args:
        rule: "ABBA" or "ABCA".
        fixation_ms: Duration before the sample; may be 0. This and the others are numbers of ms,
            or a :class:`Duration` that is drawn for each trial.
        sample_ms: Duration of the sample.
        delay_ms: Duration before each test; may be 0.
        test_ms: Duration of each test, and of each answer.
        n_tests: How many tests there are at most.
        p_match: Probability of a match, in each test that is reached.
        n_directions: How many directions there are, evenly spaced: more than there are tests.
        n_tuned: How many inputs there are, tuned to directions that are evenly spaced.
        height: Input of a unit from the direction it prefers.
        concentration: The larger, the narrower the tuning, as in :class:`DirectionMatch`.
        fixate: Whether the loss counts the steps without a test too.
        grace_ms: For how long after a test has begun nothing counts.
        input_noise: Standard deviation of the noise of every input in a step of 100 ms.
        input_baseline: Added to every input, at every step.
        dt_ms: Duration of a step.

    Raises:
        TypeError: If a setting is of the wrong type.
        ValueError: If a setting is out of range, there is no such rule, or a duration is no
            multiple of ``dt_ms``.

    Example:
        >>> task = DirectionSequence(rule="ABBA")
        >>> [period.name for period in task.periods]
        ['fixation', 'sample', 'delay 1', 'test 1', 'delay 2', 'test 2', 'delay 3', 'test 3']
        >>> task.n_inputs, task.chance, task.ideal
        (24, 0.5, 1.0)

    Notes:
        ``match`` is the number of the test that matched, 0 where none did; ``test_1``, ... are in
        degrees, and those after a match are not shown. That a test matches in
        half of the cases, and what repeats, are chosen here; a test and a delay of 400 ms are
        Masse et al.'s.

    References:
        Masse, Yang, Song, Wang, Freedman 2019 Nature Neuroscience 22:1159.
    """

    rule: str = "ABBA"
    fixation_ms: float | Duration = 400.0
    sample_ms: float | Duration = 400.0
    delay_ms: float | Duration = 400.0
    test_ms: float | Duration = 400.0
    n_tests: int = 3
    p_match: float = 0.5
    n_directions: int = 8
    n_tuned: int = 24
    height: float = 4.0
    concentration: float = 2.0
    fixate: bool = True
    grace_ms: float = 50.0
    dt_ms: float = 10.0

    _names: ClassVar[tuple[str, ...]] = ("ABBA", "ABCA")

    def __post_init__(self) -> None:
        if self.rule not in self._names:
            raise ValueError(
                f"`rule` must be one of {', '.join(self._names)}; got {self.rule!r}."
            )
        _require_ring(self.n_directions, self.n_tuned, self.height, self.concentration)
        n_tests = require.integer("n_tests", self.n_tests, minimum=1)
        require.integer("n_directions", self.n_directions, minimum=n_tests + 1)
        require.fraction("p_match", self.p_match)
        require.flag("fixate", self.fixate)
        super().__post_init__()
        whole_steps("grace_ms", self.grace_ms, self.dt_ms, may_be_zero=True)
        shortest = int(self._distributions()["test 1"][0][0]) * self.dt_ms
        if self.grace_ms >= shortest:
            raise ValueError(
                f"`grace_ms` must be below the shortest test, {shortest:g}; got"
                f" {self.grace_ms:g}."
            )

    @property
    def durations(self) -> dict[str, float | Duration]:
        """Fixation and sample, then a delay and a test for each test."""
        found = {"fixation": self.fixation_ms, "sample": self.sample_ms}
        for number in range(1, self.n_tests + 1):
            found[f"delay {number}"] = self.delay_ms
            found[f"test {number}"] = self.test_ms
        return found

    @property
    def input_names(self) -> tuple[str, ...]:
        """The directions that the inputs prefer."""
        return _direction_names(self.n_tuned)

    @property
    def output_names(self) -> tuple[str, ...]:
        """The classes."""
        return ("fixate", "match", "non-match")

    @property
    def chance(self) -> float:
        """Accuracy of the best guess, for each test: whichever answer is right more often."""
        return max(self.p_match, 1 - self.p_match)

    @property
    def ideal(self) -> float | None:
        """Accuracy of an ideal observer: 1 without noise; with it, there is no closed form."""
        return None if self.input_noise else 1.0

    def _judged(self, trials: Trials) -> Tensor:
        return trials.mask & (trials.targets > 0)

    def _sample(self, n: int, generator: torch.Generator | None) -> Trials:
        timeline = self._timeline(n, generator)
        sample, tests, match = self._directions(n, generator)
        inputs = torch.zeros(timeline.n_steps, n, self.n_inputs)
        targets = torch.zeros(timeline.n_steps, n, dtype=torch.int64)
        mask = torch.full(targets.shape, self.fixate)
        self._put(inputs, timeline, "sample", sample)
        conditions = {"sample": sample * (360 / self.n_directions), "match": match}
        grace = round(self.grace_ms / self.dt_ms)
        for number, test in enumerate(tests, start=1):
            period = f"test {number}"
            during = timeline.during(period)
            self._put(inputs, timeline, period, test)
            targets = torch.where(during, torch.where(match == number, 1, 2), targets)
            mask = (mask | during) & ~timeline.beginning(period, grace)
            conditions[f"test_{number}"] = test * (360 / self.n_directions)
        # After a match, nothing is shown and nothing counts.
        over = self._over(timeline, match)
        inputs[over], mask[over], targets[over] = 0, False, 0
        return self._timed_trials(inputs, targets, mask, conditions, timeline)

    def _over(self, timeline: Timeline, match: Tensor) -> Tensor:
        """Return which steps come after the test that matched, (time, trials)."""
        rows = [timeline.names.index(f"test {i + 1}") for i in range(self.n_tests)]
        each = torch.arange(len(match))
        ends = timeline.ends[rows][(match - 1).clamp(min=0), each]
        last = torch.full_like(ends, timeline.n_steps)
        return within(torch.where(match > 0, ends, last), last, timeline.n_steps)

    def _put(
        self, inputs: Tensor, timeline: Timeline, period: str, directions: Tensor
    ) -> None:
        angles = directions * (2 * math.pi / self.n_directions)
        shown = von_mises(angles, self.n_tuned, self.height, self.concentration)
        steps = timeline.longest(period)
        timeline.put(inputs, period, shown.expand(steps, -1, -1), slice(0, None))

    def _directions(
        self, n: int, generator: torch.Generator | None
    ) -> tuple[Tensor, list[Tensor], Tensor]:
        """Draw the sample, the tests, and which of them is the match, 0 where none is."""
        sample = torch.randint(self.n_directions, (n,), generator=generator)
        matches = torch.rand(self.n_tests, n, generator=generator) < self.p_match
        match = torch.where(matches.any(0), matches.int().argmax(0) + 1, 0)
        # Sorting random numbers gives directions that differ from the sample and each other.
        keys = torch.rand(n, self.n_directions - 1, generator=generator)
        others = (sample[:, None] + 1 + keys.argsort(1)) % self.n_directions
        tests = []
        for number in range(1, self.n_tests + 1):
            different = others[:, number - 1]
            if self.rule == "ABBA":
                # Tests in pairs: B B, then C C.
                different = others[:, (number - 1) // 2]
            tests.append(torch.where(match == number, sample, different))
        return sample, tests, match


def _direction_names(n: int) -> tuple[str, ...]:
    return tuple(f"direction: {360 * i / n:g}" for i in range(n))


def _require_ring(
    n_directions: int, n_tuned: int, height: float, concentration: float
) -> None:
    require.integer("n_directions", n_directions, minimum=2)
    require.integer("n_tuned", n_tuned, minimum=2)
    require.positive("height", height)
    require.positive("concentration", concentration)
