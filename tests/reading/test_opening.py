"""Small files that ask for much memory are refused before it is taken; the limit is said, and can be raised."""

import bz2
import gzip
import io
import json
import lzma
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from daleml import signs
from daleml._support.idx_files import read_idx
from daleml.datasets import read_synapses
from daleml.reading import opening
from daleml.weight_files import read_matrices, read_state, read_weights

ZEROS = 1 << 26  # bytes that a bomb unpacks to: twice what a small text may


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(opening.VARIABLE, raising=False)
    return tmp_path


def npy_header(shape, dtype="<f8"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": dtype, "fortran_order": False, "shape": shape}
    )
    return file.getvalue()


def packed(compressor, unit=b"0\n"):
    """Return ``ZEROS`` bytes of a table, compressed a piece at a time."""
    piece = unit * ((1 << 20) // len(unit))
    return b"".join(
        [*(compressor.compress(piece) for _ in range(ZEROS >> 20)), compressor.flush()]
    )


@pytest.fixture
def little(folder, monkeypatch):
    """Let files unpack to a million bytes, so that small bombs are bombs."""
    monkeypatch.setenv(opening.VARIABLE, "1000000")


LITTLE = "must unpack to at most 1,000,000 bytes, unless DALEML_MAX_BYTES says more"


def zipped_zeros(name, head=b""):
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(name, "w") as member,
    ):
        member.write(head)
        member.write(bytes(1 << 22))
    return file.getvalue()


@pytest.mark.parametrize("ending", [".gz", ".bz2", ".xz"])
def test_a_packed_text_has_a_limit(ending, folder, monkeypatch):
    file = Path(f"t.csv{ending}")
    if ending == ".gz":
        file.write_bytes(packed(zlib.compressobj(9, zlib.DEFLATED, 31)))
    else:
        monkeypatch.setenv(opening.VARIABLE, "100000")
        file.write_bytes(
            (bz2.compress if ending == ".bz2" else lzma.compress)(b"1,25\n" * 30_000)
        )
    assert file.stat().st_size < 1 << 20
    for read in (read_weights, read_synapses):
        with pytest.raises(
            ValueError,
            match=r"`t\.csv\.\w+` must unpack to at most [\d,]+ bytes, unless DALEML_MAX_BYTES",
        ):
            read(file)


def test_the_limit_is_said_and_can_be_raised(folder, monkeypatch):
    file = Path("t.csv.gz")
    file.write_bytes(gzip.compress(b"size\n" + b"1.5\n2.5\n" * 100))
    monkeypatch.setenv(opening.VARIABLE, "100")
    with pytest.raises(ValueError) as raised:
        read_weights(file)
    assert (
        str(raised.value)
        == "`t.csv.gz` must unpack to at most 100 bytes, unless DALEML_MAX_BYTES says more; got more."
    )
    monkeypatch.setenv(opening.VARIABLE, "1000")
    assert len(read_weights(file)[1]) == 200
    monkeypatch.setenv(opening.VARIABLE, "1 GB")
    with pytest.raises(
        ValueError,
        match=r"^`DALEML_MAX_BYTES` must be a number of bytes; got '1 GB'\.$",
    ):
        read_weights(file)


def test_a_file_with_holes_is_as_large_as_what_it_holds(folder):
    for name in ("t.csv", "w.mat"):
        with open(name, "wb") as file:
            file.truncate(1 << 40)
        with pytest.raises(ValueError, match=r"must unpack to at most [\d,]+ bytes"):
            read_weights(Path(name))


@pytest.mark.parametrize("shape", [(10**12,), (2**40, 2**40), (10**6, 10**6), (300,)])
def test_an_array_declares_no_more_than_there_is(shape, folder):
    Path("w.npy").write_bytes(npy_header(shape))
    with zipfile.ZipFile("w.npz", "w") as archive:
        archive.writestr("w.npy", npy_header(shape))
    for name in ("w.npy", "w.npz"):
        with pytest.raises(
            ValueError, match=r"its header declares [\d,]+ bytes, and it has \d+"
        ):
            read_weights(Path(name))


def test_of_several_arrays_only_the_one_asked_for_is_unpacked(little):
    big = npy_header((1 << 22,), "|u1")
    Path("w.npz").write_bytes(zipped_zeros("big.npy", big))
    with zipfile.ZipFile("w.npz", "a") as archive:
        small = io.BytesIO()
        np.save(small, np.eye(3))
        archive.writestr("small.npy", small.getvalue())
    assert read_matrices(Path("w.npz"), "small")["small"].tolist() == np.eye(3).tolist()
    assert list(read_matrices(Path("w.npz"))) == ["small"]  # the other is no matrix
    assert read_weights(Path("w.npz"), "small")[1].shape == (3, 3)
    with pytest.raises(ValueError, match=LITTLE):
        read_weights(Path("w.npz"), "big")


def test_containers_that_unpack_to_far_more_than_they_are(little):
    for name, member in (
        ("t.xlsx", "xl/worksheets/sheet1.xml"),
        ("m.pt", "archive/data/0"),
    ):
        Path(name).write_bytes(zipped_zeros(member))
        with pytest.raises(ValueError, match=LITTLE):
            read_weights(Path(name))


def test_a_sheet_with_a_cell_at_its_far_end(folder):
    import openpyxl

    book = openpyxl.Workbook()
    book.active["A1"], book.active["XFD1048576"] = "size", 1
    book.save("t.xlsx")
    with pytest.raises(ValueError, match="must unpack to at most 268,435,456 bytes"):
        read_weights(Path("t.xlsx"))


def test_a_parquet_of_one_value_repeated(folder):
    import pyarrow as pa
    import pyarrow.parquet as pq

    column = pa.DictionaryArray.from_arrays(
        pa.array(np.zeros(1 << 20, np.int32)), pa.array([1.5])
    )
    table = pa.table({"size": pa.chunked_array([column] * 40)})
    pq.write_table(table, "t.parquet", compression="zstd", row_group_size=1 << 26)
    assert Path("t.parquet").stat().st_size < 1 << 20
    with pytest.raises(ValueError, match="must unpack to at most 268,435,456 bytes"):
        read_weights(Path("t.parquet"))


def test_a_matlab_variable_that_unpacks_to_much(little):
    packed_zeros = zlib.compress(bytes(1 << 22), 9)
    header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H2s", 0x100, b"IM")
    Path("w.mat").write_bytes(
        header + struct.pack("<II", 15, len(packed_zeros)) + packed_zeros
    )
    with pytest.raises(ValueError, match=LITTLE):
        read_weights(Path("w.mat"))


def test_tensors_without_an_entry_are_nothing_to_judge(folder):
    header = b'{"a":{"dtype":"F32","shape":[0,100000000],"data_offsets":[0,0]}}'
    Path("z.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(
        ValueError,
        match=r"^`z\.safetensors` must hold a state dict of tensors; got only tensors without entries",
    ):
        read_state(Path("z.safetensors"))
    header = b'{"a":{"dtype":"F32","shape":[0,100000000],"data_offsets":[0,0]},"w":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]}}'
    Path("z.safetensors").write_bytes(
        struct.pack("<Q", len(header)) + header + struct.pack("<f", 1)
    )
    assert str(signs.check(read_state(Path("z.safetensors")))).startswith(
        "Dale's law holds: 1 parameter"
    )


def test_idx_files_are_unpacked_as_far_as_they_say(folder):
    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = bytes([0, 0, 8, 1]) + struct.pack(">I", 5)
    content = bomb.compress(head) + packed(bomb, bytes(2))
    Path("i.gz").write_bytes(content)
    with pytest.raises(
        ValueError,
        match=r"must hold the 13 bytes its header asks for; got \d\d in i\.gz",
    ):
        read_idx("i.gz")
    Path("i").write_bytes(bytes([0, 0, 8, 200]) + bytes(800))
    with pytest.raises(
        ValueError, match=r"must hold an array of at most 8 dimensions; got 200 in i"
    ):
        read_idx("i")
    Path("i").write_bytes(
        bytes([0, 0, 8, 4]) + struct.pack(">IIII", 0, *[2**32 - 1] * 3)
    )
    with pytest.raises(ValueError, match="must hold a byte or more; got shape"):
        read_idx("i")
    Path("i.gz").write_bytes(
        gzip.compress(
            bytes([0, 0, 8, 2]) + struct.pack(">II", 2**31, 2**31) + bytes(99)
        )
    )
    with pytest.raises(
        ValueError, match=r"must hold the 4611686018427387916 bytes its header asks for"
    ):
        read_idx("i.gz")


def fuzzed(count, seed):
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzzing", str(count), str(seed)],
        capture_output=True,
        text=True,
        cwd=root,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("count", "seed"), [(300, 0), pytest.param(10_000, 1, marks=pytest.mark.slow)]
)
def test_damaged_files_are_read_or_refused(count, seed):
    """No other exception than the documented ones, nothing run, nothing written, less than 1 GiB of memory."""
    found = fuzzed(count, seed)
    assert found["faults"] == []
    assert found["events"] == {}
    assert found["peak"] < 1 << 30
    assert found["files"] == count
    assert min(found["outcomes"][what] for what in ("read", "refused")) > count / 10
