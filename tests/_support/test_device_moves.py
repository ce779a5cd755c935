"""Data follow a model to its device; torch's device without values stands in for another one."""

from collections import OrderedDict, namedtuple

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from daleml._support.device_moves import device_of, moved, moved_pair
from daleml.tasks import PerceptualDecision

THERE, HERE = torch.device("meta"), torch.device("cpu")
Pair = namedtuple("Pair", "left right")


class Quantity:
    """A number with a unit, as of pint or astropy: ``to`` takes another unit."""

    def to(self, unit):
        raise TypeError(f"{unit} is no unit")


def test_what_holds_tensors_is_moved_as_what_it_is():
    x = torch.ones(2)
    packed = pack_sequence([torch.ones(3), torch.ones(2)])
    given = {
        "tensor": x,
        "list": [x, 3],
        "pair": Pair(x, "name"),
        "ordered": OrderedDict(a=(x, None)),
        "packed": packed,
    }
    there = moved(given, THERE)
    assert there["tensor"].device == THERE
    assert there["list"][0].device == THERE
    assert there["list"][1] == 3
    assert isinstance(there["pair"], Pair)
    assert there["pair"].left.device == THERE
    assert there["pair"].right == "name"
    assert isinstance(there["ordered"], OrderedDict)
    assert there["ordered"]["a"][0].device == THERE
    assert there["packed"].data.device == THERE
    assert torch.equal(there["packed"].batch_sizes, packed.batch_sizes)
    assert x.device == HERE


def test_what_lies_there_already_is_the_same_object():
    x = torch.ones(2)
    trials = PerceptualDecision().sample(2)
    packed = pack_sequence([torch.ones(3)])
    for value in (x, [x, (x, 2)], {"x": x}, trials, packed, Quantity(), "text", None):
        assert moved(value, HERE) is value


def test_trials_and_their_inputs_stay_one():
    trials = PerceptualDecision().sample(2)
    x, targets = moved_pair(trials.inputs, trials, THERE)
    assert x is targets.inputs
    assert targets.device == targets.mask.device == THERE
    other = torch.ones(3)
    x, targets = moved_pair(other, trials, THERE)
    assert x.shape == other.shape
    assert moved_pair(trials.inputs, trials, HERE) == (trials.inputs, trials)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (nn.Linear(2, 2), HERE),
        (nn.Flatten(), None),
        (nn.Linear(2, 2, device="meta"), None),
        (nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, device="meta")), None),
    ],
    ids=["one", "none", "no values", "spread"],
)
def test_a_model_has_a_device_if_it_lies_on_one(model, expected):
    assert device_of(model) == expected
    spread = nn.BatchNorm1d(2)
    spread.running_mean = torch.zeros(2, device="meta")
    assert device_of(spread) is None
