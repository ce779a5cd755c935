"""Every layer of the catalogue as an exported program, with a batch of any size."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from daleml import Populations, signs
from daleml.layers import (
    DANNRNN,
    EIRNN,
    DANNLinear,
    DANNRNNCell,
    EILinear,
    EIRNNCell,
    Readout,
)
from tests.catalog import LAYERS, LayerCase

# Torch's export warns of itself.
pytestmark = pytest.mark.filterwarnings("ignore")

UNITS = Populations(6, 2)
# Which dimension is the batch: of an input (time, batch, 3), (batch, time, 3) or (batch, 3).
CIRCUITS = {
    "EIRNN": (lambda: EIRNN(3, UNITS), 1),
    "two leaky layers": (
        lambda: EIRNN(3, UNITS, num_layers=2, dt_ms=20, tau_ms=100, mask=0.5),
        1,
    ),
    "batch first": (lambda: EIRNN(3, UNITS, batch_first=True), 0),
    "DANNRNN": (lambda: DANNRNN(3, 8), 1),
    "EIRNNCell": (lambda: EIRNNCell(3, UNITS), None),
    "DANNRNNCell": (lambda: DANNRNNCell(3, 8), None),
}


def first(output):
    return output if isinstance(output, torch.Tensor) else output[0]


def assert_takes_any_batch(model, batch_dim, shape):
    """Export a model for three inputs at a time, and run it for one, two and seven."""

    def inputs(n):
        return torch.rand(*shape[:batch_dim], n, *shape[batch_dim:])

    dynamic = ({batch_dim: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(model, (inputs(3),), dynamic_shapes=dynamic).module()
    for n in (2, 7):
        x = inputs(n)
        expected = first(model(x))
        torch.testing.assert_close(first(program(x)), expected, rtol=1e-5, atol=1e-5)
    # Signs and masks are buffers of the program.
    assert signs.check(program).n_units == signs.check(model).n_units
    assert signs.check(program)


@pytest.mark.parametrize("case", LAYERS, ids=lambda case: case.name)
def test_a_layer_takes_any_batch(case: LayerCase):
    assert_takes_any_batch(case.build().eval(), 0, case.in_shape)


@pytest.mark.parametrize("name", CIRCUITS)
def test_a_circuit_takes_any_batch(name):
    build, batch_dim = CIRCUITS[name]
    if batch_dim is None:
        assert_takes_any_batch(build().eval(), 0, (3,))
    else:
        assert_takes_any_batch(build().eval(), batch_dim, (5, 3))


class Decision(nn.Module):
    """A circuit and its read-out at the last step."""

    def __init__(self, circuit, readout):
        super().__init__()
        self.circuit, self.readout = circuit, readout

    def forward(self, x):
        return self.readout(self.circuit(x)[0][-1])


ONNX = {
    "EILinear": (
        lambda: nn.Sequential(
            EILinear(Populations(6, 3), 7), nn.ReLU(), EILinear(Populations(5, 2), 4)
        ),
        0,
        (9,),
    ),
    "DANNLinear": (lambda: nn.Sequential(DANNLinear(9, 7), nn.ReLU()), 0, (9,)),
    "shunting": (lambda: DANNLinear(9, 7, shunting=True), 0, (9,)),
    "DANNConv2d": (
        lambda: next(c for c in LAYERS if c.name == "DANNConv2d").build(),
        0,
        next(c for c in LAYERS if c.name == "DANNConv2d").in_shape,
    ),
    "EIRNN": (
        lambda: Decision(
            EIRNN(3, UNITS, dt_ms=20, tau_ms=100, mask=0.5), Readout(UNITS, 2)
        ),
        1,
        (5, 3),
    ),
    "DANNRNN": (lambda: Decision(DANNRNN(3, 8), nn.Linear(8, 2)), 1, (5, 3)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ONNX)
def test_an_onnx_file_takes_any_batch_and_keeps_the_signs(name, tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    build, batch_dim, shape = ONNX[name]
    model = build().eval()

    def inputs(n):
        return torch.rand(*shape[:batch_dim], n, *shape[batch_dim:])

    dynamic = ({batch_dim: torch.export.Dim("batch")},)
    program = torch.onnx.export(
        model, (inputs(3),), dynamic_shapes=dynamic, dynamo=True, verbose=False
    )
    for key, buffer in model.named_buffers():
        program.model.metadata_props[key] = json.dumps(buffer.tolist())
    program.save(tmp_path / "model.onnx")
    session = onnx.reference.ReferenceEvaluator(str(tmp_path / "model.onnx"))
    for n in (1, 7):
        x = inputs(n)
        (output, *_) = session.run(None, {session.input_names[0]: x.numpy()})
        expected = first(model(x)).detach().numpy()
        np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-5)
    loaded = onnx.load(tmp_path / "model.onnx")
    saved = {one.key: one.value for one in loaded.metadata_props}
    for key, buffer in model.named_buffers():
        found = torch.tensor(json.loads(saved[key]), dtype=buffer.dtype)
        torch.testing.assert_close(found, buffer)
