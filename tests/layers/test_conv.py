import itertools
import math

import pytest
import torch
from torch import nn

from daleml import Populations, analysis, signs
from daleml.layers import (
    DANNConv1d,
    DANNConv2d,
    DANNLinear,
    EIConv1d,
    EIConv2d,
    EILinear,
    functional,
    init,
    populations_after,
)
from daleml.optim import EG, param_groups
from tests.reference.convolution import dann_convolution

DOUBLE = torch.float64
GEOMETRIES = [
    {"kernel_size": 3},
    {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)},
    {"kernel_size": 3, "padding": "same", "dilation": 2},
    {"kernel_size": (2, 4), "padding": "same"},
    {"kernel_size": 2, "padding": "valid"},
    *(
        {"kernel_size": 3, "padding": 1, "padding_mode": mode}
        for mode in ("reflect", "replicate", "circular")
    ),
    {"kernel_size": (4, 2), "padding": "same", "padding_mode": "circular"},
    {"kernel_size": 3, "padding": "valid", "padding_mode": "reflect"},
]


def rand(*shape):
    return torch.rand(*shape, dtype=DOUBLE)


def one_dimensional(geometry):
    return {
        key: value[0] if isinstance(value, tuple) else value
        for key, value in geometry.items()
    }


# -- oracles -----------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
@pytest.mark.parametrize("groups", [1, 2])
def test_column_ei_is_torchs_convolution_bitwise(geometry, groups):
    for ours, torchs, shape, options in (
        (EIConv2d, nn.Conv2d, (9, 8), geometry),
        (EIConv1d, nn.Conv1d, (9,), one_dimensional(geometry)),
    ):
        layer = ours(Populations(4, 2), 4, groups=groups, **options)
        twin = torchs(6, 4, groups=groups, **options)
        twin.load_state_dict({"weight": layer.weight, "bias": layer.bias})
        x = torch.rand(3, 6, *shape)
        assert torch.equal(layer(x), twin(x))
        assert torch.equal(layer(x[0]), twin(x[0]))
        assert layer.effective_weight() is layer.weight


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_a_subtractive_dann_is_torchs_convolution_with_the_effective_kernel(
    geometry, monkeypatch
):
    for ours, torchs, shape, options in (
        (DANNConv2d, nn.Conv2d, (9, 8), geometry),
        (DANNConv1d, nn.Conv1d, (9,), one_dimensional(geometry)),
    ):
        layer = ours(3, 4, n_inh=2, dtype=DOUBLE, **options)
        nn.init.normal_(layer.bias)
        twin = torchs(3, 4, dtype=DOUBLE, **options)
        twin.load_state_dict({"weight": layer.effective_weight(), "bias": layer.bias})
        x, expected = rand(3, 3, *shape), None
        for effective in (True, False):
            monkeypatch.setattr(
                functional,
                "prefers_effective",
                lambda *_, chosen=effective, **__: chosen,
            )
            expected = twin(x)
            torch.testing.assert_close(layer(x), expected, rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(layer(x[0]), expected[0], rtol=1e-12, atol=1e-12)
        assert layer.geometry.positions(x) == expected.shape[0] * expected[0, 0].numel()
        assert layer.geometry.positions(x[0]) == expected[0, 0].numel()


@pytest.mark.parametrize("shunting", [False, True])
def test_the_loop_over_pixels(shunting):
    layer = DANNConv2d(
        2,
        3,
        (2, 3),
        2,
        stride=2,
        padding=1,
        dilation=2,
        shunting=shunting,
        dtype=DOUBLE,
    )
    nn.init.normal_(layer.bias)
    x = rand(2, 6, 7)
    torch.testing.assert_close(
        layer(x), dann_convolution(x, layer, 2, 1, 2), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("shunting", [False, True])
@pytest.mark.parametrize("whole", [False, True], ids=["one pixel", "whole image"])
def test_dense_danns_are_special_cases(shunting, whole):
    shape = (3, 4, 5) if whole else (3, 1, 1)
    layer = DANNConv2d(3, 6, shape[1:], 2, shunting=shunting, dtype=DOUBLE)
    dense = DANNLinear(math.prod(shape), 6, 2, shunting=shunting, dtype=DOUBLE)
    dense.load_state_dict(
        {
            name: p.flatten(1) if p.ndim > 2 else p
            for name, p in layer.named_parameters()
        },
        strict=False,
    )
    x = rand(7, 3, 4, 5)
    expected = (
        dense(x.flatten(1))[..., None, None]
        if whole
        else dense(x.movedim(1, -1)).movedim(-1, 1)
    )
    torch.testing.assert_close(layer(x), expected, rtol=1e-12, atol=1e-12)
    ours, theirs = param_groups(layer, 1.0), param_groups(dense, 1.0)
    assert [(g["role"], g["lr"]) for g in ours] == [
        (g["role"], g["lr"]) for g in theirs
    ]


# -- initialisation ----------------------------------------------------------------------------------------------------


def test_initialised_as_dense_layers_over_all_taps():
    layer = DANNConv2d(8, 40, 3, generator=torch.Generator().manual_seed(0))
    variance = layer.effective_weight().var().item()
    assert variance == pytest.approx(2 / 72, rel=0.1)
    torch.testing.assert_close(
        layer.effective_weight().mean(0), torch.zeros(8, 3, 3), atol=1e-6, rtol=0
    )
    ei = EIConv2d(Populations(6, 2), 30, 3, generator=torch.Generator().manual_seed(0))
    twin = torch.empty(30, 72)
    tap_signs = Populations(6, 2).signs().repeat_interleave(9)
    init.column_ei_(twin, tap_signs, generator=torch.Generator().manual_seed(0))
    assert torch.equal(ei.weight.flatten(1), twin)


def test_a_first_layer_is_centred_by_its_mean_pixel():
    layer = EIConv2d(1, 200, 5, generator=torch.Generator().manual_seed(0))
    layer.reset_parameters(torch.Generator().manual_seed(0), input_mean=0.3)
    assert layer(torch.full((1, 1, 5, 5), 0.3)).mean().abs() < 0.05
    assert layer(torch.full((1, 1, 5, 5), 0.6)).mean() > 1


def test_each_group_is_balanced_by_itself():
    layer = EIConv2d(Populations(4, 4), 4, 3, groups=2)
    assert (layer.weight[:2] >= 0).all()
    assert (layer.weight[2:] <= 0).all()
    assert layer.bias[0] == -layer.bias[3] != 0
    assert signs.check(layer)


# -- analysis, and what users do ---------------------------------------------------------------------------------------


def test_analysis_reads_kernels_as_matrices_of_taps():
    ei, dann = EIConv2d(Populations(3, 1), 6, 3), DANNConv2d(4, 6, 3)
    torch_layer = nn.Conv2d(4, 6, 3)
    for layer in (ei, dann, torch_layer):
        kernel = layer.effective_weight() if layer is not torch_layer else layer.weight
        expected = torch.linalg.svdvals(kernel.detach().flatten(1).double())
        for source in (layer, layer.state_dict()):
            found = analysis.spectrum(source).singular_values
            torch.testing.assert_close(
                torch.as_tensor(found.copy()), expected, rtol=1e-6, atol=1e-6
            )
    assert set(analysis.weight_samples(ei)) == {"weight E", "weight I"}


def test_a_checkpoint_with_the_other_sign_is_refused():
    layer, other = EIConv2d(Populations(2, 1), 3, 3), EIConv2d(Populations(1, 2), 3, 3)
    with pytest.raises(RuntimeError, match="Dale's law is broken"):
        layer.load_state_dict(other.state_dict())
    signs.check(layer).raise_for_violations()


def test_eg_trains_what_the_layers_compute():
    torch.manual_seed(0)
    model = nn.Sequential(
        EIConv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), DANNConv2d(8, 8, 3, shunting=True), nn.ReLU(), nn.Flatten(),
        EILinear(Populations(8 * 4), 2),
    )  # fmt: skip
    optimizer = EG(param_groups(model, 0.1), lr=0.1)
    x = torch.rand(32, 1, 10, 10)
    y = (x[:, 0, :5].mean((1, 2)) > x[:, 0, 5:].mean((1, 2))).long()
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    signs.check(model).raise_for_violations()


# -- which outputs inhibit ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "size", "expected"),
    [
        (nn.Flatten(), (3, 5), Populations(45, 30)),
        (nn.MaxPool2d(2), (6, 6), Populations(3, 2)),
        (
            nn.Sequential(nn.ReLU(), nn.AvgPool2d(3), nn.Dropout(0.9), nn.Flatten()),
            (6, 6),
            Populations(12, 8),
        ),
        (nn.AdaptiveMaxPool2d(1), (6, 6), Populations(3, 2)),
        (nn.Upsample(scale_factor=2), (2, 2), Populations(3, 2)),
        (
            nn.Sequential(nn.BatchNorm2d(5), nn.Tanh(), nn.Flatten()),
            (2, 2),
            Populations(12, 8),
        ),
        (nn.Sequential(nn.MaxPool1d(2), nn.Flatten()), 8, Populations(12, 8)),
        (nn.Identity(), (4,), Populations(3, 2)),
    ],
    ids=str,
)
def test_pooling_and_flattening_keep_track_of_the_channels(module, size, expected):
    module.train()
    assert populations_after(module, Populations(3, 2), size) == expected
    assert all(part.training for part in module.modules())


def test_populations_repeat():
    assert Populations(3, 2).repeat(4) == Populations(12, 8)
    repeated = Populations(3, 2).signs().repeat_interleave(4)
    assert torch.equal(Populations(3, 2).repeat(4).signs(), repeated)


@pytest.mark.parametrize(
    ("module", "error", "sentence"),
    [
        (
            nn.Conv2d(5, 3, 1),
            ValueError,
            "not mix excitatory and inhibitory channels; got Conv2d, which does.",
        ),
        (
            nn.LayerNorm((5, 2, 2)),
            ValueError,
            "not mix excitatory and inhibitory channels; got LayerNorm, which does.",
        ),
        (
            nn.Threshold(9, 9),
            ValueError,
            "pass every unit on; got Threshold, 5 of whose outputs none reaches.",
        ),
        ("pool", TypeError, "be a module; got str."),
    ],
)
def test_what_cannot_be_tracked_is_refused(module, error, sentence):
    with pytest.raises(error) as raised:
        populations_after(module, Populations(3, 2), (2, 2))
    assert str(raised.value) == f"`module` must {sentence}"


def test_interleaved_outputs_are_refused():
    class Interleave(nn.Module):
        def forward(self, x):
            return x.movedim(1, -1).flatten(1)

    with pytest.raises(
        ValueError,
        match=r"^`module` must keep excitatory units before inhibitory ones; got Interleave",
    ):
        populations_after(Interleave(), Populations(3, 2), (2, 2))


def test_wrong_padding_is_one_sentence_in_every_layer():
    for build in (EIConv1d, DANNConv1d):
        with pytest.raises(
            ValueError,
            match=r"^`stride` must be an integer or 1 of them; got \(1, 2\)\.$",
        ):
            build(3, 4, 3, stride=(1, 2))


def test_the_shapes_of_all_strides_and_dilations():
    for size, stride, padding, dilation in itertools.product(
        (1, 2, 3), (1, 2, 3), (0, 1, 2), (1, 2)
    ):
        layer = DANNConv1d(
            2, 3, size, stride=stride, padding=padding, dilation=dilation
        )
        x = torch.rand(2, 2, 9)
        assert layer.geometry.positions(x) == layer(x)[:, 0].numel()
