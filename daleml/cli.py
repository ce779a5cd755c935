"""The command line: ``daleml demo | fit | spectrum | check | reproduce``. It composes, and computes nothing itself."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ParamSpec

import typer

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from daleml.analysis import WeightSample

app = typer.Typer(
    name="daleml",
    help="Networks that keep Dale's law: a demo, fits of weight distributions, spectra, and a check of checkpoints.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

_P = ParamSpec("_P")

Weights = Annotated[
    Path, typer.Argument(metavar="FILE", help="csv, tsv, npy, npz, safetensors, or a torch state dict (pt, pth).")
]
Output = Annotated[Path, typer.Option("--output", "-o", help="Folder for the figure and the JSON file.")]
Column = Annotated[str | None, typer.Option(help="Column of a table, or name of a tensor in a file of several.")]


def _plainly(command: Callable[_P, None]) -> Callable[_P, None]:
    """Say what is wrong in one sentence and exit with 1, instead of showing a traceback."""

    @functools.wraps(command)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except typer.Exit:
            raise
        except Exception as error:
            sentence = " ".join(str(error).split())
            expected = isinstance(error, (ValueError, TypeError, OSError))
            typer.echo(f"error: {sentence if expected else f'{type(error).__name__}: {sentence}'}", err=True)
            raise typer.Exit(1) from None

    return wrapped


def _version(show: bool) -> None:
    if show:
        from daleml import __version__

        typer.echo(f"daleml {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    """Networks that keep Dale's law: a demo, fits of weight distributions, spectra, and a check of checkpoints."""


@app.command()
@_plainly
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the report, figures and JSON.")] = Path(
        "demo"
    ),
    epochs: Annotated[int, typer.Option(help="Epochs each network learns for.")] = 30,
    seeds: Annotated[int, typer.Option(help="Number of seeds.")] = 3,
    recurrent: Annotated[
        bool, typer.Option("--recurrent", help="Train three recurrent networks too, for twice the epochs.")
    ] = False,
    jobs: Annotated[int | None, typer.Option(help="Networks to train at once. Default: one a core.")] = None,
) -> None:
    """Let four networks learn digits, prove their signs, and fit their synapses beside real ones."""
    from daleml import demo as demonstration
    from daleml.demo import rows_page
    from daleml.demo.page import summary

    console = _console()
    with console.status("learning digits"):
        results = demonstration.run(
            output,
            epochs=epochs,
            seeds=seeds,
            recurrent=recurrent,
            jobs=jobs,
            say=lambda line: console.print(line, highlight=False),
        )
    _print_table(console, summary(results), "Four networks learned digits")
    if recurrent:
        _print_table(console, rows_page.summary(results), "Three recurrent networks learned them row by row")
    console.print(f"report: {output / 'report.html'}", highlight=False, soft_wrap=True)


@app.command()
@_plainly
def fit(
    file: Weights,
    column: Column = None,
    output: Output = Path(),
    family: Annotated[
        list[str] | None, typer.Option(help="A family to compare; repeat for more. Default: all.")
    ] = None,
    sign: Annotated[str | None, typer.Option(help="E to fit the positive weights only, I the negative ones.")] = None,
    pool: Annotated[bool, typer.Option("--pool", help="Fit the magnitudes of all weights together.")] = False,
) -> None:
    """Fit families of distributions to weights, rank them, and draw them.

    Zeros are counted and left out; so are the empty cells of a table. E and I are never pooled unless asked.
    """
    from daleml import _files
    from daleml.analysis import compare_families, weight_samples
    from daleml.analysis.families import SIMPLE
    from daleml.analysis.plots import comparison_figure
    from daleml.readers import read_weights

    name, weights = read_weights(file, column)
    if isinstance(weights, Mapping) and not pool:
        name, weights = _only_sample(name, weight_samples(weights), _sign(sign))
    from_table = file.suffix.lower() in (".csv", ".tsv")
    chosen = tuple(family) if family else SIMPLE
    comparison = compare_families(weights, chosen, sign=_sign(sign), pool=pool, drop_missing=from_table)
    safe = re.sub(r"[^\w.+-]+", "_", name)[:120]
    figure, results = output / f"{safe}-fit.png", output / f"{safe}-fit.json"
    _files.folder("--output", output)  # found out before a word is printed, made only for what is fit to be written
    _files.require_writable(figure, results)
    console = _console()
    best = comparison.best
    left_out = f"{best.n_zero:,} zeros and {best.n_dropped:,} others left out"
    _print_table(console, comparison.table(), f"{name}: {best.n:,} weights; {left_out}")
    console.print(comparison.conclusion(), highlight=False)
    drawing = comparison_figure(comparison)
    _files.write(figure, lambda path: drawing.savefig(path, dpi=160))
    _files.write_json(results, {"file": str(file), "weights": name, **comparison.to_dict()})
    console.print(f"wrote {figure} and {results}", highlight=False, soft_wrap=True)


@app.command()
@_plainly
def spectrum(file: Weights, column: Column = None) -> None:
    """Print SVD entropy, effective rank and the like of every matrix in a file."""
    import pandas as pd

    from daleml.analysis import spectrum as compute
    from daleml.readers import read_matrices

    measures = []
    for name, matrix in read_matrices(file, column).items():
        result = compute(matrix).to_dict()
        shape = " x ".join(str(size) for size in result.pop("shape"))
        result.pop("singular_values")
        measures.append({"matrix": name, "shape": shape, **result})
    _print_table(_console(), pd.DataFrame(measures).rename(columns=lambda name: name.replace("_", " ")), str(file.name))


@app.command()
@_plainly
def check(file: Annotated[Path, typer.Argument(metavar="FILE", help="safetensors, or a torch state dict.")]) -> None:
    """Tell whether a checkpoint obeys Dale's law, unit by unit, unpickling nothing. Exit with 1 if it does not.

    A weight saved beside its signs is judged by them. Any other weight is judged by itself: all that a presynaptic unit
    makes must have one sign.
    """
    from daleml import signs
    from daleml.readers import read_state

    report = signs.check(read_state(file))
    if not report.n_parameters:
        raise ValueError(f"`{file}` must hold a weight to judge; got none.")
    console = _console()
    if report.violations:
        import pandas as pd

        rows = [
            {
                "parameter": violation.parameter,
                "unit": violation.unit,
                "should be": "excitatory" if violation.sign > 0 else "inhibitory",
                "wrong": f"{violation.count} of {violation.size}",
                "worst": violation.worst,
            }
            for violation in report.violations
        ]
        _print_table(console, pd.DataFrame(rows), "Units that break Dale's law")
    console.print(str(report).splitlines()[0], highlight=False, soft_wrap=True)
    if report.inferred:
        names = ", ".join(report.inferred)
        console.print(
            f"No signs were saved for {names}: judged unit by unit, by the signs of most of its synapses.",
            highlight=False,
        )
    if not report:
        raise typer.Exit(1)


@app.command()
@_plainly
def reproduce(
    claims: Annotated[
        list[str] | None, typer.Argument(metavar="[PAPER | CLAIM]...", help="Such as: dann 3b. Default: all.")
    ] = None,
    budget: Annotated[str, typer.Option(help="quick (minutes), paper (an hour) or long (a day).")] = "quick",
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for journal, figures, claims.json and page.")] = Path(
        "reproduction"
    ),
    jobs: Annotated[int | None, typer.Option(help="Seeds to run at once. Default: one a core.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler, such as tcp://host:8786.")] = None,
) -> None:
    """Measure the founding papers' claims again, and say which hold.

    Finished seeds are kept in a journal: the same command goes on where it was interrupted.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from daleml import reproductions
    from daleml.reproductions import page

    chosen = reproductions.find(claims or ())
    console = _console()
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("seeds", total=None)
        result = reproductions.reproduce(
            chosen,
            out,
            budget=budget,
            jobs=jobs,
            scheduler=scheduler,
            say=lambda line: bar.console.print(line, highlight=False, soft_wrap=True),
            progress=lambda done, total, name: bar.update(
                task, completed=done, total=total, description=f"seeds, {name} last" if name else "seeds"
            ),
        )
    _print_table(console, page.table(result.outcomes), "The founding claims, measured again")
    written = page.write(result, reproductions.papers(), out, f"daleml reproduce --budget {budget}")
    console.print(page.verdict_counts(result.outcomes), highlight=False, soft_wrap=True)
    console.print(f"report: {written}", highlight=False, soft_wrap=True)
    if result.failures:
        raise ValueError(f"{len(result.failures)} seeds could not be run: the same command tries them again.")


def _sign(sign: str | None) -> int | None:
    if sign is None:
        return None
    if sign.upper() not in ("E", "I"):
        raise ValueError(f"`--sign` must be E or I; got {sign!r}.")
    return 1 if sign.upper() == "E" else -1


def _only_sample(name: str, samples: dict[str, WeightSample], sign: int | None) -> tuple[str, WeightSample]:
    """Pick the one population of synapses there is; or say how to name one."""
    chosen = {key: sample for key, sample in samples.items() if sign in (None, sample.sign)}
    if not chosen:
        raise ValueError(f"`{name}` must hold a weight with at least 2 values other than zero; got none.")
    if len(chosen) > 1:
        raise ValueError(
            "`--column` must name one weight, and `--sign` E or I where it has both, unless `--pool` is given; "
            f"got {', '.join(chosen)} to choose from."
        )
    return name, next(iter(chosen.values()))


def _console() -> Console:
    from rich.console import Console

    console = Console()  # without markup: names of files and columns may hold brackets
    # Tables keep their columns where there is no terminal to fit them to.
    return Console(markup=False) if console.is_terminal else Console(width=160, markup=False)


def _print_table(console: Console, table: pd.DataFrame, title: str) -> None:
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=Text(title, style="italic"), title_justify="left", header_style="bold")
    for i, name in enumerate(table.columns):
        drawn.add_column(Text(str(name)), justify="left" if i == 0 else "right")
    for row in table.itertuples(index=False):
        drawn.add_row(*(Text(_cell(value)) for value in row))
    console.print(drawn)


def _cell(value: Any) -> str:
    if value is None or value != value:
        return "–"
    return (
        f"{value:,.4g}"
        if isinstance(value, float) and abs(value) < 1e4
        else f"{value:,.1f}"
        if isinstance(value, float)
        else str(value)
    )
