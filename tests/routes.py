"""The routes by which a sign, a mask or a guard could be lost, each walked over several modules.

``python -m tests.routes`` writes ``docs/routes.md`` from what happens; ``tests/test_routes.py`` fails if a row is
silent or the page is stale.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from daleml import Populations, law, signs
from daleml.layers import DANNRNN, EIRNN, DANNLinear, EIConv2d, EILinear

PAGE = Path(__file__).parent.parent / "docs" / "routes.md"
MASK = torch.tensor(
    [
        [0, 1, 1, 0, 1],
        [1, 0, 1, 1, 1],
        [1, 1, 0, 1, 0],
        [0, 1, 1, 0, 1],
        [1, 1, 0, 1, 0],
    ]
).bool()
POPS = Populations(3, 2)
LR_SCALE = 0.25
ROLE = "studied"
some_fixed = False
"""Whether a third of the synapses do not learn: a slow test walks all routes so, too."""


class Stranger(nn.Module):
    """A layer by somebody who knows `signs.fix` and no more of this package."""

    def __init__(self) -> None:
        super().__init__()
        self.synapses = nn.Parameter(torch.empty(4, 5))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        nn.init.uniform_(self.synapses, -1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ (self.synapses * self.synapses_present).T


@dataclass(frozen=True)
class Subject:
    """A module with a parameter whose signs, mask, role and correction are fixed."""

    name: str
    make: Callable[..., nn.Module]
    parameter: str
    unit_signs: tuple[int, ...]
    mask: torch.Tensor
    x: Callable[[], torch.Tensor]

    def build(
        self,
        *,
        masked: bool = True,
        mask: torch.Tensor | None = None,
        unit_signs: Any = None,
    ) -> nn.Module:
        """Build it anew, lawful."""
        torch.manual_seed(1)
        module = self.make()
        own, chosen = (
            self.parameter,
            self.unit_signs if unit_signs is None else unit_signs,
        )
        present = (self.mask if mask is None else mask) if masked else None
        if own in module.__dict__.get("_dale", {}):
            signs.release(module, own)
        signs.fix(
            module, own, list(chosen), present=present, role=ROLE, lr_scale=LR_SCALE
        )
        with torch.no_grad():
            weight = module.get_parameter(own)
            sign = law.broadcastable(module.get_buffer(own + law.SUFFIX), weight)
            weight.copy_(weight.abs().clamp_min(0.01) * sign)
        signs.project_(module)
        if masked and some_fixed:
            signs.fix(module, own, list(chosen), fixed=_some(self.mask))
        return module

    @property
    def other_signs(self) -> list[int]:
        """Return signs that differ in one unit."""
        return [-self.unit_signs[0], *self.unit_signs[1:]]

    @property
    def other_mask(self) -> torch.Tensor:
        """Return a mask that differs in many synapses."""
        return ~self.mask


SUBJECTS = (
    Subject(
        "EILinear",
        lambda: EILinear(POPS, 4),
        "weight",
        (1, 1, 1, -1, -1),
        MASK[:4],
        lambda: torch.rand(3, 5),
    ),
    Subject(
        "DANNLinear",
        lambda: DANNLinear(5, 4, 2),
        "weight_ex",
        (1,) * 5,
        MASK[:4],
        lambda: torch.rand(3, 5),
    ),
    Subject(
        "EIConv2d",
        lambda: EIConv2d(POPS, 4, 2),
        "weight",
        (1, 1, 1, -1, -1),
        MASK[:4, :, None, None].expand(4, 5, 2, 2).clone(),
        lambda: torch.rand(2, 5, 4, 4),
    ),
    Subject(
        "EIRNN",
        lambda: EIRNN(3, POPS),
        "weight_hh_l0",
        (1, 1, 1, -1, -1),
        MASK,
        lambda: torch.rand(4, 2, 3),
    ),
    Subject(
        "DANNRNN",
        lambda: DANNRNN(3, 5, 2),
        "weight_ex_hh_l0",
        (1,) * 5,
        MASK,
        lambda: torch.rand(4, 2, 3),
    ),
    Subject(
        "nn.Linear",
        lambda: nn.Linear(5, 4),
        "weight",
        (1, -1, 1, -1, 1),
        MASK[:4],
        lambda: torch.rand(3, 5),
    ),
    Subject(
        "nn.RNN",
        lambda: nn.RNN(3, 5, nonlinearity="relu"),
        "weight_hh_l0",
        (1, -1, 1, -1, 1),
        MASK,
        lambda: torch.rand(4, 2, 3),
    ),
    Subject(
        "a stranger's layer",
        Stranger,
        "synapses",
        (1, -1, 1, -1, 1),
        MASK[:4],
        lambda: torch.rand(3, 5),
    ),
)


OURS = ("EILinear", "DANNLinear", "EIConv2d", "EIRNN", "DANNRNN")
OTHERS = tuple(
    subject.name for subject in SUBJECTS if subject.name != "nn.RNN"
)  # which keeps its weights in one block


def weight_of(module: nn.Module, subject: Subject) -> nn.Parameter:
    """Return the studied parameter."""
    return signs.parameter(module, subject.parameter)


# -- what a route does ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Facts:
    """What must not be lost of one parameter."""

    signs: tuple[int, ...]
    mask: tuple[int, ...] | None
    role: str = ROLE
    lr_scale: float = LR_SCALE
    fixed: tuple[int, ...] | None = None


def expected(
    subject: Subject, unit_signs: Any = None, mask: torch.Tensor | None = None
) -> Facts:
    """Return the facts of a subject as it is built."""
    present = subject.mask if mask is None else mask
    fixed = None
    if some_fixed:
        which = _some(subject.mask) & present.bool()
        fixed = tuple(which.int().flatten().tolist())
    return Facts(
        tuple(unit_signs or subject.unit_signs),
        tuple(present.int().flatten().tolist()),
        fixed=fixed,
    )


def _some(mask: torch.Tensor) -> torch.Tensor:
    """Return every third synapse."""
    return (torch.arange(mask.numel()) % 3 == 0).reshape(mask.shape)


def found(model: nn.Module, subject: Subject) -> Facts | None:
    """Return the facts of the studied parameter, wherever in a model it is now; None if there are none."""
    own = subject.parameter
    for module in model.modules():
        stored = module._buffers.get(own + law.SUFFIX)
        if stored is None:
            continue
        present = module._buffers.get(own + law.PRESENT)
        declaration = module.__dict__.get("_dale", {}).get(own)
        mask = None if present is None else tuple(present.int().flatten().tolist())
        said = (
            (declaration.role, declaration.lr_scale)
            if declaration
            else (ROLE, LR_SCALE)
        )
        which = module._buffers.get(own + law.FIXED)
        fixed = None if which is None else tuple(which.int().flatten().tolist())
        return Facts(tuple(stored.flatten().tolist()), mask, *said, fixed=fixed)
    return None


def is_watched(model: nn.Module) -> bool:
    """Whether a verdict still depends on the weights: of a lawful model turned over, the opposite is said."""
    kept = {
        name: parameter.detach().clone() for name, parameter in model.named_parameters()
    }
    with contextlib.suppress(
        signs.DaleError
    ):  # of a weight that is computed, and cannot be projected
        signs.project_(model)
    before = signs.check(model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.rpartition(".")[2].startswith(("weight", "synapses", "original")):
                parameter.neg_().sub_(0.5 if parameter.ndim > 1 else 0)
        after = signs.check(model)
        for name, parameter in model.named_parameters():
            parameter.copy_(kept[name])
    return before.n_parameters > 0 and after.n_violations > before.n_violations


@dataclass(frozen=True)
class Kept:
    """The route ends in a model that has the facts, those it began with unless others were asked for by name."""

    model: nn.Module
    facts: Facts | None = None
    watched: bool = True


@dataclass(frozen=True)
class Said:
    """The facts do not follow, and a sentence says so."""

    sentence: str


@dataclass(frozen=True)
class Route:
    """One way by which a fact could be lost."""

    group: str
    text: str
    walk: Callable[[Subject], Kept | Said]
    outcome: str
    only: tuple[str, ...] = ()


@dataclass
class Row:
    """What happened on a route."""

    route: Route
    outcomes: dict[str, str] = field(default_factory=dict)
    sentences: dict[str, str] = field(default_factory=dict)


ROUTES: list[Route] = []
GROUPS = (
    "Calls",
    "Copies",
    "Checkpoints",
    "Memory",
    "Averages",
    "Weights computed anew",
    "Wrappers",
    "Guards",
)
KEPT, REFUSED, SAID, ASKED = "kept", "refused", "said", "asked for by name"


def route(
    group: str, text: str, outcome: str = KEPT, *, only: tuple[str, ...] = ()
) -> Callable[[Any], Any]:
    """Add a route to the table."""

    def add(walk: Callable[[Subject], Kept | Said]) -> Callable[[Subject], Kept | Said]:
        ROUTES.append(Route(group, text, walk, outcome, only))
        return walk

    return add


def walk(one: Route, subject: Subject) -> tuple[str, str]:
    """Walk a route with one subject, and return what happened and in which words; "lost" if nothing was said."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            result = one.walk(subject)
        except (ValueError, TypeError, AttributeError, RuntimeError) as error:
            sentence = _first_sentence(error)
            return (
                (REFUSED, sentence)
                if _helps(sentence, subject)
                else ("lost", f"a raw error: {error}")
            )
    if isinstance(result, Said):
        return (
            (SAID, result.sentence)
            if _helps(result.sentence, subject)
            else ("lost", result.sentence)
        )
    wanted = result.facts or expected(subject)
    facts = found(result.model, subject)
    if facts != wanted:
        said = next(
            (str(one.message) for one in warned if _helps(str(one.message), subject)),
            None,
        )
        return (SAID, said) if said else ("lost", f"{facts} in place of {wanted}")
    if result.watched and not is_watched(result.model):
        return "lost", "the verdict no longer depends on the weights"
    return (ASKED if one.outcome == ASKED else KEPT), ""


def _helps(sentence: str, subject: Subject) -> bool:
    """Whether a sentence speaks of signs, of the law or of the parameter, and is one for people to read."""
    words = ("sign", "law", subject.parameter, "autapse", "synapse", "guard", "enforce")
    return any(word in sentence for word in words)


def _first_sentence(error: Exception) -> str:
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    torchs_own = len(lines) > 1 and lines[0].startswith("Error(s) in loading")
    return lines[1] if torchs_own else lines[0] if lines else ""


def walk_all() -> list[Row]:
    """Walk every route over every module it is for."""
    import tests.routes_calls
    import tests.routes_checkpoints
    import tests.routes_computed
    import tests.routes_guards
    import tests.routes_memory  # noqa: F401

    rows = []
    for one in ROUTES:
        row = Row(one)
        for subject in SUBJECTS:
            if one.only and subject.name not in one.only:
                continue
            row.outcomes[subject.name], row.sentences[subject.name] = walk(one, subject)
        rows.append(row)
    return rows


# -- the page --------------------------------------------------------------------------------------------------------


_HEAD = """# Routes by which a sign, a mask or a guard could be lost

What was fixed stays fixed. Every ordinary way of PyTorch to copy, save, load, change, average or wrap a model is walked
here over {n} modules: {names}.

On each of them a parameter has signs, a mask, a role and a correction of its learning rate. Afterwards either all four
are there, and `signs.check` still finds a weight that breaks the law (**kept**); or the call, or the next
`signs.check`, is **refused** in a sentence; or the loss is **said**; or it was **asked for by name**. No row is silent:
`tests/test_routes.py` walks them all, and fails if one is, or if this page is stale. `python -m tests.routes` writes
it.

"""


def page(rows: list[Row]) -> str:
    """Compose the page."""
    names = [subject.name for subject in SUBJECTS]
    names = [name if "'" in name else f"`{name}`" for name in names]
    text = _HEAD.format(n=len(names), names=", ".join(names))
    for group in sorted({row.route.group for row in rows}, key=GROUPS.index):
        text += f"## {group}\n\n| route | what happens | in which words |\n| --- | --- | --- |\n"
        for row in rows:
            if row.route.group == group:
                text += _line(row)
        text += "\n"
    return text.rstrip() + "\n"


def _line(row: Row) -> str:
    by_outcome: dict[str, list[str]] = {}
    for name, outcome in row.outcomes.items():
        by_outcome.setdefault(outcome, []).append(name)
    everywhere = len(by_outcome) == 1
    told = "; ".join(
        outcome if everywhere else f"{outcome} ({', '.join(on)})"
        for outcome, on in by_outcome.items()
    )
    only = (
        f" ({', '.join(row.outcomes)})"
        if row.route.only and len(row.outcomes) < len(SUBJECTS)
        else ""
    )
    sentence = next((said for said in row.sentences.values() if said), "")
    cells = (row.route.text + only, told, sentence)
    return (
        "| "
        + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells)
        + " |\n"
    )


if __name__ == "__main__":
    from tests import routes

    PAGE.write_text(routes.page(routes.walk_all()), encoding="utf-8")
