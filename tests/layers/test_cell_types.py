"""Named populations wherever a partition goes: the same bits as counts, and names that survive."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn

from daleml import Populations, signs
from daleml.layers import EIRNN, EIConv2d, EILinear, Readout, populations_after
from tests import catalog
from tests.catalog import LAYERS, NETWORKS


def with_default_names(n_exc, n_inh=0):
    exc = {"E": n_exc} if n_exc else {}
    inh = {"I": n_inh} if n_inh else {}
    return Populations.of(exc, inh)


def with_cell_types(n_exc, n_inh=0):
    """Divide each sign into two types, as far as there are units."""
    sides = []
    for letter, count in (("e", n_exc), ("i", n_inh)):
        halves = {f"V1.{letter}": count // 2, f"V2.{letter}": count - count // 2}
        sides.append({name: n for name, n in halves.items() if n})
    return Populations.of(*sides)


def circuit(**kw):
    inputs, units = catalog.Populations(6, 3), catalog.Populations(6, 3)
    rnn = EIRNN(inputs, units, 2, mask=0.5, dt_ms=5, tau_ms=20, noise=0.1, **kw)
    return nn.Sequential(rnn, Readout(units, 2, **kw))


with_default_names.of = with_cell_types.of = Populations.of

BUILDS = {case.name: (case.build, case.in_shape) for case in LAYERS}
BUILDS["EIRNN"] = lambda **kw: circuit(**kw), (9,)
BUILDS |= {f"{name} network": (build, (9,)) for name, build in NETWORKS.items()}


@pytest.mark.parametrize("name", BUILDS)
@pytest.mark.parametrize("named", [with_default_names, with_cell_types])
def test_names_change_no_bit(name, named, monkeypatch):
    build, shape = BUILDS[name]
    results = []
    for partition in (Populations, named):
        monkeypatch.setattr(catalog, "Populations", partition)
        # The circuits of the table have options by the names of their own cell types.
        if name != "recurrent network":
            monkeypatch.setattr(catalog, "CELLS", partition(6, 3))
        torch.manual_seed(0)
        module = build(dtype=torch.float64)
        x = torch.rand(5, *shape, dtype=torch.float64)
        output = module(x)
        output.sum().backward()
        gradients = [parameter.grad for parameter in module.parameters()]
        results.append(
            [module.state_dict(), {"output": output}, dict(enumerate(gradients))]
        )
    for plain, other in zip(*results, strict=True):
        assert list(plain) == list(other)
        for key, value in plain.items():
            assert torch.equal(value, other[key])


CELLS = Populations.of(exc={"E": 6}, inh={"PV": 2, "SST": 1})


def carried(module):
    buffer = io.BytesIO()
    torch.save(module, buffer)
    buffer.seek(0)
    yield torch.load(buffer, weights_only=False)
    yield pickle.loads(pickle.dumps(module))
    yield copy.deepcopy(module)
    yield torch.optim.swa_utils.AveragedModel(module, use_buffers=True).module
    yield copy.deepcopy(module).half()


BUILDERS = [
    lambda cells: EIRNN(2, cells),
    lambda cells: EILinear(cells, 3),
    lambda cells: EIConv2d(cells, 3, 2),
]


@pytest.mark.parametrize("build", BUILDERS)
def test_names_are_carried(build):
    for twin in carried(build(CELLS)):
        assert twin.populations == CELLS
        assert twin.populations.names == ("E", "PV", "SST")
        assert signs.check(twin)


def test_a_checkpoint_of_counts_loads_into_cell_types_and_back():
    plain, named = EIRNN(2, Populations(6, 3)), EIRNN(2, CELLS)
    for source, target in ((plain, named), (named, plain)):
        target.load_state_dict(source.state_dict())
        assert torch.equal(source.weight_hh_l0, target.weight_hh_l0)


@pytest.mark.parametrize("build", BUILDERS)
def test_a_checkpoint_of_other_cell_types_warns(build):
    others = Populations.of(exc={"E": 6}, inh={"SST": 1, "PV": 2})
    source, target = build(CELLS), build(others)
    with pytest.warns(UserWarning, match="populations: the checkpoint") as said:
        target.load_state_dict(source.state_dict())
    (warning,) = said
    assert str(warning.message) == (
        "populations: the checkpoint is of a module with \"exc={'E': 6}, inh={'PV': 2, 'SST':"
        " 1}\", and this one has \"exc={'E': 6}, inh={'SST': 1, 'PV': 2}\", which stays: build"
        " one with the checkpoint's unless another is meant."
    )
    # The same types, and a state dict that has lost its metadata, say nothing.
    build(CELLS).load_state_dict(source.state_dict())
    target.load_state_dict(dict(source.state_dict()))


def test_a_description_goes_where_a_partition_goes():
    """As a hub's config gives it back, which knows no types."""
    content = CELLS.to_dict()
    assert EIRNN(content, content).populations == CELLS
    assert (
        EILinear(content, 2).populations == EIConv2d(content, 2, 1).populations == CELLS
    )


def test_a_hub_keeps_names(tmp_path):
    hub = pytest.importorskip("huggingface_hub")

    class Model(hub.PyTorchModelHubMixin, EIRNN):
        pass

    model = Model(2, CELLS, dt_ms=5, tau_ms=20)
    model.save_pretrained(tmp_path)
    read = Model.from_pretrained(tmp_path)
    assert read.populations == CELLS
    assert torch.equal(read.weight_hh_l0, model.weight_hh_l0)


# -- what stands between layers --------------------------------------------------------------------


def after(module, populations=CELLS, size=(4, 4)):
    return populations_after(module, populations, size)


def test_types_pass_through_what_keeps_channels_apart():
    pooled = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2))
    assert after(pooled) == CELLS
    assert after(nn.Sequential(pooled, nn.Flatten())) == CELLS.repeat(4)
    assert after(nn.Flatten(), size=3) == CELLS.repeat(3)
    assert after(pooled, Populations(6, 3)) == Populations(6, 3)


class Channels(nn.Module):
    """Hands on the channels of some indices."""

    def __init__(self, order):
        super().__init__()
        self.order = order

    def forward(self, x):
        return x[:, self.order]


class Means(nn.Module):
    """Mixes the inhibitory channels."""

    def forward(self, x):
        return torch.cat([x[:, :6], x[:, 6:].mean(1, keepdim=True)], 1)


def test_some_of_the_channels_keep_their_types():
    some = after(Channels([0, 3, 6, 8]))
    assert some == Populations.of(exc={"E": 2}, inh={"PV": 1, "SST": 1})


def test_what_mixes_types_or_their_order_gives_counts():
    assert after(Means()) == Populations(6, 1)
    assert after(Channels([0, 1, 6, 8, 7])) == Populations(2, 3)
    # A layer within has units of its own.
    inner = nn.Sequential(EIConv2d(CELLS, 5, 1), nn.Flatten())
    with pytest.raises(ValueError, match="must not mix"):
        after(inner)
