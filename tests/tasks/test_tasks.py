"""One table of tasks, many laws; then what is particular to each."""

import copy
import dataclasses
import gzip
import json
import math
import pickle
import struct
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from daleml import tasks
from daleml.analysis import plots
from tests.tasks.observers import observer

TEXT = "the quick brown fox jumps over the lazy dog, and the dog does not mind. " * 5


class FakeEnvironment:
    """Speaks NeuroGym's protocol: fixate, see which of two stimuli is on, wait for a random time, choose."""

    dt = 50
    observation_space = SimpleNamespace(
        shape=(3,), name={"fixation": 0, "stimulus": range(1, 3)}
    )
    action_space = SimpleNamespace(n=3, name={"fixation": 0, "choice": [1, 2]})

    def __init__(self, dt=50, delays=(50, 100, 150)):
        self.dt = dt
        # the closure over `self` is NeuroGym's own habit; a copy of the environment would keep the original's
        self.timing = {"delay": lambda: int(self.rng.choice(delays))}
        self.rng = np.random.RandomState()

    def seed(self, seed):
        self.rng = np.random.RandomState(seed)

    def new_trial(self):
        choice, delay = int(self.rng.choice([1, 2])), self.timing["delay"]()
        self.start_t = {"stimulus": 0, "delay": self.dt, "decision": self.dt + delay}
        self.end_t = {
            "stimulus": self.dt,
            "delay": self.dt + delay,
            "decision": 2 * self.dt + delay,
        }
        n_steps = self.end_t["decision"] // self.dt
        self.ob = np.zeros((n_steps, 3), dtype=np.float32)
        self.ob[:-1, 0] = 1
        self.ob[0, choice] = 1
        self.gt = np.zeros(n_steps, dtype=np.int64)
        self.gt[-1] = choice
        self.trial = {"ground_truth": choice, "kind": "fake"}


def image_task(**kwargs):
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(50, 6, 4, generator=generator)
    labels = torch.randint(0, 3, (50,), generator=generator)
    return tasks.RowSequentialImages(images, labels, **kwargs)


TASKS = {
    "adding": lambda: tasks.AddingProblem(),
    "adding, odd": lambda: tasks.AddingProblem(length=5, dt_ms=7),
    "match to sample": lambda: tasks.DelayedMatchToSample(),
    "match to sample, noisy": lambda: tasks.DelayedMatchToSample(
        noise_sd=0.8, test_ms=200, dt_ms=50
    ),
    "match to sample, four": lambda: tasks.DelayedMatchToSample(
        n_stimuli=4, fixation_ms=200, fixate=False
    ),
    "match to sample, four noisy": lambda: tasks.DelayedMatchToSample(
        n_stimuli=4, noise_sd=0.5, baseline=2
    ),
    "perceptual": lambda: tasks.PerceptualDecision(),
    "perceptual, fine steps": lambda: tasks.PerceptualDecision(
        dt_ms=20, fixation_ms=100, delay_ms=60, fixate=False
    ),
    "perceptual, no noise": lambda: tasks.PerceptualDecision(
        noise_sd=0, coherences=(0.0, 0.5)
    ),
    "context": lambda: tasks.ContextDecision(),
    "context, fine steps": lambda: tasks.ContextDecision(
        dt_ms=50, noise_sd=0.3, coherences=[0.2]
    ),
    "perceptual, any duration": lambda: tasks.PerceptualDecision(
        dt_ms=50,
        fixation_ms=tasks.Uniform(50, 300),
        stimulus_ms=tasks.TruncatedExponential(300, 100, 1000),
        decision_ms=tasks.Choice((100, 200)),
        noise_sd=0.3,
        catch=0.2,
    ),
    "perceptual, reaction time": lambda: tasks.PerceptualDecision(
        dt_ms=50, fixation_ms=100, reaction_time=True, grace_ms=50, noise_sd=0.3
    ),
    "perceptual, reaction time and catch": lambda: tasks.PerceptualDecision(
        dt_ms=50,
        stimulus_ms=tasks.Uniform(300, 600),
        reaction_time=True,
        fixate=False,
        catch=0.4,
        noise_sd=0,
        baseline=0,
        coherences=(0.0, 0.2),
    ),
    "perceptual, noisy inputs": lambda: tasks.PerceptualDecision(
        dt_ms=50, noise_sd=0.1, input_noise=0.2, input_baseline=0.2, scale=3.2
    ),
    "context, any duration": lambda: tasks.ContextDecision(
        stimulus_ms=tasks.Choice((100, 300, 800), (3, 2, 1)), catch=0.5, noise_sd=0.3
    ),
    "context, noisy inputs": lambda: tasks.ContextDecision(input_noise=0.5),
    "match to sample, any duration": lambda: tasks.DelayedMatchToSample(
        sample_ms=tasks.Uniform(100, 400),
        delay_ms=tasks.TruncatedExponential(200, 0, 900),
        noise_sd=0.8,
        catch=0.3,
        grace_ms=100,
        decision_ms=200,
    ),
    "perceptual, Song's": lambda: tasks.PerceptualDecision.song2016(input_noise=0.4),
    "multisensory": lambda: tasks.MultisensoryDecision(noise_sd=0.2, visual_scale=2),
    "multisensory, catch": lambda: tasks.MultisensoryDecision(
        modalities=("visual", "both"), stimulus_ms=tasks.Uniform(100, 500), catch=0.1
    ),
    "frequencies": lambda: tasks.FrequencyComparison(dt_ms=250),
    "frequencies, noisy": lambda: tasks.FrequencyComparison(
        dt_ms=250, noise_sd=0.4, input_noise=0.3, baseline=1, delay_ms=500
    ),
    "frequencies, catch": lambda: tasks.FrequencyComparison(
        dt_ms=250, noise_sd=1.0, delay_ms=tasks.Uniform(500, 2000), catch=0.2
    ),
    "delayed response": lambda: tasks.DelayedResponse(),
    "delayed response, noisy": lambda: tasks.DelayedResponse(
        n_locations=4, noise_sd=1.0, baseline=3, distractors=(), catch=0.1
    ),
    "delayed response, two noisy": lambda: tasks.DelayedResponse(
        n_locations=2,
        noise_sd=2.0,
        distractors=(0, tasks.Uniform(300, 800)),
        distractor_strength=0.7,
        cue_ms=tasks.Choice((100, 200)),
    ),
    "directions": lambda: tasks.DirectionMatch(dt_ms=50),
    "directions, categories": lambda: tasks.DirectionMatch(
        rule="DMC", dt_ms=50, delay_ms=tasks.Uniform(200, 1000), catch=0.2
    ),
    "directions, noisy": lambda: tasks.DirectionMatch(dt_ms=50, input_noise=0.141),
    "series of directions": lambda: tasks.DirectionSequence(dt_ms=50),
    "series of directions, four": lambda: tasks.DirectionSequence(
        rule="ABCA", dt_ms=50, n_tests=4, p_match=0.3, fixate=False
    ),
    "rule, RT Anti": lambda: tasks.RuleTask(rule="RT Anti"),
    "rule, DMC": lambda: tasks.RuleTask(rule="DMC", dt_ms=50, input_noise=0.01),
    "rules": lambda: tasks.RuleMixture(dt_ms=50),
    "images": image_task,
    "images, slow rows": lambda: image_task(row_ms=30, dt_ms=10, n_classes=5),
    "evidence": lambda: tasks.EvidenceIntegration(),
    "evidence, short": lambda: tasks.EvidenceIntegration(n_words=3),
    "characters": lambda: tasks.CharacterModel(TEXT, length=20),
    "neurogym": lambda: tasks.from_neurogym(FakeEnvironment()),
    "neurogym, decisions only": lambda: tasks.from_neurogym(
        FakeEnvironment(delays=(100,)), fixate=False
    ),
}
EVERY = pytest.mark.parametrize("name", TASKS)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def one_hot(classes, n_classes):
    return torch.nn.functional.one_hot(classes, n_classes).float()


def perfect(task, trials):
    """Outputs that are right at every step."""
    return (
        trials.targets
        if trials.targets.is_floating_point()
        else 40 * one_hot(trials.targets, task.n_outputs)
    )


def constant(task, trials):
    """What a guesser says who has no input: one distribution or value for all steps; choices at random."""
    shape = (*trials.targets.shape[:2], task.n_outputs)
    if isinstance(task, tasks.RuleTask | tasks.RuleMixture):
        # one direction, always; to fixate would have a better chance where half are no matches
        answers = torch.zeros(shape)
        answers[..., 0] = task.chance == 0.5
        answers[..., 5] = 1
        return answers
    if isinstance(task, tasks.RegressionTask):
        return torch.ones(shape)
    if isinstance(task, tasks.DirectionSequence):
        return one_hot(torch.full(shape[:2], 2), 3)
    if isinstance(task, tasks.CharacterModel):
        counts = torch.bincount(trials.targets.flatten(), minlength=task.n_outputs)
        return (counts / counts.sum()).log().expand(shape)
    if isinstance(task, tasks.RowSequentialImages):
        return one_hot(task.labels.mode().values.expand(shape[:2]), task.n_outputs)
    if getattr(task, "catch", 0) > 1 / task.n_outputs:  # rather no choice than any
        return one_hot(torch.zeros(shape[:2], dtype=torch.int64), task.n_outputs)
    choices = torch.randint(1, task.n_outputs, shape[:2], generator=seeded(9))
    return one_hot(choices, task.n_outputs)


@EVERY
def test_shapes_and_types(name):
    task = TASKS[name]()
    trials = task.sample(7, seeded())
    shape = (trials.inputs.shape[0], 7)
    assert len(trials) == 7
    assert trials.inputs.shape == (*shape, task.n_inputs)
    assert trials.inputs.shape[0] <= task.n_steps
    assert bool((trials.lengths <= trials.inputs.shape[0]).all())
    if name == "neurogym" or not task.periods:  # whose trials differ in length
        assert int(trials.lengths.max()) == trials.inputs.shape[0]
        ended = torch.arange(len(trials.inputs))[:, None] >= trials.lengths
        assert not trials.inputs[ended].any()
        assert not trials.mask[ended].any()
    else:
        assert trials.inputs.shape[0] == task.n_steps
        assert task.n_steps * task.dt_ms == task.periods[-1].end_ms
    assert (trials.inputs.dtype, trials.mask.dtype) == (torch.float32, torch.bool)
    assert trials.mask.shape == shape
    if isinstance(task, tasks.RegressionTask):
        assert (trials.targets.dtype, trials.targets.shape) == (
            torch.float32,
            (*shape, task.n_outputs),
        )
    else:
        assert (trials.targets.dtype, trials.targets.shape) == (torch.int64, shape)
        assert trials.targets.min() >= 0
        assert trials.targets.max() < task.n_outputs
    assert trials.input_names == task.input_names
    assert trials.output_names == task.output_names
    assert trials.mask.any(0).all()
    assert torch.isfinite(trials.inputs).all()


@EVERY
def test_inputs_are_rates_unless_the_noise_is_larger_than_the_baseline(name):
    task = TASKS[name]()
    if getattr(task, "input_noise", 0):
        return  # which is on silent inputs too
    if isinstance(task, tasks.ChoiceTask) and task.noise_sd == task.baseline == 0:
        return  # what is 0 cannot be told from what is not shown
    share = getattr(task, "p_negative", 0.0)
    inputs = task.sample(500, seeded()).inputs
    if share < 1e-9:
        assert (inputs >= 0).all()
    else:
        stimulus = inputs[..., task.stimulus_inputs]
        shown = stimulus[stimulus != 0]
        assert (shown < 0).double().mean().item() == pytest.approx(
            share, abs=4 * math.sqrt(share / len(shown))
        )


@EVERY
def test_one_seed_one_sample_and_the_global_generators_are_left_alone(name):
    task = TASKS[name]()
    numpy_state = np.random.get_state()[1].copy()
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, again, other = (
        task.sample(9, seeded(3)),
        task.sample(9, seeded(3)),
        task.sample(9, seeded(4)),
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)
    for field in ("inputs", "targets", "mask"):
        assert torch.equal(getattr(first, field), getattr(again, field))
    assert first.inputs.shape != other.inputs.shape or not torch.equal(
        first.inputs, other.inputs
    )
    unseeded = task.sample(9)
    torch.manual_seed(5)
    assert torch.equal(task.sample(9).inputs, unseeded.inputs)


@EVERY
def test_tasks_and_trials_are_frozen_values(name):
    task = TASKS[name]()
    trials = task.sample(2, seeded())
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.dt_ms = 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        trials.inputs = None
    if not name.startswith(
        "neurogym"
    ):  # an environment may hold what cannot be pickled
        for twin in (copy.deepcopy(task), pickle.loads(pickle.dumps(task))):
            assert torch.equal(twin.sample(2, seeded()).inputs, trials.inputs)
    written = json.loads(json.dumps(trials.to_dict()))
    assert (written["n_trials"], written["dt_ms"]) == (2, task.dt_ms)
    assert list(written["conditions"]) == list(trials.conditions)
    assert list(trials.frame()) == ["trial", *trials.conditions]
    assert torch.equal(trials.to("cpu").inputs, trials.inputs)


@EVERY
def test_loss_is_differentiable_and_counts_the_masked_steps_only(name):
    task = TASKS[name]()
    trials = task.sample(6, seeded())
    outputs = torch.randn(
        *trials.mask.shape, task.n_outputs, generator=seeded(1), requires_grad=True
    )
    loss = task.loss(outputs, trials)
    loss.backward()
    assert loss.shape == ()
    assert torch.isfinite(loss)
    assert torch.equal(outputs.grad.abs().sum(-1) > 0, trials.mask)
    assert isinstance(task.score(outputs, trials), float)
    assert not outputs.isnan().any()


@EVERY
def test_loss_is_the_mean_of_what_torch_says_of_each_step(name):
    task = TASKS[name]()
    trials = task.sample(4, seeded())
    outputs = torch.randn(*trials.mask.shape, task.n_outputs, generator=seeded(1))
    losses = []
    for t, i in trials.mask.nonzero().tolist():
        if isinstance(task, tasks.RegressionTask):
            losses.append(((outputs[t, i] - trials.targets[t, i]) ** 2).mean())
        else:
            losses.append(-outputs[t, i].log_softmax(-1)[trials.targets[t, i]])
    assert task.loss(outputs, trials).item() == pytest.approx(
        torch.stack(losses).mean().item(), rel=1e-5
    )


@EVERY
def test_perfect_outputs_have_no_loss_and_the_best_score(name):
    task = TASKS[name]()
    trials = task.sample(20, seeded())
    outputs = perfect(task, trials)
    assert task.loss(outputs, trials).item() == pytest.approx(0, abs=1e-6)
    assert task.score(outputs, trials) == pytest.approx(
        1 if task.higher_is_better else 0, abs=1e-6
    )


@EVERY
def test_chance_is_what_a_guesser_scores(name):
    task = TASKS[name]()
    n = 4000
    if name.startswith(("neurogym", "rule")):  # slow to draw, or of many inputs
        n = 300
    trials = task.sample(n, seeded(2))
    tolerance = {
        "mean squared error": 0.02,
        "accuracy": 2.2 / math.sqrt(n),
        "nats per character": 0.01,
    }
    assert task.score(constant(task, trials), trials) == pytest.approx(
        task.chance, abs=tolerance[task.measure]
    )
    if task.ideal is not None:
        assert (task.ideal > task.chance) == task.higher_is_better


def test_no_constant_beats_chance():
    """Chance is the best a guesser can do, so no constant answer scores better than it, but for noise."""
    adding = tasks.AddingProblem()
    trials = adding.sample(20_000, seeded())
    for value in (0.8, 0.9, 1.1, 1.2):
        assert (
            adding.score(torch.full(trials.targets.shape, value), trials)
            > adding.chance
        )
    images = image_task()
    everything = images.all()
    scores = [
        images.score(one_hot(torch.full(everything.targets.shape, c), 3), everything)
        for c in range(3)
    ]
    assert max(scores) == images.chance


@pytest.mark.parametrize(
    "name",
    [name for name, make in TASKS.items() if isinstance(make(), tasks.ChoiceTask)],
)
def test_ideal_is_what_an_ideal_observer_scores_on_the_trials(name):
    # fewer where there are many steps or many inputs, which take long
    task = TASKS[name]()
    n = min(40_000, 2_000_000 // (task.n_steps * task.n_inputs))
    trials = task.sample(n, seeded(6))
    choice = observer(task, trials)
    outputs = one_hot(choice.expand(len(trials.inputs), -1), task.n_outputs)
    if getattr(task, "reaction_time", False):  # waits until the last step
        last = torch.arange(len(outputs))[:, None] == trials.lengths - 1
        silent = one_hot(torch.zeros_like(trials.targets), task.n_outputs)
        outputs = torch.where(last[..., None], outputs, silent)
    score = task.score(outputs, trials)
    if task.ideal is None:
        assert task.chance < score <= 1
    else:
        assert score == pytest.approx(task.ideal, abs=2.5 * math.sqrt(0.25 / n))


def test_ideal_of_the_adding_problem_is_reached_by_adding():
    task = tasks.AddingProblem()
    trials = task.sample(100, seeded())
    total = (trials.inputs[..., 0] * trials.inputs[..., 1]).sum(0)
    assert task.score(total[None, :, None].expand(20, -1, 1), trials) == task.ideal == 0


@pytest.mark.parametrize(
    "task", [tasks.PerceptualDecision(), tasks.ContextDecision()], ids=["one", "two"]
)
def test_what_a_stimulus_tells_does_not_depend_on_the_step(task):
    for dt_ms in (10.0, 20.0, 50.0):
        assert dataclasses.replace(task, dt_ms=dt_ms).ideal == task.ideal
    longer = dataclasses.replace(
        task, stimulus_ms=4 * task.stimulus_ms, noise_sd=2 * task.noise_sd
    )
    assert longer.ideal == pytest.approx(task.ideal)


def test_ideal_of_known_cases():
    # d' = 1 gives the normal distribution at 1: coherence 0.1, noise 0.1, and 200 ms to halve the noise's variance
    task = tasks.PerceptualDecision(coherences=(0.1,), noise_sd=0.1, stimulus_ms=200)
    assert task.ideal == pytest.approx(0.8413447460685429)
    assert tasks.PerceptualDecision(coherences=(0.0,)).ideal == 0.5
    assert tasks.PerceptualDecision(noise_sd=0.0).ideal == pytest.approx(0.9)
    assert tasks.PerceptualDecision().ideal == pytest.approx(0.87522, abs=5e-6)
    assert tasks.ContextDecision().ideal == pytest.approx(0.87488, abs=5e-6)


# One of each kind, and those whose periods vary or overlap.
DRAWN = list({type(make()): name for name, make in reversed(TASKS.items())}.values())
DRAWN += ["perceptual, any duration", "perceptual, reaction time"]


@pytest.mark.parametrize("name", DRAWN)
def test_a_trial_is_drawn(name):
    trials = TASKS[name]().sample(3, seeded())
    top, bottom = plots.trial(trials, index=2)
    top.figure.canvas.draw()
    assert bottom.get_xlabel() == "time (ms)"
    assert bottom.get_xlim() == (0, int(trials.lengths[2]) * trials.dt_ms)
    shown = [text.get_text() for text in top.texts]
    assert shown == [
        p.name.replace("_", " ") for p in trials.periods_of(2) if p.end_ms > p.start_ms
    ]
    given = Figure().subplots(2)
    assert plots.trial(trials, axes=given) == tuple(given)


def test_the_drawn_target_is_bold_where_it_counts():
    trials = tasks.PerceptualDecision(fixate=False).sample(1, seeded())
    _, bottom = plots.trial(trials)
    (bold,) = bottom.collections[0].get_segments()
    choice = int(trials.conditions["choice"])
    assert bold.tolist() == [[700, choice], [800, choice]]


@pytest.mark.parametrize(
    ("call", "kind", "sentence"),
    [
        (
            lambda t: plots.trial([1]),
            TypeError,
            "`trials` must be Trials, as a task's `sample` returns; got list.",
        ),
        (
            lambda t: plots.trial(t, 3),
            ValueError,
            "`index` must be between 0 and 2; got 3.",
        ),
        (
            lambda t: plots.trial(t, -1),
            ValueError,
            "`index` must be between 0 and 2; got -1.",
        ),
        (
            lambda t: plots.trial(t, axes=[None]),
            ValueError,
            "`axes` must be two; got 1.",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(call, kind, sentence):
    with pytest.raises(kind) as raised:
        call(tasks.PerceptualDecision().sample(3))
    assert str(raised.value) == sentence


def bad(task, **changes):
    return lambda: task(**changes)


def outputs_of(shape):
    task = tasks.PerceptualDecision()
    return lambda: task.loss(torch.zeros(shape), task.sample(2))


def score_of(shape):
    task = tasks.AddingProblem(length=4)
    return lambda: task.score(torch.zeros(shape), task.sample(2))


IMAGES, LABELS = torch.rand(3, 2, 2), torch.tensor([0, 1, 2])
PERCEPTUAL, MATCH, ROWS = (
    tasks.PerceptualDecision,
    tasks.DelayedMatchToSample,
    tasks.RowSequentialImages,
)
SPLIT = "`split` must have train_x, train_y, test_x and test_y; got list."
INDICES = "`indices` must be at least one integer, in one dimension; got torch."
MADE = FakeEnvironment()

REFUSED = [
    (lambda: tasks.AddingProblem(1), ValueError, "`length` must be at least 2; got 1."),
    (
        lambda: tasks.AddingProblem(2.0),
        TypeError,
        "`length` must be an integer; got 2.0.",
    ),
    (
        lambda: tasks.AddingProblem(dt_ms=0),
        ValueError,
        "`dt_ms` must be above 0; got 0.",
    ),
    (
        lambda: tasks.AddingProblem(dt_ms=-1),
        ValueError,
        "`dt_ms` must be above 0; got -1.",
    ),
    (
        lambda: tasks.AddingProblem().sample(0),
        ValueError,
        "`n` must be at least 1; got 0.",
    ),
    (
        lambda: tasks.AddingProblem().sample(1.5),
        TypeError,
        "`n` must be an integer; got 1.5.",
    ),
    (
        bad(PERCEPTUAL, stimulus_ms=0),
        ValueError,
        "`stimulus_ms` must be above 0; got 0.",
    ),
    (
        bad(PERCEPTUAL, stimulus_ms="long"),
        TypeError,
        "`stimulus_ms` must be a number; got 'long'.",
    ),
    (
        bad(PERCEPTUAL, decision_ms=0),
        ValueError,
        "`decision_ms` must be above 0; got 0.",
    ),
    (
        bad(PERCEPTUAL, delay_ms=-100),
        ValueError,
        "`delay_ms` must be at least 0; got -100.",
    ),
    (
        bad(PERCEPTUAL, delay_ms=250),
        ValueError,
        "`delay_ms` must be a multiple of `dt_ms`, 100; got 250.",
    ),
    (
        bad(PERCEPTUAL, dt_ms=30),
        ValueError,
        "`stimulus_ms` must be a multiple of `dt_ms`, 30; got 700.",
    ),
    (
        bad(PERCEPTUAL, coherences=()),
        ValueError,
        "`coherences` must have at least one value; got none.",
    ),
    (
        bad(PERCEPTUAL, coherences=(51.2,)),
        ValueError,
        "`coherences` must be a fraction in [0, 1]; got 51.2.",
    ),
    (
        bad(PERCEPTUAL, coherences=0.5),
        TypeError,
        "`coherences` must be a sequence of fractions; got 0.5.",
    ),
    (
        bad(PERCEPTUAL, noise_sd=-1),
        ValueError,
        "`noise_sd` must be at least 0; got -1.",
    ),
    (
        bad(PERCEPTUAL, baseline=-1),
        ValueError,
        "`baseline` must be at least 0; got -1.",
    ),
    (
        bad(PERCEPTUAL, fixate="all"),
        TypeError,
        "`fixate` must be True or False; got 'all'.",
    ),
    (bad(MATCH, n_stimuli=1), ValueError, "`n_stimuli` must be at least 2; got 1."),
    (bad(MATCH, sample_ms=0), ValueError, "`sample_ms` must be above 0; got 0."),
    (
        lambda: MATCH().steps("stimulus"),
        ValueError,
        "`period` must be one of fixation, sample, delay, test, decision; got 'stimulus'.",
    ),
    (
        outputs_of((2, 3)),
        ValueError,
        "`outputs` must have shape (8, 2, 3); got (2, 3).",
    ),
    (
        outputs_of((2, 8, 3)),
        ValueError,
        "`outputs` must have shape (8, 2, 3); got (2, 8, 3).",
    ),
    (score_of((4, 2)), ValueError, "`outputs` must have shape (4, 2, 1); got (4, 2)."),
    (
        lambda: ROWS(torch.rand(3, 5), LABELS),
        ValueError,
        "`images` must be (n, height, width), or (n, pixels) of square images; got shape (3, 5).",
    ),
    (
        lambda: ROWS(255 * torch.ones(3, 4), LABELS),
        ValueError,
        "`images` must have pixels in [0, 1]; got 255 to 255.",
    ),
    (
        lambda: ROWS(IMAGES * math.nan, LABELS),
        ValueError,
        "`images` must have pixels in [0, 1]; got nan to nan.",
    ),
    (
        lambda: ROWS(IMAGES, LABELS[:2]),
        ValueError,
        "`labels` must be 3 integers, one per image; got torch.int64 of shape (2,).",
    ),
    (
        lambda: ROWS(IMAGES, LABELS.float()),
        ValueError,
        "`labels` must be 3 integers, one per image; got torch.float32 of shape (3,).",
    ),
    (
        lambda: ROWS(IMAGES, LABELS, n_classes=2),
        ValueError,
        "`labels` must be between 0 and 1; got 2.",
    ),
    (
        lambda: ROWS(IMAGES, LABELS - 1),
        ValueError,
        "`labels` must be between 0 and 1; got -1.",
    ),
    (
        lambda: ROWS(IMAGES, LABELS, row_ms=50),
        ValueError,
        "`row_ms` must be a multiple of `dt_ms`, 100; got 50.",
    ),
    (lambda: ROWS.from_split([1]), TypeError, SPLIT),
    (
        lambda: ROWS(IMAGES, LABELS).batch(torch.zeros(2)),
        ValueError,
        INDICES + "float32 of shape (2,).",
    ),
    (
        lambda: ROWS(IMAGES, LABELS).batch(torch.tensor(1)),
        ValueError,
        INDICES + "int64 of shape ().",
    ),
    (
        lambda: tasks.CharacterModel(b"abc"),
        TypeError,
        "`text` must be a string; got bytes.",
    ),
    (
        lambda: tasks.CharacterModel("abc", length=3),
        ValueError,
        "`text` must have more than `length`, 3, characters; got 3.",
    ),
    (
        lambda: tasks.CharacterModel("abc", length=2, vocabulary="ab"),
        ValueError,
        "`text` must hold characters of the vocabulary only; got 'c'.",
    ),
    (
        lambda: tasks.CharacterModel("abc", length=2, vocabulary="abca"),
        ValueError,
        "`vocabulary` must hold each character once; got 'abca'.",
    ),
    (
        lambda: tasks.CharacterModel("abcdef", length=2).split(0.8),
        ValueError,
        "`fraction` must leave more than 2 characters on both sides; got 5 and 1.",
    ),
    (
        lambda: tasks.from_neurogym(3),
        TypeError,
        "`environment` must be a name or a NeuroGym environment; got int.",
    ),
    (
        lambda: tasks.from_neurogym(MADE, dt=20),
        TypeError,
        "`settings` must be left out for an environment already made; got dt.",
    ),
    (
        lambda: tasks.from_neurogym(MADE, fixate=1),
        TypeError,
        "`fixate` must be True or False; got 1.",
    ),
]


@pytest.mark.parametrize(
    ("call", "kind", "sentence"), REFUSED, ids=[sentence for *_, sentence in REFUSED]
)
def test_bad_arguments_are_refused_in_one_sentence(call, kind, sentence):
    with pytest.raises(kind) as raised:
        call()
    assert str(raised.value) == sentence


def test_trials_check_that_their_shapes_fit():
    trials = tasks.PerceptualDecision().sample(2)
    for changes, sentence in (
        (
            {"inputs": trials.inputs[..., :2]},
            "`inputs` must have shape (time, trials, 3); got (8, 2, 2).",
        ),
        (
            {"targets": trials.targets[:5]},
            "`targets` must have shape (8, 2); got (5, 2).",
        ),
        (
            {"targets": torch.zeros(8, 2, 4)},
            "`targets` must have shape (8, 2, 3); got (8, 2, 4).",
        ),
        ({"mask": trials.mask[0]}, "`mask` must have shape (8, 2); got (2,)."),
        ({"mask": trials.mask.float()}, "`mask` must be boolean; got torch.float32."),
        (
            {"conditions": {"a": torch.zeros(3)}},
            "`conditions['a']` must have shape (2,); got (3,).",
        ),
    ):
        with pytest.raises(ValueError) as raised:
            dataclasses.replace(trials, **changes)
        assert str(raised.value) == sentence


@given(
    dt_ms=st.sampled_from([0.1, 1.0, 2.5, 10.0, 1 / 3, 100.0]),
    counts=st.lists(st.integers(1, 30), min_size=5, max_size=5),
    optional=st.lists(st.integers(0, 30), min_size=2, max_size=2),
)
@settings(max_examples=40, deadline=None)
def test_durations_are_whole_numbers_of_steps(dt_ms, counts, optional):
    """Sums of floats need not be multiples of a float; steps are counted all the same."""
    names = ("sample_ms", "test_ms", "decision_ms")
    n_steps = dict(zip(names, counts, strict=False)) | dict(
        zip(("fixation_ms", "delay_ms"), optional, strict=True)
    )
    task = tasks.DelayedMatchToSample(
        dt_ms=dt_ms, **{name: n * dt_ms for name, n in n_steps.items()}
    )
    assert task.n_steps == sum(n_steps.values())
    for name, n in n_steps.items():
        steps = task.steps(name.removesuffix("_ms"))
        assert steps.stop - steps.start == n
    trials = task.sample(2)
    assert trials.inputs.shape[0] == task.n_steps
    assert int((trials.targets > 0).sum()) == 2 * n_steps["decision_ms"]


class TestMemory:
    def test_one_marker_in_each_half_and_each_step_is_reached(self):
        trials = tasks.AddingProblem(length=7).sample(3000, seeded())
        markers = trials.inputs[..., 1]
        assert (markers[:3].sum(0) == 1).all()
        assert (markers[3:].sum(0) == 1).all()
        assert markers[:3].mean(1).tolist() == pytest.approx([1 / 3] * 3, abs=0.03)
        assert markers[3:].mean(1).tolist() == pytest.approx([1 / 4] * 4, abs=0.03)
        assert torch.equal(markers.argmax(0), trials.conditions["first_step"])
        assert trials.mask.nonzero()[:, 0].unique().tolist() == [6]

    def test_half_of_the_tests_match_and_the_others_are_uniform(self):
        task = tasks.DelayedMatchToSample(n_stimuli=4)
        trials = task.sample(8000, seeded())
        sample, test, choice = (
            trials.conditions[name] for name in ("sample", "test", "choice")
        )
        assert torch.equal(choice == 1, sample == test)
        assert (choice == 1).double().mean().item() == pytest.approx(0.5, abs=0.02)
        steps = ((test - sample) % 4)[choice == 2].bincount(minlength=4) / (
            choice == 2
        ).sum()
        assert steps.tolist() == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3], abs=0.03)

    def test_inputs_show_the_conditions(self):
        task = tasks.DelayedMatchToSample(n_stimuli=3, fixation_ms=100)
        trials = task.sample(10, seeded())
        for period in ("sample", "test"):
            shown = trials.inputs[task.steps(period), :, 1:]
            assert torch.equal(shown.argmax(-1)[0] + 1, trials.conditions[period])
            assert (shown.sum(-1) == 1).all()
        for period in ("fixation", "delay", "decision"):
            assert not trials.inputs[task.steps(period), :, 1:].any()
        assert torch.equal(
            trials.inputs[..., 0].sum(0), torch.full((10,), 8.0)
        )  # off at the decision only


class TestDecision:
    def test_noise_has_the_variance_it_should(self):
        for dt_ms in (100.0, 25.0):
            task = tasks.PerceptualDecision(
                dt_ms=dt_ms, coherences=(0.2,), noise_sd=0.15
            )
            trials = task.sample(3000, seeded())
            stimulus = trials.inputs[task.steps("stimulus")]
            assert stimulus[..., 1:].mean(0).var(0).sqrt().mean() == pytest.approx(
                math.sqrt(0.15**2 * 100 / 700 + 0.1**2), rel=0.05
            )
            first = stimulus[:, trials.conditions["choice"] == 1]
            assert first.mean((0, 1)).tolist() == pytest.approx([1, 1.1, 0.9], abs=0.01)
            assert first[..., 1].std().item() == pytest.approx(
                0.15 * math.sqrt(100 / dt_ms), rel=0.03
            )

    def test_loss_over_all_steps_or_the_decision_only(self):
        every, some = tasks.PerceptualDecision(), tasks.PerceptualDecision(fixate=False)
        assert every.sample(2).mask.all()
        mask = some.sample(2).mask
        assert mask[some.steps("decision")].all()
        assert int(mask.sum()) == 2

    def test_score_ignores_fixation(self):
        task = tasks.PerceptualDecision()
        trials = task.sample(10, seeded())
        outputs = perfect(task, trials)
        outputs[: task.steps("decision").start] = torch.tensor([0.0, 1.0, 0.0])
        assert task.score(outputs, trials) == 1

    def test_each_modality_counts_in_its_context(self):
        task = tasks.ContextDecision(noise_sd=0)
        trials = task.sample(4000, seeded())
        c = trials.conditions
        relevant = torch.where(
            c["context"] == 1, c["motion_choice"], c["colour_choice"]
        )
        assert torch.equal(relevant, c["choice"])
        assert torch.equal(
            trials.inputs[..., 5:].argmax(-1) + 1, c["context"].expand(task.n_steps, -1)
        )
        agree = (c["motion_choice"] == c["colour_choice"]).double().mean().item()
        assert agree == pytest.approx(0.5, abs=0.03)
        stimulus = trials.inputs[task.steps("stimulus")][0]
        difference = stimulus[:, 3] - stimulus[:, 4]
        signed = torch.where(c["colour_choice"] == 1, 1, -1) * c["colour_coherence"]
        torch.testing.assert_close(difference, signed)

    def test_settings_are_compared_and_hashed(self):
        task = tasks.PerceptualDecision(coherences=[0.1, 0.2])
        assert task == tasks.PerceptualDecision(coherences=(0.1, 0.2))
        assert task != tasks.PerceptualDecision()
        assert (
            len(
                {
                    task,
                    tasks.PerceptualDecision(),
                    tasks.ContextDecision(),
                    tasks.PerceptualDecision(),
                }
            )
            == 3
        )


def idx(array):
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()


class TestImages:
    PIXELS = np.arange(5 * 4 * 3).reshape(5, 4, 3) * 4
    CLASSES = np.array([3, 0, 1, 3, 2])

    @pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
    def test_idx_files_are_read(self, tmp_path, pack):
        images, labels = tmp_path / "images", tmp_path / "labels"
        images.write_bytes(pack(idx(self.PIXELS)))
        labels.write_bytes(pack(idx(self.CLASSES)))
        assert tasks.read_idx(images).tolist() == self.PIXELS.tolist()
        task = tasks.RowSequentialImages.from_idx(
            images, str(labels), row_ms=20, dt_ms=10
        )
        assert (task.images * 255).round().int().tolist() == self.PIXELS.tolist()
        assert task.labels.tolist() == self.CLASSES.tolist()
        assert (task.n_steps, task.n_inputs, task.n_outputs, task.chance) == (
            8,
            3,
            4,
            0.4,
        )

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            (
                b"",
                "an idx file of unsigned bytes, which begins with 000008; got nothing",
            ),
            (
                b"PK\x03\x04",
                "an idx file of unsigned bytes, which begins with 000008; got 504b03",
            ),
            (
                b"\x00\x00\x0d\x01",
                "an idx file of unsigned bytes, which begins with 000008; got 00000d",
            ),
        ],
    )
    def test_other_files_are_refused(self, tmp_path, content, sentence):
        path = tmp_path / "x"
        path.write_bytes(content)
        with pytest.raises(ValueError) as raised:
            tasks.read_idx(path)
        assert str(raised.value) == f"`path` must be {sentence} in {path}."

    @pytest.mark.parametrize(
        ("content", "needed"),
        [(idx(PIXELS)[:-1], 76), (idx(PIXELS) + b"\0", 76), (idx(PIXELS)[:10], 16)],
        ids=["short", "long", "no sizes"],
    )
    def test_files_of_the_wrong_length_are_refused(self, tmp_path, content, needed):
        path = tmp_path / "x"
        path.write_bytes(content)
        with pytest.raises(ValueError) as raised:
            tasks.read_idx(path)
        sentence = f"`path` must hold the {needed} bytes its header asks for; got {len(content)} in {path}."
        assert str(raised.value) == sentence

    def test_a_damaged_gzip_is_refused(self, tmp_path):
        path = tmp_path / "x.gz"
        whole = gzip.compress(idx(self.PIXELS))
        for content in (whole[:-12], whole[:20] + bytes(20) + whole[40:], whole[:5]):
            path.write_bytes(content)
            with pytest.raises(ValueError) as raised:
                tasks.read_idx(path)
            assert (
                str(raised.value)
                == f"`path` must be a whole gzip file; got {path}, which is damaged."
            )

    def test_images_and_labels_must_fit(self, tmp_path):
        images, labels = tmp_path / "images", tmp_path / "labels"
        images.write_bytes(idx(self.PIXELS))
        labels.write_bytes(idx(self.CLASSES[:4]))
        with pytest.raises(ValueError) as raised:
            tasks.RowSequentialImages.from_idx(images, labels)
        assert (
            str(raised.value)
            == "`labels_path` must hold 5 labels, one per image; got shape (4,)."
        )
        with pytest.raises(ValueError) as raised:
            tasks.RowSequentialImages.from_idx(labels, labels)
        assert (
            str(raised.value)
            == "`images_path` must hold an array of 3 dimensions; got 1."
        )
        with pytest.raises(FileNotFoundError):
            tasks.read_idx(tmp_path / "none")

    def test_rows_come_in_order_and_the_class_at_the_end(self):
        task = image_task(row_ms=20, dt_ms=10)
        trials = task.batch(torch.tensor([4, 0, 4]))
        assert torch.equal(trials.inputs[::2], task.images[[4, 0, 4]].transpose(0, 1))
        assert torch.equal(trials.inputs[1::2], trials.inputs[::2])
        assert torch.equal(trials.targets[-1], task.labels[[4, 0, 4]])
        assert trials.mask[-1].all()
        assert not trials.mask[:-1].any()

    def test_all_are_all_and_a_sample_has_repeats(self):
        task = image_task()
        assert torch.equal(task.all().conditions["image"], torch.arange(50))
        drawn = task.sample(2000, seeded())
        assert len(drawn.conditions["image"].unique()) == len(task)
        assert torch.equal(
            task.labels[drawn.conditions["image"]], drawn.conditions["label"]
        )

    def test_both_parts_of_a_split_have_the_same_classes(self):
        split = SimpleNamespace(
            train_x=np.zeros((3, 4)),
            train_y=np.array([0, 1, 1]),
            test_x=np.ones((2, 4)),
            test_y=np.array([0, 2]),
        )
        train, test = tasks.RowSequentialImages.from_split(split, dt_ms=50)
        assert (
            len(train),
            len(test),
            train.n_outputs,
            test.n_outputs,
            train.dt_ms,
        ) == (3, 2, 3, 3, 50)
        assert train.images.shape == (3, 2, 2)

    def test_tasks_of_other_images_are_other_tasks(self):
        task = image_task()
        assert task == task
        assert task != image_task()


class TestLanguage:
    def test_targets_are_the_next_characters(self):
        task = tasks.CharacterModel(TEXT, length=12)
        trials = task.sample(30, seeded())
        for i, start in enumerate(trials.conditions["start"].tolist()):
            assert (
                task.decode(trials.inputs[:, i].argmax(-1)) == TEXT[start : start + 12]
            )
            assert task.decode(trials.targets[:, i]) == TEXT[start + 1 : start + 13]

    def test_every_window_is_reached(self):
        task = tasks.CharacterModel("abcdefg", length=3)
        assert task.sample(500, seeded()).conditions["start"].unique().tolist() == [
            0,
            1,
            2,
            3,
        ]

    @pytest.mark.parametrize("length", [1, 2, 3, 5, 6])
    def test_chance_counts_every_window(self, length):
        task = tasks.CharacterModel("abacabb", length=length)
        asked = "".join(
            task.text[start + 1 : start + 1 + length] for start in range(7 - length)
        )
        p = np.array([asked.count(character) for character in "abc"]) / len(asked)
        p = p[p > 0]
        assert task.chance == pytest.approx(-(p * np.log(p)).sum())

    def test_chance_of_a_long_text_is_its_unigram_entropy(self):
        text = "aabbccdd" * 5000
        assert tasks.CharacterModel(text).chance == pytest.approx(math.log(4), abs=1e-6)

    def test_a_split_has_one_vocabulary_and_loses_nothing(self):
        task = tasks.CharacterModel("ab" * 50 + "cd" * 50, length=10, dt_ms=5)
        train, validation = task.split(0.5)
        assert train.text + validation.text == task.text
        assert train.vocabulary == validation.vocabulary == "abcd"
        assert (train.length, train.dt_ms) == (10, 5)
        assert validation.sample(4).targets.min() >= 2

    def test_a_file_is_read(self, tmp_path):
        path = tmp_path / "text"
        path.write_text("naïve café, " * 9, encoding="utf-8")
        task = tasks.CharacterModel.from_file(path, length=5)
        assert "ï" in task.vocabulary
        assert task.decode(task.encode("café")) == "café"
        path.write_bytes(b"caf\xe9" * 40)
        with pytest.raises(ValueError) as raised:
            tasks.CharacterModel.from_file(path)
        assert str(raised.value) == f"`path` must be a text file in UTF-8; got {path}."


class TestNeurogym:
    def test_a_name_needs_neurogym(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "neurogym", None)
        with pytest.raises(ImportError) as raised:
            tasks.from_neurogym("DelayMatchSample-v0")
        assert str(raised.value) == (
            "`environment` can be a name only where neurogym is installed, by pip install 'daleml[tasks]'; "
            "got 'DelayMatchSample-v0'."
        )

    def test_a_name_is_made_with_its_settings(self, monkeypatch):
        made = {"Fake-v0": FakeEnvironment}
        module = SimpleNamespace(make=lambda name, **settings: made[name](**settings))
        monkeypatch.setitem(sys.modules, "neurogym", module)
        task = tasks.from_neurogym("Fake-v0", dt=25, delays=(50,))
        assert (task.dt_ms, task.n_steps) == (25, 4)
        assert task.input_names == ("fixation", "stimulus 1", "stimulus 2")
        assert task.output_names == ("fixation", "choice 1", "choice 2")
        assert [tuple(p) for p in task.periods] == [
            ("stimulus", 0, 25),
            ("delay", 25, 75),
            ("decision", 75, 100),
        ]

    def test_shorter_trials_are_padded_with_steps_that_do_not_count(self):
        task = tasks.from_neurogym(FakeEnvironment())
        trials = task.sample(40, seeded())
        lengths = trials.mask.sum(0)
        assert lengths.unique().tolist() == [3, 4, 5]
        assert task.periods == trials.periods == ()
        last = trials.targets[lengths - 1, torch.arange(40)]
        assert torch.equal(last.float(), trials.conditions["ground_truth"])
        assert not trials.inputs[~trials.mask].any()
        assert int((trials.targets > 0).sum()) == 40
        assert list(trials.conditions) == ["ground_truth"]

    def test_only_decisions_count_if_fixation_does_not(self):
        task = TASKS["neurogym, decisions only"]()
        trials = task.sample(5, seeded())
        assert torch.equal(trials.mask, trials.targets > 0)

    def test_wrappers_that_change_new_trial_are_obeyed(self):
        class Base:  # as gymnasium's wrappers, which pass on what they have not
            def __init__(self, env):
                self.env = env

            @property
            def unwrapped(self):
                return getattr(self.env, "unwrapped", self.env)

        class Twice(Base):
            def new_trial(self):
                self.env.new_trial()
                self.env.ob *= 2

        plain, twice = (
            tasks.from_neurogym(env).sample(4, seeded())
            for env in (MADE, Base(Twice(MADE)))
        )
        assert torch.equal(twice.inputs, 2 * plain.inputs)

    def test_random_durations_have_streams_of_their_own(self):
        seeds = []
        env = FakeEnvironment()
        env.timing |= {name: SimpleNamespace(seed=seeds.append) for name in ("a", "b")}
        task = tasks.from_neurogym(env)
        seeds.clear()
        task.sample(20, seeded())
        # once for all trials of a sample, as it takes longer than to draw one
        assert len(set(seeds)) == len(seeds) == 2

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            (
                {"action_space": SimpleNamespace(shape=(2,))},
                "must have a discrete action space; got SimpleNamespace.",
            ),
            (
                {"new_trial": lambda self: None},
                "must have `ob` after a trial is drawn; got Other without.",
            ),
        ],
    )
    def test_environments_without_classes_or_answers_are_refused(
        self, change, sentence
    ):
        other = type("Other", (FakeEnvironment,), change)
        with pytest.raises(ValueError) as raised:
            tasks.from_neurogym(other())
        assert str(raised.value) == f"`environment` {sentence}"

    def test_without_a_class_called_fixation_every_step_is_judged(self):
        plain = type(
            "Plain", (FakeEnvironment,), {"action_space": SimpleNamespace(n=3)}
        )
        task = tasks.from_neurogym(plain())
        assert (task.fixation, task.output_names, task.chance) == (
            None,
            ("class 1", "class 2", "class 3"),
            1 / 3,
        )
        trials = task.sample(5, seeded())
        fixating = one_hot(torch.zeros_like(trials.targets), 3)
        assert 0 < task.score(fixating, trials) < 1
        with pytest.raises(ValueError) as raised:
            tasks.from_neurogym(plain(), fixate=False)
        assert (
            str(raised.value)
            == "`fixate` must be True where no class is called fixation; got False."
        )

    @pytest.mark.filterwarnings("ignore")  # gymnasium's own
    def test_the_real_one_agrees_with_the_ideal_observer_of_ours(self):
        pytest.importorskip("neurogym")
        ours = tasks.PerceptualDecision()
        timing = {f"{p.name}": p.end_ms - p.start_ms for p in ours.periods}
        theirs = tasks.from_neurogym(
            "PerceptualDecisionMaking-v0", dt=100, timing=timing
        )
        assert (theirs.n_steps, theirs.n_inputs, theirs.n_outputs) == (8, 3, 3)
        trials = theirs.sample(3000, seeded())
        assert torch.equal(trials.inputs, theirs.sample(3000, seeded()).inputs)
        choice = observer(ours, trials)
        score = theirs.score(one_hot(choice.expand(8, -1), 3), trials)
        assert score == pytest.approx(ours.ideal, abs=0.02)


def test_batches_are_fresh_every_epoch_and_the_same_in_every_run():
    task = tasks.PerceptualDecision()
    batches, again = task.batches(8, 3, seed=1), task.batches(8, 3, seed=1)
    drawn = [trials.inputs for epoch in (1, 2) for inputs, trials in batches(epoch)]
    assert all(
        torch.equal(one, trials.inputs)
        for one, (_, trials) in zip(drawn[3:], again(2), strict=True)
    )
    assert len({one.sum().item() for one in drawn}) == 6
    assert not torch.equal(drawn[0], next(iter(task.batches(8, 3, seed=2)(1)))[0])
    with pytest.raises(ValueError, match="`n_batches` must be at least 1; got 0."):
        task.batches(8, 0)


@pytest.mark.parametrize("name", TASKS)
def test_trials_have_the_default_dtype(name):
    torch.set_default_dtype(torch.float64)
    try:
        trials = TASKS[name]().sample(3)
    finally:
        torch.set_default_dtype(torch.float32)
    assert trials.inputs.dtype == torch.float64
    assert trials.targets.dtype in (torch.float64, torch.int64)


def test_another_tasks_trials_are_refused():
    task, trials = tasks.PerceptualDecision(), tasks.AddingProblem().sample(4)
    with pytest.raises(
        ValueError,
        match="`trials` must be of PerceptualDecision, with its outputs; got those of another",
    ):
        task.loss(torch.rand(20, 4, 3), trials)
    with pytest.raises(
        TypeError,
        match=r"`outputs` must be a tensor, \(time, trials, n_outputs\); got tuple",
    ):
        task.loss((torch.rand(8, 4, 3), None), task.sample(4))


def test_codes_and_indices_must_exist():
    text = tasks.CharacterModel("abcabcabc", length=3)
    assert text.decode([0, 2]) == "ac"
    for code in (-1, 3):
        with pytest.raises(
            ValueError, match=f"`codes` must be between 0 and 2; got {code}."
        ):
            text.decode(torch.tensor([code]))
    for index in (-1, 50):
        with pytest.raises(
            ValueError, match=f"`indices` must be between 0 and 49; got {index}."
        ):
            image_task().batch([0, index])


def test_a_row_reader_answers_at_the_last_row_of_each_image():
    rnn, readout = torch.nn.RNN(8, 5, batch_first=True), torch.nn.Linear(5, 3)
    images = torch.rand(4, 6, 8)  # six rows of eight pixels
    state = torch.zeros(4, 5)
    for row in images.unbind(1):
        state = torch.tanh(
            row @ rnn.weight_ih_l0.T
            + rnn.bias_ih_l0
            + state @ rnn.weight_hh_l0.T
            + rnn.bias_hh_l0
        )
    for shown in (images, images.flatten(1)):
        torch.testing.assert_close(tasks.RowReader(rnn, readout)(shown), readout(state))
