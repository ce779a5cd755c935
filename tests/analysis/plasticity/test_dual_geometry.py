import copy
import json
import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import ndtr, ndtri
from torch import nn
from torch.nn.utils import prune

from daleml import Populations, signs
from daleml.analysis import GeometryInference, infer_geometry
from daleml.analysis.plasticity.normality import normal_distance, sampling_floor
from daleml.layers import DANNLinear, EIConv2d, EILinear
from daleml.optim import MirrorDescent
from daleml.potentials import Euclidean, HyperbolicEntropy, NegativeEntropy, PNorm
from tests.reference import geometry as reference

POTENTIALS = {
    "NegativeEntropy": NegativeEntropy(),
    "Euclidean": Euclidean(),
    "PNorm(3)": PNorm(3),
}


def moved(potential, n=1000, seed=0, *, lognormal=True):
    """Weights as the robustness experiment draws them, and after a normal change in the dual of a potential."""
    rng = np.random.default_rng(seed)
    scale = 1 / math.sqrt(n)
    if lognormal:  # standard deviation and mean 1 / sqrt(D), random signs
        before = rng.lognormal(
            math.log(scale) - math.log(2) / 2, math.sqrt(math.log(2)), n
        ) * rng.choice([-1, 1], n)
    else:
        before = rng.normal(0, 0.1, n)
    weights = torch.from_numpy(before)
    sd = 0.1 * abs(float(potential.gradient(torch.tensor(0.1))))
    after = potential.inverse_gradient(
        potential.gradient(weights) + sd * torch.from_numpy(rng.normal(size=n)),
        weights.sign(),
    )
    return before, after.numpy()


# --- the distance


@pytest.mark.parametrize("n", [20, 333, 4000])
@pytest.mark.parametrize("shift", [0.0, 0.7])
def test_distance_agrees_with_the_authors_grid(n, shift):
    sample = np.random.default_rng(n).standard_t(4, n) + shift
    for centred in (False, True):
        standardised = (sample - sample.mean() * centred) / sample.std()
        slow = reference.distance(sample.tolist(), centred)
        assert normal_distance(standardised) == pytest.approx(
            slow, abs=0.012
        )  # the grid's step
    before = np.random.default_rng(1).normal(size=n)
    (row,) = infer_geometry(before, before + sample, [Euclidean()]).changes
    assert row.distance == pytest.approx(
        normal_distance(sample / sample.std()), rel=1e-9
    )
    assert row.centred == pytest.approx(
        normal_distance((sample - sample.mean()) / sample.std()), rel=1e-9
    )


def test_distance_has_closed_forms():
    density = 1 / math.sqrt(2 * math.pi)
    assert normal_distance(np.zeros(7)) == pytest.approx(
        2 * density, abs=1e-6
    )  # of a constant
    assert normal_distance(np.full(7, math.inf)) == pytest.approx(5, abs=1e-6)
    assert normal_distance(np.r_[np.full(9, 5.0), -9.0]) == pytest.approx(
        quad(lambda z: abs(0.1 - ndtr(z)), -5, 5, points=[ndtri(0.1)])[0], abs=1e-8
    )
    # two values apart, as often: the level is one half between them, and outside of it 0 and 1
    a = 1.3
    expected = 2 * (
        quad(lambda z: ndtr(z) - 0.5, 0, a)[0] + quad(lambda z: 1 - ndtr(z), a, 5)[0]
    )
    assert normal_distance(np.repeat([a, -a], 6)) == pytest.approx(expected, abs=1e-8)
    quantiles = ndtri((np.arange(10_000) + 0.5) / 10_000)
    assert normal_distance(quantiles) < 3e-4
    # shifted far: the integral of the difference of two distribution functions is that of their means
    assert normal_distance(quantiles + 0.5) == pytest.approx(0.5, abs=1e-3)


def test_floor_is_what_normal_numbers_have():
    def mean(centred):
        def sd(z):
            density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
            return math.sqrt(
                max(
                    0.0,
                    ndtr(z) * ndtr(-z) - (z * density) ** 2 / 2 - centred * density**2,
                )
            )

        return math.sqrt(2 / math.pi) * 2 * quad(sd, 0, 5)[0]

    for centred in (False, True):
        assert sampling_floor(1, centred=centred).mean == pytest.approx(
            mean(centred), abs=1e-4
        )
        samples = np.random.default_rng(0).normal(size=(4000, 150))
        samples -= samples.mean(1, keepdims=True) * centred
        drawn = np.array([normal_distance(row / row.std()) for row in samples])
        floor = sampling_floor(150, centred=centred)
        assert drawn.mean() == pytest.approx(floor.mean, rel=0.03)
        assert np.mean(drawn <= floor.upper) == pytest.approx(0.95, abs=0.012)
    published = {
        100: 0.116,
        1000: 0.040,
        10_000: 0.010,
        100_000: 0.0039,
    }  # one draw each
    for n, value in published.items():
        assert value == pytest.approx(sampling_floor(n).mean, rel=0.2)


# --- the inference

# Medians of 30 seeds: D = 1,000 weights, log-normal of either sign.
ROBUSTNESS = {
    "NegativeEntropy": (0.037, 0.112, 0.313, 0.493, 0.618),
    "Euclidean": (0.583, 0.259, 0.036, 0.128, 0.310),
    "PNorm(3)": (0.354, None, 0.090, 0.041, 0.034),
}
COLUMNS = ("NegativeEntropy", "PNorm(1.5)", "Euclidean", "PNorm(2.5)", "PNorm(3)")


@pytest.mark.parametrize("true", ROBUSTNESS)
def test_robustness_matrix(true):
    found = {label: [] for label in COLUMNS}
    for seed in range(30):
        result = infer_geometry(*moved(POTENTIALS[true], seed=seed), n_boot=20)
        for row in result.changes:
            found[row.label].append(row.distance)
    for label, expected in zip(COLUMNS, ROBUSTNESS[true], strict=True):
        median = np.median(found[label])
        if label == true:
            assert median <= sampling_floor(1000).upper
            assert median == pytest.approx(sampling_floor(1000).mean, rel=0.25)
        elif expected is not None:
            assert median == pytest.approx(expected, rel=0.12, abs=0.01)


def test_three_and_two_and_a_half_are_told_apart_by_normal_weights_only():
    lognormal = infer_geometry(*moved(PNorm(3)))
    assert {one.label for one in lognormal.tied} == {"PNorm(3)", "PNorm(2.5)"}
    assert lognormal.conclusion().startswith("Cannot tell between PNorm(")
    normal = infer_geometry(*moved(PNorm(3), lognormal=False))
    assert [one.label for one in normal.tied] == ["PNorm(3)"]
    assert normal.conclusion().startswith(
        "The change is nearest to normal in the dual of PNorm(3): 0.0"
    )


def interpolate(potential, seed, n_weights=10_000, n_examples=100):
    """Linear regression on white noise with labels of either sign, to a loss of 1e-3: weights before and after."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n_examples, n_weights, generator=generator, dtype=torch.float64)
    y = 2.0 * torch.randint(0, 2, (n_examples,), generator=generator) - 1
    before = torch.randn(
        n_weights, generator=generator, dtype=torch.float64
    ) / math.sqrt(n_weights)
    # how far a weight moves for a step in the dual: one over the second derivative of the potential
    speed = before / potential.decay(before)
    fastest = torch.linalg.eigvalsh(x * speed.clamp(max=speed.quantile(0.99)) @ x.T)[-1]
    weight = nn.Parameter(before.clone())
    optimizer = MirrorDescent([weight], float(1 / fastest), potential, momentum=0.9)
    for _ in range(500):
        error = x @ weight.detach() - y
        if error.square().mean() < 1e-3:
            return before, weight.detach()
        weight.grad = x.T @ error
        optimizer.step()
    raise AssertionError("did not interpolate")


def recovered(true, seed):
    """Train under a potential, infer it, and return its distance."""
    result = infer_geometry(*interpolate(POTENTIALS[true], seed))
    assert [one.label for one in result.tied] == [true]
    assert result.fits
    assert all(one.distance > 0.065 for one in result.changes[1:])
    assert result.best.relative_change < 0.2
    return result.best.distance


@pytest.mark.parametrize("true", POTENTIALS)
def test_linear_regression_gives_its_potential_away(true):
    assert recovered(true, 0) < 0.012


@pytest.mark.slow
@pytest.mark.parametrize("true", POTENTIALS)
def test_linear_regression_gives_its_potential_away_on_eight_seeds(true):
    assert np.median([recovered(true, seed) for seed in range(8)]) < 0.012


def test_the_distance_falls_with_the_floor():
    for n, examples in ((400, 20), (2500, 50)):
        distances = [
            infer_geometry(
                *interpolate(NegativeEntropy(), seed, n, examples), [NegativeEntropy()]
            ).best.distance
            for seed in range(4)
        ]
        assert np.median(distances) < 1.5 * sampling_floor(n).upper


def test_the_interval_covers_the_distance_of_the_population():
    rng = np.random.default_rng(0)
    population = rng.standard_t(4, 400_000)
    truth = normal_distance(population / population.std())
    before, covered = np.ones(500), 0
    for seed in range(100):
        sample = np.random.default_rng([seed, 1]).choice(population, 500)
        (row,) = infer_geometry(
            before, before + sample, [Euclidean()], rng=seed
        ).changes
        covered += row.interval[0] <= truth <= row.interval[1]
    assert 82 <= covered <= 100


def test_groups_and_bins_of_the_bootstrap_change_little():
    before, after = moved(Euclidean(), 20_000)
    row = infer_geometry(before, after, [PNorm(3)], n_boot=400).best
    change = after * np.abs(after) - before * np.abs(before)
    rng = np.random.default_rng(0)
    drawn = [
        (sample := rng.choice(change, change.size)) / sample.std() for _ in range(200)
    ]
    width = np.std([normal_distance(sample) for sample in drawn])
    assert (row.interval[1] - row.interval[0]) / (2 * 1.96) == pytest.approx(
        width, rel=0.25
    )


def test_nothing_fits_when_no_candidate_is_right():
    rng = np.random.default_rng(0)
    before = rng.normal(size=20_000)
    result = infer_geometry(before, before + 0.1 * rng.laplace(size=20_000))
    assert not result.fits
    assert result.conclusion().startswith(
        "None of the candidates fits: the nearest, Euclidean, is 0."
    )
    twice = infer_geometry(
        before, before + 0.1 * rng.laplace(size=20_000), [Euclidean(), PNorm(2)]
    )
    assert (
        "the nearest, Euclidean (not to be told from PNorm(2)), is "
        in twice.conclusion()
    )


def test_equal_geometries_cannot_be_told_apart():
    result = infer_geometry(
        *moved(Euclidean(), lognormal=False), [Euclidean(), PNorm(2), NegativeEntropy()]
    )
    assert result.conclusion().startswith(
        "Cannot tell between Euclidean and PNorm(2): 0.0"
    )
    wide = infer_geometry(*moved(Euclidean()), [HyperbolicEntropy(1e4), Euclidean()])
    assert {one.label for one in wide.tied} == {"HyperbolicEntropy(10000)", "Euclidean"}


def test_a_change_of_rounding_is_no_change():
    before = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    after = before * np.float32(1 + 2e-7)
    result = infer_geometry(before, after)
    assert (
        result.conclusion()
        == "Cannot tell: the weights changed by no more than the rounding of their precision."
    )
    assert not infer_geometry(
        before.astype(float), before * (1 + 2e-7 * before.astype(float))
    ).is_rounding


def test_a_change_that_is_the_same_for_all_is_as_far_as_can_be():
    before = np.random.default_rng(0).normal(size=100)
    (row,) = infer_geometry(before, before + 1, [Euclidean()]).changes
    assert row.distance == pytest.approx(5, abs=1e-6)
    assert row.interval == (row.distance, row.distance)
    assert row.centred == pytest.approx(0.798, abs=1e-3)


def test_what_is_left_out_is_counted():
    before, after = moved(NegativeEntropy())
    before[:10] = 0  # zero before
    after[10:15] = 0  # zero after
    before[15:40] = after[15:40] = 0  # no synapse
    after[40:47] *= -1
    after[50:53] = before[50:53]
    result = infer_geometry(before, after, drop_crossed=True)
    assert (result.n, result.n_absent, result.n_crossed, result.n_unchanged) == (
        975,
        25,
        7,
        3,
    )
    by_label = {row.label: row for row in result.changes}
    entropy, euclidean = by_label["NegativeEntropy"], by_label["Euclidean"]
    assert (entropy.n, entropy.n_zero, entropy.n_crossed) == (953, 15, 7)
    assert (euclidean.n, euclidean.n_zero, euclidean.n_crossed) == (975, 0, 0)
    assert result.conclusion().endswith(
        "but 7 weights changed sign, which learning under it cannot do."
    )
    assert str(result).endswith(
        "Of 1,000 synapses: 25 absent, 3 unchanged, but counted, 7 changed sign."
    )
    kept = infer_geometry(before, after, [NegativeEntropy()]).best
    assert (kept.n, kept.n_zero, kept.n_crossed) == (960, 15, 0)
    assert kept.distance > entropy.distance + 0.1


def test_models_are_read_by_name_and_synapse():
    model = nn.Sequential(
        EILinear(Populations(20, 5), 10),
        nn.Linear(10, 4),
        EIConv2d(Populations(2, 1), 3, 3),
    )
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(torch.exp(0.1 * torch.randn(parameter.shape)))
    result = infer_geometry(before, model, [NegativeEntropy()])
    assert result.parameters == ("0.weight", "1.weight", "2.weight")
    assert result.n == 250 + 40 + 81
    plain = {name: value for name, value in before.items() if "signs" not in name}
    assert infer_geometry(plain, model, [NegativeEntropy()]) == result
    both = np.concatenate([before[name].flatten() for name in ("0.weight", "1.weight")])
    after = np.concatenate([model[i].weight.detach().flatten() for i in (0, 1)])
    chosen = infer_geometry(
        before, model, [PNorm(1.5)], parameters=["0.weight", "1.weight"]
    )
    assert chosen.best.distance == pytest.approx(
        infer_geometry(both, after, [PNorm(1.5)]).best.distance
    )
    assert infer_geometry(before, model, parameters="1.weight").n == 40


def test_absent_synapses_are_left_out():
    mask = torch.rand(10, 25) < 0.5
    masked = nn.Linear(25, 10)
    signs.fix(masked, "weight", Populations(20, 5), present=mask)
    signs.project_(masked)
    with torch.no_grad():
        masked.weight[mask] = 0.5
    pruned = prune.random_unstructured(nn.Linear(25, 10), "weight", amount=0.3)
    for model, absent in ((masked, int((~mask).sum())), (pruned, 75)):
        before = copy.deepcopy(model.state_dict())
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1 + 0.1 * torch.rand(parameter.shape))
        result = infer_geometry(before, model)
        assert (result.n, result.n_absent) == (250 - absent, absent)
    dann = DANNLinear(20, 10, 4)
    before = copy.deepcopy(dann.state_dict())
    with torch.no_grad():
        dann.weight_ei.mul_(1 + 0.1 * torch.rand(10, 4))
    assert set(infer_geometry(before, dann).parameters) == {
        "weight_ex",
        "weight_ix",
        "weight_ei",
    }


def test_a_million_weights_and_other_precisions():
    before = np.random.default_rng(0).lognormal(-3, 1, 1_000_000).astype(np.float32)
    after = before * np.exp(
        0.1 * np.random.default_rng(1).normal(size=before.size)
    ).astype(np.float32)
    result = infer_geometry(before, after, [NegativeEntropy(), PNorm(1.5)])
    assert [one.label for one in result.tied] == ["NegativeEntropy"]
    assert result.best.distance < 0.003
    low = infer_geometry(
        torch.tensor(before[:5000]).bfloat16(), torch.tensor(after[:5000]).bfloat16()
    )
    assert low.best.label == "NegativeEntropy"


def test_is_a_value():
    before, after = moved(NegativeEntropy())
    copies = before.copy(), after.copy()
    result = infer_geometry(before, after)
    assert isinstance(result, GeometryInference)
    assert (before == copies[0]).all()
    assert (after == copies[1]).all()
    assert result == infer_geometry(before, after)
    assert result.best.interval != infer_geometry(before, after, rng=1).best.interval
    content = json.loads(json.dumps(result.to_dict()))
    assert content["tied"] == ["NegativeEntropy"]
    assert content["changes"][0]["potential"] == {"name": "NegativeEntropy"}
    table = result.table()
    assert list(table["potential"]) == [one.label for one in result.changes]
    assert table["distance"].is_monotonic_increasing
    assert "NegativeEntropy" in str(result)
    for row in result.changes:
        assert row.interval[0] <= row.distance <= row.interval[1]


X = np.random.default_rng(0).normal(size=100)
MODEL = nn.Linear(5, 6)
OTHER = nn.Sequential(nn.Linear(5, 6))


@pytest.mark.parametrize(
    ("call", "error", "sentence"),
    [
        (lambda: infer_geometry(X, X[:50]), ValueError, "`after` must have the shape of `before`, (100,); got (50,)."),
        (lambda: infer_geometry(X, X), ValueError, "`after` must differ from `before`; got the same 100 weights: a state dict shares memory with its module, copy it before training."),
        (lambda: infer_geometry(MODEL.state_dict(), MODEL), ValueError, "`after` must differ from `before`; got the same 30 weights: a state dict shares memory with its module, copy it before training."),
        (lambda: infer_geometry(MODEL, OTHER), ValueError, "`after` must hold the weights of `before`, by the same names; got 0.weight, weight in one of them only."),
        (lambda: infer_geometry(MODEL, nn.Linear(4, 6)), ValueError, "`after` must have the shape of weight of `before`, (6, 5); got (6, 4)."),
        (lambda: infer_geometry(MODEL, X), TypeError, "`before` and `after` must both be models or state dicts, or neither; got Linear and ndarray."),
        (lambda: infer_geometry(MODEL, MODEL, parameters=["bias"]), ValueError, "`parameters` must be among weight; got 'bias'."),
        (lambda: infer_geometry(X, X, parameters=["a"]), ValueError, "`parameters` must be left out unless `before` and `after` are models; got arrays."),
        (lambda: infer_geometry({"a": X}, {"a": X}), ValueError, "`before` must hold a weight of two dimensions or more; got none."),
        (lambda: infer_geometry(X, np.where(X > 2, np.nan, X)), ValueError, f"`after` must be finite; got {(X > 2).sum()} NaN or infinite values of 100."),
        (lambda: infer_geometry(X + 0j, X), TypeError, "`before` must be real numbers; got complex128 values."),
        (lambda: infer_geometry({"a": torch.ones(5, 5) * 1j}, {"a": torch.ones(5, 5)}), TypeError, "`before` must be real numbers; got torch.complex64 values in a."),
        (lambda: infer_geometry(["a"], ["b"]), TypeError, "`before` must be real numbers; got <U1 values."),
        (lambda: infer_geometry(X[:19], X[:19] + 1), ValueError, "`before` must hold at least 20 weights other than zero; got 19."),
        (lambda: infer_geometry([], []), ValueError, "`before` must hold at least 20 weights other than zero; got 0."),
        (lambda: infer_geometry(0 * X, X), ValueError, "`before` must hold a weight other than zero; got 100 zeros."),
        (lambda: infer_geometry(X, 0 * X), ValueError, "`after` must hold a weight other than zero; got 100 zeros."),
        (lambda: infer_geometry(X, -X, drop_crossed=True), ValueError, "`potentials` must leave at least 20 weights to compare; NegativeEntropy leaves 0 of 100, the others being zero or of another sign afterwards."),
        (lambda: infer_geometry(X, X + 1, ["3-norm"]), TypeError, "`potentials` must be potentials, such as NegativeEntropy() or PNorm(3) of daleml.potentials; got '3-norm'."),
        (lambda: infer_geometry(X, X + 1, [PNorm]), TypeError, "`potentials` must be potentials, such as NegativeEntropy() or PNorm(3) of daleml.potentials; got <class 'daleml.potentials.PNorm'>."),
        (lambda: infer_geometry(X, X + 1, []), ValueError, "`potentials` must hold at least one potential; got none."),
        (lambda: infer_geometry(X, X + 1, n_boot=3), ValueError, "`n_boot` must be at least 20; got 3."),
        (lambda: infer_geometry(X, X + 1, drop_crossed=1), TypeError, "`drop_crossed` must be True or False; got 1."),
    ],
)  # fmt: skip
def test_wrong_input_is_one_sentence(call, error, sentence):
    with pytest.raises(error) as raised:
        call()
    assert str(raised.value) == sentence
