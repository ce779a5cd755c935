"""A circuit whose inhibitory subtypes stand between the excitatory units, from a MATLAB file."""

import numpy as np
import scipy.io
import torch

from daleml import signs
from daleml.layers import EIRNN
from daleml.optim import enforce

CELLS = ["E", "PV", "E", "SST", "E", "E", "PV", "E", "SST", "E"]


def published(path):
    """Write a file as scripts for MATLAB have it: a row for each presynaptic unit."""
    rng = np.random.default_rng(0)
    unit_signs = np.where(np.array(CELLS) == "E", 1, -1)
    weights = rng.gamma(2, 0.05, (10, 10)) * (rng.random((10, 10)) < 0.6)
    scipy.io.savemat(path, {"W": unit_signs[:, None] * weights, "tau": 20.0})
    return unit_signs[:, None] * weights


def test_a_circuit_of_interleaved_subtypes(tmp_path):
    given = published(tmp_path / "given.mat")
    inputs, target = torch.rand(30, 8, 2), torch.rand(30, 8, 10)
    # -- the port ---------------------------------------------------------------------------
    file, leak = tmp_path / "given.mat", {"dt_ms": 5, "tau_ms": 20}
    rnn = EIRNN.from_matrix(file, 2, rows="pre", variable="W", names=CELLS, **leak)
    optimizer = torch.optim.Adam(rnn.parameters(), lr=0.01)
    enforce(optimizer, rnn)
    rates = rnn.in_given_order(rnn(inputs)[0])
    loss = torch.nn.functional.mse_loss(rates, target)
    loss.backward()
    optimizer.step()
    learned = rnn.in_given_order(rnn.weight_hh_l0, dim=(0, 1)).detach().T.numpy()
    scipy.io.savemat(tmp_path / "learned.mat", {"W": learned})
    # ---------------------------------------------------------------------------------------
    assert rnn.populations.sizes == {"E": 6, "PV": 2, "SST": 2}
    assert signs.check(rnn)
    learned = scipy.io.loadmat(tmp_path / "learned.mat")["W"]
    assert np.all(learned * given >= 0)
    assert np.all(learned[given == 0] == 0)
    assert 0 < np.abs(learned - given).max() < 0.02


def test_its_rates_are_those_of_a_loop_over_the_matrix_as_published(tmp_path):
    given = torch.tensor(published(tmp_path / "given.mat"))
    rnn = EIRNN.from_matrix(
        tmp_path / "given.mat",
        2,
        rows="pre",
        variable="W",
        names=CELLS,
        dt_ms=5,
        tau_ms=20,
        dtype=torch.float64,
    )
    inputs = torch.rand(30, 1, 2, dtype=torch.float64)
    drive = rnn.in_given_order(rnn.weight_ih_l0, dim=0)
    state, expected = torch.zeros(1, 10, dtype=torch.float64), []
    for step in inputs:
        arriving = torch.relu(state) @ given + step @ drive.T
        state = 0.75 * state + 0.25 * arriving
        expected.append(torch.relu(state))
    rates = rnn.in_given_order(rnn(inputs)[0])
    torch.testing.assert_close(rates, torch.stack(expected), rtol=0, atol=1e-12)
