"""Everything runs on a device as strict as CUDA, and on one without float64, and no step waits.

The device is made of the CPU, see ``make_believe_device``; it lives in processes of its own.
"""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests import device_calls, make_believe_device

needs_device = pytest.mark.skipif(
    not make_believe_device.is_supported(),
    reason="this version of torch has no devices written in Python",
)
ROOT = Path(__file__).parents[1]


def run(code, *arguments):
    return subprocess.run(
        [sys.executable, *code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@needs_device
def test_the_catalogue_runs_on_the_device():
    found = json.loads(run(["-m", "tests.device_calls"]).splitlines()[-1])
    assert found["ran"] > 40
    assert not found["failed"], "\n".join(map(" ".join, found["failed"].items()))


@needs_device
@pytest.mark.slow
def test_every_public_call_and_every_optimiser_runs_on_the_device():
    found = json.loads(run(["-m", "tests.device_calls", "full"]).splitlines()[-1])
    assert found["ran"] > 150
    assert not found["failed"], "\n".join(map(" ".join, found["failed"].items()))


def has_example(value):
    """Whether a name, or a method of it, has an example; finding them all takes longer."""
    texts = [value.__doc__]
    if isinstance(value, type):
        texts += [inspect.getdoc(one) for one in vars(value).values() if callable(one)]
    return any(">>>" in (text or "") for text in texts)


@pytest.mark.parametrize("package", device_calls.PACKAGES)
def test_every_public_name_is_run_there(package):
    """A new name without an example, or without a reason, fails here."""
    missing = [
        name
        for name, value in device_calls.public(package).items()
        if name not in device_calls.NO_CALLS and not has_example(value)
    ]
    assert not missing


def test_what_is_excepted_is_there():
    names = set()
    for package in device_calls.PACKAGES:
        names |= set(device_calls.public(package))
    assert set(device_calls.NO_CALLS) <= names
    assert set(device_calls.BY_HAND) <= names


def test_this_process_has_no_such_device():
    with pytest.raises(RuntimeError):
        torch.device(make_believe_device.NAME)
