"""States that have not settled give no gradient."""

import pytest
import torch

from daleml.learning import (
    ContinuousEquilibriumPropagation,
    EquilibriumPropagation,
    HolomorphicNetwork,
    NotSettledError,
    RecurrentBackpropagation,
)
from tests.learning.equilibrium.settling_networks import (
    F64,
    RULES,
    Y,
    dense,
    generator,
    unstable,
)


def test_relaxations_say_how_many_steps_and_how_far_from_settled():
    network, x, y = dense(tolerance=1e-6)
    free = network.settle(x, tolerance=1e-7)
    found = EquilibriumPropagation(network, 0.1, 4)(x, y)[1]
    assert found.free_residual == float(free.residual.max()) > 0
    assert 0 < found.nudged_residual <= 1e-7
    assert (found.n_steps - free.n_steps) % (
        3 * 5
    ) == 0  # three points, looked at every five iterations
    assert found.n_steps > free.n_steps + 3 * 5
    exact = RecurrentBackpropagation(network)(x, y)[1]
    assert exact.n_steps > network.settle(x).n_steps
    assert 0 < exact.nudged_residual <= 1e-6
    assert (
        ContinuousEquilibriumPropagation(network, n_steps=7, n_points=4)(x, y)[
            1
        ].n_steps
        == 7 * 4 * 3
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda network, **kw: EquilibriumPropagation(network, 0.1, 1, **kw),
        lambda network, **kw: EquilibriumPropagation(network, 0.1, 4, **kw),
        lambda network, **kw: RecurrentBackpropagation(network, **kw),
        lambda network, **kw: ContinuousEquilibriumPropagation(network, 0.1, 4, **kw),
        lambda network, **kw: EquilibriumPropagation(
            network, 0.1, 4, noise=1e-3, n_steps=5, **kw
        ),
    ],
)
def test_no_gradient_from_states_that_have_not_settled(make):
    network, x, y = unstable()
    with pytest.raises(NotSettledError, match="3 of 5 samples did not, the worst at"):
        make(network)(x, y)
    assert all(p.grad is None for p in network.parameters())
    rule = make(network, leave_out=0.6)
    loss, found = rule(x, y)
    assert found.share_left_out == pytest.approx(0.6)
    torch.manual_seed(0)
    kept = [p.grad.clone() for p in network.parameters()]
    if getattr(rule, "noise", 0):
        return
    for parameter in network.parameters():
        parameter.grad = None
    expected, _ = make(network)(x[:2], y[:2])
    torch.testing.assert_close(loss, expected)
    for parameter, gradient in zip(network.parameters(), kept, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("step_size", [1e-3, 1e-5])
@pytest.mark.parametrize("make", RULES.values(), ids=RULES)
def test_a_step_too_small_to_arrive_does_not_pass_for_settled(make, step_size):
    network, x, y = dense(dtype=torch.float32, step_size=step_size)
    with pytest.raises(NotSettledError):
        make(network)(x, y)


@pytest.mark.parametrize("beta", [0.4, 0.01])
@pytest.mark.parametrize("n_points", [1, 8])
@pytest.mark.parametrize("step_size", [1.0, 0.1])
def test_what_is_accepted_is_near_however_small_the_nudge(beta, n_points, step_size):
    network = HolomorphicNetwork(
        6, [16, 16], 4, step_size=step_size, tolerance=5e-4, generator=generator()
    )
    x, y = torch.rand(8, 6, generator=generator(1)), torch.arange(8) % 4
    fine = HolomorphicNetwork(6, [16, 16], 4, dtype=F64)
    fine.load_state_dict(network.state_dict())
    found = EquilibriumPropagation(network, beta, n_points).gradients(x, y)
    best = EquilibriumPropagation(fine, beta, n_points).gradients(x.double(), y)[
        1
    ]  # what the nudge itself gives
    assert found[2].nudged_residual <= 5e-4 * beta
    error = (
        found[1][network.connections[0].weight].double()
        - best[fine.connections[0].weight]
    )
    assert error.norm() < 0.1 * best[fine.connections[0].weight].norm()


def test_the_tolerance_is_a_share_of_the_nudge_down_to_what_the_dtype_resolves():
    network, _, _ = dense(tolerance=1e-3)
    assert [network.tolerance_at(beta) for beta in (3.0, 1.0, 0.1)] == [
        1e-3,
        1e-3,
        1e-4,
    ]
    assert network.tolerance_at(1e-15) == 4 * torch.finfo(F64).eps
    assert network.tolerance_at(0.1, 1e-2) == pytest.approx(1e-3)


NOISY = {
    "held": lambda network, **kw: EquilibriumPropagation(
        network, 0.1, 4, n_steps=30, **kw
    ),
    "continuous": lambda network, **kw: ContinuousEquilibriumPropagation(
        network, 0.1, 4, **kw
    ),
}


@pytest.mark.parametrize("make", NOISY.values(), ids=NOISY)
def test_noise_does_not_excuse_a_cycle(make):
    network, x, y = unstable()
    for noise in (1e-9, 1e-3):
        with pytest.raises(NotSettledError, match="more `n_steps`"):
            make(network, noise=noise)(x, y)
    network, x, y = cycles_once_nudged()
    assert network.settle(x).residual.max() <= network.tolerance
    with pytest.raises(NotSettledError, match="more `n_steps`"):
        make(network, noise=1e-9)(x, y)


def cycles_once_nudged():
    """A unit whose teacher says more while the output is wrong, and falls silent once it is right."""
    network = HolomorphicNetwork(1, [1], 2, dtype=F64, generator=generator())
    with torch.no_grad():
        network.connections[0].weight.zero_()
        network.readout.weight.copy_(torch.tensor([[20.0], [-20.0]]))
        network.readout.bias.copy_(torch.tensor([-6.0, 6.0]))
    return network, torch.zeros(1, 1, dtype=F64), torch.tensor([0])


@pytest.mark.parametrize("make", NOISY.values(), ids=NOISY)
def test_a_blow_up_under_noise_writes_nothing(make):
    network = HolomorphicNetwork(
        6, [8, 8], 4, lambda z: z + z**3, dtype=F64, generator=generator(), gain=0.3
    )
    network.load_state_dict(
        {name: 30 * value for name, value in network.state_dict().items()}
    )
    network.connections.requires_grad_(True)
    x = torch.zeros(5, 6, dtype=F64)  # at rest without a nudge
    with pytest.raises(
        NotSettledError, match="5 of 5 samples did not, the worst at inf"
    ):
        make(network, noise=0.1, leave_out=0.5)(x, Y)
    assert all(p.grad is None for p in network.parameters())


def test_a_gradient_that_is_not_finite_is_refused(monkeypatch):
    network, x, y = dense()
    monkeypatch.setattr(
        network.readout,
        "learn",
        lambda pre, signal: (torch.full((4, 4), torch.nan), signal.sum(0)),
    )
    with pytest.raises(NotSettledError) as raised:
        EquilibriumPropagation(network, 0.1, 2)(x, y)
    assert str(raised.value) == (
        "`network` must settle to finite gradients; got infinity or NaN in that of 'readout.weight'."
    )
    assert all(p.grad is None for p in network.parameters())


def test_no_gradient_when_no_sample_has_settled():
    network, x, y = unstable()
    with pytest.raises(NotSettledError) as raised:
        EquilibriumPropagation(network, 0.1, 2, leave_out=1.0)(x[2:], y[2:])
    assert str(raised.value) == (
        "`network` must settle to a residual of 1e-10 within 60 steps; 3 of 3 samples did not, the worst at 1: "
        "a smaller `step_size`, more `max_steps` or some `leave_out` may help."
    )


def test_not_a_number_has_not_settled():
    network, x, y = dense()
    with torch.no_grad():
        network.readout.weight.fill_(torch.nan)
    with pytest.raises(
        NotSettledError, match="5 of 5 samples did not, the worst at inf"
    ):
        EquilibriumPropagation(network, 0.1, 4)(x, y)
