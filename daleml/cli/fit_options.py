"""The options of ``daleml fit``, by the panels in which ``--help`` shows them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daleml.cli import completions

if TYPE_CHECKING:
    from daleml.analysis import Observation, WeightSample


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


# Each panel of `--help` has its own kind of option.
_take = partial(typer.Option, rich_help_panel="What to take")
_seen = partial(typer.Option, rich_help_panel="How it was observed")
_find = partial(typer.Option, rich_help_panel="What to find out")
_run = partial(typer.Option, rich_help_panel="How to run")


@dataclass(frozen=True)
class WhatToTake:
    """Which weights of a file are fitted."""

    column: Annotated[
        str | None,
        _take(help="Column of a table, or name of a tensor in a file of several."),
    ] = None
    by: Annotated[
        str | None,
        _take(metavar="COLUMN", help="Fit groups apart: cell class, layer, area."),
    ] = None
    within: Annotated[
        str | None,
        _take(
            metavar="COLUMN",
            help=(
                "With --by: the animal or cell that each row comes from. Rows of one animal"
                " are not independent."
            ),
        ),
    ] = None
    sign: Annotated[
        str | None,
        _take(
            metavar="E|I",
            help="E takes the positive weights only, I the negative ones.",
        ),
    ] = None
    pool: Annotated[
        bool, _take("--pool", help="Take the magnitudes of all weights together.")
    ] = False
    per: Annotated[
        Per,
        _take(
            help=(
                "What one weight is: one synapse, or the sum over all synapses of a pair of"
                " cells."
            )
        ),
    ] = Per.synapse
    pre: Annotated[
        str | None,
        _take(metavar="COLUMN", help="The sending cell, with --per connection."),
    ] = None
    post: Annotated[
        str | None,
        _take(metavar="COLUMN", help="The receiving cell, with --per connection."),
    ] = None
    matrix: Annotated[
        bool, _take("--matrix", help="Take all numbers of a table as one matrix.")
    ] = False
    weights_column: Annotated[
        str | None,
        _take(metavar="COLUMN", help="The column that says how often each row counts."),
    ] = None

    def direction(self) -> int | None:
        """Return the sign of the weights to take, +1 or -1; None where it was left out."""
        if self.sign is None:
            return None
        if self.sign.upper() not in ("E", "I"):
            raise ValueError(f"`--sign` must be E or I; got {self.sign!r}.")
        return 1 if self.sign.upper() == "E" else -1

    def require_groups_of_rows(self) -> None:
        """Refuse ``--within`` where rows are not compared by groups."""
        if self.within is None:
            return
        if self.by is None:
            raise ValueError(
                "`--within` must be left out unless `--by` names groups to compare; got"
                f" {self.within!r}."
            )
        if self.per is Per.connection:
            raise ValueError(
                "`--within` must be left out where `--per connection` is given; got"
                f" {self.within!r}. Add the synapses of a pair up first, and fit the table of"
                " connections."
            )

    def connections(self) -> tuple[str, str] | None:
        """Return the columns of the two cells of a synapse, where weights are of connections."""
        if self.per is Per.connection:
            if self.pre is None or self.post is None:
                raise ValueError(
                    "`--per connection` must have `--pre` and `--post`, the columns that"
                    f" name the two cells; got {self.pre!r} and {self.post!r}."
                )
            return self.pre, self.post
        for option, given in (("--pre", self.pre), ("--post", self.post)):
            if given is not None:
                raise ValueError(
                    f"`{option}` must be left out unless `--per connection` is given; got"
                    f" {given!r}."
                )
        return None


@dataclass(frozen=True)
class HowObserved:
    """How weights were observed."""

    truncate_below: Annotated[
        float | None, _seen(help="Smaller weights could not be seen.")
    ] = None
    truncate_above: Annotated[
        float | None, _seen(help="Larger weights could not be seen.")
    ] = None
    tail: Annotated[
        bool,
        _seen(
            "--tail",
            help=(
                "Fit only the upper tail that is closest to a power law, wherever that"
                " begins (Clauset et al.)."
            ),
        ),
    ] = False
    censor_below: Annotated[
        float | None,
        _seen(
            help="Of weights up to this, it is known only that they are no larger.",
        ),
    ] = None
    censor_above: Annotated[
        float | None,
        _seen(
            help="Of weights from this on, it is known only that they are no smaller.",
        ),
    ] = None
    resolution: Annotated[
        float | None,
        _seen(metavar="STEP", help="Weights were rounded to multiples of this."),
    ] = None
    significant: Annotated[
        int | None,
        _seen(
            metavar="FIGURES",
            help="Weights were rounded to this number of significant figures.",
        ),
    ] = None
    discrete: Annotated[
        bool,
        _seen(
            "--discrete",
            help="Weights are counts: 1, 2, 3... A count of zero is never seen.",
        ),
    ] = False
    zeros: Annotated[
        Zeros,
        _seen(
            help=(
                "Leave zeros out; take them for pairs without a connection (hurdle), or for"
                " weights too small to be written down (censored); or refuse them."
            ),
        ),
    ] = Zeros.exclude

    def observation(self) -> Observation:
        """Return how weights were observed as the analysis takes it."""
        from daleml.analysis import Observation

        # Bounds are given in pairs; half of a pair may be missing.
        truncation = self.truncate_below, self.truncate_above
        censoring: float | tuple[float | None, float] | None = self.censor_below
        if self.censor_above is not None:
            censoring = self.censor_below, self.censor_above
        return Observation(
            truncation=None if truncation == (None, None) else truncation,
            censoring=censoring,
            discrete=self.discrete,
            zeros=self.zeros.value,
            resolution=self.resolution,
            significant=self.significant,
        )


@dataclass(frozen=True)
class WhatToFind:
    """What is computed."""

    families: Annotated[
        list[str] | None,
        _find(
            "--families",
            "--family",
            metavar="NAMES",
            autocompletion=completions.families,
            help=(
                "Families to compare, with commas between them, or all. Default: those of"
                " one or two parameters. powerlaw must be named, and needs --truncate-below"
                " or --tail. If your field says stretched exponential and means the"
                " fraction of larger weights, that is weibull here; stretchedexponential is"
                " of the density."
            ),
        ),
    ] = None
    gof: Annotated[
        int,
        _find(
            metavar="SAMPLES",
            help=(
                "Number of bootstrap samples to test the goodness of fit; 0 for no test."
                " Each is fitted anew under each family, in each group; how long that takes"
                " is said while it runs."
            ),
        ),
    ] = 0
    intervals: Annotated[
        Intervals,
        _find(
            help="How to find 95 % intervals, of the best family and of the log-normal.",
        ),
    ] = Intervals.profile
    compare_to: Annotated[
        str | None,
        _find(
            metavar="FILE:COLUMN",
            help=(
                "Compare the shape, whatever the scale, with a column of another file, or"
                " with celegans, fly, kasthuri or microns."
            ),
        ),
    ] = None

    def reference(self, *, pool: bool) -> tuple[str, WeightSample] | None:
        """Return the weights to compare the shape with, under their name."""
        from daleml import weight_study

        if self.compare_to is None:
            return None
        return weight_study.gather_reference(self.compare_to, pool=pool)

    def named_families(self) -> str | tuple[str, ...]:
        """Return the families to compare, as the analysis takes them.

        Raises:
            ValueError: If a family is unknown.
        """
        from daleml.analysis.distributions.families import SIMPLE, find_all

        chosen = []
        for given in self.families or ():
            chosen += [name.strip() for name in given.split(",") if name.strip()]
        # Those of one or two parameters, unless others were named.
        named: str | tuple[str, ...] = tuple(chosen) or SIMPLE
        if [name.lower() for name in chosen] == ["all"]:
            named = "all"
        # Raises here, and not after the file was read, where a family is unknown.
        find_all(named)
        return named


@dataclass(frozen=True)
class HowToRun:
    """Where results go, and what computes them."""

    output: Annotated[
        Path | None,
        _run(
            "--out",
            "--output",
            "-o",
            help=(
                "Folder for an HTML report, every figure (SVG, PNG) and JSON. Default: one"
                " figure and JSON, here."
            ),
        ),
    ] = None
    seed: Annotated[int, _run(help="Seed of the random numbers.")] = 0
    jobs: Annotated[
        int | None,
        _run(
            help=(
                "Processes for long bootstraps, at least 1; never more than cores. Default:"
                " one per core."
            ),
        ),
    ] = None


def check_together(take: WhatToTake, find: WhatToFind, run: HowToRun) -> None:
    """Refuse what could only fail after long work."""
    from daleml import require

    require.integer("--gof", find.gof, 0)
    require.integer("--seed", run.seed, 0)
    if run.jobs is not None:
        require.integer("--jobs", run.jobs, 1)
    if take.weights_column is not None:
        resampled = {
            "--gof": find.gof > 0,
            "--intervals bootstrap": find.intervals is Intervals.bootstrap,
            "--per connection": take.per is Per.connection,
        }
        for option, given in resampled.items():
            if given:
                raise ValueError(
                    f"`{option}` must be left out where `--weights-column` is given; got"
                    " both, and nobody knows how weighted rows would be drawn or added up."
                )
    take.require_groups_of_rows()


def require_bound(families: str | tuple[str, ...], seen: HowObserved) -> None:
    """Refuse a power law alone, which holds from a lower bound on, where none is given."""
    from daleml.analysis.distributions.families import find_all

    if seen.tail or seen.truncate_below or seen.discrete:
        return
    if all(family.needs_bound for family in find_all(families)):
        raise ValueError(
            "the weights must have a lower end above 0 to fit a power law, which holds from"
            " there on: give it by `--truncate-below`, or let `--tail` look for it (lomax,"
            " Pareto II, needs none); got neither."
        )
