"""Values read a chunk at a time: arrays, files, columns, what computes them, and what cannot be."""

import mmap

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from daleml.analysis import Chunks, compare_groups, fit_weights, weight_sample
from daleml.analysis.weights import value_chunks
from daleml.analysis.weights.value_chunks import pieces

W = np.random.default_rng(0).lognormal(size=3000)


def cut(values, places):
    return np.split(values, sorted(places))


@given(st.lists(st.integers(0, 3000), max_size=8), st.sampled_from([1, 7, 64, 5000]))
@settings(deadline=None, max_examples=30)
def test_pieces_are_the_same_however_values_are_cut(places, size):
    got = [piece.copy() for piece in pieces(Chunks(cut(W, places)), size)]
    assert [len(one) for one in got[:-1]] == [size] * (len(got) - 1)
    np.testing.assert_array_equal(np.concatenate(got), W)


@given(st.lists(st.integers(0, 3000), max_size=5))
@settings(deadline=None, max_examples=10)
def test_a_fit_is_the_same_to_the_bit_however_values_are_cut(places):
    chunks = Chunks(cut(W.astype(np.float32), places))
    whole = weight_sample(W.astype(np.float32))
    assert weight_sample(chunks).log_moments == whole.log_moments
    assert weight_sample(chunks).moments == whole.moments


def test_zeros_signs_and_missing_values_are_counted_by_chunks():
    values = np.array([0.0, 1.0, np.nan, -2.0, 3.0, 0.0, 5.0])
    for places in ([], [1], [2, 3, 4]):
        sample = weight_sample(Chunks(cut(values, places)), sign=1, drop_missing=True)
        assert (sample.n, sample.n_zero, sample.n_dropped) == (3, 2, 2)
        assert sample.others().tolist() == [2.0]
        assert sample.values().tolist() == [1.0, 3.0, 5.0]
    with pytest.raises(ValueError, match="got 1 NaN or infinite values of 7"):
        weight_sample(Chunks(cut(values, [3])), sign=1)
    with pytest.raises(ValueError, match="got 3 positive and 1 negative values"):
        weight_sample(Chunks(cut(values, [3])), drop_missing=True)


def test_sample_weights_go_beside_chunks():
    counts = np.random.default_rng(1).integers(0, 4, W.size)
    whole = weight_sample(W, sample_weights=counts)
    cut_up = weight_sample(Chunks(cut(W, [10, 1500])), sample_weights=counts)
    assert cut_up.log_moments == pytest.approx(whole.log_moments, rel=1e-13)
    np.testing.assert_array_equal(cut_up.counts(), whole.counts())


def test_columns_of_other_libraries_are_read_by_chunks():
    pa = pytest.importorskip("pyarrow")
    dask = pytest.importorskip("dask.array")
    pd = pytest.importorskip("pandas")
    expected = fit_weights(W).params
    column = pa.chunked_array([W[:1000], W[1000:1001], W[1001:]])
    for weights in (
        column,
        column.combine_chunks(),
        dask.from_array(W.reshape(50, 60), chunks=(7, 60)),
        pd.Series(W),
        torch.from_numpy(W),
    ):
        assert fit_weights(weights).params == expected
    missing = pa.chunked_array([[1.0, None, 2.0], [4.0]])
    assert weight_sample(missing, drop_missing=True).n_dropped == 1
    # A null in a later chunk of whole numbers, and one without any value.
    for late in ([[1, 2], [None, 4]], [[1, 2], [None]]):
        column = pa.chunked_array(late, type=pa.int64())
        sample = weight_sample(column, drop_missing=True)
        assert (sample.n, sample.n_dropped) == (sum(map(len, late)) - 1, 1)


def test_dask_computes_one_chunk_at_a_time():
    dask = pytest.importorskip("dask.array")
    held, most = [], []

    def make(block):
        held.append(block.size)
        most.append(block.size)
        return block

    array = dask.from_array(W, chunks=500).map_blocks(make, meta=W[:0])
    sample = weight_sample(array)
    assert max(most) == 500
    # The values themselves are nowhere kept.
    assert not isinstance(sample._source, np.ndarray)


def test_what_can_be_read_once_is_refused():
    said = r"`weights` must be values that can be read several times; got a generator"
    with pytest.raises(TypeError, match=said):
        fit_weights(part for part in cut(W, [10]))
    with pytest.raises(
        TypeError, match="`read` must be values that can be read several"
    ):
        Chunks(iter([W]))
    with pytest.raises(TypeError, match=r"`read` must be chunks .*; got float\.$"):
        Chunks(3.0)


def test_values_that_change_between_passes_are_refused():
    # A function that hands out the same iterator again, which is used up.
    used_up = iter([W])
    with pytest.raises(ValueError, match="got 6,000 values, then 3,000"):
        fit_weights(Chunks(lambda: [W, *used_up]), "gamma")
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="900 values, some of which were others"):
        fit_weights(
            Chunks(lambda: [W[:600], rng.lognormal(size=300).astype("f4")]), "gamma"
        )
    learning = W.copy()
    sample = weight_sample(Chunks([learning]))
    learning[5] *= 1.01
    with pytest.raises(ValueError, match="copy weights that go on learning"):
        _ = sample.moments
    with pytest.raises(TypeError, match="got one that returns NoneType"):
        weight_sample(Chunks(lambda: None))


def test_other_chunks_of_the_same_values_are_the_same():
    cuts = iter([[10], [20, 20], [1, 2000], [0], *[[7]] * 50])
    for dtype in ("f4", ">f8", "u2", "f2", "g"):
        values = np.round(100 * W).astype(dtype) + 1
        cut_anew = Chunks(lambda values=values: cut(values, next(cuts)))
        assert sum(part.size for part in cut_anew) == 3000
        assert sum(part.size for part in cut_anew) == 3000


def test_a_chunk_without_values_has_no_type():
    sample = weight_sample(Chunks([[], np.empty(0, "f4"), np.array([1, 2]), []]))
    assert sample.n == 2


def test_chunks_of_several_types_are_refused():
    with pytest.raises(ValueError, match="one type of number; got int64 and float64"):
        weight_sample(Chunks([np.array([1, 2]), np.array([0.5])]))
    with pytest.raises(TypeError, match="must be real numbers; got <U1 values"):
        weight_sample(Chunks([np.array(["a"])]))


def test_pages_of_a_file_are_given_back(tmp_path, monkeypatch):
    """Only of a file that is mapped for reading: private changes would be lost."""
    monkeypatch.setattr(value_chunks, "_RELEASED", 1 << 12)
    np.save(tmp_path / "w.npy", W)
    released = []

    class Spy(mmap.mmap):
        def madvise(self, option, start, length):
            released.append((start, length))
            return super().madvise(option, start, length)

    monkeypatch.setattr(mmap, "mmap", Spy)
    mapped = np.load(tmp_path / "w.npy", mmap_mode="r")
    assert isinstance(mapped._mmap, Spy)
    total = sum(float(piece.sum()) for piece in pieces(mapped[100:], 256))
    assert total == pytest.approx(W[100:].sum())
    assert len(released) > 3
    np.testing.assert_array_equal(mapped, W)
    # Together they are what was read, from whole pages on.
    first, last = released[0][0], sum(released[-1])
    assert first % mmap.PAGESIZE == 0
    assert first <= 128 + 800
    assert last == 128 + W.nbytes
    released.clear()
    private = np.load(tmp_path / "w.npy", mmap_mode="c")
    private[0] = 7.0
    assert sum(1 for _ in pieces(private, 256)) == 12
    assert private[0] == 7.0
    assert not released


def test_a_mapped_file_in_the_order_of_fortran_stays_on_its_disk(tmp_path):
    np.save(tmp_path / "w.npy", np.asfortranarray(W.reshape(50, 60)))
    mapped = np.load(tmp_path / "w.npy", mmap_mode="r")
    for weights in (mapped, np.asarray(mapped)):
        sample = weight_sample(weights)
        assert np.shares_memory(sample._source, mapped)
        np.testing.assert_array_equal(np.sort(sample.values()), np.sort(W))
    # Sample weights belong to the rows.
    counts = np.arange(1, 3001)
    sample = weight_sample(mapped, sample_weights=counts)
    np.testing.assert_array_equal(sample.values(), W)


def test_some_values_lie_evenly():
    sample = weight_sample(np.arange(1.0, 200_001.0))
    some = sample.some_values(1000)
    assert some.size == 1000
    np.testing.assert_array_equal(np.diff(some), 200.0)
    assert sample.some_values(200_000).size == 200_000


def test_groups_take_chunks():
    labels = np.repeat(["a", "b", "c"], 1000)
    expected = compare_groups(W, labels, "lognormal")
    found = compare_groups(Chunks(cut(W, [5, 1700])), labels, "lognormal")
    assert found.to_dict() == expected.to_dict()
    with pytest.raises(TypeError, match="can be read several times"):
        compare_groups(iter(W), labels, "lognormal")
