"""``daleml fit``: from a file of weights to what can be concluded of them."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import Enum, StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperOption

from daleml.cli import table_flags
from daleml.cli.error_messages import in_options
from daleml.cli.terminal import Weights, console, plainly, print_table

if TYPE_CHECKING:
    from daleml.analysis import Observation
    from daleml.weight_study import Gathered, Study
    from daleml.weight_study.fit_study import Progress

_TAKE, _SEEN, _TOLD, _RUN = (
    "What to take",
    "How it was observed",
    "What to find out",
    "How to run",
)


class Zeros(StrEnum):
    """What to do with exact zeros."""

    exclude = "exclude"
    hurdle = "hurdle"
    censored = "censored"
    error = "error"


class Intervals(StrEnum):
    """How to find 95 % intervals of the parameters."""

    profile = "profile"
    bootstrap = "bootstrap"
    none = "none"


class Per(StrEnum):
    """What one weight is."""

    synapse = "synapse"
    connection = "connection"


@plainly
def fit(
    context: typer.Context,
    file: Weights,
    column: Annotated[
        str | None,
        typer.Option(
            help="Column of a table, or name of a tensor in a file of several.",
            rich_help_panel=_TAKE,
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Fit groups apart: cell class, layer, area.",
            rich_help_panel=_TAKE,
        ),
    ] = None,
    within: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help=(
                "With --by: the animal or cell that each row comes from. Rows of one animal"
                " are not independent."
            ),
            rich_help_panel=_TAKE,
        ),
    ] = None,
    sign: Annotated[
        str | None,
        typer.Option(
            metavar="E|I",
            help="E takes the positive weights only, I the negative ones.",
            rich_help_panel=_TAKE,
        ),
    ] = None,
    pool: Annotated[
        bool,
        typer.Option(
            "--pool",
            help="Take the magnitudes of all weights together.",
            rich_help_panel=_TAKE,
        ),
    ] = False,
    per: Annotated[
        Per,
        typer.Option(
            help=(
                "What one weight is: one synapse, or the sum over all synapses of a pair of"
                " cells."
            ),
            rich_help_panel=_TAKE,
        ),
    ] = Per.synapse,
    pre: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="The sending cell, with --per connection.",
            rich_help_panel=_TAKE,
        ),
    ] = None,
    post: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="The receiving cell, with --per connection.",
            rich_help_panel=_TAKE,
        ),
    ] = None,
    matrix: Annotated[
        bool,
        typer.Option(
            "--matrix",
            help="Take all numbers of a table as one matrix.",
            rich_help_panel=_TAKE,
        ),
    ] = False,
    weights_column: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="The column that says how often each row counts.",
            rich_help_panel=_TAKE,
        ),
    ] = None,
    separator: table_flags.Separator = None,
    decimal: table_flags.Decimal = None,
    header: table_flags.Header = None,
    labels: table_flags.Labels = None,
    missing: table_flags.Missing = None,
    sheet: table_flags.Sheet = None,
    trailing: table_flags.Trailing = False,
    keep_totals: table_flags.KeepTotals = False,
    truncate_below: Annotated[
        float | None,
        typer.Option(help="Smaller weights could not be seen.", rich_help_panel=_SEEN),
    ] = None,
    truncate_above: Annotated[
        float | None,
        typer.Option(help="Larger weights could not be seen.", rich_help_panel=_SEEN),
    ] = None,
    tail: Annotated[
        bool,
        typer.Option(
            "--tail",
            help=(
                "Fit only the upper tail that is closest to a power law, wherever that"
                " begins (Clauset et al.)."
            ),
            rich_help_panel=_SEEN,
        ),
    ] = False,
    censor_below: Annotated[
        float | None,
        typer.Option(
            help="Of weights up to this, it is known only that they are no larger.",
            rich_help_panel=_SEEN,
        ),
    ] = None,
    censor_above: Annotated[
        float | None,
        typer.Option(
            help="Of weights from this on, it is known only that they are no smaller.",
            rich_help_panel=_SEEN,
        ),
    ] = None,
    resolution: Annotated[
        float | None,
        typer.Option(
            metavar="STEP",
            help="Weights were rounded to multiples of this.",
            rich_help_panel=_SEEN,
        ),
    ] = None,
    significant: Annotated[
        int | None,
        typer.Option(
            metavar="FIGURES",
            help="Weights were rounded to this number of significant figures.",
            rich_help_panel=_SEEN,
        ),
    ] = None,
    discrete: Annotated[
        bool,
        typer.Option(
            "--discrete",
            help="Weights are counts: 1, 2, 3... A count of zero is never seen.",
            rich_help_panel=_SEEN,
        ),
    ] = False,
    zeros: Annotated[
        Zeros,
        typer.Option(
            help=(
                "Leave zeros out; take them for pairs without a connection (hurdle), or for"
                " weights too small to be "
                "written down (censored); or refuse them."
            ),
            rich_help_panel=_SEEN,
        ),
    ] = Zeros.exclude,
    families: Annotated[
        list[str] | None,
        typer.Option(
            "--families",
            "--family",
            metavar="NAMES",
            help=(
                "Families to compare, with commas between them, or all. Default: those of"
                " one or two parameters. "
                "powerlaw must be named, and needs --truncate-below or --tail. If your"
                " field says stretched exponential "
                "and means the fraction of larger weights, that is weibull here;"
                " stretchedexponential is of the density."
            ),
            rich_help_panel=_TOLD,
        ),
    ] = None,
    gof: Annotated[
        int,
        typer.Option(
            metavar="SAMPLES",
            help="Number of bootstrap samples to test the goodness of fit; 0 for no test.",
            rich_help_panel=_TOLD,
        ),
    ] = 0,
    intervals: Annotated[
        Intervals,
        typer.Option(
            help="How to find 95 % intervals, of the best family and of the log-normal.",
            rich_help_panel=_TOLD,
        ),
    ] = Intervals.profile,
    compare_to: Annotated[
        str | None,
        typer.Option(
            metavar="FILE:COLUMN",
            help=(
                "Compare the shape, whatever the scale, with a column of another file, or"
                " with celegans, fly, "
                "kasthuri or microns."
            ),
            rich_help_panel=_TOLD,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "--output",
            "-o",
            help=(
                "Folder for an HTML report, every figure (SVG, PNG) and JSON. Default: one"
                " figure and JSON, here."
            ),
            rich_help_panel=_RUN,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Seed of the random numbers.", rich_help_panel=_RUN)
    ] = 0,
    jobs: Annotated[
        int | None,
        typer.Option(
            help=(
                "Processes for long bootstraps, at least 1; never more than cores. Default:"
                " one per core."
            ),
            rich_help_panel=_RUN,
        ),
    ] = None,
) -> None:
    """Fit families of distributions to weights, rank them, and say what can be concluded.

    Zeros are counted and left out; so are the empty cells of a table. E and I are never pooled
    unless asked.

    daleml fit synapses.csv --column psd_px --by axon_type --families all --gof 1000 --out fit/
    """
    from daleml import weight_study as fit_report
    from daleml._support import atomic_files
    from daleml.analysis.distributions.families import SIMPLE, find_all
    from daleml.pages import fit_page

    observation = _observation(
        (truncate_below, truncate_above),
        (censor_below, censor_above),
        discrete,
        zeros,
        resolution,
        significant,
    )
    direction = _sign(sign)
    _check(
        gof=gof,
        seed=seed,
        jobs=jobs,
        weights_column=weights_column,
        intervals=intervals,
        per=per,
    )
    _check_within(within, by, per)
    connections = _connections(per, pre, post)
    chosen = [
        name.strip()
        for given in families or ()
        for name in given.split(",")
        if name.strip()
    ]
    named = (
        "all"
        if [name.lower() for name in chosen] == ["all"]
        else tuple(chosen) or SIMPLE
    )
    find_all(named)
    atomic_files.require_room(
        "--output", output or Path()
    )  # found out before long work, made only for what is fit to write
    gathered = fit_report.gather(
        file,
        column,
        by=by,
        within=within,
        weights_column=weights_column,
        connections=connections,
        sign=direction,
        pool=pool,
        options=table_flags.gathered(
            separator, decimal, header, labels, missing, sheet, trailing, keep_totals
        ),
        matrix=matrix,
        censor_below=censor_below,
    )
    low, high = truncate_below, truncate_above
    if tail:
        gathered, low = _tail(gathered, observation, direction, pool=pool)
        observation = replace(observation, truncation=(low, high))
    if (
        observation.grid is not None and not discrete
    ):  # what was written down has slipped in its last digits
        low = None if low is None else observation.low
        high = None if high is None else observation.high
    gathered = gathered.within(low, high)
    reference = (
        None
        if compare_to is None
        else fit_report.gather_reference(compare_to, pool=pool)
    )
    figure, results, page = (
        (output or Path()) / f"{fit_report.safe(gathered.name)}-fit.{suffix}"
        for suffix in ("png", "json", "html")
    )
    atomic_files.require_writable(figure, results, page)
    with _progress() as progress:
        study = fit_report.study(
            gathered,
            named,
            sign=direction,
            pool=pool,
            observation=observation,
            gof=gof,
            intervals=intervals.value,
            reference=reference,
            seed=seed,
            jobs=jobs,
            progress=progress,
        )
    found = study.to_dict()
    command = _command(context)
    about = {
        "file": str(file),
        "command": command,
        "seed": seed,
        "versions": fit_page.versions(),
    }
    content = about | found
    overview = fit_report.overview(study)
    files: dict[str, bytes] = {}
    if output is None:
        files[figure.name] = overview.png()
        wrote = f"wrote {figure} and {results}"
    else:
        drawings = dict(fit_report.draw(study))
        stem = fit_report.safe(gathered.name)
        pictures = {
            f"{stem}-{name}": drawing
            for name, drawing in drawings.items()
            if name != "groups"
        }
        pictures[figure.stem] = drawings.get("groups", overview)
        for name, drawing in pictures.items():
            files |= {f"{name}.png": drawing.png(), f"{name}.svg": drawing.svg()}
        content |= {"figures": sorted(pictures)}
        files[page.name] = fit_page.compose(
            study, drawings, file=str(file), command=command
        ).encode()
        wrote = (
            f"wrote {page}, {results} and {len(pictures)} figures, each as SVG and PNG"
        )
    # Before anything is printed: whoever reads the first lines only, as `head` does, still gets
    # the files.
    atomic_files.write_set("--output", output or Path(), files, results.name, content)
    screen = console()
    _print(screen, study)
    screen.print(wrote, soft_wrap=True)


def _print(screen: Any, study: Study) -> None:
    from daleml.analysis import Comparison

    title = f"{study.gathered.name}: {study.n:,} weights; {study.left_out}"
    table = study.result.text_table()
    if "problem" in table:  # a sentence each, below
        table = table[table["problem"] == ""].drop(columns="problem")
    print_table(screen, table, title)
    screen.print(study.result.conclusion())
    if not isinstance(study.result, Comparison):
        screen.print(in_options(study.result.caution()))
        for name, reason in study.result.reasons().items():
            screen.print(
                f"{study.title(name)} could not be fitted: {in_options(reason)}."
            )
    for group, beside in study.resemblances.items():
        screen.print(
            f"{study.title(group)}: {beside.conclusion()}"
            if group
            else beside.conclusion()
        )
    for note in (*study.gathered.notes, *study.hints):
        screen.print(f"note: {note}")


def _observation(
    truncation: tuple[float | None, float | None],
    censoring: tuple[float | None, float | None],
    discrete: bool,
    zeros: Zeros,
    resolution: float | None,
    significant: int | None,
) -> Observation:
    """Return how the options say that weights were observed."""
    from daleml.analysis import Observation

    below, above = censoring
    return Observation(
        truncation=None if truncation == (None, None) else truncation,
        censoring=below if above is None else censoring,
        discrete=discrete,
        zeros=zeros.value,
        resolution=resolution,
        significant=significant,
    )


def _tail(
    gathered: Gathered, observation: Observation, sign: int | None, *, pool: bool
) -> tuple[Gathered, float]:
    """Return where the tail begins that is closest to a power law, and what was gathered with a note of it."""
    from daleml.analysis import WeightSample, power_law, weight_sample

    if observation.truncation is not None and observation.truncation[0]:
        raise ValueError(
            "`--tail` must be left out where `--truncate-below` is given; got both."
        )
    sample = gathered.weights
    if not isinstance(sample, WeightSample):
        sample = weight_sample(
            sample, sign=sign, pool=pool, drop_missing=gathered.from_table
        )
    found = power_law(sample, discrete=observation.discrete)
    note = (
        f"What lies {str(found).partition(':')[0]}, is the tail that is closest to a power"
        " law."
    )
    return replace(gathered, notes=(*gathered.notes, note)), found.xmin


def _sign(sign: str | None) -> int | None:
    if sign is None:
        return None
    if sign.upper() not in ("E", "I"):
        raise ValueError(f"`--sign` must be E or I; got {sign!r}.")
    return 1 if sign.upper() == "E" else -1


def _check(
    *,
    gof: int,
    seed: int,
    jobs: int | None,
    weights_column: str | None,
    intervals: Intervals,
    per: Per,
) -> None:
    """Refuse what could only fail after long work."""
    from daleml import require

    require.integer("--gof", gof, 0)
    require.integer("--seed", seed, 0)
    if jobs is not None:
        require.integer("--jobs", jobs, 1)
    if weights_column is not None:
        for option, given in (
            ("--gof", gof > 0),
            ("--intervals bootstrap", intervals is Intervals.bootstrap),
            ("--per connection", per is Per.connection),
        ):
            if given:
                raise ValueError(
                    f"`{option}` must be left out where `--weights-column` is given; got"
                    " both, and nobody knows how weighted rows would be drawn or added up."
                )


def _check_within(within: str | None, by: str | None, per: Per) -> None:
    if within is None:
        return
    if by is None:
        raise ValueError(
            "`--within` must be left out unless `--by` names groups to compare; got"
            f" {within!r}."
        )
    if per is Per.connection:
        raise ValueError(
            "`--within` must be left out where `--per connection` is given; got"
            f" {within!r}. Add the synapses of a pair up first, and fit the table of"
            " connections."
        )


def _connections(per: Per, pre: str | None, post: str | None) -> tuple[str, str] | None:
    if per is Per.connection:
        if pre is None or post is None:
            raise ValueError(
                "`--per connection` must have `--pre` and `--post`, the columns that name"
                f" the two cells; got {pre!r} and {post!r}."
            )
        return pre, post
    for option, given in (("--pre", pre), ("--post", post)):
        if given is not None:
            raise ValueError(
                f"`{option}` must be left out unless `--per connection` is given; got"
                f" {given!r}."
            )
    return None


def _command(context: typer.Context) -> str:
    """Return the command that was given, every option by its first name."""
    words = ["daleml", "fit"]
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        source = context.get_parameter_source(parameter.name or "")
        if source is None or source.name != "COMMANDLINE":
            continue
        if not isinstance(parameter, TyperOption):
            words.append(str(value))
        elif parameter.is_flag:
            words.append(parameter.opts[0])
        else:
            for one in value if isinstance(value, (list, tuple)) else [value]:
                words += [
                    parameter.opts[0],
                    str(one.value if isinstance(one, Enum) else one),
                ]
    return shlex.join(words)


@contextmanager
def _progress() -> Iterator[Progress]:
    """Show a bar for each piece of long work, and take it away when all is done."""
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    screen = console(stderr=True)
    with Progress(
        *columns, console=screen, transient=True, disable=not screen.is_terminal
    ) as bars:
        tasks: dict[str, Any] = {}

        def say(what: str, done: int, of: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=of)
                if (
                    not screen.is_terminal
                ):  # in a log, one line says that there is work, and how much
                    screen.print(
                        f"{what}: {of:,} samples are drawn and fitted, for each fit",
                        soft_wrap=True,
                    )
            bars.update(tasks[what], completed=done, total=of)

        yield say
