"""Every tool sees a sparse weight as the matrix that its dense twin has."""

import numpy as np
import pytest
import torch

from daleml import Populations, _sparse_weights, trackers
from daleml.analysis import (
    activity,
    effective_weights,
    fit_weights,
    spectrum,
    weight_samples,
    weight_table,
)
from daleml.layers import EIRNN, Blocks, EILinear, Readout, init
from daleml.layers.init import sparse_spectra
from daleml.learning import Oja
from tests.layers.sparse import twins


@pytest.mark.parametrize("by", [None, "population", "pathway"])
def test_samples_are_those_of_the_dense_twin(by):
    sparse, dense = twins.pair()
    mine, its = weight_samples(sparse, by=by), weight_samples(dense, by=by)
    assert list(mine) == list(its)
    for name, sample in mine.items():
        np.testing.assert_allclose(
            np.sort(sample.values()), np.sort(its[name].values())
        )


def test_tables_spectra_and_trackers_are_those_of_the_dense_twin():
    sparse, dense = twins.pair()
    columns = ["parameter", "pre_unit", "post_unit"]
    tables = [
        weight_table(rnn).sort_values(columns).reset_index(drop=True)
        for rnn in (sparse, dense)
    ]
    assert tables[0].equals(tables[1])
    assert spectrum(sparse).spectral_radius == pytest.approx(
        spectrum(dense).spectral_radius
    )
    for mine, its in zip(
        effective_weights(sparse), effective_weights(dense), strict=True
    ):
        assert mine[0] == its[0]
        torch.testing.assert_close(mine[1], its[1])
    assert trackers.svd_entropies(sparse) == pytest.approx(
        trackers.svd_entropies(dense)
    )
    assert trackers.fraction_at_zero(sparse) == 0
    flips = trackers.sign_flips(sparse)
    with torch.no_grad():
        sparse.weight_hh_l0.neg_()
    n = sparse.weight_hh_l0.numel()
    assert flips(sparse) == pytest.approx(n / (n + sparse.weight_ih_l0.numel()))


def test_a_large_sparse_weight_has_the_largest_of_its_spectrum_only():
    rnn = EIRNN(3, Populations(7200, 1800), mask=1e-4, sparse=True)
    assert fit_weights(weight_samples(rnn)["weight_hh_l0 E"]).n > 1000
    assert len(spectrum(rnn, k=3).singular_values) == 3
    with pytest.raises(ValueError, match="`k` must say how many"):
        spectrum(rnn)
    with pytest.raises(ValueError, match="`k` must say how many"):
        trackers.svd_entropies(rnn)


def test_the_largest_singular_values_of_a_circuit_go_by_its_synapses():
    sparse, dense = twins.pair()
    found = spectrum(torch.nn.Sequential(sparse), k=3)
    assert found.n_entries == sparse.weight_hh_l0.numel()
    expected = spectrum(dense).singular_values[:3]
    np.testing.assert_allclose(found.singular_values, expected)
    layer = EILinear(twins.POPS, 400, mask=0.05, sparse=True)
    assert spectrum(layer, k=3).n_entries == layer.weight.numel()


def test_train_records_no_entropy_of_a_large_sparse_weight():
    rnn = EIRNN(3, Populations(900, 225), mask=1e-3, sparse=True)
    row = trackers.read(trackers.DEFAULT, rnn)
    assert "svd_entropy/input" in row
    assert "svd_entropy/recurrent" not in row
    small, _ = twins.pair()
    row = trackers.read(trackers.DEFAULT, small)
    assert row["svd_entropy/recurrent"] == trackers.svd_entropies(small)["recurrent"]


def test_activity_analysis_runs_on_a_sparse_circuit_as_on_its_twin():
    found = [
        activity.fixed_points(rnn, [0.2] * 3, n_starts=4)
        for rnn in twins.pair(dt_ms=20, tau_ms=100)
    ]
    assert len(found[0]) == len(found[1]) > 0
    for mine, its in zip(*found, strict=True):
        np.testing.assert_allclose(mine.state, its.state, atol=1e-6)


def test_a_linearisation_of_a_large_sparse_circuit_is_refused_in_a_sentence():
    rnn = EIRNN(1, Populations(8000, 193), mask=1e-4, sparse=True)
    for find in (
        lambda: activity.fixed_points(rnn, start=torch.ones(1, 8193)),
        lambda: activity.linearisation(rnn, torch.ones(8193)),
    ):
        with pytest.raises(ValueError, match="at most 8,192 numbers .* got 8,193"):
            find()


def test_initialisations_scale_what_acts():
    sparse, _ = twins.pair()
    init.spectral_radius_(sparse, 0.5)
    assert spectrum(sparse).spectral_radius == pytest.approx(0.5)
    init.balance_rows_(sparse)
    sums = sparse.effective_weights()[0].recurrent.detach().to_dense()
    both = (sums > 0).any(1) & (sums < 0).any(1)
    torch.testing.assert_close(sums.sum(1)[both], torch.zeros(int(both.sum())).double())
    init.lognormal_model_(torch.nn.Sequential(sparse, Readout(twins.POPS, 2)))
    values = sparse.weight_hh_l0.detach()
    pattern = _sparse_weights.pattern(sparse, "weight_hh_l0")
    assert bool((values * twins.POPS.signs()[pattern.pre.long()] > 0).all())


def test_radii_of_sparse_weights_are_those_of_matrices():
    rnn = EIRNN(
        3,
        Populations(400, 100),
        mask=Blocks({"*->*": 0.05, "I->E": 0.2}),
        sparse=True,
        dtype=torch.float64,
    )
    weight = rnn.effective_weights()[0].recurrent.detach()
    assert init.rectified_radius(weight) == pytest.approx(
        init.rectified_radius(weight.to_dense()), rel=0.02
    )
    exact = float(torch.linalg.eigvals(weight.to_dense()).abs().max())
    assert sparse_spectra.radius(weight) == pytest.approx(exact, rel=1e-4)
    grown = sparse_spectra.growth(lambda x: weight @ x, 500, 8, 200, weight)
    assert grown == pytest.approx(exact, rel=0.05)


def test_local_plasticity_of_a_sparse_weight_is_refused_in_a_sentence():
    layer = EILinear(twins.POPS, 4, mask=0.5, sparse=True)
    with pytest.raises(
        ValueError, match="is sparse: build its layer with `sparse=False`"
    ):
        Oja(torch.nn.Sequential(layer), {"0": 1e-3})


def test_stacked_circuits_of_other_draws_run_as_each_alone():
    circuits = [EIRNN(3, twins.POPS, mask=0.4, sparse=True) for _ in range(2)]
    inputs = torch.rand(4, 2, 3)
    stacked = torch.func.stack_module_state(circuits)

    def run(parameters, buffers):
        state = parameters, buffers
        return torch.func.functional_call(circuits[0], state, (inputs,))[0]

    for mine, circuit in zip(torch.func.vmap(run)(*stacked), circuits, strict=True):
        torch.testing.assert_close(mine, circuit(inputs)[0])


def test_growth_under_unequal_leaks_reads_the_weight_once_a_step(monkeypatch):
    rnn = EIRNN(3, Populations(240, 60), mask=0.1, sparse=True, dtype=torch.float64)
    weight = rnn.effective_weights()[0].recurrent.detach()
    leak = torch.linspace(0.1, 0.5, 300, dtype=torch.float64)
    each, sizes = leak[:, None], (300, 8, 320, weight)
    linear = sparse_spectra.growth(
        lambda x: (1 - each) * x + each * (weight @ x), *sizes
    )
    rectified = sparse_spectra.growth(
        lambda x: (1 - each) * x + each * (weight @ x.clamp(min=0)), *sizes, sign=1
    )
    products, product = [], torch.Tensor.__matmul__

    def counted(self, other):
        products.append(self.col_indices().dtype)
        return product(self, other)

    monkeypatch.setattr(torch.Tensor, "__matmul__", counted)
    found = sparse_spectra.leaky_growth(weight, leak, 32, 512)
    assert found == pytest.approx(max(linear, rectified), rel=1e-9)
    # Places of 64 bits would be copied at each.
    assert products == [torch.int32] * 320
