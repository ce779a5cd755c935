"""The fast steps of coupled cells are the readable one."""

import pytest
import torch

from daleml.learning import (
    MorrisLecar,
    MorrisLecarNetwork,
)
from daleml.neurons import coupled_cells as module
from tests.neurons.small_cells import network, seeded
from tests.reference import morris_lecar as slow

pytestmark = pytest.mark.filterwarnings("ignore:`dt_ms` should be at most:UserWarning")


@pytest.mark.parametrize("first_order", [False, True])
def test_the_compact_step_is_the_step(first_order):
    cell = MorrisLecar(first_order=first_order)
    drive, received = torch.linspace(-200, 200, 99).double(), torch.rand(99).double()
    v, results = torch.linspace(-150, 150, 99).double(), []
    drawn = [torch.rand(99).double() for _ in range(3)]
    for step in (module._step_, module._compact_step_):
        state = [t.clone() for t in [v, *drawn, torch.zeros(99).double()]]
        step(cell, 0.1, *state, drive, received)
        results.append(torch.stack(state))
    torch.testing.assert_close(*results, rtol=1e-11, atol=1e-11)
    far = [
        torch.tensor([-1e4, 1e4]),
        *(torch.rand(2) for _ in range(3)),
        torch.zeros(2),
    ]
    module._compact_step_(cell, 0.1, *far, torch.zeros(2), torch.zeros(2))
    assert torch.stack(far).isfinite().all()


class Tripled(MorrisLecar):
    """A cell with a step of its own."""

    def step(self, v, w, current, dt_ms):
        return super().step(v, w, 3 * current, dt_ms)


@pytest.mark.parametrize("compiled", [True, False])
def test_a_step_of_ones_own_is_taken(compiled, monkeypatch):
    monkeypatch.setattr(module, "compiled_copy", lambda step: step)
    net, x = network(cell=Tripled(), compiled=compiled), torch.randn(3, 2, 5).double()
    state = net.initial_state(2)

    def tripled(cell, v, w, current, dt):
        return slow.step(cell, v, w, 3 * current, dt)

    with torch.no_grad():
        torch.testing.assert_close(
            net(x, state), slow.network(net, x, state, one_step=tripled)
        )


@pytest.mark.slow
@pytest.mark.filterwarnings(
    "ignore:.*torch.jit:DeprecationWarning"
)  # torch's compiler's own
def test_compiled_is_the_same():
    net, x = MorrisLecarNetwork(5, 12, 3, compiled=True), torch.randn(5, 6, 5)
    state = net.initial_state(6)
    with torch.no_grad():
        fast = net(x, state)
        net.compiled = False
        torch.testing.assert_close(fast, net(x, state), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # torch's own
def test_compiled_gradients_are_the_same():
    net, x = network(compiled=True), torch.randn(5, 6, 5).double()
    state, found = net.initial_state(6), []
    for compiled in (True, False):
        net.compiled = compiled
        net(x, state).square().sum().backward()
        found.append([p.grad.clone() for p in net.parameters()])
        net.zero_grad()
    torch.testing.assert_close(*found, rtol=1e-6, atol=1e-9)


class TestCompilingUnasked:
    """Whether many cells at once are compiled, and what becomes of it where torch cannot."""

    @pytest.fixture(autouse=True)
    def afresh(self, monkeypatch):
        monkeypatch.setattr(module, "_MANY", 4 * 3 * 12)
        module._compiled.cache_clear()
        yield
        module._compiled.cache_clear()

    @staticmethod
    def run(n, **options):
        net, x = (
            network(**options),
            torch.randn(4, 3, 5, dtype=torch.float64, generator=seeded()),
        )
        own = net.weight_hh.detach() + torch.zeros(n, 1, 1)
        state = net.initial_state(3, seeded(1))
        with torch.no_grad():
            return torch.func.vmap(
                lambda w: torch.func.functional_call(net, {"weight_hh": w}, (x, state))
            )(own)

    def test_only_for_many(self, monkeypatch):
        asked = []
        monkeypatch.setattr(
            module, "compiled_copy", lambda step: asked.append(step) or step
        )
        few, many = self.run(3), self.run(4)
        assert len(asked) == 2  # with the activity counted, and without
        torch.testing.assert_close(many[:3], few, rtol=1e-10, atol=1e-12)
        self.run(4, compiled=False)
        assert len(asked) == 2

    def test_not_for_one_however_large(self, monkeypatch):
        monkeypatch.setattr(
            module, "compiled_copy", lambda step: pytest.fail("compiled")
        )
        with torch.no_grad():
            network()(torch.randn(4, 50, 5, dtype=torch.float64))

    @pytest.mark.parametrize("kind", [RuntimeError, FileNotFoundError])
    def test_where_torch_cannot(self, monkeypatch, kind):
        def refuse(step):
            def fail(*args):
                raise kind("no compiler")

            return fail

        monkeypatch.setattr(module, "compiled_copy", refuse)
        with pytest.warns(RuntimeWarning, match="cannot compile here"):
            found = self.run(4)
        torch.testing.assert_close(found, self.run(4, compiled=False))
        with pytest.raises(kind, match="no compiler"):
            self.run(4, compiled=True)


def test_many_networks_at_once_are_one_after_another(monkeypatch):
    """More of them than a block holds, with weights, inputs or states of their own."""
    monkeypatch.setattr(
        module, "_CACHED", 4 * 3 * 12
    )  # four networks of three sequences
    net, x, n = network(), torch.randn(4, 3, 5, dtype=torch.float64), 11
    state = net.initial_state(3)
    own = {
        name: p.detach() + 0.1 * torch.randn(n, *p.shape).double()
        for name, p in net.named_parameters()
    }
    for names in (["weight_hh"], ["weight_ih"], ["readout.weight"], list(own)):
        with torch.no_grad():
            members = {name: own[name] for name in names}
            batched = torch.func.vmap(
                lambda m: torch.func.functional_call(net, m, (x, state))
            )(members)
            for i in range(n):
                one = torch.func.functional_call(
                    net, {k: m[i] for k, m in members.items()}, (x, state)
                )
                torch.testing.assert_close(batched[i], one)
    with torch.no_grad():
        inputs = torch.randn(n, 4, 3, 5, dtype=torch.float64)
        batched = torch.func.vmap(lambda x: net(x, state))(inputs)
        torch.testing.assert_close(
            batched, torch.stack([net(x, state) for x in inputs])
        )
