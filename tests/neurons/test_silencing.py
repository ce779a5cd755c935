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


def test_a_start_and_samples_of_ones_own():
    """As in the published figure: each neuron begins elsewhere, and counts once in a ms."""
    start = torch.tensor([-45.0, -35.0]).double(), torch.tensor([0.4, 0.6]).double()
    weight = torch.tensor([0.4, 0.6]).double()
    cell = Silencing(weight, width_mv=1.0, v_mv=start[0], gate=start[1], sample_ms=1.0)
    (v, w), total = start, 0
    for i in range(400):
        v, w = slow.step(cell.cell, v, w, 100 * weight, 0.1)
        if i % 10 == 9:
            total = total + torch.sigmoid(v - 20) / 40
    torch.testing.assert_close(cell(40.0).detach(), total)
    middle = Silencing(weight, v_mv=-40, gate=0.5, sample_ms=1)
    assert float(middle(40.0).detach().sum()) > 0
