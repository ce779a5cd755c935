import itertools
import json

import pytest
import torch
from torch import nn

from daleml import Populations, signs
from daleml.layers import EILinear
from daleml.optim import EG, MirrorDescent, enforce
from daleml.potentials import Euclidean, HyperbolicEntropy, NegativeEntropy, PNorm
from tests.reference import eg as reference

OPTIONS = [
    {
        "momentum": mu,
        "dampening": d,
        "weight_decay": wd,
        "nesterov": nesterov,
        "maximize": maximize,
    }
    for mu, d, wd, nesterov, maximize in itertools.product(
        (0, 0.9), (0, 0.3), (0, 0.2), (False, True), (False, True)
    )
    if not (nesterov and (mu == 0 or d))
]


def run(build, start, steps=6):
    """A trajectory of two tensors, one of which has no gradient every other step."""
    rng = torch.Generator().manual_seed(0)
    ps = [nn.Parameter(start.clone()), nn.Parameter(start[:2].clone())]
    optimizer = build(ps)
    for i in range(steps):
        ps[0].grad = torch.randn(start.shape, generator=rng, dtype=start.dtype)
        ps[1].grad = torch.randn(2, generator=rng, dtype=start.dtype) if i % 2 else None
        optimizer.step()
    return torch.cat([p.detach() for p in ps])


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("potential", [Euclidean(), PNorm(2)], ids=str)
def test_gradient_descent_is_torchs(potential, options):
    start = torch.tensor([1.5, -0.3, 0.02, -4.0, 0.0], dtype=torch.float64)
    ours = run(lambda ps: MirrorDescent(ps, 0.2, potential, **options), start)
    torchs = run(lambda ps: torch.optim.SGD(ps, 0.2, **options), start)
    torch.testing.assert_close(ours, torchs, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_negative_entropy_is_eg(options):
    start = torch.tensor([1.5, -0.3, 0.02, -4.0, 0.0], dtype=torch.float64)
    mirror = run(lambda ps: MirrorDescent(ps, 0.2, **options), start)
    assert torch.equal(mirror, run(lambda ps: EG(ps, 0.2, **options), start))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(
    "potential",
    [PNorm(3), PNorm(1.5), HyperbolicEntropy(0.5), NegativeEntropy()],
    ids=str,
)
def test_the_slow_twin(potential, options):
    start = torch.tensor([1.5, -0.3, 0.02, -4.0], dtype=torch.float64)
    rng = torch.Generator().manual_seed(0)
    p, slow = nn.Parameter(start.clone()), start.tolist()
    twins = [
        reference.MirrorDescent(
            0.05, **options, potential=reference.POTENTIALS[potential]
        )
        for _ in slow
    ]
    optimizer = MirrorDescent([p], 0.05, potential, **options)
    for _ in range(6):
        p.grad = torch.randn(4, generator=rng, dtype=torch.float64)
        optimizer.step()
        slow = [
            twin.step(w, float(g))
            for twin, w, g in zip(twins, slow, p.grad, strict=True)
        ]
    torch.testing.assert_close(
        p.data, torch.tensor(slow, dtype=torch.float64), rtol=1e-9, atol=1e-12
    )


def test_a_potential_a_group_and_euclidean_groups():
    ps = [nn.Parameter(torch.tensor([2.0])) for _ in range(3)]
    groups = [
        {"params": [ps[0]]},
        {"params": [ps[1]], "potential": PNorm(3)},
        {"params": [ps[2]], "euclidean": True},
    ]
    optimizer = MirrorDescent(groups, 0.5, NegativeEntropy())
    for p in ps:
        p.grad = torch.tensor([1.0])
    optimizer.step()
    assert [p.item() for p in ps] == pytest.approx(
        [2 * 2.718281828**-0.5, 3.5**0.5, 1.5]
    )
    with pytest.raises(
        TypeError, match=r"^`potential` must be one of daleml\.potentials; got 3\.$"
    ):
        optimizer.add_param_group(
            {"params": [nn.Parameter(torch.ones(1))], "potential": 3}
        )
    assert len(optimizer.param_groups) == 3


def test_the_potential_is_part_of_the_state(tmp_path):
    p = nn.Parameter(torch.tensor([2.0, -1.0]))
    p.grad = torch.ones(2)
    optimizer = MirrorDescent([p], 0.1, PNorm(3), momentum=0.9)
    optimizer.step()
    state = optimizer.state_dict()
    assert json.loads(json.dumps(state["param_groups"]))[0]["potential"] == {
        "name": "PNorm",
        "p": 3,
    }
    torch.save(state, tmp_path / "state.pt")
    other = MirrorDescent([nn.Parameter(p.detach().clone())], 0.1)
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert other.param_groups[0]["potential"] == PNorm(3)
    assert optimizer.param_groups[0]["potential"] == PNorm(3)
    (q,) = other.param_groups[0]["params"]
    q.grad = p.grad
    optimizer.step()
    other.step()
    assert torch.equal(p, q)


@pytest.mark.parametrize(
    "potential", [Euclidean(), PNorm(3), HyperbolicEntropy(0.1)], ids=str
)
def test_other_potentials_need_the_guard(potential):
    for guarded in (False, True):
        layer = EILinear(Populations(6, 2), 3)
        optimizer = MirrorDescent(layer.parameters(), 1.0, potential)
        if guarded:
            enforce(optimizer, layer)
        for _ in range(5):
            optimizer.zero_grad()
            layer(torch.rand(9, 8)).sum().backward()
            optimizer.step()
        assert bool(signs.check(layer)) == guarded


def test_all_zeros_are_refused_only_where_they_stay():
    zeros = [nn.Parameter(torch.zeros(3))]
    with pytest.raises(
        ValueError, match=r"^`params` of MirrorDescent must not all be zero"
    ):
        MirrorDescent(zeros, 0.1)
    MirrorDescent(zeros, 0.1, HyperbolicEntropy(0.1))
    assert MirrorDescent(zeros, 0.1, PNorm(2)).stuck().n_weights == 0
