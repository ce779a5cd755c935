"""Ensembles of models that nobody foresaw: none takes what another holds, draws or has written."""

from dataclasses import dataclass

import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional

from daleml import Populations
from daleml.callbacks import CSVLogger
from daleml.experiments import Ensemble
from daleml.layers import EIRNN, DANNLinear, EILinear
from daleml.optim import EG, param_groups
from daleml.training import Shuffled, train

CELLS = Populations(6, 2)
SEEDS = [3, 1, 7]


class Holds(nn.Module):
    """A model with something drawn from its seed that is neither parameter nor buffer."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 3)
        self.prepare()

    def prepare(self):
        pass


class MaskOfItsOwn(Holds):
    def prepare(self):
        self.mask = (torch.rand(8) > 0.5).float()

    def forward(self, x):
        return self.layer(x * self.mask)


class FunctionOfItsOwn(Holds):
    def prepare(self):
        gain = float(torch.rand(()))
        self.scale = lambda x: gain * x

    def forward(self, x):
        return self.scale(self.layer(x))


class SettingsOfItsOwn(Holds):
    def prepare(self):
        self.settings = {"gains": [float(torch.rand(()))]}

    def forward(self, x):
        return self.settings["gains"][0] * self.layer(x)


class PartsUnregistered(Holds):
    def prepare(self):
        self.parts = [nn.Linear(3, 3)]

    def forward(self, x):
        return self.parts[0](self.layer(x))


class GeneratorOfItsOwn(Holds):
    def prepare(self):
        self.generator = torch.Generator().manual_seed(int(torch.randint(99, ())))

    def forward(self, x):
        return self.layer(x) + torch.rand(3, generator=self.generator)


class MaskReadDirectly(Holds):
    def prepare(self):
        self.sparse = EILinear(CELLS, 3, mask=0.5)

    def forward(self, x):
        # Not through the layer's own forward pass, for which there is a form.
        return functional.linear(x, self.sparse.effective_weight()) + self.layer(x)


class SignsRead(Holds):
    def prepare(self):
        self.register_buffer("weight_signs", torch.randn(8).sign())

    def forward(self, x):
        return self.layer(x * self.weight_signs)


class TransformsInside(Holds):
    def forward(self, x):
        # Three examples, as many as there are models.
        return torch.func.vmap(self.layer)(x[:3, None].expand(-1, 2, -1))


class KeepsState(Holds):
    def prepare(self):
        self.n, self.seen = 0, []

    def forward(self, x):
        self.n += 1
        self.seen.append(self.layer(x).detach())
        return self.n * self.layer(x) + self.seen[0]


class WritesIntoItsInput(Holds):
    def forward(self, x):
        x += self.layer.bias.detach().sum()
        return self.layer(x)


class FailsAfterDrawing(Holds):
    def prepare(self):
        self.drop, self.norm = nn.Dropout(), nn.BatchNorm1d(3)

    def forward(self, x):
        y = self.norm(self.layer(self.drop(x)))
        return y if float(y.detach().sum()) > 0 else -y


class StatesGiven(Holds):
    def prepare(self):
        self.rnn = EIRNN(8, CELLS, dt_ms=10, tau_ms=50, mask=0.5)

    def forward(self, x):
        state, rates = None, []
        for row in x:
            rate, state = self.rnn(row[None, None], state)
            rates.append(self.layer(rate[0, 0]))
        return torch.stack(rates)


class Measured(nn.Module):
    """Something that fails within a chain, after its running averages have moved."""

    def forward(self, x):
        return x if float(x.detach().sum()) > 0 else -x


def chain():
    return nn.Sequential(nn.Linear(8, 3), nn.BatchNorm1d(3), Measured())


def alone(build, seed):
    torch.manual_seed(seed)
    return build()


STRANGERS = [*Holds.__subclasses__(), chain]


@pytest.mark.parametrize("build", STRANGERS, ids=lambda build: build.__name__)
@pytest.mark.filterwarnings("ignore:.*runs its models one by one")
def test_each_runs_as_itself(build):
    torch.manual_seed(0)
    x = torch.rand(5, 8)
    ensemble = Ensemble(build, seeds=SEEDS)
    outputs = [ensemble(x.clone()) for _ in range(2)]
    sum(outputs).square().sum().backward()
    gradients = {name: one.grad for name, one in ensemble.named_parameters()}
    for k, seed in enumerate(SEEDS):
        model = alone(build, seed)
        expected = [model(x.clone()) for _ in range(2)]
        sum(expected).square().sum().backward()
        for found, one in zip(outputs, expected, strict=True):
            torch.testing.assert_close(found[k], one, rtol=1e-5, atol=1e-5)
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                found = gradients[name][k]
                torch.testing.assert_close(found, parameter.grad, rtol=1e-4, atol=1e-4)
        for name, buffer in model.named_buffers():
            torch.testing.assert_close(ensemble[k].get_buffer(name), buffer)


def test_circuits_of_other_settings_run_as_themselves_where_forms_do_not():
    class Timed(StatesGiven):
        def __init__(self, tau_ms):
            super().__init__()
            self.rnn = EIRNN(8, CELLS, dt_ms=10, tau_ms=tau_ms)

    x, models = torch.rand(5, 8), [Timed(20), Timed(100)]
    ensemble = Ensemble.of(models)
    with pytest.warns(UserWarning, match="differ in their settings"):
        outputs = ensemble(x)
    for k in range(2):
        torch.testing.assert_close(outputs[k], models[k](x))


def test_what_is_the_same_in_all_keeps_them_together():
    class Same(Holds):
        def prepare(self):
            self.mask, self.order = torch.ones(8), [self.layer]
            self.act, self.run = torch.tanh, self.helped
            self.settings = {"gain": 2.0, "scale": lambda x: 3 * x}

        def helped(self, x):
            return self.order[0](x * self.mask)

        def forward(self, x):
            return self.settings["scale"](self.act(self.run(x)))

    ensemble, x = Ensemble(Same, seeds=SEEDS), torch.rand(5, 8)
    outputs = ensemble(x)
    assert ensemble.way == "vmapped"
    for k in range(3):
        torch.testing.assert_close(outputs[k], ensemble[k](x))


@dataclass
class Answer:
    y: torch.Tensor


@pytest.mark.parametrize("wrap", [Answer, lambda y: (y, float(y.detach().sum()))])
@pytest.mark.filterwarnings("ignore:.*runs its models one by one")
def test_outputs_that_would_be_the_first_models_are_refused(wrap):
    class Wrapping(Holds):
        def forward(self, x):
            return wrap(self.layer(x))

    with pytest.raises(TypeError, match="of an ensemble must return"):
        Ensemble(Wrapping, seeds=2)(torch.rand(5, 8))


def test_parameters_in_lists_are_refused():
    class Listed(Holds):
        def prepare(self):
            self.weights = [self.layer.weight]

    with pytest.raises(ValueError, match=r"`weights` of `the model itself` holds some"):
        Ensemble(Listed, seeds=2)


def test_models_that_seed_themselves_are_told():
    with pytest.warns(UserWarning, match="the same weights for all seeds"):
        Ensemble(lambda: alone(lambda: nn.Linear(3, 2), 0), seeds=2)


def learned(ensemble, loss=functional.cross_entropy, epochs=1, **options):
    torch.manual_seed(0)
    data = Shuffled(torch.rand(20, 8), torch.randint(0, 3, (20,)), 8)
    optimizer = EG(param_groups(ensemble, 0.1), 0.1)
    options = {"epochs": epochs, "trackers": {}, **options}
    return train(ensemble, data, optimizer, loss, **options)


def test_a_loss_that_reads_all_models_is_refused():
    ensemble = Ensemble(lambda: DANNLinear(8, 3), seeds=2)

    def penalised(outputs, targets):
        penalty = sum(one.square().sum() for one in ensemble.parameters())
        return functional.cross_entropy(outputs, targets) + penalty

    with pytest.raises(ValueError, match="`loss` must read outputs and targets alone"):
        learned(ensemble, penalised)


def test_losses_of_mappings_and_of_what_has_no_hash():
    class Mapped(Holds):
        def forward(self, x):
            return {"y": self.layer(x), "parts": (x, [self.layer(2 * x)])}

    @dataclass
    class Loss:
        """A dataclass that compares has no hash."""

        gain: float = 2.0

        def __call__(self, outputs, targets):
            # Values are looked at, so that each is computed by itself.
            assert float(outputs["y"].detach().sum()) < 1e9
            error = functional.mse_loss(outputs["parts"][1][0], targets)
            return self.gain * error

    ensemble, x = Ensemble(Mapped, seeds=SEEDS), torch.rand(5, 8)
    found = ensemble.losses(Loss(), ensemble(x), torch.rand(5, 3, generator=seeded()))
    for k in range(3):
        expected = Loss()(ensemble[k](x), torch.rand(5, 3, generator=seeded()))
        torch.testing.assert_close(found[k], expected)
    with pytest.raises(TypeError, match="unhashable"):
        hash(Loss())


def seeded():
    return torch.Generator().manual_seed(0)


def test_models_with_names_are_logged_and_resumed(tmp_path):
    def build():
        models = [alone(lambda: DANNLinear(8, 3), seed) for seed in (0, 1)]
        return Ensemble.of(models, names=["low", "high"])

    log = CSVLogger(tmp_path / "log.csv")
    learned(build(), checkpoint=tmp_path / "run")
    history = learned(build(), epochs=2, checkpoint=tmp_path / "run", callbacks=[log])
    pd.testing.assert_frame_equal(history, learned(build(), epochs=2))
    assert pd.read_csv(log.path).model.tolist() == ["low", "high"] * 3


def test_another_number_of_models_is_not_loaded():
    def build(n):
        return Ensemble(lambda: nn.Linear(3, 2), seeds=n)

    for there, here in ((3, 4), (4, 3), (1, 3)):
        with pytest.raises(RuntimeError, match=f"must hold {here} models; got {there}"):
            build(here).load_state_dict(build(there).state_dict(), strict=False)


def test_averages_of_a_model_that_diverges_go_back():
    def build(seed):
        layers = nn.Linear(8, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)
        model = alone(lambda: nn.Sequential(*layers), seed)
        if seed == 1:
            model[0].weight.data.fill_(1e30)
        return model

    ensemble = Ensemble(build, seeds=3)
    with pytest.warns(UserWarning, match="lost seed_1 in epoch 1"):
        learned(ensemble, epochs=2)
    assert ensemble.diverged.tolist() == [False, True, False]
    assert torch.equal(ensemble[1][1].running_var, torch.ones(5))
