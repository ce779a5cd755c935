"""Files larger than memory is wide: mapped arrays, columns by name, tables of few kinds of cells."""

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from daleml.reading import (
    TableOptions,
    numpy_files,
    read_array,
    read_table,
    table_files,
    workbooks,
)
from daleml.weight_study import gather

RNG = np.random.default_rng(0)


def quiet(note):
    raise AssertionError(note)


def test_a_large_array_is_mapped(tmp_path, monkeypatch):
    values = RNG.lognormal(size=(50, 40)).astype(np.float32)
    file = tmp_path / "w.npy"
    np.save(file, values)
    assert not isinstance(read_array(file, None, "array", quiet)[1], np.memmap)
    monkeypatch.setattr(numpy_files, "_MAPPED", 1000)
    found = read_array(file, None, "array", quiet)[1]
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, values)
    # Columns first, it has to be put into rows.
    np.save(file, np.asfortranarray(values))
    np.testing.assert_array_equal(read_array(file, None, "array", quiet)[1], values)
    # What the header declares is still checked.
    file.write_bytes(file.read_bytes()[:4000])
    with pytest.raises(ValueError, match="its header declares 8,000 bytes"):
        read_array(file, None, "array", quiet)


def table_of(n):
    return pd.DataFrame(
        {
            "cell": 720575940600000000 + np.arange(n),
            "type": RNG.choice(["Kenyon", "PN ", "LHN"], n),
            "size": RNG.lognormal(size=n).round(6),
            "missing": [None if i % 7 == 0 else i / 2 for i in range(n)],
        }
    )


def test_a_large_text_is_read_as_a_small_one(tmp_path, monkeypatch):
    frame = table_of(300)
    for name, text in {
        "plain": frame.to_csv(index=False),
        "odd": frame.to_csv(index=False) + "1,x,<0.01,3\n",
        "short": frame.to_csv(index=False) + "1,x\n",
    }.items():
        file = tmp_path / f"{name}.csv.gz"

        file.write_bytes(gzip.compress(text.encode()))
        small = read_table(file, TableOptions(), [].append)
        with monkeypatch.context() as patch:
            patch.setattr(table_files, "_LARGE", 10)
            large = read_table(file, TableOptions(), [].append)
        assert large.names() == small.names()
        assert large.text("cell").tolist() == small.text("cell").tolist()
        assert large.text("type").tolist() == small.text("type").tolist()
        if name == "odd":
            assert large.columns["size"].dtype == object
            continue
        assert large.columns["size"].dtype == np.float64
        # Each name is held once.
        assert len(set(map(id, large.columns["type"]))) <= 5
        for column in ("size", "missing"):
            np.testing.assert_array_equal(large.numbers(column), small.numbers(column))


@pytest.mark.parametrize("ending", ["parquet", "feather"])
def test_columns_are_read_by_name(tmp_path, ending, monkeypatch):
    frame = table_of(300)
    file = tmp_path / f"synapses.{ending}"
    getattr(frame, f"to_{ending}")(file)
    whole = read_table(file, TableOptions(), quiet)
    part = read_table(file, TableOptions(), quiet, ["size", "type"])
    assert part.names() == ["size", "type"]
    np.testing.assert_array_equal(part.numbers("size"), whole.numbers("size"))
    # Names that it lacks are looked for among all.
    assert read_table(file, TableOptions(), quiet, ["area"]).names() == whole.names()
    monkeypatch.setattr(workbooks, "_MANY_CELLS", 10)
    for name in ("cell", "type", "missing"):
        found = read_table(file, TableOptions(), quiet, [name])
        assert found.text(name).tolist() == whole.text(name).tolist()
    gathered = gather(Path(file), "size", by="type")
    assert gathered.weights.size == 300
    with pytest.raises(ValueError, match="'area' is not"):
        gather(Path(file), "area")


def test_other_columns_take_no_memory(tmp_path):
    n = 20_000
    columns = {f"c{i}": RNG.normal(size=n) for i in range(40)}
    file = tmp_path / "wide.parquet"
    pd.DataFrame(columns).to_parquet(file)
    read_table(file, TableOptions(), quiet, ["c3"])
    tracemalloc.start()
    read_table(file, TableOptions(), quiet, ["c3"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 8 * n
