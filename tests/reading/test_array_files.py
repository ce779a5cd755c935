"""Files of arrays, workbooks and checkpoints: what is in them is found, exact, and nothing in them is run."""

import argparse
import json
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse
import torch
from safetensors.torch import save_file
from torch import nn
from typer.testing import CliRunner

from daleml.cli import app
from daleml.datasets import fashion_mnist, kasthuri, microns_l23, read_synapses
from daleml.reading import read_arrays
from daleml.weight_files import read_columns, read_matrices, read_state, read_weights
from daleml.weight_study import gather

IDS = [720575940600000001, 720575940600000002, 720575940600000003]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def quiet(note):
    """Take no notes."""


def run(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert "Traceback" not in result.output
    return result.exit_code, " ".join(result.output.split())


# -- tables of typed cells -------------------------------------------------------------------------------------------------

FRAME = pd.DataFrame(
    {
        "pre": pd.array([*IDS, None], dtype="Int64"),
        "post": [1, 1, 1, 1],
        "kind": ["E", "I", "E", None],
        "size": [10.25, 20.5, 30.125, 5.0],
    }
)


def write_workbook(path, rows, title="synapses"):
    import openpyxl

    book = openpyxl.Workbook()
    book.active.title = title
    for row in rows:
        book.active.append(row)
    book.save(path)


def exact_workbook(path):
    """Write ids as text: a number of a workbook has 15 digits."""
    rows = zip(
        *(
            FRAME[name].astype(object).where(FRAME[name].notna(), None)
            for name in FRAME
        ),
        strict=True,
    )
    write_workbook(
        path,
        [
            list(FRAME),
            *([None if pre is None else str(pre), *rest] for pre, *rest in rows),
        ],
    )


WRITERS = {
    "t.csv": lambda path: FRAME.to_csv(path, index=False),
    "t.xlsx": exact_workbook,
    "t.parquet": FRAME.to_parquet,
    "t.feather": FRAME.to_feather,
}


@pytest.mark.parametrize("name", WRITERS)
def test_typed_tables_are_as_the_text(name, folder):
    WRITERS[name](Path(name))
    label, values, others = read_columns(
        Path(name), "size", {}, {"--by": "kind", "--pre": "pre"}
    )
    assert (label, values.tolist()) == ("size", [10.25, 20.5, 30.125, 5.0])
    assert others["--pre"].tolist() == [*map(str, IDS), ""]
    assert others["--by"].tolist() == ["E", "I", "E", ""]
    table = read_synapses(name, pre="pre", post="post")
    assert table.table["pre"].dropna().tolist() == IDS
    assert sorted(table.per_connection("size").values("size")) == [10.25, 20.5, 30.125]
    gathered = gather(Path(name), "size", by="kind", connections=("pre", "post"))
    assert sorted(gathered.weights) == [10.25, 20.5, 30.125]


@pytest.mark.parametrize("name", ["t.parquet", "t.feather", "t.csv", "t.xlsx"])
def test_ids_that_were_rounded_before_they_were_saved_are_refused(name, folder):
    frame = pd.DataFrame({"pre": [*map(float, IDS), np.nan], "size": [1.0, 2, 3, 4]})
    {
        "parquet": frame.to_parquet,
        "feather": frame.to_feather,
        "csv": frame.to_csv,
        "xlsx": frame.to_excel,
    }[name.rpartition(".")[2]](
        name, **({} if name in ("t.parquet", "t.feather") else {"index": False})
    )
    for read in (
        lambda: read_columns(Path(name), "size", {}, {"--pre": "pre"}, say=quiet),
        lambda: read_synapses(name, pre="pre", labels=False),
    ):
        with pytest.raises(ValueError, match="save them as text or as integers"):
            read()


def test_a_workbook_of_several_sheets_asks_for_one(folder):
    with pd.ExcelWriter("t.xlsx") as writer:
        FRAME.drop(columns="pre").to_excel(writer, sheet_name="a", index=False)
        FRAME.drop(columns="pre").assign(size=2.0).to_excel(
            writer, sheet_name="b", index=False
        )
    code, text = run("fit", "t.xlsx", "--column", "size")
    assert (code, text) == (
        2,
        "error: `--sheet` must name one sheet of `t.xlsx`; got a, b to choose from.",
    )
    with pytest.raises(
        ValueError,
        match=r"^`sheet='c'` must name a sheet|^`--sheet` must name a sheet|got 'c', of a, b",
    ):
        read_synapses("t.xlsx", sheet="c")
    assert read_synapses("t.xlsx", sheet="b").values("size").tolist() == [2, 2, 2, 2]


def test_a_title_and_a_total_of_a_workbook_are_no_data(folder):
    rows = [
        ["Spines of mouse 3"],
        [None],
        ["spine", "size"],
        ["a", 1.5],
        ["b", 2.5],
        ["c", 4],
        ["Total", 8],
    ]
    write_workbook("t.xlsx", rows)
    notes = []
    assert read_weights(Path("t.xlsx"), "size", say=notes.append)[1].tolist() == [
        1.5,
        2.5,
        4,
    ]
    assert "'Spines of mouse 3', was taken as a title" in notes[0]
    assert "The last row ('Total')" in notes[-1]


def test_a_formula_without_its_value_is_no_empty_cell(folder):
    write_workbook("t.xlsx", [["size"], [1.5], ["=A2*2"], [2.5]])
    with pytest.raises(
        ValueError,
        match=r"must hold the values of its formulas; got '=A2\*2' without one",
    ):
        read_weights(Path("t.xlsx"))
    write_workbook("t.xlsx", [["size"], [1.5], [None], ["#N/A"], [2.5]])
    assert read_weights(Path("t.xlsx"), say=quiet)[1].tolist() == pytest.approx(
        [1.5, np.nan, 2.5], nan_ok=True
    )


def test_a_labelled_matrix_in_a_workbook(folder):
    write_workbook("t.xlsx", [[None, "A", "B"], ["A", 0, 3], ["B", 2.5, 0]])
    (found,) = read_matrices(Path("t.xlsx"), say=quiet).values()
    assert found.tolist() == [[0, 3], [2.5, 0]]
    write_workbook(
        "t.xlsx",
        [[2019], *[[value] for value in np.random.default_rng(0).lognormal(size=50)]],
    )
    assert read_weights(Path("t.xlsx"), say=quiet)[1].size == 50


@pytest.mark.parametrize(
    ("library", "name"),
    [("openpyxl", "t.xlsx"), ("pyarrow", "t.parquet"), ("h5py", "t.h5")],
)
def test_a_library_that_is_not_there_is_named(library, name, folder, monkeypatch):
    import h5py

    with h5py.File("t.h5", "w") as file:
        file["w"] = np.eye(3)
    for typed, write in WRITERS.items():
        write(Path(typed))
    monkeypatch.setitem(sys.modules, library, None)
    code, text = run("spectrum", name)
    assert code == 2
    assert text == (
        f"error: `{name}` must have {library} to be read, which is not installed: pip install 'daleml[files]'"
    )


# -- arrays ------------------------------------------------------------------------------------------------------------------

M = np.array([[0.0, 3.5, 0.0], [2.0, 0.0, -5.0]])


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "bsr", "dia"])
def test_sparse_matrices_of_scipy(kind, folder):
    scipy.sparse.save_npz("m.npz", getattr(scipy.sparse, f"{kind}_matrix")(M))
    assert read_matrices(Path("m.npz"))["m"].tolist() == M.tolist()
    assert read_weights(Path("m.npz"))[1].tolist() == M.tolist()
    code, text = run("spectrum", "m.npz")
    assert (code, "2 x 3" in text) == (0, True)


def test_sparse_matrices_whose_indices_lie_outside_are_refused(folder):
    for key, wrong in (
        ("indices", [0, 1, 99]),
        ("indices", [-1, 1, 0]),
        ("indptr", [0, 99, 3]),
        ("indptr", [0, 2, 1]),
    ):
        made = scipy.sparse.csr_matrix(M)
        parts = {
            "data": made.data,
            "indices": made.indices,
            "indptr": made.indptr,
            key: np.array(wrong),
        }
        np.savez("m.npz", format=b"csr", shape=made.shape, **parts)
        with pytest.raises(ValueError, match="must hold a whole sparse matrix"):
            read_matrices(Path("m.npz"))


def test_arrays_of_one_length_are_a_table(folder):
    np.savez(
        "t.npz",
        pre=np.array(IDS, dtype=np.uint64),
        size=[1.5, 2, 3],
        kind=np.array(["E", "I", "E"]),
        w=np.eye(4),
    )
    _, values, others = read_columns(
        Path("t.npz"), "size", {}, {"--pre": "pre", "--by": "kind"}
    )
    assert values.tolist() == [1.5, 2, 3]
    assert others["--pre"].tolist() == list(map(str, IDS))
    assert read_synapses("t.npz", pre="pre").table["pre"].tolist() == IDS
    records = np.array(
        [(IDS[0], 1.5), (IDS[1], 2.5)], dtype=[("pre", "i8"), ("size", "f4")]
    )
    np.save("r.npy", records)
    assert read_columns(Path("r.npy"), "size", {}, {"--pre": "pre"})[2][
        "--pre"
    ].tolist() == list(map(str, IDS[:2]))
    assert gather(Path("t.npz"), "size", by="kind").groups.tolist() == ["E", "I", "E"]


def test_a_npz_holds_other_things_too(folder):
    import zipfile

    np.savez("m.npz", w=np.eye(3), names=np.array(["a", "b"]))
    with zipfile.ZipFile("m.npz", "a") as archive:
        archive.writestr("readme.txt", "hello")
    notes = []
    assert list(read_matrices(Path("m.npz"), say=notes.append)) == ["w"]
    assert notes == [
        "`m.npz` holds readme.txt too, which are no arrays and were left out."
    ]
    with pytest.raises(
        ValueError, match=r"array 'names' of `m\.npz` must hold real numbers; got <U1"
    ):
        read_weights(Path("m.npz"), "names", say=quiet)


def test_matlab(folder):
    scipy.io.savemat(
        "m.mat",
        {
            "W": M,
            "s": {"v": np.arange(3.0)},
            "name": "x",
            "S": scipy.sparse.csc_matrix(M),
        },
    )
    assert {key: value.shape for key, value in read_arrays(Path("m.mat"), quiet).items()} == {
        "W": (2, 3), "s.v": (3,), "S": (2, 3)
    }  # fmt: skip
    assert read_matrices(Path("m.mat"), "S")["S"].tolist() == M.tolist()
    assert read_weights(Path("m.mat"), "W")[1].tolist() == M.tolist()
    for damaged in (
        Path("m.mat").read_bytes()[:-9],
        Path("m.mat").read_bytes()[:300],
        b"MATLAB 5.0 MAT-file" + b" " * 200,
    ):
        Path("d.mat").write_bytes(damaged)
        with pytest.raises(
            ValueError, match=r"`d\.mat` must (be a|hold an array of numbers)"
        ):
            read_matrices(Path("d.mat"), "W")


@pytest.mark.parametrize("compressed", [False, True])
def test_matlab_arrays_are_those_that_scipy_reads(compressed, folder):
    rng = np.random.default_rng(0)
    content = {
        "double": rng.random((3, 4)), "single": rng.random((2, 3)).astype("f4"), "small": np.arange(12).reshape(3, 4) * 1.0,
        "i2": np.arange(6, dtype="i2").reshape(2, 3), "u8": np.array([[2**60 + 1, 2**63], [1, 2]], dtype="u8"),
        "three": rng.random((2, 3, 4)), "none": np.empty((0, 3)), "true": np.array([[True, False], [False, True]]),
        "cell": np.array(["a", "bb"], dtype=object), "complex": 1j * np.ones((2, 2)), "text": "x",
    }  # fmt: skip
    scipy.io.savemat("m.mat", content, do_compression=compressed)
    found, expected = read_arrays(Path("m.mat"), quiet), scipy.io.loadmat("m.mat")
    assert sorted(found) == sorted(set(content) - {"cell", "complex", "text"})
    for name, array in found.items():
        assert array.dtype == expected[name].dtype
        assert np.array_equal(array, expected[name])


def test_matlab_of_version_7_3_has_its_dimensions_in_order(folder):
    import h5py

    with h5py.File("m.mat", "w", userblock_size=512) as file:
        file["W"] = M.T  # as MATLAB stores it
        file["W"].attrs["MATLAB_class"] = np.bytes_("double")
        file["name"] = np.frombuffer("hello".encode("utf-16-le"), np.uint16)
        file["name"].attrs["MATLAB_class"] = np.bytes_("char")
        made = scipy.sparse.csc_matrix(M)
        group = file.create_group("S")
        group.attrs["MATLAB_sparse"] = np.uint64(2)
        group["data"], group["ir"], group["jc"] = made.data, made.indices, made.indptr
    assert {key: value.tolist() for key, value in read_arrays(Path("m.mat"), quiet).items()} == {
        "W": M.tolist(), "S": M.tolist()
    }  # fmt: skip
    assert read_weights(Path("m.mat"), "W")[1].tolist() == M.tolist()


def test_hdf5(folder):
    import h5py

    Path("other.h5").write_bytes(b"")
    with h5py.File("m.h5", "w") as file:
        file["layer/W"], file["v"], file["text"] = M, np.arange(3.0), "x"
        file["rows"] = np.array(
            [(1, 2.5), (2, 3.5)], dtype=[("pre", "i8"), ("size", "f4")]
        )
        file["there"] = h5py.ExternalLink("other.h5", "/W")
        file["loop"] = h5py.SoftLink("/")
        file["layer/again"] = file["layer"]
        file.create_dataset("huge", shape=(10**7, 10**6), dtype="f8", chunks=(100, 100))
    assert (
        read_weights(Path("m.h5"), "layer/W")[1].tolist() == M.tolist()
    )  # nothing else is read for it
    assert read_matrices(Path("m.h5"), "layer/W")["layer/W"].tolist() == M.tolist()
    assert read_weights(Path("m.h5"), "rows/size")[1].tolist() == [2.5, 3.5]
    with pytest.raises(
        ValueError, match=r"it must be in `m\.h5`, and 'W' is not; got .*layer/W"
    ):
        read_weights(Path("m.h5"), "W")
    with pytest.raises(
        ValueError,
        match="must unpack to at most 268,435,456 bytes, unless DALEML_MAX_BYTES says more",
    ):
        read_matrices(Path("m.h5"), "huge")


# -- checkpoints ---------------------------------------------------------------------------------------------------------------

STATE = {"rnn.weight_hh_l0": torch.tensor([[1.0, -2.0], [3.0, -4.0]])}
NAMES = ["rnn.weight_hh_l0"]


class Evil:
    def __reduce__(self):
        return (os.system, ("touch ran",))


READ = {
    "bare": (STATE, NAMES),
    "state_dict": ({"state_dict": STATE, "epoch": 3}, NAMES),
    "net": ({"epoch": 1, "net": STATE}, NAMES),
    "model in model": ({"model": {"state_dict": STATE}}, NAMES),
    "deep": ({"trainer": {"agent": {"policy": STATE}}}, NAMES),
    "beside an optimiser": ({"optimizer": {"state": {0: {"m": torch.ones(2, 2)}}}, "network": STATE}, NAMES),
    "beside an average": ({"ema": STATE, "network": STATE}, NAMES),
    "lightning": (
        {"state_dict": STATE, "hyper_parameters": {"lr": np.float64(0.1), "n": np.int64(3)}, "callbacks": {}}, NAMES
    ),
    "numpy": ({"model": STATE, "best": np.float32(0.3), "rng": np.random.RandomState(0).get_state()}, NAMES),
    "arguments": ({"model": STATE, "args": argparse.Namespace(lr=1), "out": Path("x")}, NAMES),
    "parallel": ({f"module.{key}": value for key, value in STATE.items()}, NAMES),
    "compiled": ({f"_orig_mod.{key}": value for key, value in STATE.items()}, NAMES),
    "two": ({"G": STATE, "D": STATE, "opt_G": {"state": {}}}, ["G.rnn.weight_hh_l0", "D.rnn.weight_hh_l0"]),
    "beside a number": ({"epoch": torch.tensor(3), "loss": torch.ones(5), "net": STATE}, NAMES),
    "beside a weight": ({"w": torch.ones(2, 2), "net": STATE}, ["w", "net.rnn.weight_hh_l0"]),
    "arrays": ({"w": np.ones((2, 3)), "big": np.ones((2, 2), dtype=">f8")}, ["w", "big"]),
    "sparse": ({"w": torch.eye(3).to_sparse()}, ["w"]),
    "empty ones": ({**STATE, "none": torch.empty(0, 100_000_000)}, NAMES),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
@pytest.mark.parametrize("legacy", [False, True])
def test_state_dicts_are_found_wherever_they_are(case, legacy, folder):
    content, names = READ[case]
    for name in ("m.ckpt", "m.pt"):
        torch.save(content, name, _use_new_zipfile_serialization=not legacy)
        state = read_state(Path(name), quiet)
        assert list(state) == names
        assert all(
            value.layout == torch.strided and value.numel() for value in state.values()
        )
    if names == NAMES:
        assert torch.equal(state[NAMES[0]], STATE[NAMES[0]])


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor:UserWarning")
def test_quantised_tensors_are_numbers_again(folder):
    torch.save(
        {"w": torch.quantize_per_tensor(STATE[NAMES[0]], 0.5, 0, torch.qint8)}, "m.pt"
    )
    assert torch.equal(read_state(Path("m.pt"))["w"], STATE[NAMES[0]])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"epoch": 3, "loss": [1, 2]}, "must hold a state dict of tensors; got dict with the keys epoch (int), loss (list)."),
        ({}, "must hold a state dict of tensors; got an empty dict."),
        ([1], "must hold a state dict of tensors; got list."),
        ({"model": STATE, "evil": Evil()}, "it holds a posix.system, of which nothing was run"),
        (nn.Linear(2, 2), "it holds a torch.nn.modules.linear.Linear, of which nothing was run: save the `state_dict()` alone."),
        ({"w": torch.ones(2, 2, device="meta")}, "got 'w', which has a shape and no data."),
        ({"w": torch.ones(1).expand(10**6, 10**6)}, "must unpack to at most 268,435,456 bytes"),
        ({"w": torch.sparse_coo_tensor([[0], [0]], [1.0], (10**6, 10**6), check_invariants=False)}, "must unpack to at most 268,435,456 bytes"),
        ({"o": np.array([{}], dtype=object)}, "damaged or holds something else"),
    ],
)  # fmt: skip
def test_what_is_no_state_dict_is_described(content, sentence, folder):
    torch.save(content, "m.pt")
    with pytest.raises(ValueError, match=r"^`m\.pt` must") as raised:
        read_state(Path("m.pt"), quiet)
    assert sentence in str(raised.value)
    assert not Path("ran").exists()


def test_check_of_each_kind_of_checkpoint(folder):
    torch.save({"state_dict": STATE, "epoch": 3}, "last.ckpt")
    torch.save({"net": STATE}, "net.pt")
    np.savez("w.npz", **{key: value.numpy() for key, value in STATE.items()})
    for name in ("last.ckpt", "net.pt", "w.npz"):
        code, text = run("check", name)
        assert (code, "Dale's law holds" in text) == (0, True)
    assert (
        "note: The state dict of `net.pt` was found under 'net'."
        in run("check", "net.pt")[1]
    )


def test_files_of_an_index_are_one_checkpoint(folder):
    save_file({"a": torch.ones(2, 2)}, "m-1.safetensors")
    save_file({"b": torch.zeros(2, 2), "c": torch.ones(1)}, "m-2.safetensors")
    index = {"weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}}
    file = Path("m.safetensors.index.json")
    file.write_text(json.dumps(index))
    assert sorted(read_state(file)) == ["a", "b"]
    for files, error in (
        (["../m-1.safetensors"], ValueError),
        (["none.safetensors"], FileNotFoundError),
    ):
        file.write_text(json.dumps({"weight_map": {"a": files[0]}}))
        with pytest.raises(
            error, match=r"must name safetensors files beside it|it is not there"
        ):
            read_state(file)
    for text in ("[" * 100_000, "{}", "3", '{"weight_map": 3}'):
        file.write_text(text)
        with pytest.raises(ValueError, match="must be an index of safetensors files"):
            read_state(file)


# -- what is no file, and data sets ----------------------------------------------------------------------------------------------


def test_pipes_and_devices_are_no_files(folder):
    os.mkfifo("pipe.csv")
    Path("zero.csv").symlink_to("/dev/zero")
    Path("folder.csv").mkdir()
    kinds = {
        "pipe.csv": "a device or a pipe",
        "zero.csv": "a device or a pipe",
        "folder.csv": "a folder",
    }
    for name, what in kinds.items():
        for read in (read_weights, read_matrices, read_synapses):
            with pytest.raises(ValueError, match=f"must be a file; it is {what}"):
                read(Path(name))


def test_pickled_arrays_are_refused_without_advice(folder):
    np.save("w.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(
        ValueError, match=r"^`w\.npy` must be a \.npy file of numbers; it holds objects"
    ) as raised:
        read_weights(Path("w.npy"))
    assert "allow_pickle" not in str(raised.value)
    np.savez("w.npz", w=np.array([{}]))
    with pytest.raises(
        ValueError, match=r"^`w\.npz` must be a \.npz file of numbers; it holds objects"
    ):
        read_weights(Path("w.npz"))


def test_a_name_that_is_no_utf8_is_shown(folder):
    name = b"s\xff.csv".decode("utf-8", "surrogateescape")
    Path(name).write_text("size\nx\n")
    with pytest.raises(
        ValueError, match=r"column 'size' of `s\\xff\.csv` must hold numbers"
    ):
        read_weights(Path(name))
    Path(name).write_text(
        "size\n" + "\n".join(map(str, np.random.default_rng(0).lognormal(size=20)))
    )
    code, text = run("fit", name, "--families", "lognormal", "--intervals", "none")
    assert (code, "20 weights" in text) == (0, True)


def test_data_sets_go_through_the_same_reader(folder):
    header = "pre_root_id,post_root_id,cleft_vx,spine_vol_um3\n"
    Path("t.csv").write_text(header + "1,2,100,0.5,\n3,4,200,0.7,\n")
    assert microns_l23("t.csv", check=False).values("cleft_vx").tolist() == [100, 200]
    Path("t.csv").write_text(
        header + f"{IDS[0]},1,100,0.5\n{IDS[1]},1,200,\n,1,300,0.7\n"
    )
    table = microns_l23("t.csv", check=False)
    assert table.table["pre_root_id"].dropna().tolist() == IDS[:2]
    assert sorted(table.per_connection("cleft_vx").values("cleft_vx")) == [100, 200]
    Path("t.csv").write_text(header + "1,2,big,0.5\n3,4,200,0.7\n")
    with pytest.raises(
        ValueError,
        match=r"^column 'cleft_vx' of `t\.csv` must hold numbers; got 'big' in row 1\.$",
    ):
        microns_l23("t.csv", check=False)
    columns = "axon,dendrite,axon_type,is_spine,psd_px,spine_um3,vesicles,axon_len_um,spine_id,spine_vox\n"
    Path("t.csv").write_text(columns + "1,9,0,1,100,0.5,many,2.5,4,300\n")
    with pytest.raises(
        ValueError,
        match=r"^column 'vesicles' of `t\.csv` must hold numbers; got 'many' in row 1\.$",
    ):
        kasthuri("t.csv", check=False)


def test_fashion_says_which_files_it_wants(monkeypatch, tmp_path):
    monkeypatch.delenv("DALEML_DATA", raising=False)
    monkeypatch.setattr("daleml.datasets.fashion_images.SYSTEM_FOLDER", tmp_path)
    with pytest.raises(ValueError) as raised:
        fashion_mnist()
    assert str(raised.value) == (
        "`path` must be given where the environment variable DALEML_DATA is not set: t10k-images-idx3-ubyte.gz and "
        "t10k-labels-idx1-ubyte.gz are from https://github.com/zalandoresearch/fashion-mnist or Debian's package "
        "dataset-fashion-mnist; got None."
    )


def test_a_table_of_several_columns_is_not_pooled():
    from daleml.analysis import fit_weights, weight_sample

    frame = pd.DataFrame({"px": [1.0, 2, 4, 3], "count": [100.0, 300, 200, 500]})
    with pytest.raises(
        ValueError,
        match=r"must be one column of a table unless `pool` is given; got 2 columns, px, count",
    ):
        fit_weights(frame)
    assert weight_sample(frame, pool=True).n == 8
    assert weight_sample(frame[["px"]]).n == weight_sample(frame["px"]).n == 4
    assert weight_sample(frame.to_numpy()).n == 8
    with pytest.raises(
        ValueError, match="got numbers that add up to 1, which are frequencies"
    ):
        fit_weights([1.0, 2, 4], sample_weights=[0.2, 0.5, 0.3])
