import gzip
import hashlib
import os
import shutil

import numpy as np
import pytest
import torch
from torch import nn

from daleml import Populations, signs
from daleml.datasets import fashion_images, fashion_mnist
from daleml.layers import DANNConv2d, DANNLinear, EIConv2d, EILinear, populations_after
from daleml.optim import enforce, param_groups
from daleml.reproductions.absent_files import fashion_mnist_absent
from daleml.tasks import read_idx

has_data = pytest.mark.skipif(
    not os.environ.get("DALEML_DATA"),
    reason="set DALEML_DATA to the folder of data sets",
)


def write_idx(path, values):
    header = bytes([0, 0, 8, values.ndim]) + b"".join(
        n.to_bytes(4, "big") for n in values.shape
    )
    content = header + values.numpy().tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix else content)
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Files of 6 training and 10 test images, taken for the published ones, in a folder of data."""
    folder = tmp_path / "data" / "fashion_mnist"
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    for part, n, ending in (("_TRAIN", 6, ".gz"), ("_TEST", 10, "")):
        names = getattr(fashion_images, part).names
        pixels = torch.randint(256, (n, 28, 28), generator=generator, dtype=torch.uint8)
        labels = torch.arange(n, dtype=torch.uint8)
        found = [
            write_idx(folder / (name + ending), values)
            for name, values in zip(names, (pixels, labels), strict=True)
        ]
        monkeypatch.setattr(
            fashion_images, part, fashion_images._Part(*names, n, *found)
        )
    monkeypatch.setattr(fashion_images, "_N_TRAIN", 8)
    monkeypatch.setattr(fashion_images, "SYSTEM_FOLDER", tmp_path / "system")
    monkeypatch.setenv("DALEML_DATA", str(tmp_path / "data"))
    return folder


def test_the_published_split_is_as_published_and_the_other_stays_what_it_was(tiny):
    pixels = read_idx(tiny / "train-images-idx3-ubyte.gz").view(6, 784)
    tests = read_idx(tiny / "t10k-images-idx3-ubyte").view(10, 784)
    split = fashion_mnist(published=True)
    assert split.name == "Fashion-MNIST"
    assert split.train_y.tolist() == list(range(6))
    assert split.test_y.tolist() == list(range(10))
    torch.testing.assert_close(split.train_x, pixels / 255, rtol=0, atol=0)
    torch.testing.assert_close(split.test_x, tests / 255, rtol=0, atol=0)
    divided = fashion_mnist()
    order = np.random.default_rng(0).permutation(10)
    assert divided.train_y.tolist() == order[:8].tolist()
    torch.testing.assert_close(divided.test_x, tests[order[8:]] / 255, rtol=0, atol=0)
    assert divided.test_x.dtype == split.test_x.dtype == torch.float32


def test_files_are_looked_for_in_the_data_and_then_in_the_system(tiny, monkeypatch):
    assert fashion_mnist_absent() == ""
    tiny.rename(fashion_images.SYSTEM_FOLDER)
    assert len(fashion_mnist(published=True).train_y) == 6
    # The test images alone are in the folder of data: they are found there, the others not.
    tiny.mkdir()
    for name in fashion_images._TEST.names:
        shutil.copy(fashion_images.SYSTEM_FOLDER / name, tiny)
    assert fashion_images._folder(None, fashion_images._TEST.names) == tiny
    assert len(fashion_mnist(published=True).train_y) == 6
    with pytest.raises(
        FileNotFoundError, match="with train-images-idx3-ubyte.gz, from"
    ):
        fashion_mnist(tiny, published=True)
    monkeypatch.delenv("DALEML_DATA")
    assert len(fashion_mnist().train_y) == 8
    shutil.rmtree(fashion_images.SYSTEM_FOLDER)
    assert "dataset-fashion-mnist" in fashion_mnist_absent()
    with pytest.raises(ValueError, match="train-labels-idx1-ubyte.gz are from https"):
        fashion_mnist(published=True)


def test_another_collection_of_the_same_names_is_refused(tiny):
    name = "t10k-labels-idx1-ubyte"
    write_idx(tiny / name, torch.zeros(10, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"SHA-256 \w{12}\.\.\.; got \w{12}.*" + name):
        fashion_mnist()
    assert fashion_mnist(check=False).train_y.tolist() == [0] * 8
    with pytest.raises(ValueError, match="`seed` must be left out where `published`"):
        fashion_mnist(seed=1, published=True)
    with pytest.raises(TypeError, match="`published` must be True or False"):
        fashion_mnist(published="train")


@has_data
def test_the_split_is_fixed_and_balanced():
    split = fashion_mnist()
    assert split.train_x.shape == (8000, 784)
    assert split.test_x.shape == (2000, 784)
    assert split.train_x.max() == 1
    assert torch.equal(
        torch.cat([split.train_y, split.test_y]).bincount(), torch.full((10,), 1000)
    )
    assert torch.equal(split.test_x, fashion_mnist().test_x)
    assert not torch.equal(split.test_y, fashion_mnist(seed=1).test_y)


def test_files_that_are_missing_or_wrong_are_named(tmp_path, monkeypatch):
    monkeypatch.delenv("DALEML_DATA", raising=False)
    monkeypatch.setattr(fashion_images, "SYSTEM_FOLDER", tmp_path / "nothing")
    with pytest.raises(
        ValueError,
        match=r"^`path` must be given where the environment variable DALEML_DATA",
    ):
        fashion_mnist()
    with pytest.raises(
        FileNotFoundError,
        match=r"^`path` must be a folder with t10k-images-idx3-ubyte\.gz, from",
    ):
        fashion_mnist(tmp_path)
    write_idx(
        tmp_path / "t10k-images-idx3-ubyte.gz",
        torch.zeros(3, 28, 28, dtype=torch.uint8),
    )
    write_idx(tmp_path / "t10k-labels-idx1-ubyte.gz", torch.zeros(3, dtype=torch.uint8))
    with pytest.raises(
        ValueError,
        match=r"^`path` must hold 10000 images of 28 x 28 and as many labels; got \(3, 28",
    ):
        fashion_mnist(tmp_path)


# -- the claim: lawful convolutional networks learn as well --------------------------------------------------------------


def unconstrained(generator, pixel_mean):
    torch.manual_seed(generator.initial_seed())
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * 49, 10),
    )  # fmt: skip


def column_ei(generator, pixel_mean):
    between = nn.Sequential(nn.MaxPool2d(2), nn.Flatten())
    hidden, last = (
        Populations.split(16),
        populations_after(between, Populations.split(32), (14, 14)),
    )
    first = EIConv2d(1, 16, 3, padding=1, generator=generator)
    first.reset_parameters(generator, input_mean=pixel_mean)
    return nn.Sequential(
        first, nn.ReLU(), nn.MaxPool2d(2),
        EIConv2d(hidden, 32, 3, padding=1, generator=generator), nn.ReLU(), between,
        EILinear(last, 10, generator=generator),
    )  # fmt: skip


def dann(generator, pixel_mean):
    return nn.Sequential(
        DANNConv2d(1, 16, 3, padding=1, generator=generator), nn.ReLU(), nn.MaxPool2d(2),
        DANNConv2d(16, 32, 3, padding=1, generator=generator), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), DANNLinear(32 * 49, 10, generator=generator),
    )  # fmt: skip


def error(build, lr, seed, train, test, pixel_mean, epochs):
    """Percentage wrong of ``test`` after training by Adam, under the guard where signs are fixed."""
    generator = torch.Generator().manual_seed(seed)
    model = build(generator, pixel_mean)
    optimizer = torch.optim.Adam(param_groups(model, lr), lr=lr)
    if list(signs.named(model)):
        enforce(optimizer, model)
    n_steps = epochs * (len(train[1]) // 64)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    for _ in range(epochs):
        order = torch.randperm(len(train[1]), generator=generator)
        for batch in order.split(64):
            if len(batch) < 64:
                break
            optimizer.zero_grad()
            nn.functional.cross_entropy(
                model(train[0][batch]), train[1][batch]
            ).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    signs.check(model).raise_for_violations() if list(signs.named(model)) else None
    with torch.no_grad():
        return 100 * (model(test[0]).argmax(1) != test[1]).float().mean().item()


@has_data
@pytest.mark.slow
def test_lawful_convolutional_networks_learn_fashion_within_two_points_of_the_unconstrained():
    """Learning rates are chosen by one rule for all, on 1,500 of the training images; the test images judge once."""
    split = fashion_mnist()
    x, test_x = split.train_x.view(-1, 1, 28, 28), split.test_x.view(-1, 1, 28, 28)
    fit, held_out = (x[:6500], split.train_y[:6500]), (x[6500:], split.train_y[6500:])
    errors = {}
    for build in (unconstrained, column_ei, dann):
        found = {
            lr: error(build, lr, 0, fit, held_out, split.pixel_mean, 6)
            for lr in (0.001, 0.003, 0.006)
        }
        best = min(found, key=found.get)
        whole = (x, split.train_y), (test_x, split.test_y)
        errors[build.__name__] = [
            error(build, best, seed, *whole, split.pixel_mean, 16) for seed in (1, 2)
        ]
        print(build.__name__, found, best, errors[build.__name__])
    mean = {name: sum(values) / len(values) for name, values in errors.items()}
    assert mean["unconstrained"] < 14
    assert mean["column_ei"] < mean["unconstrained"] + 2
    assert mean["dann"] < mean["unconstrained"] + 2
