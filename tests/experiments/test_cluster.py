"""Addresses at which no scheduler answers are refused in a sentence; trust is asked for."""

import sys

import pytest

from daleml.experiments import cluster
from daleml.reproductions import reproduce
from tests.reproductions.toys import claim


@pytest.mark.parametrize(
    "address", ["nonsense", "", "http://x", "https://host:8786", "tcp://", "tcp://host", "host:8786", "tcp://a b:1", "inproc://x", "tcp://h:1#x"]
)  # fmt: skip
def test_an_address_of_no_scheduler_is_one_sentence(address, tmp_path):
    with pytest.raises(
        ValueError,
        match="^`scheduler` must be the address of a Dask scheduler, such as tcp://",
    ) as raised:
        reproduce([claim()], tmp_path, scheduler=address)
    assert str(raised.value).endswith(f"got {address!r}.")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (MemoryError("Unable to allocate 3.07 EiB"), "its answer is not Dask's"),
        (AttributeError("x"), "its answer is not Dask's"),
        (ValueError("protocol"), "its answer is not Dask's"),
        (TimeoutError("timed out after 10 s"), "timed out after 10 s"),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (TimeoutError(), "no answer"),
    ],
    ids=repr,
)
def test_whatever_answers_that_is_no_scheduler_is_one_sentence(
    error, why, tmp_path, monkeypatch
):
    distributed = pytest.importorskip("distributed")

    def refuse(*_, **__):
        raise error

    monkeypatch.setattr(distributed, "Client", refuse)
    with pytest.raises(
        ValueError,
        match="^`scheduler` must be the address of a Dask scheduler; nothing",
    ) as raised:
        reproduce([claim()], tmp_path, scheduler="tcp://host:8786")
    assert why in str(raised.value)
    assert "MemoryError" not in str(raised.value)


def test_help_says_that_an_address_has_to_be_trusted():
    from typer.testing import CliRunner

    from daleml.cli import app

    text = " ".join(
        CliRunner()
        .invoke(app, ["reproduce", "--help"])
        .output.replace("│", " ")
        .split()
    )
    assert (
        "It must be one you trust: whoever answers there can run any code on this machine."
        in text
    )
    assert "has to be trusted" in " ".join(cluster.__doc__.split())
    assert sys.modules  # nothing of Dask is needed to say so
