import json

import numpy as np
import pandas as pd
import pytest
import torch
import typer
from safetensors.torch import save_file
from torch import nn
from typer.testing import CliRunner

import daleml
from daleml import Populations, signs
from daleml.analysis.distributions.families import FAMILIES
from daleml.cli import app
from daleml.layers import DANNLinear, EILinear
from tests import small_figures

X = np.random.default_rng(0).lognormal(-2, 1, 300)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def says(result, code=0):
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return " ".join(result.output.split())


@pytest.fixture(autouse=True)
def figures(request, monkeypatch):
    """Figures are rendered only where a test opens one."""
    if request.function.__name__ != "test_fit_reads_every_kind_of_file":
        small_figures.unrendered(monkeypatch)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(
        DANNLinear(6, 10, 2), nn.ReLU(), EILinear(Populations(8, 2), 3)
    )


def test_version():
    assert says(run("--version")) == f"daleml {daleml.__version__}"


def test_help_lists_the_commands():
    text = says(run("--help"))
    assert all(command in text for command in ("demo", "fit", "spectrum", "check"))


def test_paragraphs_of_help_break_only_where_the_terminal_does():
    """Their docstrings are wrapped for the source, which is no reason to break them there."""
    commands = typer.main.get_command(app).commands
    assert all(text.count("\n") == 2 * text.count("\n\n") for text in helps(commands))
    fit = commands["fit"].help.split("\n\n")
    assert fit[1].endswith("E and I are never pooled unless asked.")
    assert fit[2].startswith("daleml fit synapses.csv")


def helps(commands):
    return [command.help for command in commands.values()]


# -- fit ---------------------------------------------------------------------------------------------------------------


def write_csv(path):
    pd.DataFrame({"psd_px": X, "kind": "E"}).to_csv(path, index=False)


def write_tsv(path):
    pd.DataFrame({"psd_px": X}).to_csv(path, index=False, sep="\t")


FILES = {
    "w.csv": (write_csv, ["--column", "psd_px"]),
    "w.tsv": (write_tsv, []),
    "bare.csv": (lambda path: np.savetxt(path, X), []),
    "w.npy": (lambda path: np.save(path, X), []),
    "w.npz": (lambda path: np.savez(path, a=X, b=X[:5]), ["--column", "a"]),
    "w.safetensors": (
        lambda path: save_file({"w": torch.tensor(X)}, path),
        ["--column", "w"],
    ),
    "w.pt": (lambda path: torch.save({"w": torch.tensor(X)}, path), ["--column", "w"]),
}


@pytest.mark.parametrize("name", FILES)
def test_fit_reads_every_kind_of_file(name, folder):
    write, options = FILES[name]
    write(folder / name)
    text = says(run("fit", name, *options))
    assert "log-normal ranks first" in text
    assert "300 weights; 0 zeros and 0 others left out" in text
    (written,) = folder.glob("*-fit.json")
    content = json.loads(written.read_text())
    assert content["best"] == "lognormal"
    assert content["fits"][0]["params"]["mu"] == pytest.approx(np.log(X).mean())
    (figure,) = folder.glob("*-fit.png")
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert len(list(folder.iterdir())) == 3


def test_fit_counts_missing_cells_and_zeros(folder):
    (folder / "w.csv").write_text(
        "size,other\n"
        + "\n".join(["1.5,a", ",b", "NA,c", "2.5,d", "0,e", "4,f", "3,g"])
    )
    assert "4 weights; 1 zeros and 2 others left out" in says(
        run("fit", "w.csv", "--column", "size")
    )


def test_fit_of_a_checkpoint(folder, model):
    save_file(model.state_dict(), folder / "m.safetensors")
    assert (
        "unless `--pool` is given; got 0.weight_ei, 0.weight_ex, 0.weight_ix, 2.weight E, 2.weight I to"
        in says(run("fit", "m.safetensors"), 2)
    )
    assert "24 weights" in says(
        run("fit", "m.safetensors", "--column", "2.weight", "--sign", "E")
    )
    assert "60 weights" in says(
        run(
            "fit",
            "m.safetensors",
            "--column",
            "0.weight_ex",
            "-o",
            "out",
            "--family",
            "gamma",
        )
    )
    assert (
        json.loads((folder / "out" / "m-0.weight_ex-fit.json").read_text())["best"]
        == "gamma"
    )
    assert "122 weights" in says(run("fit", "m.safetensors", "--pool"))


@pytest.mark.parametrize(
    ("content", "options", "sentence"),
    [
        ("a,b\n1,2\n", [], "error: `--column` must name one column: it must be named, there being several; got a, b to choose from."),
        ("a,b\n1,2\n", ["--column", "c"], "error: `--column` must name one column: it must be in `w.csv`, and 'c' is not; got a, b to choose from."),
        ("a\nx\n2\ny\n", [], "error: column 'a' of `w.csv` must hold numbers; got 'x' in row 1, and 1 more such values."),
        ("a\n1\nnan\n", [], "error: the weights must hold at least 2 values other than zero; got 1, with 0 zeros and 1 values left out."),
        ("a\n0\n0\n", [], "error: the weights must hold at least 2 values other than zero; got 0, with 2 zeros and 0 values left out."),
        ("a\n3\n", [], "error: the weights must hold at least 2 values other than zero; got 1, with 0 zeros and 0 values left out."),
        ("a\n3\n3\n", [], "error: the weights must vary to be fitted; got 2 values of 3."),
        ("a\n3\n-3\n", [], "error: the weights must be of one sign unless `--sign` or `--pool` is given; got 1 positive and 1 negative values."),
        ("a\n1\n2\n", ["--family", "normal"], "error: `--families` must be one of " + ", ".join(FAMILIES) + ", powerlaw; got 'normal'."),
        ("a\n1\n2\n", ["--sign", "X"], "error: `--sign` must be E or I; got 'X'."),
        ("", [], "error: `w.csv` must be a table; No columns to parse from file."),
    ],
)  # fmt: skip
def test_wrong_tables_are_one_sentence(content, options, sentence, folder):
    (folder / "w.csv").write_text(content)
    assert says(run("fit", "w.csv", *options), 2) == sentence
    assert [path.name for path in folder.iterdir()] == ["w.csv"]  # nothing half-written


def spoilt(name, content=b"not what its name says"):
    def write(folder):
        (folder / name).write_bytes(content)

    return write


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


BROKEN = [
    ("none.csv", lambda folder: None, "error: `none.csv` must be a file; it is not there."),
    (".", lambda folder: None, "error: `.` must be a file; it is a folder."),
    ("w.rtf", spoilt("w.rtf"), "error: `w.rtf` must end in one of .csv, .tsv, .tab, .txt, .dat, .xlsx, .xlsm, .parquet, .pq, .feather, .arrow, .npy, .npz, .mat, .h5, .hdf5, .safetensors, .pt, .pth, .bin, .ckpt, or .csv.gz and the like; got '.rtf'."),
    ("w.npy", spoilt("w.npy"), "error: `w.npy` must be a .npy file of numbers;"),
    ("w.npz", spoilt("w.npz"), "error: `w.npz` must be a .npz file of numbers;"),
    ("w.safetensors", spoilt("w.safetensors"), "error: `w.safetensors` must be a safetensors file;"),
    ("w.pt", spoilt("w.pt"), "error: `w.pt` must be a torch state dict of tensors only; it is damaged or holds something else."),
    ("w.pt", spoilt("w.pt", b""), "error: `w.pt` must be a torch state dict of tensors only; it is damaged or holds something else."),
    ("w.npy", lambda folder: np.save(folder / "w.npy", np.array([{}])), "error: `w.npy` must be a .npy file of numbers;"),
    ("w.npy", lambda folder: np.save(folder / "w.npy", np.array([1.0, np.nan])), "error: the weights must be finite; got 1 NaN or infinite values of 2."),
    ("w.pt", lambda folder: torch.save(Evil(), folder / "w.pt"), "error: `w.pt` must be a torch state dict"),
    ("w.pt", lambda folder: torch.save([1, 2], folder / "w.pt"), "error: `w.pt` must hold a state dict of tensors; got list."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "name", "write", "match"),
    [("fit", *row) for row in BROKEN]
    + [
        (command, *row)
        for row in BROKEN
        for command in ("spectrum", "check")
        if row[0].endswith((".safetensors", ".pt"))
    ],
)
def test_wrong_files_are_one_sentence(command, name, write, match, folder):
    write(folder)
    before = sorted(folder.iterdir())
    text = says(run(command, name), 2)
    assert text.startswith(match)
    assert text.count("error:") == 1
    assert "executed" not in text
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(
    "column", ["size [um]", "size [/um]", "a/b", "x" * 300, "[bold]w"]
)
def test_columns_of_any_name(column, folder):
    pd.DataFrame({column: X, "other": 1}).to_csv("w.csv", index=False)
    text = says(run("fit", "w.csv", "--column", column))
    (figure,) = folder.glob("*.png")
    assert figure.name in "".join(text.split())


def test_rows_keep_their_columns(folder):
    """A file of longer rows has no sure columns: neither the end of a row nor its beginning is guessed away."""
    for content in ("a,b\n1,9,\n2,8,\n4,7,\n", "a,b\n1,9\n2,8,7\n"):
        (folder / "w.csv").write_text(content)
        assert says(run("fit", "w.csv", "--column", "a"), 2).startswith(
            "error: `w.csv` must be a table;"
        )
    (folder / "w.csv").write_text("1.0,,3.0\n2.0,5.0,6.0\n4.0,5.0,6.0\n")
    assert "3 weights" in says(run("fit", "w.csv", "--column", "0"))


def test_upper_case_endings_and_padded_headers(folder):
    (folder / "W.CSV").write_text("size , other\n1,2\n2,3\n4,5\n,6\n")
    assert "3 weights; 0 zeros and 1 others" in says(
        run("fit", "W.CSV", "--column", "size")
    )


def test_a_failed_fit_makes_no_folder(folder):
    (folder / "w.csv").write_text("a\n0\n0\n")
    says(run("fit", "w.csv", "-o", "out"), 2)
    says(run("fit", "none.csv", "-o", "out"), 2)
    assert [path.name for path in folder.iterdir()] == ["w.csv"]


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_nested_checkpoints(key, folder, model):
    torch.save({key: model.state_dict(), "epoch": 3}, folder / "m.pt")
    assert "Dale's law holds" in says(run("check", "m.pt"))


def test_an_output_that_is_no_folder_is_found_out_first(folder):
    write_csv(folder / "w.csv")
    (folder / "out").write_text("")
    text = says(run("fit", "w.csv", "--column", "psd_px", "-o", "out"), 2)
    assert (
        text
        == "error: `--output` must be a folder that can be written to; got `out`: File exists."
    )
    (folder / "o" / "w-psd_px-fit.json").mkdir(parents=True)
    assert "must be a file to write; it is a folder" in says(
        run("fit", "w.csv", "--column", "psd_px", "-o", "o"), 2
    )
    assert [path.name for path in (folder / "o").iterdir()] == ["w-psd_px-fit.json"]


def test_whatever_goes_wrong_is_one_line(folder, monkeypatch):
    import daleml.demo

    def broken(*_, **__):
        raise MemoryError("no\nroom")

    monkeypatch.setattr(daleml.demo, "run", broken)
    assert says(run("demo"), 2).startswith("error: memory ran out")


def test_check_looks_at_the_ending(folder):
    np.save(folder / "v.npy", X)
    assert (
        says(run("check", "v.npy"), 2)
        == "error: `v.npy` must end in one of .safetensors, .pt, .pth, .bin, .ckpt, .npz; got '.npy'."
    )


def test_fit_of_signs_that_do_not_fit_and_of_zeros(folder):
    save_file(
        {"w": torch.ones(2, 3), "w_signs": torch.ones(7)}, folder / "m.safetensors"
    )
    assert (
        says(run("fit", "m.safetensors"), 2)
        == "error: `w_signs` must fit `w` of shape (2, 3); got shape (7,)."
    )
    save_file({"w": torch.zeros(2, 3)}, folder / "m.safetensors")
    assert (
        says(run("fit", "m.safetensors"), 2)
        == "error: `m` must hold a weight with at least 2 values other than zero; got none."
    )


def test_eight_bit_floats(folder):
    save_file(
        {"w": torch.tensor([[1.0, -2.0], [4.0, -1.0]]).to(torch.float8_e4m3fn)},
        folder / "m.safetensors",
    )
    assert "Dale's law holds" in says(run("check", "m.safetensors"))
    assert "2 weights" in says(run("fit", "m.safetensors", "--sign", "E"))
    assert "2 x 2" in says(run("spectrum", "m.safetensors"))


def test_wrong_options_are_torn_down_by_the_parser():
    assert run("fit").exit_code == 2
    assert run("nonsense").exit_code == 2


# -- spectrum ----------------------------------------------------------------------------------------------------------


def test_spectrum_finds_the_largest_singular_values(folder):
    np.save("eye.npy", np.diag([3.0, 2.0, 1.0]))
    text = says(run("spectrum", "eye.npy", "--k", "1"))
    assert "3 x 3" in text
    # What needs all singular values is two bounds.
    assert "1.556" in text
    assert "2.096" in text
    assert "`--k` must be at most" in says(run("spectrum", "eye.npy", "--k", "4"), 2)


def test_spectrum_prints_every_matrix(folder, model):
    save_file(model.state_dict(), folder / "m.safetensors")
    text = says(run("spectrum", "m.safetensors"))
    assert all(
        name in text
        for name in (
            "0.weight_ex",
            "0.effective",
            "2.weight",
            "svd entropy",
            "stable rank",
        )
    )
    assert "0.weight_ix" not in says(
        run("spectrum", "m.safetensors", "--column", "0.effective")
    )
    np.save(folder / "eye.npy", np.eye(4))
    assert "│ eye │ 4 x 4 │ 1 │ 4 │ 4 │ 4 │ 1 │" in says(run("spectrum", "eye.npy"))
    np.savetxt(folder / "t.csv", np.ones((2, 3)), delimiter=",")
    assert "2 x 3" in says(run("spectrum", "t.csv"))
    np.save(folder / "vector.npy", np.ones(4))
    assert (
        says(run("spectrum", "vector.npy"), 2)
        == "error: `vector.npy` must hold a matrix; got none."
    )


# -- check -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_check_tells_unit_by_unit(suffix, folder, model):
    path = folder / f"m{suffix}"
    save = save_file if suffix == ".safetensors" else torch.save
    save(model.state_dict(), path)
    assert (
        says(run("check", path.name))
        == "Dale's law holds: 4 parameters, 24 units, 122 synapses."
    )
    with torch.no_grad():
        model[0].weight_ex[2:5, 1] = -0.5
        model[2].weight[0, 9] = 0.25
    save(model.state_dict(), path)
    text = says(run("check", path.name), 1)
    assert "Dale's law is broken by 4 synapses of 2 units" in text
    assert "│ 0.weight_ex │ 1 │ excitatory │ 3 of 10 │ -0.5 │" in text
    assert "│ 2.weight │ 9 │ inhibitory │ 1 of 3 │ 0.25 │" in text


def test_check_judges_a_plain_checkpoint_by_itself(folder):
    save_file(
        {"fc.weight": torch.tensor([[1.0, -1.0], [1.0, 1.0]])}, folder / "m.safetensors"
    )
    text = says(run("check", "m.safetensors"), 1)
    assert "No signs were saved for fc.weight" in text
    save_file(
        {"fc.weight": torch.tensor([[1.0, -1.0], [1.0, -1.0]])},
        folder / "m.safetensors",
    )
    assert "Dale's law holds" in says(run("check", "m.safetensors"))


def test_check_of_signs_that_do_not_fit(folder):
    save_file(
        {"w": torch.ones(2, 3), "w_signs": torch.ones(5)}, folder / "m.safetensors"
    )
    assert (
        says(run("check", "m.safetensors"), 2)
        == "error: `w_signs` must fit `w` of shape (2, 3); got shape (5,)."
    )
    save_file({"b": torch.ones(2)}, folder / "m.safetensors")
    assert (
        says(run("check", "m.safetensors"), 2)
        == "error: `m.safetensors` must hold a weight to judge; got none."
    )


def test_every_model_says_what_signs_check_says(folder, model):
    plain = nn.Linear(3, 3)
    signs.fix(plain, "weight", [1, -1, 1])
    save_file(plain.state_dict(), folder / "m.safetensors")
    assert str(signs.check(plain)).splitlines()[0] in says(
        run("check", "m.safetensors"), 1
    )


# -- demo --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--epochs", "0"], "error: `--epochs` must be at least 1; got 0."),
        (["--seeds", "-1"], "error: `--seeds` must be at least 1; got -1."),
        (["--jobs", "0"], "error: `--jobs` must be at least 1; got 0."),
    ],
)
def test_wrong_demos_are_one_sentence(options, sentence, folder):
    assert says(run("demo", *options), 2) == sentence
    assert not list(folder.iterdir())
