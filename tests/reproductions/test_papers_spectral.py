"""What the claims of the spectral paper are measured with: networks trained as one batch, and the experiments."""

import dataclasses
import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from daleml import signs
from daleml.optim import enforce, param_groups
from daleml.reproductions.papers.spectra_li2023 import (
    adding_and_text,
    experiments,
    networks,
)
from daleml.reproductions.papers.spectra_li2023.networks import ARMS
from daleml.reproductions.papers.spectra_li2023.recurrent_batches import (
    FLOOR,
    RecurrentBatch,
)


def drawn(arms, seed=0, side=5):
    return [
        arm.build(0.3, torch.Generator().manual_seed(seed), side=side) for arm in arms
    ]


def examples(n=3, side=5):
    generator = torch.Generator().manual_seed(9)
    x = torch.rand(n, 16, side, side, generator=generator)
    return x, torch.randint(10, (n, 16), generator=generator)


def losses_of(batch, x, y):
    answers = batch.answers(batch(x.transpose(0, 1).contiguous())[1])
    return torch.stack([cross_entropy(one, y) for one in answers])


def alone(arm, model, x, y, lr):
    """Train one network as any other of the package: the readable twin."""
    model.double()
    with torch.no_grad():  # one bias, as published, in place of two
        model.rnn.bias_hh_l0 += model.rnn.bias_ih_l0
        model.rnn.bias_ih_l0.zero_()
    model.rnn.bias_ih_l0.requires_grad_(False)
    optimizer = torch.optim.SGD(param_groups(model, lr), lr)
    if next(signs.named(model), None):
        enforce(optimizer, model)
    kept = []
    if arm.each_sign:
        weights = (model.rnn.weight_hh_l0, model.readout.weight)
        kept = [(weight, weight.detach().sign()) for weight in weights]
    for images, classes in zip(x, y, strict=True):
        optimizer.zero_grad()
        cross_entropy(model(images), classes).backward()
        for layer in (model.rnn, model.readout):
            learn = [one for one in layer.parameters() if one.requires_grad]
            for group in [[one] for one in learn] if arm.clip_each else [learn]:
                torch.nn.utils.clip_grad_norm_(group, arm.clip_norm)
        optimizer.step()
        with torch.no_grad():
            for weight, sign in kept:
                weight.copy_((weight * sign).clamp(min=FLOOR) * sign)
    return model


@pytest.mark.parametrize("clip_norm", [10.0, 0.3])
def test_networks_learn_in_a_batch_as_they_would_alone(clip_norm):
    arms = [dataclasses.replace(arm, clip_norm=clip_norm) for arm in ARMS]
    (x, y), lr = examples(), 0.5
    x = x.double()
    models = [model.double() for model in drawn(arms)]
    batch = RecurrentBatch(arms, models)
    for images, classes in zip(x, y, strict=True):
        batch.step(losses_of(batch, images, classes), lr)
    for arm, model in zip(arms, drawn(arms), strict=True):
        expected = dict(alone(arm, model, x, y, lr).named_parameters())
        expected["rnn.bias"] = expected.pop("rnn.bias_hh_l0")
        del expected["rnn.bias_ih_l0"]
        found = batch.state(arm.name)
        assert found.keys() == expected.keys()
        for name, value in found.items():
            torch.testing.assert_close(value, expected[name].detach(), msg=name)


def test_a_factor_is_on_the_rate_and_nothing_else():
    arm = networks.ARMS[0]
    twice = dataclasses.replace(arm, name="twice", lr_factor=2.0)
    batch = RecurrentBatch([arm, twice], drawn([arm, twice]))
    before = {name: batch.state(name) for name in batch.names}
    (x, y) = examples(1)
    batch.step(losses_of(batch, x[0], y[0]), 0.1)
    for key in before["rnn"]:
        moved = [batch.state(name)[key] - before[name][key] for name in batch.names]
        assert moved[0].any()
        torch.testing.assert_close(moved[1], 2 * moved[0], rtol=1e-3, atol=1e-7)


def test_signs_are_kept_as_published():
    """Column EI keeps those of its law; transplants every recurrent and readout synapse's, and no input's."""
    looked_at = ("rnn", "dann", "column_ei_10", "rnn, signs kept")
    arms = [arm for arm in ARMS if arm.name in looked_at]
    batch = RecurrentBatch(arms, drawn(arms))
    before = {name: batch.state(name) for name in batch.names}
    x, y = examples(6)
    for images, classes in zip(x, y, strict=True):
        batch.step(losses_of(batch, images, classes), 0.5)
    flipped = {}
    for name in looked_at:
        after = batch.state(name)
        flipped[name] = {
            key
            for key in after
            if after[key].ndim == 2 and (after[key] * before[name][key] < 0).any()
        }
    matrices = {"rnn.weight_ih_l0", "rnn.weight_hh_l0", "readout.weight"}
    assert flipped["rnn"] == matrices
    assert flipped["rnn, signs kept"] == {"rnn.weight_ih_l0"}
    assert flipped["dann"] == flipped["column_ei_10"] == set()
    for key in ("rnn.weight_hh_l0", "readout.weight"):
        least = float(batch.state("rnn, signs kept")[key].abs().min())
        assert least == pytest.approx(FLOOR)


def test_biases_begin_at_zero_as_published_but_where_the_arm_says_so():
    for arm, model in zip(ARMS, drawn(ARMS), strict=True):
        biases = [one for one in model.parameters() if one.ndim == 1]
        assert any(bool(one.any()) for one in biases) is (arm is networks.CENTRED)


def test_a_network_that_diverges_guesses_and_the_others_go_on(monkeypatch):
    wild = dataclasses.replace(ARMS[0], name="wild", lr_factor=1e30, clip_norm=1e30)
    monkeypatch.setattr(experiments, "ARMS", (*ARMS, wild))
    settings = experiments.ROWS.settings["quick"] | {"updates": 12, "judged_every": 2}
    found = experiments.run_rows(0, settings)
    assert found["wild/error"] == pytest.approx(90)
    monkeypatch.undo()
    for name, value in experiments.run_rows(0, settings).items():
        assert found[name] == pytest.approx(value, abs=0.3), name
        assert math.isfinite(value)


# -- the other tasks


@pytest.mark.parametrize("kind", adding_and_text.KINDS)
def test_networks_of_the_other_tasks_are_of_the_size_that_was_asked_for(kind):
    model = adding_and_text.build(kind, 3, 20, 7, torch.Generator().manual_seed(0))
    rates, _ = model.rnn(torch.rand(5, 2, 3))
    assert rates.shape == (5, 2, 20)
    assert model.readout(rates).shape == (5, 2, 7)
    assert not any(bool(one.any()) for one in model.parameters() if one.ndim == 1)
    assert (kind == "rnn") == (next(signs.named(model), None) is None)


def test_what_is_judged_are_trials_and_characters_that_nobody_learned_from():
    """Before learning, errors are about those of chance; the text is Python's own, and long enough."""
    text = adding_and_text.documentation()
    assert len(text) > 300_000
    assert "lambda" in text
    settings = {
        "adding": {"networks": 2, "units": 10, "updates": 0},
        "text": {"units": 10, "updates": 0},
    }
    found = adding_and_text.run_other_tasks(0, settings)
    assert found["text, rnn"] == pytest.approx(math.log(len(set(text))), rel=0.1)
    for name in ("adding, column_ei - rnn", "text, column_ei - rnn"):
        task, _ = name.split(", ")
        difference = found[f"{task}, column_ei"] - found[f"{task}, rnn"]
        assert found[name] == pytest.approx(difference)


def test_a_window_on_which_activity_explodes_counts_as_guessed():
    losses = torch.tensor([[2.0, 1e18, 3.0], [1.0, math.nan, math.inf]])
    guessed = math.log(50)
    expected = torch.tensor([[2.0, guessed, 3.0], [1.0, guessed, guessed]])
    torch.testing.assert_close(adding_and_text.judged_windows(losses, 50), expected)
