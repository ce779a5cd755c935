"""What is particular to the comparison of frequencies, to several senses, and to distractors."""

import math

import pytest
import torch
from scipy import stats

from daleml import tasks
from daleml.tasks.delayed_response import largest_of
from daleml.tasks.frequency_comparison import mixture_accuracy
from tests.tasks.test_tasks import seeded


class TestFrequencies:
    def test_pairs_come_in_both_orders(self):
        task = tasks.FrequencyComparison(pairs=((10, 20), (40, 30)), dt_ms=500)
        trials = task.sample(2000, seeded())
        c = trials.conditions
        pairs = torch.stack([c["first_hz"], c["second_hz"]], dim=1)
        found, counts = pairs.unique(dim=0, return_counts=True)
        assert found.tolist() == [[10, 20], [20, 10], [30, 40], [40, 30]]
        assert stats.chisquare(counts.numpy()).pvalue > 0.01
        assert torch.equal(c["choice"] == 1, c["first_hz"] > c["second_hz"])
        assert torch.equal(c["difference_hz"], (c["first_hz"] - c["second_hz"]).abs())
        rising = trials.inputs[trials.during("first")[:, 0]][0, :, 1]
        torch.testing.assert_close(rising, (c["first_hz"] - 10) / 30)
        falling = trials.inputs[trials.during("second")[:, 0]][0, :, 2]
        torch.testing.assert_close(falling, 1 - (c["second_hz"] - 10) / 30)

    def test_one_pair_is_a_comparison_of_two_normal_variables(self):
        task = tasks.FrequencyComparison(pairs=((10, 20),), noise_sd=0.9, first_ms=200)
        # a difference of 1 in both of the vibrations, whose means have these variances
        variances = [0.9**2 * 50 / lasting for lasting in (200, 500)]
        separation = math.sqrt(sum(1 / variance for variance in variances)) / 2
        assert task.ideal == pytest.approx(stats.norm.cdf(separation), abs=1e-4)

    def test_accuracy_of_mixtures_of_known_cases(self):
        one, same = torch.zeros(1, 2).double(), torch.zeros(1, 2).double()
        assert mixture_accuracy(one, same) == pytest.approx(0.5, abs=1e-6)
        far = torch.tensor([[30.0, 0.0]]).double()
        assert mixture_accuracy(one, far) == 1.0
        near = torch.tensor([[0.0, 2.0]]).double()
        expected = stats.norm.cdf(1)
        assert mixture_accuracy(one, near) == pytest.approx(expected, abs=1e-4)


class TestSenses:
    def test_a_sense_that_is_not_stimulated_is_silent(self):
        task = tasks.MultisensoryDecision()
        trials = task.sample(600, seeded())
        stimulus = trials.inputs[task.steps("stimulus")]
        for code, seen, heard in ((1, True, False), (2, False, True), (3, True, True)):
            which = trials.conditions["modality"] == code
            assert which.double().mean().item() == pytest.approx(1 / 3, abs=0.06)
            assert bool((stimulus[:, which, 1:3] != 0).all()) == seen
            assert bool((stimulus[:, which, 3:] != 0).all()) == heard
            assert seen or not stimulus[:, which, 1:3].any()

    def test_what_two_senses_tell_adds_in_squares(self):
        def separation(**settings):
            task = tasks.MultisensoryDecision(coherences=(0.1,), **settings)
            return stats.norm.ppf(task.ideal)

        seen = separation(modalities=["visual"], visual_scale=0.6)
        heard = separation(modalities=["auditory"])
        both = separation(modalities=["both"], visual_scale=0.6)
        assert both == pytest.approx(math.hypot(seen, heard))
        assert seen == pytest.approx(0.6 * heard)


class TestDistractors:
    def test_they_appear_where_the_cue_was_not_and_when_they_should(self):
        task = tasks.DelayedResponse(
            distractors=(100, tasks.Uniform(400, 900)),
            p_distractor=0.5,
            distractor_strength=0.5,
            distractor_ms=100,
        )
        trials = task.sample(400, seeded())
        c = trials.conditions
        delay = trials.inputs[task.steps("delay")][..., 1:]
        for number, first, last in ((1, 1, 2), (2, 4, 10)):
            places = c[f"distractor_{number}"]
            appears = places > 0
            assert appears.double().mean().item() == pytest.approx(0.5, abs=0.08)
            assert (places[appears] != c["location"][appears]).all()
            shown = delay[first:last].sum(0)
            assert not shown[~appears].any()
            assert (shown[appears].sum(1) == 0.5).all()
            assert torch.equal(shown[appears].argmax(1) + 1, places[appears])
        cue = trials.inputs[task.steps("cue")][..., 1:]
        assert torch.equal(cue[0].argmax(1) + 1, c["location"])
        assert (cue.sum(-1) == 1).all()

    def test_the_largest_of_several(self):
        assert largest_of(2, 1.2) == pytest.approx(stats.norm.cdf(1.2 / math.sqrt(2)))
        assert largest_of(5, 0.0) == pytest.approx(0.2, abs=1e-9)
        drawn = torch.randn(200_000, 4, generator=seeded())
        drawn[:, 0] += 1.5
        fraction = (drawn.argmax(1) == 0).double().mean().item()
        assert largest_of(4, 1.5) == pytest.approx(fraction, abs=0.003)


def test_inputs_of_song_are_the_published_ones():
    task = tasks.PerceptualDecision.song2016(input_noise=0.0, catch=0.25)
    trials = task.sample(200, seeded())
    c = trials.conditions
    stimulus = trials.inputs[task.steps("stimulus")][0]
    side = torch.where(c["choice"] == 1, 1.0, -1.0)
    expected = 0.2 + (1 + 3.2 * c["coherence"] * side) / 2
    there = ~c["catch"]
    torch.testing.assert_close(stimulus[there, 1], expected[there])
    assert (stimulus[~there, 1:] == 0.2).all()
    assert task.dt_ms == 20
    noisy = tasks.PerceptualDecision.song2016()
    # sqrt(2 tau / dt) times 0.01, of steps of 20 ms and a time constant of 100 ms
    silent = noisy.sample(500, seeded()).inputs[noisy.steps("decision")]
    assert silent.std().item() == pytest.approx(0.01 * math.sqrt(10), rel=0.02)


PERCEPTUAL = "`modalities` must be of visual, auditory and both; got"
REFUSED = [
    (
        lambda: tasks.MultisensoryDecision(modalities=("touch",)),
        f"{PERCEPTUAL} 'touch'.",
    ),
    (lambda: tasks.MultisensoryDecision(modalities=()), f"{PERCEPTUAL} none."),
    (
        lambda: tasks.MultisensoryDecision(modalities="both"),
        "`modalities` must be a sequence of names; got 'both'.",
    ),
    (
        lambda: tasks.MultisensoryDecision(visual_scale=0),
        "`visual_scale` must be above 0; got 0.",
    ),
    (
        lambda: tasks.FrequencyComparison(pairs=((10, 10),)),
        "`pairs` must hold two different frequencies each; got (10, 10).",
    ),
    (
        lambda: tasks.FrequencyComparison(pairs=(10, 20)),
        "`pairs` must hold pairs of frequencies; got 10.",
    ),
    (
        lambda: tasks.FrequencyComparison(pairs=()),
        "`pairs` must be a sequence of pairs of frequencies; got ().",
    ),
    (
        lambda: tasks.FrequencyComparison(pairs=((-1, 2),)),
        "`pairs` must be above 0; got -1.",
    ),
    (
        lambda: tasks.DelayedResponse(distractors=(1100,)),
        "`distractors` must end within the shortest delay, 1200 ms; got one that ends at 1300.",
    ),
    (
        lambda: tasks.DelayedResponse(
            distractors=(tasks.Uniform(100, 500),), delay_ms=tasks.Uniform(500, 900)
        ),
        "`distractors` must end within the shortest delay, 500 ms; got one that ends at 700.",
    ),
    (
        lambda: tasks.DelayedResponse(distractors=(-100,)),
        "`distractors` must be at least 0; got -100.",
    ),
    (
        lambda: tasks.DelayedResponse(distractors=100),
        "`distractors` must be a sequence of times in ms; got 100.",
    ),
    (
        lambda: tasks.DelayedResponse(distractor_ms=150),
        "`distractor_ms` must be a multiple of `dt_ms`, 100; got 150.",
    ),
    (
        lambda: tasks.DelayedResponse(p_distractor=-0.5),
        "`p_distractor` must be a fraction in [0, 1]; got -0.5.",
    ),
    (
        lambda: tasks.DelayedResponse(n_locations=1),
        "`n_locations` must be at least 2; got 1.",
    ),
]


@pytest.mark.parametrize(
    ("call", "sentence"), REFUSED, ids=[sentence for _, sentence in REFUSED]
)
def test_bad_settings_are_refused_in_one_sentence(call, sentence):
    with pytest.raises((TypeError, ValueError)) as raised:
        call()
    assert str(raised.value) == sentence
