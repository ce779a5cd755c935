"""Tables of text: what a hand or a program wrote is read right and said, or refused with the option that settles it."""

import bz2
import gzip
import lzma
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daleml.datasets import read_synapses
from daleml.reading import TableOptions, in_keywords, read_table
from daleml.weight_files import read_columns, read_matrices, read_weights
from daleml.weight_study import gather

NAN = float("nan")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def column(text, name=None, *, file="t.csv", encoding="utf-8", **options):
    """Return a column of a table, and the notes on it."""
    notes = []
    Path(file).write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    _, values = read_weights(
        Path(file), name, options=TableOptions(**options), say=notes.append
    )
    return values.tolist(), " ".join(notes)


def matrix(text, **options):
    notes = []
    Path("m.csv").write_text(text)
    (found,) = read_matrices(
        Path("m.csv"), options=TableOptions(**options), say=notes.append
    ).values()
    return found.tolist(), " ".join(notes)


# -- what stands between cells, and the marks in numbers -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "values", "said"),
    [
        ("id;width\n1;0,41\n2;0,35\n3;0,52\n", [0.41, 0.35, 0.52], "semicolons between its cells"),
        ("cell;width\nA;1,5\nB;2,5\n", [1.5, 2.5], "decimal commas"),
        ("id;width\n1;1.234,5\n2;2.345,25\n", [1234.5, 2345.25], "decimal commas and points between thousands"),
        ("id\twidth\n1\t0.5\n2\t0.7\n", [0.5, 0.7], "tabs between its cells"),
        ("id\twidth\n1\t0,5\n2\t0,7\n", [0.5, 0.7], "decimal commas"),
        ("id|width\n1|0.5\n2|0.7\n", [0.5, 0.7], "vertical bars"),
        ("id width\n1   0.5\n2 0.7\n", [0.5, 0.7], "blanks between its cells"),
        ("sep=;\nid;width\n1;0,5\n2;0,6\n", [0.5, 0.6], "decimal commas"),
        ("# by me\nid,width\n1,0.5\n2,0.6\n", [0.5, 0.6], "begin with # were left out"),
        ('id,width\n1,"1,234"\n2,"12,000"\n', [1234, 12000], "commas between thousands"),
        ("id;width\n1;1 234,5\n2;0,5\n", [1234.5, 0.5], "decimal commas and blanks between thousands"),
        ("id,width\n1,1'234.5\n2,7\n", [1234.5, 7], "apostrophes between thousands"),
        ('id,width\n1,"0,41"\n2,"0,5"\n', [0.41, 0.5], "decimal commas"),
        ("id,width\n1,12%\n2,5 %\n", [0.12, 0.05], "in percent, and were divided by 100"),
        ("id,width\n1,0.41 um\n2,0.5um\n", [0.41, 0.5], "unit 'um' was taken off"),
        ("id;width\n1;0,41 µm²\n2;0,5 µm²\n", [0.41, 0.5], "unit 'µm²' was taken off"),
        ("id,width\n1,1.5e-3\n2,2E2\n", [0.0015, 200], ""),
        ("id,width\n1,\u22120.5\n2,\u22127\n", [-0.5, -7], ""),
        ("id,width,\n1,2,\n3,4,\n", [2, 4], "neither a name nor a value, was left out"),
        ("id,width\r\n1,2\r\n3,4\r\n", [2, 4], ""),
        ("id,width\r1,2\r3,4\r", [2, 4], ""),
        ('"id","wi\ndth","width"\n1,2,3\n3,4,5\n', [3, 5], ""),
    ],
)  # fmt: skip
def test_dialects_are_read_and_said(text, values, said, folder):
    found, notes = column(text, "width")
    assert found == values
    assert said in notes
    assert bool(notes) == bool(said)


@pytest.mark.parametrize(
    ("text", "options", "values"),
    [
        ("size\n1,5\n2,7\n3,1\n", {"decimal": ","}, [1.5, 2.7, 3.1]),
        ("size\n1,5\n2,7\n3,1\n", {"labels": True}, [5, 7, 1]),
        ("id;size\n1;1.234\n2;2.345\n", {"decimal": ","}, [1234, 2345]),
        ("id\tsize\n1\t1,234\n2\t2,345\n", {"decimal": "."}, [1234, 2345]),
        ("id\tsize\n1\t1,234\n2\t2,345\n", {"decimal": ","}, [1.234, 2.345]),
        ("a:size\n1:2\n3:4\n", {"separator": ":"}, [2, 4]),
        ("id\tsize\n1\t2\n3\t4\n", {"separator": "tab"}, [2, 4]),
        ("1\n0.5\n0.25\n", {"header": True}, [0.5, 0.25]),
        ("2019\n0.5\n0.25\n", {"header": False}, [2019, 0.5, 0.25]),
        ("size\n5\n-1\n7\n-1\n3\n", {"missing": ("-1",)}, [5, NAN, 7, NAN, 3]),
        ("size\n5\n-1.0\n7\n3\n", {"missing": ("-1",)}, [5, NAN, 7, 3]),
        ("size\n5\n-1\n7\n3\n", {"missing": ()}, [5, -1, 7, 3]),
        ("size\n5\nInf\n7\n3\n", {"missing": ("Inf",)}, [5, NAN, 7, 3]),
        ("size\n5\n#DIV/0!\n7\n", {"missing": ("#DIV/0!",)}, [5, NAN, 7]),
        ("size\n5\n<0.01\n7\n", {"missing": ("<0.01",)}, [5, NAN, 7]),
        ("a,size\n1,9,\n2,8,\n", {"trailing": True}, [9, 8]),
    ],
)
def test_options_settle_what_is_open(text, options, values, folder):
    name = (
        "size" if "size" in text.splitlines()[0] and "labels" not in options else None
    )
    np.testing.assert_array_equal(column(text, name, **options)[0], values)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("size\n1,5\n2,7\n3,1\n", "must be a table; it has rows longer than its first: if the comma is a decimal mark, pass `--decimal ,`; if the first column names the rows, `--labels`."),
        ("id;size\n1,5;1.234\n2,5;2.345\n", "must say what its points are, `--decimal .` or `--decimal ,`"),
        ("id\tsize\n1\t1,234\n2\t2,345\n", "`--decimal .` or `--decimal ,`; got '1,234', which may be 1234 or 1.234"),
        ("id;size\n1;1,5\n2;2.5\n", "must write its numbers one way; got '1,5' in row 1 and '2.5' in row 2"),
        ("id,size\n1,0.41 um\n2,350 nm\n3,0.5 um\n", "got '350 nm' in row 2; the others are in um."),
        ("id,size\n1,0.41 um\n2,0.35\n3,0.5 um\n", "got '0.35' in row 2; the others are in um."),
        ("id,size\n1,0.5\n2,<0.01\n3,<0.01\n", "got '<0.01' in row 2, a bound and no value (censored), and 1 more such values: pass `--censor-below 0.01`"),
        ("id,size\n1,0.5\n2,>5\n", "got '>5' in row 2, a bound and no value (censored)"),
        ("id,size\n1,0.5\n2,-Inf\n", "must hold finite numbers; got '-Inf' in row 2, infinite: pass `--missing -Inf`"),
        ("id,size\n1,0.5\n2,#REF!\n", "an error of a spreadsheet: pass `--missing '#REF!'`"),
        ("id,size\n1,0.5\n2,x\n3,y\n", "must hold numbers; got 'x' in row 2, and 1 more such values."),
        ("id,size\n1,0.5\n2,?\n3,?\n4,0.7\n5,1\n", "got '?' in row 2, and 1 more such values: if it is no value, pass `--missing '?'`."),
        ("id,size\n,um2\n1,0.5\n2,0.7\n", "must hold numbers; got 'um2' in row 1: if this row, the first below the names, holds units, delete it, or pass `--missing um2` to leave its cell out."),
        ("id,size\n,[pA/mV]\n1,0.5\n2,0.7\n", "must hold numbers; got '[pA/mV]' in row 1: if this row, the first below the names, holds units, delete it, or pass `--missing '[pA/mV]'` to leave its cell out."),
        # No unit.
        ("id,size\n,big\n1,0.5\n2,0.7\n", "must hold numbers; got 'big' in row 1."),
        ("id,size\n1,0.5\n2,x\n3,0.7\n", "must hold numbers; got 'x' in row 2."),
        ("id,size\n1,#DIV/0!\n2,0.7\n", "an error of a spreadsheet: pass `--missing '#DIV/0!'` to leave such cells out"),
        ("id,size\n1,1_000\n2,2\n", "must hold numbers; got '1_000' in row 1."),
        ("id,size\n1,2024-01-01\n2,2\n", "must hold numbers; got '2024-01-01' in row 1."),
        ("id,size\n1,٣\n2,2\n", "must hold numbers; got '٣' in row 1."),
        ("id,size\n1,1e400\n2,2\n", "must hold numbers; got '1e400' in row 1."),
        ("id,size\n1,720575940600000001\n2,2\n", "it holds whole numbers such as 720575940600000001, which are ids and would be rounded."),
        ("id,size\n1," + "7" * 400 + "\n2,2\n", "must hold numbers; got '" + "7" * 60 + "...' in row 1."),
        ("id,size\n1," + "7" * 5_000 + "\n2,2\n", "must hold numbers; got '" + "7" * 60 + "...' in row 1."),
        ("id,size\n1,9,\n2,8,\n", "they end in ',', and the first row does not; pass `--trailing`"),
        ("id,size\n1,9\n2,8,7\n", "must be a table;"),
        ("id,size\n1," + "x" * 100_000 + "\n2,3\n", "must hold numbers; got '" + "x" * 60 + "...' in row 1."),
    ],
)  # fmt: skip
def test_what_is_open_is_refused_in_one_short_sentence(text, sentence, folder):
    with pytest.raises(ValueError) as raised:
        column(text, "size")
    assert sentence in str(raised.value)
    assert len(str(raised.value)) < 400
    assert str(raised.value).count("\n") == 0


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ([5, 7, 3, 2, -1, -1], "-1"), ([5, 7, 3, 2, -9999], "-9999"), ([0.5, 0.7, 0.1, 9999, 9999], "9999"),
        ([0.5, 0.7, 0.1, 1e30], "1e+30"), ([0.5, 0.7, 0.1, -999.0], "-999"), ([1, 2, 3, 99, 99], "99"),
        ([0.5, 0.7, 0.1, 9.96921e36], "9.96921e+36"), ([5, 7, 0, -2147483648], "-2147483648"),
    ],
)  # fmt: skip
def test_codes_for_no_value_are_told(values, code, folder):
    text = "size\n" + "\n".join(map(str, values)) + "\n"
    with pytest.raises(
        ValueError, match="unlike all the others, as a code for a missing value is"
    ) as raised:
        column(text)
    assert (
        f"pass `--missing {code}` to leave it out, or `--missing ''` if it was measured."
        in str(raised.value)
    )
    found, _ = column(text, missing=(code,))
    kept = [
        value for value in values if f"{float(value):.15g}" != f"{float(code):.15g}"
    ]
    assert [value for value in found if value == value] == kept


@pytest.mark.parametrize(
    "values",
    [
        [5, -3, 7, -1],
        [1, -1, 1, -1],
        [0.5, 0.7, 99],
        [999, 998, 700],
        [-1, -1, -2],
        [1e30, 2e30, 1.5e30],
    ],
)
def test_what_is_like_the_others_is_no_code(values, folder):
    assert column("size\n" + "\n".join(map(str, values)))[0] == values


def test_cells_without_a_value(folder):
    cells = ["0.5", "N/A", "-", ".", "null", "#N/A", "n/a", "NaN", "nan", "NA", '""']
    found, notes = column("size\n" + "\n".join(cells) + "\n")
    assert found[0] == 0.5
    assert np.isnan(found[1:]).all()
    assert len(found) == len(cells)
    assert notes == "6 cells of 'size' that say 'N/A', '-', '.' were taken as missing."


def test_cells_below_a_limit_are_read_where_they_are_censored(folder):
    Path("t.csv").write_text("size\n0.5\n<0.01\n0.7\n≤ 0.01\n< 0.005\n")
    notes = []
    _, values, _ = read_columns(
        Path("t.csv"), None, {}, {}, say=notes.append, censor_below=0.01
    )
    assert values.tolist() == [0.5, 0.01, 0.7, 0.01, 0.005]
    assert "censored at their bound" in " ".join(notes)
    with pytest.raises(
        ValueError,
        match=r"must be censored at `--censor-below` 0\.005 or below; got '<0\.01'",
    ):
        read_columns(Path("t.csv"), None, {}, {}, say=notes.append, censor_below=0.005)


# -- characters, and files that are packed -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"],
)
def test_encodings(encoding, folder):
    text = "größe,b\n0.5,1\n0.7,2\n"
    found, notes = column(text, "größe", encoding=encoding)
    assert found == [0.5, 0.7]
    assert ("Latin-1" in notes) == (encoding == "latin-1")


PACK = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


@pytest.mark.parametrize("ending", [*PACK, ".zip"])
@pytest.mark.parametrize("kind", [".csv", ".tsv"])
def test_packed_tables(ending, kind, folder):
    content = (
        "a,size\n1,0.5\n2,0.7\n" if kind == ".csv" else "a\tsize\n1\t0.5\n2\t0.7\n"
    ).encode()
    file = Path(f"t{kind}{ending}")
    if ending == ".zip":
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("t" + kind, content)
    else:
        file.write_bytes(PACK[ending](content))
    assert read_weights(file, "size")[1].tolist() == [0.5, 0.7]
    assert read_synapses(file).values("size").tolist() == [0.5, 0.7]
    whole = file.read_bytes()
    for damaged in (
        whole[: len(whole) // 2],
        whole[:-1],
        b"\x1f\x8b" + b"x" * 40,
        b"",
        b"a,size\n1,2\n",
    ):
        file.write_bytes(damaged)
        for read in (lambda: read_weights(file, "size"), lambda: read_synapses(file)):
            with pytest.raises(ValueError, match="must be a (table|whole)"):
                read()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            b"PK\x03\x04rest",
            "it is a zip file or a workbook; name it .xlsx or .csv.zip",
        ),
        (gzip.compress(b"a\n1\n", mtime=0), "it is gzipped; name it .csv.gz"),
        (b"a,b\n1,\x00\n", "it holds bytes of zero"),
        (b"", "No columns to parse from file"),
        (b"\n\n  \n", "No columns to parse from file"),
        (b"\x81\x8d\x8f,2\n1,2\n", "its characters are no utf-8"),
    ],
)
def test_what_is_no_text_is_named(content, sentence, folder):
    with pytest.raises(ValueError) as raised:
        column(content)
    assert sentence in str(raised.value)


# -- names of columns and of rows ----------------------------------------------------------------------------------------

SIZES = "\n".join(
    f"{value:.6f}" for value in np.random.default_rng(2).lognormal(-3, 0.8, 200)
)


@pytest.mark.parametrize("name", ["2019", "0", "720575940600000001"])
def test_a_number_may_name_a_column(name, folder):
    found, notes = column(f"{name}\n{SIZES}\n")
    assert len(found) == 200
    assert notes == (
        f"The first row, {name}, was taken as names of columns, being unlike the rows below it; pass `--no-header` if it "
        "is data."
    )
    if len(name) < 16:
        assert len(column(f"{name}\n{SIZES}\n", header=False)[0]) == 201


def test_more_digits_than_a_number_can_have_are_no_name_of_a_column(folder):
    with pytest.raises(
        ValueError, match=r"must hold numbers; got '7{60}\.\.\.' in row 1\.$"
    ):
        column("7" * 5_000 + "\n1\n2\n")


def test_the_name_of_a_column_of_names_may_be_empty(folder):
    assert (
        "The first row, '', 0, 1, was taken"
        in matrix(",0,1\n0,2.5,1.5\n1,0.5,3.5\n")[1]
    )


@pytest.mark.parametrize(
    "text",
    [
        SIZES,
        "3\n5\n7\n3\n",
        "1\n0.5\n0.2\n2.5\n",
        "0,1\n1,0\n",
        "0,1,2\n3,4,5\n6,7,8\n",
    ],
)
def test_a_first_row_like_the_others_is_data(text, folder):
    notes = []
    Path("t.csv").write_text(text)
    table = read_table(Path("t.csv"), TableOptions(), notes.append)
    assert len(table) == len(text.split())
    assert "was taken as data; pass `--header` if it names the columns." in notes[0]


W = [[0.0, 0.78, 0.0], [0.0, 0.0, 0.7], [0.81, 0.0, 0.0]]
N = [[0, 3, 1], [2, 0, 5], [0, 7, 0]]


def rows(values, names=None, sep=","):
    return "".join(
        ("" if names is None else f"{names[i]}{sep}") + sep.join(map(str, row)) + "\n"
        for i, row in enumerate(values)
    )


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('"1046726261","1047426385","1077459090"\n' + rows(W), W),
        ("1046726261,1047426385,1077459090\n" + rows(W), W),
        ("1046726261,1047426385,1077459090\n" + rows(N), N),
        ("2019,2020,2021\n" + rows(N), N),
        (pd.DataFrame(W).to_csv(index=False), W),
        (pd.DataFrame(W).to_csv(), W),
        (pd.DataFrame(N).to_csv(index=False), N),
        (pd.DataFrame(N).to_csv(), N),
        (pd.DataFrame(N, index=[501, 502, 503], columns=[501, 502, 503]).to_csv(), N),
        (pd.DataFrame(N, index=["a", "b", "c"], columns=["x", "y", "z"]).to_csv(), N),
        (
            pd.DataFrame(
                N, index=pd.Index([333333, 444444, 555555], name="body")
            ).to_csv(),
            N,
        ),
        (",A,B,C\n" + rows(N, "ABC"), N),
        ("cell,A,B,C\n" + rows(N, "ABC"), N),
        ("A,B,C\n" + rows(N, "ABC"), N),
        ('"A","B","C"\n' + rows(N, ['"A"', '"B"', '"C"']), N),
        ('"V1","V2","V3"\n' + rows(N, ['"1"', '"2"', '"3"']), N),
        (rows(N, "ABC"), N),
        (rows(W, [720575940600000001, 720575940600000002, 720575940600000003]), W),
        (";A;B;C\n" + rows(W, "ABC", ";").replace(".", ","), W),
        ("\tA\tB\tC\n" + rows(N, "ABC", "\t"), N),
        (rows(W), W),
        (rows(W, sep=" "), W),
        (rows(W, sep="\t"), W),
    ],
)
def test_matrices_with_names_are_those_without(text, values, folder):
    found, notes = matrix(text)
    assert found == values
    assert "taken as" in notes or "was read with" in notes


def test_a_list_of_connections_is_no_matrix(folder):
    for header in (
        "pre,post,weight",
        "source,target,n_syn",
        "pre_root_id,post_root_id,syn_count",
        "from,to,w",
    ):
        with pytest.raises(
            ValueError,
            match=r"must hold a matrix; it lists connections, from \w+ to \w+, a row each",
        ):
            matrix(header + "\n1,2,5\n2,3,7\n")


def test_columns_of_one_name_are_told_apart(folder):
    for text in (
        "size , size,id\n1.0,10,1\n2.0,30,2\n",
        "size,size,id\n1.0,10,1\n2.0,30,2\n",
    ):
        with pytest.raises(
            ValueError,
            match="and 'size' is not; got size #1, size #2, id to choose from",
        ):
            column(text, "size")
        found, notes = column(text, "size #2")
        assert found == [10, 30]
        assert (
            "Several columns are called size; they were taken as size #1, size #2."
            in notes
        )
    with pytest.warns(UserWarning, match="Several columns are called size"):
        assert list(read_synapses("t.csv").table) == ["size #1", "size #2", "id"]


def test_a_table_that_was_cut_off_says_so(folder):
    for text in (
        "a,b\n1,2\n3,4\n5",
        "a,b\n1,2\n3\n4,5\n",
        "a,b\n" + "1,2\n" * 500 + "3",
    ):
        assert (
            "lacks cells, which were taken as missing: was the file cut off?"
            in column(text, "b")[1]
        )


# -- what a fit takes ------------------------------------------------------------------------------------------------------


def test_a_connectomes_matrix_is_taken_whole_and_said(folder):
    Path("m.csv").write_text(",A,B,C\n" + rows(N, "ABC"))
    gathered = gather(Path("m.csv"))
    assert sorted(gathered.weights) == sorted(np.ravel(N))
    assert (
        "All 9 numbers were taken as the weights of one matrix, 3 x 3"
        in gathered.notes[-1]
    )
    assert gather(Path("m.csv"), "B").weights.tolist() == [3, 0, 7]


def test_a_matrix_without_names_is_taken_whole_if_asked(folder):
    Path("m.csv").write_text(rows(W))
    with pytest.raises(
        ValueError,
        match=r"^`--column` must name one column, or `--matrix` take all as one matrix",
    ):
        gather(Path("m.csv"))
    assert sorted(gather(Path("m.csv"), matrix=True).weights) == sorted(np.ravel(W))
    Path("m.csv").write_text("id,size,volume\n1,2,3\n2,3,4\n")
    with pytest.raises(
        ValueError,
        match=r"^`--column` must name one column: it must be named, there being several",
    ):
        gather(Path("m.csv"))
    with pytest.raises(
        ValueError,
        match=r"^`--column` must be left out where `--matrix` is given; got 'size'",
    ):
        gather(Path("m.csv"), "size", matrix=True)


@pytest.mark.parametrize("name", ["log_size", "ln(size)", "log10 size", "size_log10"])
def test_logarithms_are_told_by_their_name(name, folder):
    Path("t.csv").write_text(f"{name}\n-0.5\n0.7\n-1.2\n")
    with pytest.raises(
        ValueError,
        match="by its name they are logarithms: undo the logarithm before the fit",
    ):
        gather(Path("t.csv"))
    assert gather(Path("t.csv"), pool=True).weights.tolist() == [-0.5, 0.7, -1.2]
    Path("t.csv").write_text(f"{name}\n0.5\n0.7\n")
    assert (
        "its numbers are logarithms and were fitted as sizes"
        in gather(Path("t.csv")).notes[-1]
    )


def test_logarithms_are_told_by_their_sign(folder):
    Path("t.csv").write_text("size\n-2.5\n-0.7\n-1.2\n")
    assert (
        "if they are logarithms, undo the logarithm" in gather(Path("t.csv")).notes[-1]
    )
    Path("t.csv").write_text("logistic\n2.5\n0.7\n1.2\n")
    assert gather(Path("t.csv")).notes == ()


# -- ids ---------------------------------------------------------------------------------------------------------------

IDS = ["720575940600000001", "720575940600000002", "720575940600000003"]
WITH_A_GAP = (
    "pre_id,post_id,kind,size\n"
    + "".join(f"{cell},1,{cell},{10 * i + 10}\n" for i, cell in enumerate(IDS))
    + ",1,,5\n"
)


@pytest.mark.filterwarnings("ignore:Column:UserWarning")
def test_ids_are_exact_though_one_is_missing(folder):
    Path("t.csv").write_text(WITH_A_GAP)
    table = read_synapses("t.csv", pre="pre_id", post="post_id")
    pairs = table.per_connection("size")
    assert sorted(pairs.values("size")) == [10, 20, 30]
    assert [str(cell) for cell in pairs.table["pre_id"]] == IDS
    assert table.values("size", pre_id=int(IDS[1])).tolist() == [20]
    assert str(table) == "t.csv: 4 synapses, 3 connections"
    _, values, others = read_columns(
        Path("t.csv"), "size", {}, {"--by": "kind", "--pre": "pre_id"}
    )
    assert others["--by"].tolist() == others["--pre"].tolist() == [*IDS, ""]
    assert values.tolist() == [10, 20, 30, 5]
    gathered = gather(
        Path("t.csv"), "size", by="kind", connections=("pre_id", "post_id")
    )
    assert sorted(gathered.weights) == [10, 20, 30]
    assert sorted(gathered.groups) == IDS


@pytest.mark.parametrize(
    "cells",
    [["007", "07", "7"], ["1e5", "100000"], [str(2**64), str(2**64 + 1)], ["a", "A "]],
)
def test_names_that_are_not_quite_numbers_stay_apart(cells, folder):
    Path("t.csv").write_text("pre,size\n" + "".join(f"{cell},1\n" for cell in cells))
    _, _, others = read_columns(Path("t.csv"), "size", {}, {"--pre": "pre"})
    assert others["--pre"].tolist() == [cell.strip() for cell in cells]
    assert read_synapses("t.csv", pre="pre").table["pre"].nunique() == len(cells)


@pytest.mark.parametrize(
    "cells",
    [
        ["7.20576E+17"] * 2,
        ["720575940600000001.0", "7"],
        ["720575940600000000", "720575940601000000"],
    ],
)
def test_ids_that_a_program_rounded_are_refused(cells, folder):
    Path("t.csv").write_text("pre,size\n" + "".join(f"{cell},1\n" for cell in cells))
    for read in (
        lambda: read_columns(Path("t.csv"), "size", {}, {"--pre": "pre"}),
        lambda: read_synapses("t.csv", pre="pre"),
    ):
        with pytest.raises(
            ValueError,
            match="a program took them for numbers and rounded them; save them as text",
        ):
            read()


def test_a_code_for_no_cell_is_no_cell(folder):
    Path("t.csv").write_text(
        "pre,size\n" + "".join(f"{cell},1\n" for cell in [*IDS, "0", "0"])
    )
    for read in (
        lambda: read_columns(Path("t.csv"), "size", {}, {"--pre": "pre"}),
        lambda: read_synapses("t.csv", pre="pre"),
    ):
        with pytest.raises(
            ValueError,
            match="must name cells; got 0 in 2 rows, unlike all the other ids",
        ):
            read()
    assert read_synapses("t.csv", pre="pre", missing=[0]).table["pre"].isna().sum() == 2


def test_a_table_made_by_hand_with_rounded_ids_is_refused():
    from daleml.datasets import SynapseTable

    frame = pd.DataFrame({"pre": [float(IDS[0]), NAN], "size": [1.0, 2.0]})
    with pytest.raises(
        ValueError, match=r"^`pre` must hold exact ids; got float64, which rounds them"
    ):
        SynapseTable("x", frame, pre="pre")
    assert SynapseTable("x", frame.assign(pre=[1.0, NAN]), pre="pre").pre == "pre"


@pytest.mark.filterwarnings("ignore:(`t.csv` was read|The first row):UserWarning")
def test_ids_of_thousands_of_digits_are_kept_as_they_are(folder):
    long = "7" * 5_000
    Path("t.csv").write_text(f"pre,post,size\n{long},1,2.5\n1,2,3.5\n")
    assert read_synapses("t.csv", pre="pre", post="post").table["pre"].tolist() == [
        long,
        "1",
    ]


def test_read_synapses_speaks_python(folder):
    assert in_keywords("pass `--no-header`, `--decimal ,` or `--missing '<1'`.") == (
        "pass `header=False`, `decimal=','` or `missing='<1'`."
    )
    Path("t.csv").write_text("2019;b\n0,5;1\n0,7;2\n")
    with pytest.warns(UserWarning, match="read with") as said:
        table = read_synapses("t.csv")
    told = [str(one.message) for one in said]
    assert "`t.csv` was read with semicolons between its cells." in told
    assert any(
        "The numbers of '2019' were read with decimal commas" in one for one in told
    )
    assert table.table.to_dict("list") == {"2019": [0.5, 0.7], "b": [1, 2]}
    Path("t.csv").write_text("size\n5\n-1\n7\n")
    with pytest.warns(UserWarning, match=r"pass `missing='-1'` to leave it out"):
        read_synapses("t.csv")
    assert read_synapses("t.csv", missing=[-1]).values("size").tolist() == [5, 7]


# -- totals, titles and comments around the data -------------------------------------------------------------------------


TEN = "".join(f"s{i},{i}.25\n" for i in range(1, 11))
OF_TEN = [i + 0.25 for i in range(1, 11)]


@pytest.mark.parametrize(
    ("last", "said"),
    [
        ("Total,57.5\n", "The last row ('Total')"),
        ("sum:,57.5\n", "The last row ('sum:')"),
        ("Summe,57.5\n", "The last row ('Summe')"),
        (",57.5\n", "The last row of `t.csv` sums up"),
        (
            "Mean,5.75\nSD,3.03\nMin,1.25\nMax,10.25\n",
            "The last 4 rows, from 'Mean' on,",
        ),
        ("min,1.25\nmax,10.25\n", "The last 2 rows, from 'min' on,"),
        (",\nTotal,57.5\n", "The last row ('Total')"),
    ],
)
def test_rows_that_sum_up_the_data_are_left_out_and_said(last, said, folder):
    values, notes = column(f"spine,volume\n{TEN}{last}", "volume")
    assert [value for value in values if value == value] == OF_TEN
    assert said in notes
    assert "pass `--keep-totals` if" in notes
    kept, notes = column(f"spine,volume\n{TEN}{last}", "volume", keep_totals=True)
    assert len(kept) > 10
    assert "totals" not in notes


@pytest.mark.parametrize(
    "last",
    [
        "s11,57.5\n",  # as large as all others, and named as they are
        ",57.4\n",
        "SD,0.5\n",  # a word that a region may be called, and no total beside it
        "Total,57.5\ns12,3\n",
    ],
)
def test_other_last_rows_are_data(last, folder):
    values, notes = column(f"spine,volume\n{TEN}{last}", "volume")
    assert values == OF_TEN + [float(row.split(",")[1]) for row in last.split()]
    assert "left out" not in notes


def test_a_kind_called_as_a_total_is_a_kind(folder):
    rows = "Sum,1\nother,2\n" * 6 + "Sum,3\n"
    assert len(column(f"kind,size\n{rows}", "size")[0]) == 13


def test_a_single_column_may_end_in_its_sum(folder):
    values, notes = column(
        "size\n" + "".join(f"{value}\n" for value in [*OF_TEN, 57.5])
    )
    assert values == OF_TEN
    assert "sums up those above" in notes


def test_margins_of_a_matrix_are_no_part_of_it(folder):
    rows = "A,1,0,2,3\nB,0,4,1,5\nC,2,2,7,11\n"
    found, notes = matrix(f",A,B,C,Total\n{rows}Total,3,6,10,19\n")
    assert found == [[1, 0, 2], [0, 4, 1], [2, 2, 7]]
    assert "The last row ('Total')" in notes
    assert "The last column, 'Total', sums up the others" in notes
    found, _ = matrix(f",A,B,C,Total\n{rows}".replace(",11", ",40"))
    assert found == [[1, 0, 2, 3], [0, 4, 1, 5], [2, 2, 7, 40]]


def test_synapses_are_read_without_their_total(folder):
    Path("t.txt").write_text("spine,size\ns1,1.5\ns2,2.5\ns3,3.5\nTotal,7.5\n")
    with pytest.warns(UserWarning, match="pass `keep_totals=True` if it is data"):
        table = read_synapses("t.txt")
    assert table.values("size").tolist() == [1.5, 2.5, 3.5]
    assert read_synapses("t.txt", keep_totals=True).values("size").size == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "Spines of mouse 3\n\nid,size\n1,0.5\n2,0.7\n",
            "'Spines of mouse 3', was taken as a title",
        ),
        (
            "Spines of mouse 3,,\nid,size,kind\n1,0.5,a\n2,0.7,b\n",
            "was taken as a title",
        ),
        ("% by me\nid,size\n1,0.5\n2,0.7\n", "was taken as a title"),
        (
            "# id,size\n1.5,0.5\n2.5,0.7\n",
            "The columns were named id, size, as the comment above them says",
        ),
        ("# by me\n# id size\n1.5 0.5\n2.5 0.7\n", "The columns were named id, size"),
    ],
)
def test_what_stands_above_the_names_is_no_name(text, said, folder):
    values, notes = column(text, "size", file="t.txt")
    assert values == [0.5, 0.7]
    assert said in notes


def test_a_comment_of_another_width_names_nothing(folder):
    values, notes = column("# made by me today\n1.5,0.5\n2.5,0.7\n", "1")
    assert values == [0.5, 0.7]
    assert "were named" not in notes


def test_rows_with_names_need_none_above_them_where_blanks_separate(folder):
    values, notes = column('"psd" "head"\n"1" 0.5 2\n"2" 0.7 4\n"3" 0.6 5\n', "psd")
    assert values == [0.5, 0.7, 0.6]
    assert "taken as names of the rows" in notes


@pytest.mark.parametrize(
    ("cells", "code"),
    [
        ([-12.5, -8.1, -999, -20.3], -999),  # inward currents
        ([-12.5, -8.1, -99, -99, -2.3, -999, -999], -999),
        ([3, -1, 5.5, -999, 2, -1], -999),
        ([3, -9, 5.5, -99, 2, 7], -99),
    ],
)
def test_codes_among_negative_numbers_and_several_codes(cells, code, folder):
    text = "size\n" + "".join(f"{cell}\n" for cell in cells)
    with pytest.raises(
        ValueError,
        match=f"got {code} in .* as a code for a missing value is: pass `--missing {code}`",
    ):
        column(text)
    assert column(text, missing=("",))[0] == cells


@pytest.mark.parametrize(
    "cells",
    [[-12.5, -8.1, -99, -20.3], [3, -1, -2, 5, -99], [-1, -9, 4, 5], [-0.9, -99, -80]],
)
def test_other_negative_numbers_are_no_codes(cells, folder):
    assert column("size\n" + "".join(f"{cell}\n" for cell in cells))[0] == cells


def test_exponents_of_fortran_are_no_units(folder):
    assert column("size\n6.25D-02\n5.0d-02\n1.5D+01\n")[0] == [0.0625, 0.05, 15]


def test_commas_in_the_larger_numbers_only_are_asked_about(folder):
    text = "id;volume\n1;12,345\n2;678\n3;1,902\n"
    with pytest.raises(
        ValueError,
        match=r"`--decimal \.` or `--decimal ,`; got '12,345', which may be 12345 or 12.345",
    ):
        column(text, "volume")
    assert column(text, "volume", decimal=".")[0] == [12345, 678, 1902]
    assert column(text, "volume", decimal=",")[0] == [12.345, 678, 1.902]
    assert column("id;volume\n1;12,345\n2;678\n3;0,902\n", "volume")[0] == [
        12.345,
        678,
        0.902,
    ]


# -- whatever is written is read back --------------------------------------------------------------------------------------

numbers = st.lists(
    st.floats(0.001, 900, allow_subnormal=False).map(lambda x: round(x, 4)),
    min_size=3,
    max_size=8,
)


@given(
    numbers,
    st.sampled_from([",", ";", "\t", "|"]),
    st.booleans(),
    st.sampled_from(["utf-8", "utf-16", "utf-8-sig"]),
)
@settings(max_examples=60, deadline=None)
def test_a_table_in_any_dialect_is_read_back(
    tmp_path_factory, values, separator, comma, encoding
):
    if comma and separator == ",":
        return
    decimal = "," if comma else "."
    file = tmp_path_factory.mktemp("d") / "t.csv"
    cells = [f"{value:.5f}".replace(".", decimal) for value in values]
    lines = [f"cell{separator}size"] + [
        f"c{i}{separator}{cell}" for i, cell in enumerate(cells)
    ]
    file.write_bytes("\n".join(lines).encode(encoding))
    assert read_weights(file, "size", say=lambda note: None)[1].tolist() == values


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=6, unique=True),
    st.integers(0, 5),
)
@settings(max_examples=40, deadline=None)
def test_ids_of_any_length_are_read_back(tmp_path_factory, ids, gap):
    cells = [str(cell) for cell in ids]
    cells.insert(min(gap, len(cells)), "")
    file = tmp_path_factory.mktemp("d") / "t.csv"
    file.write_text("pre,size\n" + "".join(f"{cell},1.5\n" for cell in cells))
    _, _, others = read_columns(file, "size", {}, {"--by": "pre"})
    assert others["--by"].tolist() == cells


def test_a_column_without_a_name_is_told_where_rows_end_in_a_separator(folder):
    Path("t.csv").write_text(",a\nx,1,\ny,2,\nz,3,\n")
    notes = []
    table = read_table(Path("t.csv"), TableOptions(trailing=True), notes.append)
    assert table.names() == ["a"]
    assert table.labels.tolist() == ["x", "y", "z"]
    assert not [note for note in notes if "no name" in note]


@pytest.mark.parametrize("end", ["x", "!", "."])
def test_a_damaged_cell_of_many_digits_is_told_of_at_once(folder, end):
    """A pattern that splits digits in two ways would take hours for these 200,000."""
    cell = "1" * 200_000 + end
    Path("t.csv").write_text(f"size\n1\n2\n{cell}\n3\n")
    with pytest.raises(ValueError, match="^.{,400}$"):
        read_table(Path("t.csv"), TableOptions(), print).numbers("size")


def test_who_tells_the_decimal_mark_is_not_told_of_it(tmp_path):
    path = tmp_path / "german.csv"
    path.write_text("id;size\n1;0,5\n2;0,7\n", encoding="utf-8-sig")
    # Every warning is an error here.
    table = read_synapses(path, separator=";", decimal=",")
    assert table.values("size").tolist() == [0.5, 0.7]
    with pytest.warns(UserWarning, match="read with decimal commas"):
        read_synapses(path, separator=";")


def test_a_row_of_units_is_left_out_as_its_refusal_says(folder):
    values, _ = column("id,size\n,um2\n1,0.5\n2,0.7\n", "size", missing=("um2",))
    assert values[-2:] == [0.5, 0.7]
    assert values[0] != values[0]
