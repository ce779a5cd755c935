import copy
import itertools
import math
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR
from torch.optim.optimizer import register_optimizer_step_post_hook

from daleml import Populations, signs
from daleml.layers import DANNLinear, EILinear
from daleml.optim import EG, EGAdamW, MirrorDescent, enforce, param_groups
from daleml.optim._fast import chunked_rules, chunks, forms, guarded_exp
from daleml.potentials import PNorm
from tests.catalog import LAWFUL, OURS, network, optimizers
from tests.reference import eg as reference


def parameter(values, dtype=torch.float64):
    return nn.Parameter(torch.tensor(values, dtype=dtype))


def with_grad(values, grads, dtype=torch.float64):
    p = parameter(values, dtype)
    p.grad = torch.tensor(grads, dtype=dtype)
    return p


# -- oracles -----------------------------------------------------------------------------------------------------------


def test_eg_is_the_closed_form():
    torch.manual_seed(0)
    w, g = torch.randn(100, dtype=torch.float64), torch.randn(100, dtype=torch.float64)
    p = nn.Parameter(w.clone())
    p.grad = g.clone()
    EG([p], lr=0.7).step()
    assert torch.equal(p.data, w * torch.exp(-0.7 * w.sign() * g))


@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize(
    "options",
    [
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
    ],
    ids=str,
)
def test_eg_is_mirror_descent_with_negative_entropy(options, foreach):
    start = [1.5, -0.3, 0.02, -4.0, 0.0]
    rng = torch.Generator().manual_seed(0)
    p, slow = parameter(start), list(start)
    other = parameter([2.0])  # a second tensor, whose gradient comes and goes
    twins = [reference.MirrorDescent(0.2, **options) for _ in start]
    optimizer = EG([p, other], lr=0.2, foreach=foreach, **options)
    for i in range(6):
        g = torch.randn(5, generator=rng, dtype=torch.float64)
        p.grad = g
        other.grad = torch.ones(1, dtype=torch.float64) if i % 2 else None
        optimizer.step()
        slow = [
            twin.step(w, float(gi)) for twin, w, gi in zip(twins, slow, g, strict=True)
        ]
    torch.testing.assert_close(
        p.data, torch.tensor(slow, dtype=torch.float64), rtol=1e-12, atol=0
    )


@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"weight_decay": wd, "amsgrad": amsgrad, "maximize": maximize}
        for wd, amsgrad, maximize in itertools.product(
            (0, 0.5), (False, True), (False, True)
        )
    ],
    ids=str,
)
def test_eg_adamw_equals_the_slow_twin(options, foreach):
    start = [1.5, -0.3, 0.02, -4.0, 0.0]
    rng = torch.Generator().manual_seed(0)
    p, slow = parameter(start), list(start)
    twins = [reference.AdamW(0.2, **options) for _ in start]
    optimizer = EGAdamW([p], lr=0.2, foreach=foreach, **options)
    for _ in range(6):
        p.grad = torch.randn(5, generator=rng, dtype=torch.float64)
        slow = [
            twin.step(w, float(g))
            for twin, w, g in zip(twins, slow, p.grad, strict=True)
        ]
        optimizer.step()
    torch.testing.assert_close(
        p.data, torch.tensor(slow, dtype=torch.float64), rtol=1e-12, atol=0
    )


@pytest.mark.parametrize("foreach", [False, True])
def test_each_parameter_counts_its_own_steps(foreach):
    late, twin = parameter([1.0]), reference.AdamW(0.2)
    early = with_grad([1.0], [1.0])
    optimizer = EGAdamW([early, late], lr=0.2, foreach=foreach)
    optimizer.step()
    late.grad = torch.ones(1, dtype=torch.float64)
    optimizer.step()
    assert late.item() == pytest.approx(twin.step(1.0, 1.0), rel=1e-12)


@pytest.mark.parametrize("lr", [50.0, 300.0])
def test_long_steps_are_the_formula_too(lr):
    p = with_grad([1.0, -1.0], [1.0, 1.0])
    EG([p], lr=lr).step()
    expected = torch.tensor([math.exp(-lr), -math.exp(lr)], dtype=torch.float64)
    torch.testing.assert_close(p.data, expected, rtol=1e-12, atol=0)


def test_the_forms_asked_for_are_the_forms_used(monkeypatch):
    used = []
    for rule, fast in forms.FAST.items():
        noted = {
            kind: lambda *_, kind=kind, rule=rule, **__: used.append(
                (rule.__name__, kind)
            )
            for kind, form in fast._asdict().items()
        }
        monkeypatch.setitem(forms.FAST, rule, forms.Forms(**noted))
    asked = [{}, {"foreach": True}, {"foreach": False}, {"fused": True}]
    for cls in (EG, EGAdamW):
        for size in (1, forms.SMALL + 1):
            for options in asked:
                weight = nn.Parameter(torch.ones(size))
                weight.grad = torch.ones(size)
                cls([weight], lr=0.1, **options).step()
    for name in ("eg_", "eg_adamw_"):
        for kind in ("gathered", "chunked"):
            for form in (kind, "whole_lists", kind, "compiled"):
                assert used.pop(0) == (name, form)


def test_defaults_are_the_contracts():
    p = [parameter([1.0])]
    assert EG(p, 0.1).defaults == {
        "lr": 0.1, "momentum": 0, "dampening": 0, "weight_decay": 0, "nesterov": False,
        "maximize": False, "foreach": None, "fused": None, "euclidean": False, "floor": 0.0,
        "capturable": False,
    }  # fmt: skip
    defaults = EGAdamW(p).defaults
    assert (
        defaults["betas"],
        defaults["eps"],
        defaults["weight_decay"],
        defaults["amsgrad"],
    ) == (
        (0.9, 0.999),
        1e-8,
        1e-2,
        False,
    )
    with pytest.raises(TypeError):
        EG(p)


def test_an_older_state_has_no_euclidean_groups():
    optimizer = EG([with_grad([1.0], [1.0])], lr=0.1)
    state = optimizer.state_dict()
    del state["param_groups"][0]["euclidean"]
    optimizer.load_state_dict(state)
    optimizer.step()


def test_eg_adamw_moves_along_adamws_direction():
    """In the dual coordinate ln|w|, a step without decay is Adam's own."""
    w = torch.tensor([0.5, 2.0, 7.0], dtype=torch.float64)
    p, dual = nn.Parameter(w.clone()), nn.Parameter(w.log())
    ours, adam = EGAdamW([p], lr=0.1, weight_decay=0), torch.optim.Adam([dual], lr=0.1)
    for i in range(5):
        p.grad = dual.grad = torch.tensor([1.0, -2.0, 0.3], dtype=torch.float64) * (
            i + 1
        )
        ours.step()
        adam.step()
    torch.testing.assert_close(p.log(), dual, rtol=1e-12, atol=1e-12)


LAYOUTS = {
    "contiguous": lambda w: w.clone(),
    "transposed": lambda w: w.t().clone().t(),
    "strided": lambda w: torch.stack([w, w], -1)[..., 0],
    "expanded gradient": lambda w: w.clone(),
}


def eg_adam_as_keras_has_it(weight, grads, eps, lr=0.01, keras=True):
    """Return what steps lead to, where eps is added before the bias is corrected or after."""
    p = nn.Parameter(weight.clone())
    optimizer = EGAdamW([p], lr=lr, eps=eps, weight_decay=0)
    for t, grad in enumerate(grads, start=1):
        if keras:
            optimizer.param_groups[0]["eps"] = eps / math.sqrt(1 - 0.999**t)
        p.grad = grad.clone()
        optimizer.step()
    return p.detach()


def test_eg_adamw_with_eps_before_the_correction_is_the_allen_institutes():
    weight = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    grads = torch.tensor([[0.1, -0.2, 0.3], [-0.4, 0.5, -0.6]], dtype=torch.float64)
    # The numbers of a public test of their ExponentiatedAdam.
    theirs = torch.tensor([0.99560499, -1.98887562, 0.49684059], dtype=torch.float64)
    found = eg_adam_as_keras_has_it(weight, grads, eps=1e-7)
    torch.testing.assert_close(found, theirs, rtol=0, atol=6e-9)
    torch_like = eg_adam_as_keras_has_it(weight, grads, eps=1e-7, keras=False)
    assert (torch_like - theirs).abs().min() > 4e-8

    # By their equations, for gradients so small that eps decides.
    mean = square = torch.zeros(3, dtype=torch.float64)
    expected, small = weight.clone(), grads * 1e-6
    for t, grad in enumerate(small, start=1):
        mean = mean + (grad - mean) * 0.1
        square = square + (grad.square() - square) * 0.001
        rate = 0.01 * math.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        direction = expected.sign() * mean / (square.sqrt() + 1e-7)
        expected = expected * torch.exp(-rate * direction)
    found = eg_adam_as_keras_has_it(weight, small, eps=1e-7)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)
    torch_like = eg_adam_as_keras_has_it(weight, small, eps=1e-7, keras=False)
    change, other = (found / weight).log(), (torch_like / weight).log()
    assert ((change / other).abs() < 0.5).all()


@optimizers(OURS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_however_tensors_lie_and_are_cut_the_numbers_are_the_same(
    optimizer, layout, monkeypatch
):
    """To the last bit, where torch's kernels treat the end of a vector as they treat its middle; else to rounding."""
    rng = torch.Generator().manual_seed(0)
    start, scalar, ends = torch.randn(40, 23, generator=rng), torch.tensor(-0.7), []
    for place, small, scratch in (
        ("contiguous", -1, 1 << 20),
        (layout, -1, 800),
        (layout, 1 << 14, 1 << 14),
    ):
        monkeypatch.setattr(forms, "SMALL", small)
        monkeypatch.setattr(chunks, "_SCRATCH_BYTES", scratch)
        ps = [nn.Parameter(LAYOUTS[place](start)), nn.Parameter(scalar.clone())]
        built = optimizer.build(ps, 0.1)
        for i in range(3):
            row = torch.randn(1, 23, generator=torch.Generator().manual_seed(i)).expand(
                40, 23
            )
            ps[0].grad = row if layout == "expanded gradient" else LAYOUTS[place](row)
            ps[1].grad = torch.tensor(0.3)
            built.step()
        ends.append(torch.cat([p.detach().reshape(-1) for p in ps]))
    rounded = optimizer.name in (
        "Mirror sparse",
        "Mirror hyperbolic",
    ) or optimizer.name.startswith("EGAdamW")
    for end in ends[1:]:
        torch.testing.assert_close(
            end, ends[0], rtol=2e-5 if rounded else 0, atol=1e-6 if rounded else 0
        )
    assert (ends[0][:-1].view(40, 23) != start).any()
    assert ends[0][-1] != scalar


def test_the_published_formula_bitwise():
    """In the range of weights a network has, whatever the pieces: no guard changes a bit."""
    rng = torch.Generator().manual_seed(0)
    shapes = [(700, 600), (3,), (), (50, 40), (5, 4, 3, 3)]
    ours = [nn.Parameter(torch.randn(s, generator=rng)) for s in shapes]
    theirs = [p.detach().clone() for p in ours]
    optimizer = EG(ours, lr=0.1)
    for _ in range(5):
        for p, q in zip(ours, theirs, strict=True):
            p.grad = torch.randn(p.shape, generator=rng)
            q.mul_(torch.exp(q.sign() * p.grad * -0.1))
        optimizer.step()
        assert all(torch.equal(p, q) for p, q in zip(ours, theirs, strict=True))


@pytest.mark.filterwarnings(
    "ignore:.*torch.jit.*:DeprecationWarning"
)  # torch's compiler imports its own old parts
@pytest.mark.parametrize(
    ("cls", "options", "changing"),
    [
        (EG, {"momentum": 0.9, "dampening": 0.1, "weight_decay": 0.1}, "momentum"),
        (EGAdamW, {"weight_decay": 0.1, "amsgrad": True}, "weight_decay"),
        (
            MirrorDescent,
            {"potential": PNorm(3), "weight_decay": 0.1, "maximize": True},
            "weight_decay",
        ),
    ],
)
def test_fused_gives_the_same_numbers_and_compiles_once_more_for_an_option_that_changes(
    cls, options, changing, capsys
):
    ends = []
    for fused in (False, True):
        ps = [with_grad([1.0, -2.0, 0.0], [0.3, 0.1, -0.4]), with_grad([0.5], [-1.0])]
        optimizer = cls(ps, lr=0.3, fused=fused, **options)
        for lr in (0.5, 0.4, 0.3, 0.2, 0.1):
            optimizer.param_groups[0].update({"lr": lr, changing: max(lr, 0.3) / 2})
            optimizer.step()
        ends.append([p.detach() for p in ps])
    for one, other in zip(*ends, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=0)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 4
    assert said[0].endswith("for 2 tensors of 4 weights...")
    assert said[1].startswith("daleml: compiled in ")


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_fused_steps_go_without_their_guard_only_as_far_as_the_headroom_reaches(
    monkeypatch,
):
    from daleml.optim._fast import compile_cache

    guarded = []
    run = compile_cache.run
    monkeypatch.setattr(
        compile_cache,
        "run",
        lambda *a, **k: guarded.append(a[2]["limits"] is not None) or run(*a, **k),
    )
    ends = []
    for fused in (False, True):
        ps = [
            with_grad([1e-3, -1.0, 0.0], [1.0, -1.0, 1.0], torch.float32),
            with_grad([2.0], [-1.0], torch.float32),
        ]
        optimizer = EGAdamW(ps, lr=0.1, fused=fused)
        for step in range(1000):
            optimizer.step()
            if step == 100:
                with torch.no_grad():
                    ps[0][1] = -1e-37  # written by somebody else
        ends.append(torch.cat([p.detach() for p in ps]))
    torch.testing.assert_close(ends[1], ends[0], rtol=1e-3, atol=0)
    assert ends[1].abs()[:2].tolist() == [torch.finfo(torch.float32).tiny] * 2
    assert ends[1][3] == torch.finfo(torch.float32).max
    assert not any(guarded[:101])  # as far as is known
    assert all(guarded[101:])  # at a limit once, where measuring again would not pay


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("eps", [1e-8, 0.0])
def test_the_guard_stays_where_no_reach_is_known_and_comes_back_before_a_limit(
    dtype, eps, monkeypatch
):
    from daleml.optim._fast import compile_cache

    reach, guarded = 1.01 * 0.05 * chunked_rules.adam_reach((0.9, 0.999), 1e-8), []
    monkeypatch.setattr(
        compile_cache, "run", lambda *a, **_: guarded.append(a[2]["limits"] is not None)
    )
    weight = with_grad([1.0], [1.0], dtype)
    optimizer = EGAdamW([weight], lr=0.05, weight_decay=0, eps=eps, fused=True)
    for _ in range(int(87 / reach) + 1):
        optimizer.step()
    measured = dtype == torch.float32 and eps > 0
    assert guarded == [not measured] * len(guarded)
    if (
        measured
    ):  # the weight is small now, and its headroom, used up, is measured again
        with torch.no_grad():
            weight.fill_(1e-34)
        optimizer.step()
        assert guarded[-1]


def test_every_set_of_shapes_is_compiled_apart(monkeypatch):
    """torch gives up on a function after eight sets of shapes, silently: a model may have more groups than that."""
    from daleml.optim._fast import compile_cache

    codes = []
    monkeypatch.setattr(
        torch, "compile", lambda rule, **_: codes.append(rule.__code__) or rule
    )
    compile_cache._compiled.cache_clear()
    groups = [{"params": [nn.Parameter(torch.ones(n + 1, 2))]} for n in range(12)]
    optimizer = EG(groups, lr=0.1, fused=True)
    for _ in range(2):
        for group in groups:
            group["params"][0].grad = torch.ones_like(group["params"][0])
        optimizer.step()
    compile_cache._compiled.cache_clear()
    assert len(codes) == len({id(code) for code in codes}) == 12


@pytest.mark.parametrize(
    ("ours", "torchs"),
    [
        (
            lambda g: EG(g, 0.1, momentum=0.9, weight_decay=0.1, nesterov=True),
            lambda ps: torch.optim.SGD(
                ps, 0.1, momentum=0.9, weight_decay=0.1, nesterov=True
            ),
        ),
        (
            lambda g: EGAdamW(g, 0.1, weight_decay=0.1, amsgrad=True),
            lambda ps: torch.optim.AdamW(ps, 0.1, weight_decay=0.1, amsgrad=True),
        ),
    ],
)
def test_euclidean_groups_take_torchs_own_steps(ours, torchs):
    p, q = parameter([0.0, 1.0, -1.0]), parameter([0.0, 1.0, -1.0])
    one, other = ours([{"params": [p], "euclidean": True}]), torchs([q])
    for i in range(4):
        p.grad = torch.tensor([1.0, -0.5, 2.0], dtype=torch.float64) * (1 + i)
        q.grad = p.grad.clone()
        one.step()
        other.step()
    assert torch.equal(p.data, q.data)


@pytest.mark.parametrize("cls", [EG, EGAdamW])
def test_a_step_takes_less_than_a_mebibyte(cls):
    """Beyond the state, whatever the size of the model, and also where every weight is guarded."""
    shapes = [(1500, 1000), *[(100, 30)] * 40]
    weights = [nn.Parameter(torch.rand(shape) + 0.1) for shape in shapes]
    for weight in weights:
        weight.grad = torch.rand_like(weight)
    optimizer = cls(weights, lr=0.01)
    optimizer.step()
    for guarded in (False, True):
        if guarded:
            optimizer._headroom.clear()
        with torch.profiler.profile(
            activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
        ) as profile:
            optimizer.step()
        events = profile.profiler.kineto_results.events()
        changes = [event.nbytes() for event in events if event.name() == "[memory]"]
        assert changes
        assert max(itertools.accumulate(changes)) < 1 << 20


# -- zeros, extremes and low precision ---------------------------------------------------------------------------------


@optimizers(LAWFUL)
def test_zero_stays_zero(optimizer):
    p = nn.Parameter(torch.tensor([0.0, -0.0, 1.0]))
    built = optimizer.build([p], 0.3)
    for _ in range(3):
        p.grad = torch.tensor([1.0, -1.0, 1.0])
        built.step()
    assert p[0] == 0
    assert p[1] == 0
    assert p[2] != 1
    for size in (1e38, -1e38):  # lr times gradient overflows
        p.grad = torch.full((3,), size)
        for group in built.param_groups:
            group["lr"] = 100.0
        built.step()
        assert p.isfinite().all()
        assert (p[:2] == 0).all()


@optimizers(LAWFUL)
@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64]
)
@pytest.mark.parametrize("size", [1e4, -1e4, 1e30, -1e30, math.inf, -math.inf])
def test_a_huge_exponent_neither_overflows_nor_kills(optimizer, dtype, size):
    start = torch.tensor([1.0, -1.0, 1e-3, -3e4], dtype=dtype)
    p = nn.Parameter(start.clone())
    built = optimizer.build([p], 0.0)
    grad = torch.full((4,), size).to(dtype)
    if optimizer.name.startswith("EGAdamW"):
        grad.clamp_(-1e4, 1e4) if dtype == torch.float16 else grad.clamp_(
            -1e30, 1e30
        )  # Adam has no direction at inf
    for _ in range(3):
        p.grad = grad.clone()
        built.step()
        assert p.isfinite().all()
    assert (p != 0).all()
    assert torch.equal(p.sign(), start.sign())
    for _ in range(600):
        p.grad = torch.full((4,), -math.copysign(1.0, size), dtype=dtype)
        built.step()
    assert (p.sign() == start.sign()).any()  # it can still grow back


@given(
    data=st.data(),
    lr=st.floats(0, 1e3),
    seed=st.integers(0, 99),
    cls=st.sampled_from([EG, EGAdamW]),
    small=st.sampled_from([forms.SMALL, 0]),
)
@settings(deadline=None, max_examples=100)
def test_the_guard_left_out_is_never_missed(data, lr, seed, cls, small):
    """However steps, writes and sizes follow each other, the result is that of guarding every step."""
    with pytest.MonkeyPatch.context() as patch:
        # At 0 these few weights step as a large tensor does, which is what has headroom.
        patch.setattr(forms, "SMALL", small)
        assert_never_missed(data, lr, seed, cls)


def assert_never_missed(data, lr, seed, cls):
    rng = torch.Generator().manual_seed(seed)
    widest = data.draw(st.sampled_from([0, 30]))
    start = torch.randn(200, generator=rng) * torch.logspace(-widest, widest, 200)
    start[::50] = 0
    p, q = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    one, other = cls([p], lr=lr, weight_decay=0), cls([q], lr=lr, weight_decay=0)
    for _ in range(data.draw(st.integers(1, 12))):
        scale = 10.0 ** data.draw(st.integers(-4, 3))
        p.grad = scale * torch.randn(200, generator=rng)
        q.grad = p.grad.clone()
        if data.draw(st.booleans()):
            with torch.no_grad():
                p[1] = q[1] = data.draw(st.sampled_from([1e-37, 1e37, -1.0]))
        one.step()
        other._headroom.clear()
        other.step()
        assert torch.equal(p, q)
        living = p.detach().abs()[start != 0]
        assert living.min() >= torch.finfo(torch.float32).tiny
        assert living.max() < math.inf


@pytest.mark.parametrize("cls", [EG, EGAdamW])
def test_headroom_is_spent_and_a_weight_written_in_between_has_none(cls, monkeypatch):
    monkeypatch.setattr(forms, "SMALL", 0)
    guarded = []
    guard = guarded_exp._guarded_
    monkeypatch.setattr(
        guarded_exp, "_guarded_", lambda *given: guarded.append(1) or guard(*given)
    )
    tiny = torch.finfo(torch.float32).tiny
    sinking, written = (
        parameter([1e-30], torch.float32),
        parameter([1.0], torch.float32),
    )
    optimizer = cls([sinking, written], lr=1.0, weight_decay=0)
    for i in range(40):
        if i == 2:
            with torch.no_grad():
                # Nearer to the limit than a step is long.
                written.fill_(1.5 * tiny)
        sinking.grad, written.grad = torch.ones(1), torch.ones(1)
        optimizer.step()
        if i == 1:
            assert len(guarded) == 2, "both have headroom for the second step"
    assert sinking.item() == written.item() == tiny


@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize("cls", [EG, EGAdamW])
def test_a_floor_keeps_dying_weights_and_stuck_counts_them(cls, foreach):
    p, frozen = parameter([1.0, -1.0, 0.0, 0.5]), parameter([0.0, 0.0])
    optimizer = cls(
        [{"params": [("w", p)]}, {"params": [("b", frozen)], "euclidean": True}],
        lr=1.0,
        floor=1e-3,
        foreach=foreach,
    )
    assert optimizer.stuck().n_zero == 1
    for _ in range(20):
        p.grad = torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
        optimizer.step()
    assert p.tolist()[:3] == [1e-3, -1e-3, 0.0]
    stuck = optimizer.stuck()
    assert (stuck.n_weights, stuck.n_zero, stuck.n_floor, stuck.share) == (
        4,
        1,
        2,
        0.75,
    )
    assert stuck.tensors == {"w": (4, 1, 2)}
    assert str(stuck).splitlines() == [
        "3 of 4 weights under exponentiated gradient are stuck (75.0%): 1 at zero, 2 at the floor.",
        "  w: 1 at zero, 2 at the floor, of 4",
    ]
    for _ in range(2):
        p.grad = -torch.tensor([1.0, -1.0, 1.0, -1.0], dtype=torch.float64)
        optimizer.step()
    assert (optimizer.stuck().n_floor == 0) == (
        cls is EG
    )  # EGAdamW's moments take longer to turn


def test_without_a_floor_weights_die_to_the_smallest_normal_number():
    p = with_grad([1.0, -1.0], [1e3, 1e3], torch.float32)
    optimizer = EG([p], lr=1.0)
    optimizer.step()
    assert p[0] == torch.finfo(torch.float32).tiny
    assert (optimizer.stuck().n_zero, optimizer.stuck().n_floor) == (0, 1)


@pytest.mark.parametrize("cls", [EG, EGAdamW])
@given(lr=st.floats(0, 1e8), weight_decay=st.floats(0, 1e8))
@settings(deadline=None, max_examples=50)
def test_decay_never_flips_a_sign(cls, lr, weight_decay):
    p = with_grad([1.0, -2.0, 0.0], [0.0, 0.0, 0.0])
    cls([p], lr=lr, weight_decay=weight_decay).step()
    assert p.detach().sign().tolist() == [1, -1, 0]
    assert p.isfinite().all()


@pytest.mark.parametrize("cls", [EG, EGAdamW])
def test_decay_alone_is_exponential(cls):
    """A step of decay only is w exp(-lr decay), beyond lr decay = 1 too."""
    for lr in (0.1, 5.0):
        p = with_grad([1.0, -2.0], [0.0, 0.0])
        cls([p], lr=lr, weight_decay=0.7).step()
        torch.testing.assert_close(
            p.data,
            torch.tensor([1.0, -2.0]).double() * math.exp(-lr * 0.7),
            rtol=1e-14,
            atol=0,
        )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("cls", [EG, EGAdamW])
def test_small_steps_add_up_in_low_precision(cls, dtype):
    """A relative step of 1e-4 rounds away in either type, so 1,000 of them would leave the weight where it was."""
    p = nn.Parameter(torch.tensor([1.0, -1.0], dtype=dtype))
    optimizer = cls([p], lr=1e-4, weight_decay=0)
    for _ in range(1000):
        p.grad = torch.tensor([1.0, 1.0], dtype=dtype)
        optimizer.step()
    torch.testing.assert_close(
        p.float(), torch.tensor([math.exp(-0.1), -math.exp(0.1)]), rtol=5e-3, atol=0
    )


def test_a_low_precision_weight_written_by_somebody_else_is_believed():
    p = nn.Parameter(torch.tensor([1.0, 1.0], dtype=torch.bfloat16))
    optimizer = EG([p], lr=1e-4)
    for value in (1.0, 5.0):
        with torch.no_grad():
            p[0] = value
        p.grad = torch.ones(2, dtype=torch.bfloat16)
        optimizer.step()
    master = optimizer.state[p]["master"]
    torch.testing.assert_close(
        master, torch.tensor([5 * math.exp(-1e-4), math.exp(-2e-4)])
    )


# -- torch's contract --------------------------------------------------------------------------------------------------


@optimizers(OURS)
@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
def test_the_callers_gradient_is_untouched(optimizer, weight_decay):
    p = with_grad([1.0, -2.0, 0.5], [0.1, -0.2, 0.3])
    built, grad = optimizer.build([p], weight_decay), p.grad
    kept = grad.clone()
    for _ in range(3):
        built.step()
        assert p.grad is grad
        assert torch.equal(grad, kept)


@optimizers(OURS)
def test_parameters_without_gradient_are_skipped(optimizer):
    p, idle = with_grad([1.0], [1.0]), parameter([1.0])
    built = optimizer.build([p, idle], 0.5)
    built.step()
    assert idle.item() == 1
    assert idle not in built.state


@optimizers(OURS)
def test_sparse_gradients_are_refused_by_name(optimizer):
    embedding = nn.Embedding(4, 3, sparse=True)
    embedding(torch.tensor([1])).sum().backward()
    built = optimizer.build(list(embedding.parameters()), 0.0)
    with pytest.raises(
        RuntimeError,
        match=rf"^{type(built).__name__} does not support sparse gradients\.$",
    ):
        built.step()


@optimizers(OURS)
def test_closure_is_called_with_gradients_enabled_and_its_loss_returned(optimizer):
    p = parameter([2.0])
    built = optimizer.build([p], 0.0)

    def closure():
        built.zero_grad()
        loss = p.square().sum()
        loss.backward()
        return loss

    assert built.step(closure).item() == 4.0
    assert 0 < p.item() < 2


@optimizers(OURS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_state_dict_resumes_to_the_same_trajectory(optimizer, dtype):
    rng = torch.Generator().manual_seed(0)
    start = torch.randn(50, generator=rng).to(dtype)
    grads = [torch.randn(50, generator=rng).to(dtype) for _ in range(8)]

    def run(p, built, grads):
        for grad in grads:
            p.grad = grad.clone()
            built.step()

    p = nn.Parameter(start.clone())
    built = optimizer.build([p], 0.1)
    run(p, built, grads[:4])
    q = nn.Parameter(p.detach().clone())
    resumed = optimizer.build([q], 0.9)
    resumed.load_state_dict(built.state_dict())
    run(p, built, grads[4:])
    run(q, resumed, grads[4:])
    assert torch.equal(p, q)
    assert p.isfinite().all()
    assert not torch.equal(p.detach(), start)


@optimizers(OURS)
def test_loading_a_state_dict_takes_copies(optimizer):
    p, q = (
        with_grad([1.0], [1.0], torch.bfloat16),
        with_grad([1.0], [1.0], torch.bfloat16),
    )
    one, other = optimizer.build([p], 0.0), optimizer.build([q], 0.0)
    one.step()
    other.load_state_dict(one.state_dict())
    for key, value in one.state[p].items():
        assert other.state[q][key] is not value
        assert other.state[q][key].dtype == value.dtype


def test_groups_have_their_own_options():
    p, q = with_grad([1.0], [1.0]), with_grad([1.0], [1.0])
    EG([{"params": [p], "lr": 0.5}, {"params": [q]}], lr=0.1).step()
    assert (p.item(), q.item()) == pytest.approx((math.exp(-0.5), math.exp(-0.1)))


@optimizers(OURS)
def test_schedulers_drive_the_learning_rate(optimizer):
    p = with_grad([1.0], [1.0])
    built = optimizer.build([p], 0.0)
    schedule = LambdaLR(built, lambda epoch: 0.0 if epoch else 1.0)
    built.step()
    after = p.item()
    assert after != 1
    schedule.step()
    built.step()
    assert p.item() == after


@pytest.mark.parametrize("foreach", [False, True])
@pytest.mark.parametrize("cls", [EG, EGAdamW])
def test_a_tensor_learning_rate(cls, foreach):
    p, q = with_grad([1.0, -2.0], [1.0, 1.0]), with_grad([1.0, -2.0], [1.0, 1.0])
    cls([p], lr=torch.tensor(0.25), foreach=foreach).step()
    cls([q], lr=0.25, foreach=foreach).step()
    torch.testing.assert_close(p, q, rtol=1e-14, atol=0)
    one_element = with_grad([1.0, -2.0], [1.0, 1.0])
    cls([one_element], lr=torch.tensor([0.25]), foreach=foreach).step()
    assert torch.equal(one_element, p)


def test_works_with_clipping_and_a_cosine():
    model = network()
    optimizer = EG(param_groups(model, 0.3), lr=0.3)
    schedule = CosineAnnealingLR(optimizer, 5)
    before = (model(torch.ones(2, 9)) - 1).square().mean().item()
    for _ in range(5):
        optimizer.zero_grad()
        (model(torch.ones(2, 9)) - 1).square().mean().backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    assert (model(torch.ones(2, 9)) - 1).square().mean().item() < before


@optimizers(OURS)
def test_grad_scaler_and_clipping(optimizer):
    """A scaled, unscaled and clipped gradient is the clipped gradient; a step with an infinite one is left out."""
    ends = []
    for scaled in (False, True):
        p = parameter([1.0, -2.0], torch.float32)
        built, scaler = (
            optimizer.build([p], 0.1),
            torch.amp.GradScaler("cpu", init_scale=8.0, enabled=scaled),
        )
        for factor in (1.0, 3.0, *([math.inf] if scaled else [])):
            built.zero_grad()
            scaler.scale((p * torch.tensor([factor, 1.0])).sum()).backward()
            scaler.unscale_(built)
            if math.isfinite(factor):
                nn.utils.clip_grad_norm_([p], 1.0)
            scaler.step(built)
            scaler.update()
        ends.append(p.detach())
    assert ends[0].isfinite().all()
    assert (ends[0] != torch.tensor([1.0, -2.0])).all()
    torch.testing.assert_close(*ends)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("cls", [EG, EGAdamW])
def test_every_form_agrees_at_the_extremes_too(cls, dtype):
    rng = torch.Generator().manual_seed(0)
    start = (
        torch.randn(300, 4, generator=rng) * torch.logspace(-20, 20, 300)[:, None]
    ).to(dtype)
    start[::9] = 0
    ends = []
    for form in ({}, {"foreach": True}, {"fused": True}):
        p, grads = nn.Parameter(start.clone()), torch.Generator().manual_seed(1)
        built = cls([p], lr=0.3, weight_decay=0.1, floor=1e-25, **form)
        for i in range(6):
            p.grad = (10.0 ** (i - 2) * torch.randn(300, 4, generator=grads)).to(dtype)
            built.step()
        ends.append(p.detach().float())
    for end in ends[1:]:
        torch.testing.assert_close(
            end, ends[0], rtol=2e-2 if dtype == torch.bfloat16 else 5e-5, atol=0
        )


@pytest.mark.parametrize(
    ("build", "error", "sentence"),
    [
        (lambda p: EG(p, -0.1), ValueError, "`lr` must be at least 0; got -0.1."),
        (lambda p: EG(p, math.nan), ValueError, "`lr` must be finite; got nan."),
        (lambda p: EG(p, "0.1"), TypeError, "`lr` must be a number; got '0.1'."),
        (
            lambda p: EG(p, torch.ones(2)),
            ValueError,
            "`lr` must be a number or a tensor of one element; got shape (2,).",
        ),
        (
            lambda p: EG([{"params": p, "lr": -1}], 1),
            ValueError,
            "`lr` must be at least 0; got -1.",
        ),
        (
            lambda p: EGAdamW([{"params": p, "betas": ("0.9", 0.9)}]),
            ValueError,
            "`betas` must be two numbers in [0, 1); got ('0.9', 0.9).",
        ),
        (
            lambda p: MirrorDescent([{"params": p, "potential": "entropy"}], 1),
            TypeError,
            "`potential` must be one of daleml.potentials; got 'entropy'.",
        ),
        (
            lambda p: EG(p, 1, momentum=-1),
            ValueError,
            "`momentum` must be at least 0; got -1.",
        ),
        (
            lambda p: EG(p, 1, weight_decay=-1),
            ValueError,
            "`weight_decay` must be at least 0; got -1.",
        ),
        (
            lambda p: EG(p, 1, nesterov=True),
            ValueError,
            "`nesterov` must come with momentum and no dampening; got momentum=0, dampening=0.",
        ),
        (
            lambda p: EG(p, 1, foreach=True, fused=True),
            ValueError,
            "`foreach` and `fused` must not both be True; got foreach=True, fused=True.",
        ),
        (
            lambda p: EG(
                [nn.Parameter(torch.zeros(2, 3)), nn.Parameter(torch.zeros(4))], 1
            ),
            ValueError,
            "`params` of EG must not all be zero, where exponentiated gradient leaves them; got 10 weights of zero.",
        ),
        (
            lambda p: EGAdamW([nn.Parameter(torch.zeros(2))]),
            ValueError,
            "`params` of EGAdamW must not all be zero, where exponentiated gradient leaves them; got 2 weights of zero.",
        ),
        (
            lambda p: EG(p, 1, floor=-1),
            ValueError,
            "`floor` must be at least 0; got -1.",
        ),
        (
            lambda p: MirrorDescent(p, -0.1),
            ValueError,
            "`lr` must be at least 0; got -0.1.",
        ),
        (
            lambda p: MirrorDescent(p, 1, "entropy"),
            TypeError,
            "`potential` must be one of daleml.potentials; got 'entropy'.",
        ),
        (
            lambda p: MirrorDescent(p, 1, PNorm(1)),
            ValueError,
            "`p` must be above 1; got 1.",
        ),
        (
            lambda p: EGAdamW(p, betas=(0.9, 1.0)),
            ValueError,
            "`betas` must be two numbers in [0, 1); got (0.9, 1.0).",
        ),
        (
            lambda p: EGAdamW(p, betas=(0.9,)),
            ValueError,
            "`betas` must be two numbers in [0, 1); got (0.9,).",
        ),
        (
            lambda p: EGAdamW(p, betas=0.9),
            ValueError,
            "`betas` must be two numbers in [0, 1); got 0.9.",
        ),
        (
            lambda p: param_groups(p, 1),
            TypeError,
            "`model` must be a module; got list.",
        ),
        (
            lambda p: enforce(nn.Linear(2, 2), EG(p, 1)),
            TypeError,
            "`optimizer` must be a torch optimiser; got Linear.",
        ),
        (
            lambda p: enforce(EG(p, 1), p),
            TypeError,
            "`model` must be a module; got list.",
        ),
        (lambda p: EGAdamW(p, eps=-1), ValueError, "`eps` must be at least 0; got -1."),
        (
            lambda p: EG([nn.Parameter(torch.ones(2, dtype=torch.complex64))], 1),
            ValueError,
            "`params` of EG must be real floating-point tensors; got torch.complex64.",
        ),
        (
            lambda p: param_groups(nn.Linear(2, 2), -1),
            ValueError,
            "`lr` must be at least 0; got -1.",
        ),
        (
            lambda p: param_groups(nn.ReLU(), 1),
            ValueError,
            "`model` must have a parameter to train; got ReLU without one.",
        ),
        (
            lambda p: enforce(torch.optim.SGD(p, 1), nn.Linear(2, 2)),
            ValueError,
            "`model` must have a parameter whose signs are fixed; got Linear without one.",
        ),
    ],
)
def test_wrong_input_is_one_sentence(build, error, sentence):
    with pytest.raises(error) as raised:
        build([parameter([1.0])])
    assert str(raised.value) == sentence


def test_a_group_that_is_refused_is_not_added():
    optimizer = EG([parameter([1.0])], 1)
    with pytest.raises(ValueError, match="`weight_decay` must be at least 0; got -1."):
        optimizer.add_param_group({"params": [parameter([2.0])], "weight_decay": -1})
    assert len(optimizer.param_groups) == 1


# -- the guard ---------------------------------------------------------------------------------------------------------


def test_enforce_undoes_itself():
    layer = EILinear(Populations(2, 1), 1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=100.0)
    guard = enforce(optimizer, layer)
    layer(torch.rand(4, 3)).sum().backward()
    optimizer.step()
    assert signs.check(layer)
    guard.remove()
    optimizer.step()
    assert not signs.check(layer)
    with enforce(optimizer, layer):
        optimizer.step()
        assert signs.check(layer)
    layer(torch.rand(4, 3)).neg().sum().backward()
    optimizer.step()
    optimizer.step()
    assert not signs.check(layer)


@pytest.mark.parametrize(
    "carry", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))]
)
def test_a_copied_optimizer_guards_the_copied_model(carry):
    layer = EILinear(Populations(2, 1), 1)
    optimizer = torch.optim.SGD(layer.parameters(), lr=100.0)
    enforce(optimizer, layer)
    copied, moved = carry((layer, optimizer))
    copied(torch.rand(4, 3)).sum().backward()
    moved.step()
    assert not torch.equal(copied.weight, layer.weight)
    assert signs.check(copied)
    assert moved.param_groups[0]["params"][0] is copied.weight


# -- groups ------------------------------------------------------------------------------------------------------------


def test_param_groups_are_learning_rates_by_role():
    model = nn.Sequential(
        DANNLinear(16, 9, 2, shunting=True),
        nn.ReLU(),
        EILinear(9, 4),
        nn.LayerNorm(4),
        nn.Linear(4, 2),
    )
    groups = param_groups(model, 0.6)
    found = {
        group["role"]: (group["lr"], len(group["params"]), group["euclidean"])
        for group in groups
    }
    assert found == {
        "weight_ex": (0.6, 1, False),
        "weight_ix": (pytest.approx(0.2), 1, False),
        "weight_ei": (pytest.approx(0.6 / 16), 1, False),
        "alpha": (pytest.approx(0.6 / 48), 1, True),
        "gain": (0.6, 1, False),
        "bias": (0.6, 5, True),
        "weight": (0.6, 2, False),
    }
    assert sorted(id(p) for group in groups for p in group["params"]) == sorted(
        id(p) for p in model.parameters()
    )


def test_param_groups_leave_out_what_is_frozen_and_keep_layers_apart():
    model = nn.Sequential(DANNLinear(16, 9, 2), DANNLinear(9, 9, 2))
    model[0].weight_ex.requires_grad_(False)
    groups = param_groups(model, 1.0)
    assert sum(len(group["params"]) for group in groups) == 7
    assert sorted(
        group["lr"] for group in groups if group["role"] == "weight_ei"
    ) == pytest.approx([1 / 16, 1 / 9])


def test_corrections_survive_a_reparametrisation():
    from torch.nn.utils import parametrize

    layer = DANNLinear(16, 9, 2)
    parametrize.register_parametrization(layer, "weight_ei", nn.Identity())
    assert {group["role"]: group["lr"] for group in param_groups(layer, 1.0)}[
        "weight_ei"
    ] == 1 / 16


def test_eg_learns_biases_of_param_groups():
    """A bias starts at zero, where EG alone would leave it."""
    layer = DANNLinear(4, 2)
    optimizer = EG(param_groups(layer, 0.1), lr=0.1)
    layer(torch.rand(3, 4)).sum().backward()
    optimizer.step()
    assert layer.bias.tolist() == pytest.approx([-0.3, -0.3])


@pytest.mark.parametrize("build", [EG, EGAdamW])
@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("learning_rate", "lr"),
        ("weightdecay", "weight_decay"),
        ("euclidian", "euclidean"),
    ],
)
def test_a_misspelt_option_of_a_group_is_not_swallowed(build, name, meant):
    weights = torch.nn.Parameter(torch.ones(3))
    with pytest.raises(
        TypeError,
        match=rf"has a group with the option `{name}`; did you mean `{meant}`\?$",
    ):
        build([{"params": [weights], name: 0.5}], lr=0.1)
    extra = {
        "name": "all",
        "role": "weight",
        "initial_lr": 0.1,
        "base_momentum": 0.5,
        "lr_scale": 0.5,
    }
    assert (
        extra.items()
        <= build([{"params": [weights], **extra}], lr=0.1).param_groups[0].items()
    )


class TestHooks:
    """Torch wraps the step of an optimiser in what calls hooks; daleml's call them themselves."""

    @pytest.mark.parametrize("is_subclass", [False, True])
    def test_each_hook_is_called_once(self, is_subclass):
        class Mine(EG):
            def step(self, closure=None):
                return super().step(closure)

        weight = nn.Parameter(torch.ones(2))
        weight.grad = torch.ones(2)
        EG([weight], lr=0.1).step()
        optimizer = (Mine if is_subclass else EG)([weight], lr=0.1)
        heard = []
        optimizer.register_step_pre_hook(lambda *_: heard.append("before"))
        optimizer.register_step_post_hook(lambda *_: heard.append("after"))
        optimizer.step()
        assert heard == ["before", "after"]
        everywhere = register_optimizer_step_post_hook(
            lambda *_: heard.append("everywhere")
        )
        try:
            optimizer.step(lambda: 1.0)
        finally:
            everywhere.remove()
        assert heard == ["before", "after"] * 2 + ["everywhere"]

    def test_a_profiler_sees_the_step(self):
        weight = nn.Parameter(torch.ones(2))
        weight.grad = torch.ones(2)
        optimizer = EG([weight], lr=0.1)
        with torch.profiler.profile() as profile:
            optimizer.step()
        names = [event.name for event in profile.events()]
        assert "Optimizer.step#EG.step" in names
