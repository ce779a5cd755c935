"""Durations that are drawn for each trial, and trials that know when things happen in them."""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy import stats

from daleml import tasks
from daleml.tasks import Choice, Timeline, TruncatedExponential, Uniform
from tests.tasks.test_tasks import one_hot, seeded

DISTRIBUTIONS = {
    "uniform": (Uniform(100, 500), [1, 1, 1, 1, 1], [2, 4, 6, 8, 10]),
    "choice": (Choice((400, 100, 250), (1, 2, 5)), [2, 5, 1], [2, 5, 8]),
    "exponential": (
        TruncatedExponential(200, 100, 400),
        [math.exp(-x / 200) for x in (0, 50, 100, 150, 200, 250, 300)],
        [2, 3, 4, 5, 6, 7, 8],
    ),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_durations_are_drawn_as_their_distribution_says(name):
    duration, weights, steps = DISTRIBUTIONS[name]
    dt_ms = 50
    if name == "uniform":
        duration, dt_ms = Uniform(100, 500), 100
        steps = [1, 2, 3, 4, 5]
    found, probabilities = duration.distribution(dt_ms)
    expected = np.array(weights) / sum(weights)
    assert found.tolist() == steps
    np.testing.assert_allclose(probabilities.numpy(), expected, rtol=1e-12)
    assert duration.expected_ms(dt_ms) == pytest.approx(
        float(expected @ np.array(steps)) * dt_ms
    )
    task = tasks.PerceptualDecision(stimulus_ms=duration, dt_ms=dt_ms)
    trials = task.sample(4000, seeded(1))
    drawn = (trials.conditions["stimulus_ms"] / dt_ms).round().int()
    counts = np.bincount(drawn.numpy(), minlength=max(steps) + 1)[steps]
    assert counts.sum() == 4000
    assert stats.chisquare(counts, expected * 4000).pvalue > 0.01
    assert torch.equal(trials.during("stimulus").sum(0), drawn)
    assert task.n_steps == max(steps) + round(100 / dt_ms)


def test_a_waiting_time_has_a_constant_hazard():
    _, p = TruncatedExponential(300, 0, 3000).distribution(10)
    remaining = p.flip(0).cumsum(0).flip(0)
    hazard = (p / remaining)[:-100]
    assert hazard.max() / hazard.min() == pytest.approx(1, abs=0.1)
    assert hazard[0].item() == pytest.approx(1 - math.exp(-10 / 300), rel=1e-3)


def test_one_duration_to_choose_from_is_a_fixed_one():
    fixed = tasks.PerceptualDecision().sample(5, seeded())
    chosen = tasks.PerceptualDecision(stimulus_ms=Choice((700,))).sample(5, seeded())
    assert torch.equal(fixed.inputs, chosen.inputs)
    assert fixed.periods == chosen.periods
    assert not chosen.spans


def test_a_batch_that_happens_to_agree_has_shared_periods():
    task = tasks.PerceptualDecision(stimulus_ms=Uniform(100, 900))
    trials = task.sample(1, seeded())
    assert trials.periods[1].end_ms == trials.conditions["stimulus_ms"].item()
    assert task.periods == ()
    with pytest.raises(ValueError) as raised:
        task.steps("stimulus")
    assert str(raised.value) == (
        "`steps` must be asked of the trials, `trials.during('stimulus')`, where durations vary; got"
        " PerceptualDecision without periods that all share."
    )
    with pytest.raises(ValueError, match="which there are none; got 'stimuli'"):
        task.steps("stimuli")


def test_trials_of_many_lengths_equal_a_loop_over_trials():
    """Trial by trial, step by step, from what each says was drawn for it."""
    task = tasks.PerceptualDecision(
        dt_ms=50,
        fixation_ms=Uniform(50, 200),
        stimulus_ms=Uniform(100, 300),
        delay_ms=Choice((0, 100)),
        decision_ms=Choice((50, 150)),
        grace_ms=0,
        noise_sd=0,
        coherences=(0.2,),
    )
    trials = task.sample(20, seeded(3))
    for i in range(20):
        end = 0
        lasting = {}
        for name in ("fixation", "stimulus", "delay", "decision"):
            steps = round(trials.conditions[f"{name}_ms"][i].item() / 50)
            lasting[name] = range(end, end + steps)
            end += steps
        side = 1 if trials.conditions["choice"][i] == 1 else -1
        for t in range(len(trials.inputs)):
            cue, evidence_1, evidence_2 = trials.inputs[t, i].tolist()
            assert cue == (t < lasting["decision"].start)
            shown = t in lasting["stimulus"]
            assert evidence_1 == pytest.approx(shown * (1 + side * 0.1))
            assert evidence_2 == pytest.approx(shown * (1 - side * 0.1))
            asked = trials.targets[t, i] if t < end else 0
            decides = t in lasting["decision"]
            assert asked == decides * trials.conditions["choice"][i]
            assert trials.mask[t, i] == (t < end)
        assert trials.lengths[i] == end
        for name, start, stop in trials.periods_of(i):
            assert start / 50 == lasting[name].start
            assert stop / 50 == lasting[name].stop


def test_what_is_written_into_a_period_begins_with_it():
    counts = {"wait": torch.tensor([1, 3]), "show": torch.tensor([3, 2])}
    timeline = Timeline.consecutive(counts, dt_ms=10)
    values = torch.arange(1.0, 4)[:, None, None].expand(3, 2, 1)
    inputs = timeline.put(torch.zeros(5, 2, 2), "show", values, slice(1, 2))
    assert inputs[..., 1].t().tolist() == [[0, 1, 2, 3, 0], [0, 0, 0, 1, 2]]
    assert not inputs[..., 0].any()
    assert timeline.before("show").sum(0).tolist() == [1, 3]
    assert timeline.beginning("show", 2).sum(1).tolist() == [0, 1, 1, 1, 1]


class TestTrials:
    TRIALS = tasks.PerceptualDecision(stimulus_ms=Choice((200, 600))).sample(
        30, seeded()
    )

    def test_onsets_and_offsets_follow_each_other(self):
        onsets, offsets = self.TRIALS.onsets, self.TRIALS.offsets
        assert list(onsets) == ["fixation", "stimulus", "delay", "decision"]
        assert torch.equal(offsets["stimulus"], onsets["delay"])
        assert torch.equal(offsets["delay"], onsets["decision"])
        assert set(offsets["stimulus"].tolist()) == {200, 600}

    def test_shared_periods_have_onsets_too(self):
        trials = tasks.PerceptualDecision().sample(2)
        assert trials.onsets["decision"].tolist() == [700, 700]
        assert trials.lengths.tolist() == [8, 8]
        assert trials.during("decision").nonzero().tolist() == [[7, 0], [7, 1]]

    def test_a_window_moves_with_the_period(self):
        window = self.TRIALS.during("decision", window_ms=(-200, 100))
        assert window.sum(0).unique().tolist() == [3]
        first = window.int().argmax(0) * 100
        assert torch.equal(first + 200, self.TRIALS.onsets["decision"].long())

    @pytest.mark.parametrize(
        ("window", "sentence"),
        [
            (
                (0, 200),
                "`window_ms` must be within every trial, from -200 to 100 ms of the onset of decision; got 0 to 200.",
            ),
            (
                (-300, 0),
                "`window_ms` must be within every trial, from -200 to 100 ms of the onset of decision; got -300 to 0.",
            ),
            ((100, 100), "`window_ms` must end after it begins; got 100 to 100."),
            ((0, 50), "`window_ms` must be whole steps of 100 ms; got 50."),
            ((0,), "`window_ms` must be two times in ms, (start, end); got (0,)."),
            (100, "`window_ms` must be two times in ms, (start, end); got 100."),
        ],
    )
    def test_a_window_outside_of_a_trial_is_refused(self, window, sentence):
        with pytest.raises((TypeError, ValueError)) as raised:
            self.TRIALS.during("decision", window_ms=window)
        assert str(raised.value) == sentence

    def test_an_unknown_period_is_refused(self):
        with pytest.raises(ValueError) as raised:
            self.TRIALS.during("test")
        assert str(raised.value) == (
            "`period` must be one of fixation, stimulus, delay, decision; got 'test'."
        )
        with pytest.raises(
            ValueError, match="`index` must be between 0 and 29; got 30"
        ):
            self.TRIALS.periods_of(30)

    def test_some_of_the_trials_are_trials(self):
        long = self.TRIALS.conditions["stimulus_ms"] == 600
        some = self.TRIALS.select(long)
        assert len(some) == int(long.sum())
        assert torch.equal(some.inputs, self.TRIALS.inputs[:, long])
        assert some.onsets["decision"].unique().tolist() == [600]
        task = tasks.PerceptualDecision()
        answers = one_hot(some.targets, 3)
        assert task.score(answers, some) == 1
        assert len(self.TRIALS.select(torch.tensor([3, 3, 0]))) == 3
        with pytest.raises(ValueError, match="must leave at least one trial"):
            some.select(some.conditions["stimulus_ms"] == 200)

    @pytest.mark.parametrize(
        ("which", "sentence"),
        [
            (
                torch.tensor([True, False]),
                "indices, or a boolean for each of the 30 trials; got torch.bool of shape (2,).",
            ),
            (
                1,
                "indices, or a boolean for each of the 30 trials; got torch.int64 of shape ().",
            ),
            (
                [0.5],
                "indices, or a boolean for each of the 30 trials; got torch.float32 of shape (1,).",
            ),
            ([3, 30], "between 0 and 29; got 30."),
            ([-1], "between 0 and 29; got -1."),
        ],
    )
    def test_what_is_no_choice_of_trials_is_refused(self, which, sentence):
        with pytest.raises(ValueError) as raised:
            self.TRIALS.select(which)
        assert str(raised.value) == f"`which` must be {sentence}"

    def test_they_go_to_the_meta_device(self):
        there = self.TRIALS.to("meta")
        assert there.spans["stimulus"].is_meta

    @pytest.mark.parametrize(
        ("span", "sentence"),
        [
            (
                [300, 200],
                "must end after it begins, in every trial; got one that ends before.",
            ),
            ([0, 900], "must be within the 800 ms of the trials; got 0 to 900."),
            ([-100, 0], "must be within the 800 ms of the trials; got -100 to 100."),
        ],
    )
    def test_spans_outside_of_the_trial_are_refused(self, span, sentence):
        trials = tasks.PerceptualDecision().sample(2)
        bounds = torch.tensor([span, [0, 100]]).float()
        with pytest.raises(ValueError) as raised:
            dataclasses.replace(trials, spans={"a": bounds})
        assert str(raised.value) == f"`spans['a']` {sentence}"


class TestCatch:
    TASK = tasks.PerceptualDecision(catch=0.3, decision_ms=200)

    def test_nothing_is_shown_and_fixating_is_right(self):
        trials = self.TASK.sample(2000, seeded())
        catch = trials.conditions["catch"]
        assert catch.double().mean().item() == pytest.approx(0.3, abs=0.03)
        assert not trials.inputs[:, catch, 1:].any()
        assert not trials.targets[:, catch].any()
        assert not trials.conditions["choice"][catch].any()
        assert trials.inputs[:7, catch, 0].all()
        assert (trials.inputs[:7, ~catch, 1:] != 0).all()
        fixating = one_hot(torch.zeros_like(trials.targets), 3)
        assert self.TASK.score(fixating, trials) == pytest.approx(
            catch.double().mean().item()
        )

    def test_the_context_is_there_all_the_same(self):
        trials = tasks.ContextDecision(catch=0.5).sample(200, seeded())
        catch = trials.conditions["catch"]
        assert (trials.conditions["context"] > 0).all()
        assert (trials.inputs[:, catch, 5:].sum(-1) == 1).all()

    def test_chance_and_ideal_count_them(self):
        plain = dataclasses.replace(self.TASK, catch=0.0)
        assert (plain.chance, self.TASK.chance) == (0.5, 0.35)
        assert dataclasses.replace(self.TASK, catch=0.6).chance == 0.6
        assert self.TASK.ideal == pytest.approx(0.3 + 0.7 * plain.ideal)
        assert dataclasses.replace(self.TASK, input_noise=0.1).ideal is None


class TestResponses:
    TASK = tasks.PerceptualDecision(
        reaction_time=True, fixation_ms=200, stimulus_ms=500, grace_ms=100, catch=0.2
    )

    def test_the_first_answer_counts_as_a_loop_finds_it(self):
        trials = self.TASK.sample(200, seeded())
        answers = torch.randint(3, trials.targets.shape, generator=seeded(1))
        answers[:, :20] = 0
        found = self.TASK.responses(one_hot(answers, 3), trials)
        for i in range(200):
            choice, time = 0, math.nan
            # the decision begins with the stimulus, at step 2, and its first step is of grace
            for t in range(3, 8):
                if answers[t, i] > 0:
                    choice, time = int(answers[t, i]), (t + 1) * 100 - 200
                    break
            assert found.choice[i] == choice
            assert found.time_ms[i].item() == pytest.approx(time, nan_ok=True)
            assert found.right[i] == (choice == trials.conditions["choice"][i])
        assert self.TASK.score(one_hot(answers, 3), trials) == found.accuracy
        written = found.to_dict()
        assert written["time_ms"][0] is None
        assert written["n"] == 200

    def test_a_threshold_waits_for_a_probable_answer(self):
        trials = self.TASK.sample(30, seeded())
        outputs = torch.randn(*trials.targets.shape, 3, generator=seeded(2))
        found = self.TASK.responses(outputs, trials, threshold=0.6)
        for i in range(30):
            time = math.nan
            for t in range(3, 8):
                p = outputs[t, i].exp() / outputs[t, i].exp().sum()
                if max(p[1], p[2]) >= 0.6:
                    time = (t + 1) * 100 - 200
                    break
            assert found.time_ms[i].item() == pytest.approx(time, nan_ok=True)
        with pytest.raises(ValueError, match="`threshold` must be a fraction"):
            self.TASK.responses(outputs, trials, threshold=2)

    def test_the_cue_ends_as_the_stimulus_begins(self):
        trials = self.TASK.sample(5, seeded())
        assert trials.inputs[..., 0].sum(0).tolist() == [2] * 5
        assert [tuple(p) for p in trials.periods][1:] == [
            ("stimulus", 200, 700),
            ("delay", 700, 700),
            ("decision", 200, 800),
        ]
        assert trials.mask[2].sum() == 0
        assert trials.mask.sum() == 5 * 7

    def test_other_tasks_have_responses_too(self):
        task = tasks.DelayedMatchToSample(decision_ms=300)
        trials = task.sample(10, seeded())
        answers = one_hot(trials.targets, 3)
        found = task.responses(answers, trials)
        assert found.right.all()
        assert found.time_ms.tolist() == [100] * 10


@dataclass(frozen=True, kw_only=True)
class Detection(tasks.ChoiceTask):
    """A task of the user's own, in few lines."""

    fixation_ms: float | tasks.Duration = 200
    stimulus_ms: float | tasks.Duration = 300
    decision_ms: float | tasks.Duration = 100

    input_names, output_names = ("fixation", "tone"), ("fixate", "absent", "present")
    stimulus_means, ideal = (0.0, 1.0), None

    def _sample(self, n, generator):
        timeline = self._timeline(n, generator)
        choice = torch.randint(1, 3, (n,), generator=generator)
        inputs = self._blank(timeline)
        self._show(inputs, timeline, "stimulus", (choice - 1.0)[:, None], generator)
        return self._trials(inputs, choice, {"choice": choice}, timeline)


@dataclass(frozen=True, kw_only=True)
class OldStyle(tasks.ChoiceTask):
    """A task as it was written before durations could vary."""

    input_names, output_names = ("fixation", "tone"), ("fixate", "absent", "present")
    stimulus_means, ideal = (0.0, 1.0), None
    periods = (tasks.Period("tone", 0.0, 200.0), tasks.Period("decision", 200.0, 300.0))

    def _sample(self, n, generator):
        choice = torch.randint(1, 3, (n,), generator=generator)
        inputs = self._blank(n)
        inputs[self.steps("tone"), :, 1:] = self._noisy(
            (choice - 1.0)[:, None], 2, generator
        )
        return self._trials(inputs, choice, {"choice": choice})


class TestOnesOwn:
    def test_fields_become_periods_that_may_vary(self):
        task = Detection()
        assert [p.name for p in task.periods] == ["fixation", "stimulus", "decision"]
        assert task.n_steps == 6
        varying = Detection(fixation_ms=Uniform(100, 900), catch=0.2, input_noise=0.1)
        trials = varying.sample(50, seeded())
        assert len(trials.lengths.unique()) > 3
        assert task.chance == 0.5
        answers = one_hot(trials.targets, 3)
        assert varying.score(answers, trials) == 1
        with pytest.raises(TypeError, match="did you mean `stimulus_ms`"):
            Detection(stimulus=100)

    def test_the_old_way_still_works(self):
        task = OldStyle(catch=0.5, noise_sd=0.1)
        trials = task.sample(40, seeded())
        assert trials.inputs.shape == (3, 40, 2)
        catch = trials.conditions["catch"]
        assert not trials.inputs[:, catch, 1].any()
        assert trials.inputs[:2, ~catch, 1].any()
        assert task.score(one_hot(trials.targets, 3), trials) == 1


def test_noise_of_inputs_sums_to_the_same_at_any_step():
    for dt_ms in (100.0, 20.0):
        task = tasks.PerceptualDecision(
            dt_ms=dt_ms, input_noise=0.3, input_baseline=0.2, noise_sd=0, baseline=0
        )
        trials = task.sample(2000, seeded())
        sums = trials.inputs[trials.during("decision")[:, 0]].mean(0)
        # of 100 ms, in which no stimulus is shown
        assert sums.std(0).tolist() == pytest.approx([0.3] * 3, rel=0.06)
        assert sums.mean(0).tolist() == pytest.approx([0.2] * 3, abs=0.03)


PERCEPTUAL = tasks.PerceptualDecision
REFUSED = [
    (lambda: Uniform(-1, 5), "`low_ms` must be at least 0; got -1."),
    (lambda: Uniform(500, 400), "`high_ms` must be above `low_ms`, 500; got 400."),
    (
        lambda: TruncatedExponential(0, 1, 2),
        "`mean_ms` must be above 0; got 0.",
    ),
    (lambda: Choice(()), "`values_ms` must have at least one value; got none."),
    (lambda: Choice((1, 1)), "`values_ms` must hold each duration once; got (1, 1)."),
    (lambda: Choice((1, -2)), "`values_ms` must be at least 0; got -2."),
    (
        lambda: Choice((1, 2), (1,)),
        "`probabilities` must be 2, one per duration; got 1.",
    ),
    (lambda: Choice((1, 2), (0, 0)), "`probabilities` must not all be 0."),
    (
        lambda: PERCEPTUAL(stimulus_ms=Uniform(400, 850)),
        "`high_ms` must be a multiple of `dt_ms`, 100; got 850, in `stimulus_ms`.",
    ),
    (
        lambda: PERCEPTUAL(stimulus_ms=Choice((100, 250))),
        "`values_ms` must be a multiple of `dt_ms`, 100; got 250, in `stimulus_ms`.",
    ),
    (
        lambda: PERCEPTUAL(stimulus_ms=Uniform(0, 200)),
        "`stimulus_ms` must be above 0; got Uniform(low_ms=0, high_ms=200) with 0 ms in it.",
    ),
    (lambda: PERCEPTUAL(catch=-0.1), "`catch` must be a fraction in [0, 1]; got -0.1."),
    (
        lambda: PERCEPTUAL(catch=1),
        "`catch` must leave trials with a stimulus; got 1.",
    ),
    (
        lambda: PERCEPTUAL(grace_ms=100),
        "`grace_ms` must be below the shortest decision, 100; got 100.",
    ),
    (
        lambda: PERCEPTUAL(grace_ms=50),
        "`grace_ms` must be a multiple of `dt_ms`, 100; got 50.",
    ),
    (lambda: PERCEPTUAL(scale=0), "`scale` must be above 0; got 0."),
    (
        lambda: PERCEPTUAL(reaction_time=1),
        "`reaction_time` must be True or False; got 1.",
    ),
    (
        lambda: PERCEPTUAL(input_noise=-1),
        "`input_noise` must be at least 0; got -1.",
    ),
    (
        lambda: PERCEPTUAL(input_baseline="low"),
        "`input_baseline` must be a number; got 'low'.",
    ),
    (
        lambda: PERCEPTUAL(stimulus_ms=(400, 800)),
        "`stimulus_ms` must be a number of ms, or a duration that is drawn, such as tasks.Uniform(400, 800);"
        " got (400, 800).",
    ),
    (lambda: Choice(3), "`values_ms` must be a sequence of numbers; got 3."),
]


@pytest.mark.parametrize(
    ("call", "sentence"), REFUSED, ids=[sentence for _, sentence in REFUSED]
)
def test_bad_durations_are_refused_in_one_sentence(call, sentence):
    with pytest.raises((TypeError, ValueError)) as raised:
        call()
    assert str(raised.value) == sentence


class Own(tasks.Duration):
    """A duration of the user's own, right or wrong."""

    def __init__(self, steps, probabilities):
        self.given = steps, probabilities

    def distribution(self, dt_ms):
        return self.given


def test_a_duration_of_ones_own():
    own = Own(torch.tensor([2, 5]), torch.tensor([0.25, 0.75]))
    trials = PERCEPTUAL(stimulus_ms=own).sample(400, seeded())
    assert trials.conditions["stimulus_ms"].mean() == pytest.approx(425, abs=20)
    assert PERCEPTUAL(stimulus_ms=own).ideal > 0.5


@pytest.mark.parametrize(
    ("steps", "probabilities", "got"),
    [
        ([1, 2], [0.5, 0.5], "list and list."),
        (torch.tensor([1.5]), torch.ones(1), "torch.float32 of shape (1,)."),
        (torch.tensor([1, 2]), torch.ones(1), "2 and 1."),
        (torch.tensor([2, 1]), torch.ones(2) / 2, "[2, 1]."),
        (torch.tensor([-1, 1]), torch.ones(2) / 2, "[-1, 1]."),
        (torch.tensor([1, 2]), torch.ones(2), "probabilities that sum to 2."),
    ],
)
def test_a_wrong_duration_of_ones_own_is_refused(steps, probabilities, got):
    with pytest.raises((TypeError, ValueError)) as raised:
        PERCEPTUAL(stimulus_ms=Own(steps, probabilities))
    assert str(raised.value) == (
        "`distribution` of Own, of `stimulus_ms`, must give whole numbers of steps, ascending, and the probability"
        f" of each, as tensors; got {got}"
    )


def test_durations_are_values():
    assert Uniform(100, 200) == Uniform(100, 200)
    assert len({Choice([1, 2]), Choice((1, 2)), Uniform(1, 2)}) == 2
    assert Choice(np.array([1, 2])) == Choice(torch.tensor([1, 2])) == Choice([1, 2])
    with pytest.raises(TypeError, match="did you mean `low_ms`"):
        Uniform(low=1, high_ms=2)
