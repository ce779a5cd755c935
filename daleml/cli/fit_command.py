"""``daleml fit``: from a file of weights to what can be concluded of them."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperOption

from daleml.cli.drawing_options import HowToDraw
from daleml.cli.error_messages import in_options
from daleml.cli.fit_options import (
    HowObserved,
    HowToRun,
    Intervals,
    Per,
    WhatToFind,
    WhatToTake,
    Zeros,
    check_together,
    require_bound,
)
from daleml.cli.fit_progress import progress
from daleml.cli.option_objects import with_objects
from daleml.cli.table_flags import TableFlags
from daleml.cli.terminal import Weights, console, plainly, print_table, say

if TYPE_CHECKING:
    from daleml.analysis import Observation
    from daleml.weight_study import Gathered, Study

__all__ = ["Intervals", "Per", "Zeros", "fit"]


@plainly
@with_objects
def fit(
    context: typer.Context,
    file: Weights,
    take: WhatToTake,
    table: TableFlags,
    seen: HowObserved,
    find: WhatToFind,
    draw: HowToDraw,
    run: HowToRun,
) -> None:
    """Fit families of distributions to weights, rank them, and say what can be concluded.

    Zeros are counted and left out; so are the empty cells of a table. E and I are never pooled
    unless asked.

    daleml fit synapses.csv --column psd_px --by axon_type --families all --gof 1000 --out fit/
    """
    from daleml import weight_study
    from daleml._support import atomic_files

    observation = seen.observation()
    direction = take.direction()
    check_together(take, find, run)
    connections = take.connections()
    families = find.named_families()
    require_bound(families, seen)
    folder = run.output or Path()
    # Found out before long work; the folder is made only for what is fit to write.
    atomic_files.require_room("--output", folder)
    gathered = weight_study.gather(
        file,
        take.column,
        by=take.by,
        within=take.within,
        weights_column=take.weights_column,
        connections=connections,
        sign=direction,
        pool=take.pool,
        options=table.options(),
        matrix=take.matrix,
        censor_below=seen.censor_below,
    )
    gathered, observation = _as_observed(gathered, observation, take, seen)
    report = _Report(
        folder, gathered.name, str(file), _command(context), run.seed, draw.width
    )
    # Also before long work: a file of that name may be somebody's who gave no right to it.
    report.require_writable()
    with progress() as report_progress:
        study = weight_study.study(
            draw.named(gathered),
            families,
            sign=direction,
            pool=take.pool,
            observation=observation,
            gof=find.gof,
            intervals=find.intervals.value,
            reference=find.reference(pool=take.pool),
            seed=run.seed,
            jobs=run.jobs,
            progress=report_progress,
        )
    unheard = _show(study)
    wrote = report.write(study, with_page=run.output is not None)
    if unheard is not None:
        raise unheard
    console().print(wrote, soft_wrap=True)


def _as_observed(
    gathered: Gathered, observation: Observation, take: WhatToTake, seen: HowObserved
) -> tuple[Gathered, Observation]:
    """Return the weights that could be seen, and how they were observed if only their tail is."""
    low, high = seen.truncate_below, seen.truncate_above
    if seen.tail:
        gathered, low = _tail(gathered, observation, take.direction(), pool=take.pool)
        observation = replace(observation, truncation=(low, high))
    # What was written down with few figures has slipped in its last ones: bounds are those of
    # the steps.
    if observation.grid is not None and not observation.discrete:
        low = None if low is None else observation.low
        high = None if high is None else observation.high
    return gathered.within(low, high), observation


def _tail(
    gathered: Gathered, observation: Observation, sign: int | None, *, pool: bool
) -> tuple[Gathered, float]:
    """Return what was gathered, and where its tail that is closest to a power law begins."""
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
    # `str(found)` begins with the bound and the number of weights above it.
    note = (
        f"What lies {str(found).partition(':')[0]}, is the tail that is closest to a power"
        " law."
    )
    return replace(gathered, notes=(*gathered.notes, note)), found.xmin


@dataclass(frozen=True)
class _Report:
    """The files that a fit leaves in one folder.

    Attributes:
        folder: Where they are written.
        weights: What was fitted, which names the files.
        file: The file that was read.
        command: The command that writes them again.
        seed: Of all bootstraps.
        width: Of each figure; None for the width of a page.
    """

    folder: Path
    weights: str
    file: str
    command: str
    seed: int
    width: str | None = None

    def path(self, suffix: str) -> Path:
        """Return the path of the overview, of the results, or of the page."""
        from daleml.weight_study import safe

        return self.folder / f"{safe(self.weights)}-fit.{suffix}"

    def require_writable(self) -> None:
        """Raise if one of the files could not be written."""
        from daleml._support import atomic_files

        paths = [self.path(suffix) for suffix in ("png", "json", "html")]
        atomic_files.require_writable(*paths)

    def write(self, study: Study, *, with_page: bool) -> str:
        """Draw and write everything as one set; return a line that says where it is."""
        from daleml import weight_study
        from daleml._support import atomic_files
        from daleml.pages import fit_page

        # Whoever finds the file later can make it again.
        content = {
            "file": self.file,
            "command": self.command,
            "seed": self.seed,
            "versions": fit_page.versions(),
            **study.to_dict(),
            "methods": weight_study.methods_paragraph(study),
        }
        if with_page:
            files, pictures = self._page(study)
            content["figures"] = pictures
            wrote = (
                f"wrote {self.path('html')}, {self.path('json')} and {len(pictures)}"
                " figures, each as SVG and PNG"
            )
        else:
            files = {
                self.path("png").name: weight_study.overview(study, self.width).png()
            }
            wrote = f"wrote {self.path('png')} and {self.path('json')}"
        results = self.path("json").name
        atomic_files.write_set("--output", self.folder, files, results, content)
        return wrote

    def _page(self, study: Study) -> tuple[dict[str, bytes], list[str]]:
        """Return the page and every figure as files, and the names of the figures."""
        from daleml import weight_study
        from daleml.pages import fit_page

        drawings = dict(weight_study.draw(study, self.width))
        page = fit_page.compose(study, drawings, file=self.file, command=self.command)
        stem = weight_study.safe(self.weights)
        # The figure of all groups is the overview, and has its name below.
        pictures = {
            f"{stem}-{name}": drawing
            for name, drawing in drawings.items()
            if name != "groups"
        }
        overview = drawings.get("groups")
        if overview is None:
            overview = weight_study.overview(study, self.width)
        pictures[self.path("png").stem] = overview
        files: dict[str, bytes] = {}
        for name, drawing in pictures.items():
            files[f"{name}.png"] = drawing.png()
            files[f"{name}.svg"] = drawing.svg()
        files[self.path("html").name] = page.encode()
        return files, sorted(pictures)


def _show(study: Study) -> OSError | None:
    """Print what was found, before anything is drawn; return what hindered it.

    Whoever reads the first lines only, as ``head`` does, still gets the files: the command goes
    on, and ends with the error when they are written.
    """
    try:
        _print(console(), study)
        sys.stdout.flush()
    except OSError as error:
        return error
    return None


def _print(screen: Any, study: Study) -> None:
    from daleml.analysis import Comparison

    title = f"{study.gathered.name}: {study.n:,} weights; {study.left_out}"
    table = study.result.text_table()
    # Groups that could not be fitted have a sentence each, below.
    if "problem" in table:
        table = table[table["problem"] == ""].drop(columns="problem")
    print_table(screen, table, title)
    say(screen, study.result.conclusion())
    if not isinstance(study.result, Comparison):
        say(screen, in_options(study.result.caution()))
        for name, reason in study.result.reasons().items():
            say(
                screen,
                f"{study.title(name)} could not be fitted: {in_options(reason)}.",
            )
    for group, beside in study.resemblances.items():
        of = f"{study.title(group)}: " if group else ""
        say(screen, f"{of}{beside.conclusion()}")
    for note in (*study.gathered.notes, *study.hints):
        say(screen, f"note: {note}")


def _command(context: typer.Context) -> str:
    """Return the command that was given, every option by its first name."""
    words = ["daleml", "fit"]
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        source = context.get_parameter_source(parameter.name or "")
        # Defaults are left out, so that the command stays short enough to be read.
        if source is None or source.name != "COMMANDLINE":
            continue
        if not isinstance(parameter, TyperOption):
            words.append(str(value))
        elif parameter.is_flag:
            # A flag has no value; of two spellings, the first is the one to give.
            words.append(parameter.opts[0])
        else:
            for one in value if isinstance(value, (list, tuple)) else [value]:
                written = one.value if isinstance(one, Enum) else one
                words += [parameter.opts[0], str(written)]
    return shlex.join(words)
