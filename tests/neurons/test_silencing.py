"""Silencing one neuron."""

import pytest
import torch

from daleml.learning import (
    MorrisLecar,
    Silencing,
)
from tests.reference import morris_lecar as slow

pytestmark = pytest.mark.filterwarnings("ignore:`dt_ms` should be at most:UserWarning")


def test_silencing_is_the_mean_activity():
    cell = Silencing(
        torch.tensor([0.0, 0.6]).double(), cell=MorrisLecar(), width_mv=1.0
    )
    v, w = torch.full((2,), -20.0).double(), torch.full((2,), 0.014173).double()
    total = 0
    for _ in range(500):
        v, w = slow.step(cell.cell, v, w, 100 * cell.weight.detach(), 0.1)
        total = total + torch.sigmoid(v - 20) / 500
    torch.testing.assert_close(cell(50.0).detach(), total)
    assert total[0] < 1e-3 < total[1]
