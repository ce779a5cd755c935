"""Makes the gallery: runs the code of each entry, and writes its figure and its code on a page.

An entry is a script in `docs/gallery/plots/` or `docs/gallery/tasks/`, called as the plot or the
task. Its text says what is drawn, and after ``Alt:`` what the figure shows. Its last line is the
plot, as in the last line of a notebook's cell.
"""

import ast
import re
import textwrap
import warnings
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from site_steps.files import write_bytes_if_changed, write_if_changed

SCRIPTS = Path(__file__).parent.parent / "gallery"
PACKAGE = SCRIPTS.parent.parent / "daleml"
DPI = 100

PLOTS = {
    "Distributions of weights": (
        *("fit", "families", "ccdf", "qq", "family_bars", "comparison_figure"),
        *("groups", "shapes", "resemblance"),
    ),
    "Matrices, spectra and signs": ("matrix", "pathways", "spectrum", "signs"),
    "Connectomes": ("degrees", "strengths", "balance"),
    "Learning": ("learning_curves", "runs", "geometry", "normality", "regime"),
    "Tasks and behaviour": ("trial", "psychometric", "chronometric"),
    "Units": ("selectivity", "aligned", "decoding"),
    "What circuits do": (
        *("at_initialisation", "activity", "trajectory", "dimension", "fixed_points"),
        *("eigenvalues", "currents", "paradoxical_effect"),
    ),
    "Claims of papers": ("claim", "sweep", "forest", "forest_overview"),
    "Figures of one's own": ("figure",),
}
"""The entries of the page of plots, by heading."""

TASKS = {
    "Memory": (
        *("AddingProblem", "DelayedMatchToSample", "DirectionMatch"),
        *("DirectionSequence", "FrequencyComparison", "DelayedResponse"),
    ),
    "Decision": (
        *("PerceptualDecision", "ContextDecision", "MultisensoryDecision"),
        "EvidenceIntegration",
    ),
    "Many rules": ("RuleTask", "RuleMixture"),
    "Images and language": ("RowSequentialImages", "CharacterModel"),
}
"""The entries of the page of tasks, by heading."""

SHOWN_WITH = {"style": "figure", "png": "figure", "svg": "figure"}
"""Names that an entry of another name shows."""

PLOTS_BEGIN = """\
Every plot
==========

Every plot of :doc:`../api/daleml.analysis.plots`, with the code that drew it. In a notebook the
last line shows the figure; in a script, ``.figure.savefig("name.pdf")`` behind it saves it. Each
plot takes ``ax=``, the axes to draw on.
"""

TASKS_BEGIN = """\
Every task
==========

One trial of every task of :doc:`../api/daleml.tasks`: what goes in above, what should come out
below. The thick part of a target is what the loss counts. :doc:`../tasks` says how tasks are
made, and ``from_neurogym`` makes more, of any environment of NeuroGym, where that is installed.
"""


@dataclass(frozen=True)
class Entry:
    """One script of the gallery, as its page shows it."""

    kind: str  # "plots" or "tasks"
    name: str
    says: str
    alt: str
    code: str

    @property
    def anchor(self) -> str:
        """The name by which other pages link here."""
        return f"gallery-{self.kind}-{self.name}"

    @property
    def file_name(self) -> str:
        """The name of its figure, which no other page has."""
        return f"gallery-{self.kind}-{self.name}.png"


def script_of(kind: str, name: str) -> Path:
    """Return the script of an entry: ``RuleTask`` is in ``rule_task.py``."""
    words = re.sub(r"(?<!^)(?=[A-Z])", "_", name) if kind == "tasks" else name
    return SCRIPTS / kind / f"{words.lower()}.py"


def read(kind: str, name: str) -> Entry:
    """Return an entry."""
    text = script_of(kind, name).read_text()
    doc = ast.get_docstring(ast.parse(text)) or ""
    says, _, alt = doc.partition("\n\nAlt: ")
    assert alt, f"{kind}/{name} does not say after `Alt:` what its figure shows"
    code = text.split('"""', 2)[2].strip()
    return Entry(kind, name, says, " ".join(alt.split()), code)


def names_shown() -> dict[str, str]:
    """Return the public names that have an entry, with the label of its place."""
    found = {}
    for name in (name for names in PLOTS.values() for name in names):
        found[f"daleml.analysis.plots.{name}"] = f"gallery-plots-{name}"
    for name in (name for names in TASKS.values() for name in names):
        found[f"daleml.tasks.{name}"] = f"gallery-tasks-{name}"
    for name, other in SHOWN_WITH.items():
        found[f"daleml.analysis.plots.{name}"] = f"gallery-plots-{other}"
    return found


def run(entry: Entry) -> Any:
    """Run the code of an entry, and return the figure that its last line made."""
    tree = ast.parse(entry.code)
    last = tree.body.pop()
    assert isinstance(last, (ast.Expr, ast.Assign)), f"{entry.name} draws nothing"
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(tree, entry.file_name, "exec"), names)
    if isinstance(last, ast.Assign):
        exec(compile(ast.Module([last], []), entry.file_name, "exec"), names)
        return names["drawing"]
    drawn = eval(compile(ast.Expression(last.value), entry.file_name, "eval"), names)
    first = drawn[0] if isinstance(drawn, tuple) else drawn
    return getattr(first, "figure", None) or first


def write_gallery(app: Any) -> None:
    """Draw what has changed, and write the two pages."""
    folder = Path(app.srcdir) / "gallery"
    changed = max(path.stat().st_mtime for path in PACKAGE.rglob("*.py"))
    for kind, begin, groups in (
        ("plots", PLOTS_BEGIN, PLOTS),
        ("tasks", TASKS_BEGIN, TASKS),
    ):
        entries = {
            group: [read(kind, name) for name in names]
            for group, names in groups.items()
        }
        for entry in (entry for group in entries.values() for entry in group):
            picture = folder / "_figures" / entry.file_name
            written = script_of(kind, entry.name).stat().st_mtime
            if not picture.exists() or picture.stat().st_mtime < max(changed, written):
                write_bytes_if_changed(picture, draw(entry))
                picture.touch()
        write_if_changed(folder / f"{kind}.rst", page(begin, entries))
        shown = thumbnails(entries, page=f"{kind}.html")
        write_if_changed(folder / f"_{kind}.md", shown + "\n")


def draw(entry: Entry) -> bytes:
    """Return the figure of an entry, as a file's content."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    from daleml.analysis import plots

    with warnings.catch_warnings(), plots.style():
        warnings.simplefilter("error")
        content = plots.png(run(entry), DPI)
    plt.close("all")
    return content


def page(begin: str, entries: dict[str, list[Entry]]) -> str:
    """Return a page: thumbnails on top, then each entry with figure and code."""
    small = textwrap.indent(thumbnails(entries), "   ")
    parts = [begin, f".. raw:: html\n\n{small}", ""]
    for group, members in entries.items():
        parts += ["", group, "-" * len(group)]
        parts += [of_entry(entry) for entry in members]
    return "\n".join(parts)


def thumbnails(entries: dict[str, list[Entry]], page: str = "") -> str:
    """Return small pictures that lead to the entries, on this page or on another one."""
    parts = ['<div class="thumbnails">']
    for entry in (entry for group in entries.values() for entry in group):
        parts.append(
            f'<a href="{page}#{entry.anchor.lower().replace("_", "-")}">'
            f'<img src="../_images/{entry.file_name}"'
            f' alt="{escape(entry.alt)}">{may_break(entry.name)}</a>'
        )
    return "\n".join([*parts, "</div>"])


def may_break(name: str) -> str:
    """Return a name as HTML that a narrow box may break between its words."""
    return re.sub(r"(?<!^)(?=[A-Z])|(?<=_)", "<wbr>", name)


def of_entry(entry: Entry) -> str:
    """Return the part of a page that shows an entry."""
    home = {"plots": "daleml.analysis.plots", "tasks": "daleml.tasks"}[entry.kind]
    code = textwrap.indent(entry.code, "   ")
    return f"""
.. _{entry.anchor}:

{entry.name}
{"^" * len(entry.name)}

{entry.says}

.. image:: _figures/{entry.file_name}
   :alt: {entry.alt}

.. code-block:: python

{code}

All arguments: :py:obj:`{home}.{entry.name}`.
"""
