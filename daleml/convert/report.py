"""What became of every parameter of a model that was made lawful."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

LAWFUL, EXEMPT, NOT_LAWFUL = "lawful", "exempt", "not lawful"


@dataclass(frozen=True)
class Verdict:
    """What became of one parameter.

    Attributes:
        name: The parameter's.
        kind: ``"lawful"``, ``"exempt"`` or ``"not lawful"``.
        why: The reason, or which units it reads.
        variance: Of its pre-activations over batch, positions and units, on the example; None if not measured.
        original: The same before the model was changed.
    """

    name: str
    kind: str
    why: str
    variance: float | None = None
    original: float | None = None

    @property
    def ratio(self) -> float | None:
        """Variance over the original one."""
        if self.variance is None or not self.original:
            return None
        return self.variance / self.original


@dataclass(frozen=True)
class DalifyReport:
    """What ``dalify`` did; true when no parameter was left unlawful.

    Attributes:
        verdicts: One a parameter, in the model's order.
        notes: What else to know: assumptions, and what could not be looked for.
    """

    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]

    def __bool__(self) -> bool:
        return not self.of(NOT_LAWFUL) and not any(note.endswith("not lawful") for note in self.notes)

    def of(self, kind: str) -> tuple[Verdict, ...]:
        """Return the verdicts of one kind."""
        return tuple(verdict for verdict in self.verdicts if verdict.kind == kind)

    def __str__(self) -> str:
        counts = ", ".join(f"{len(self.of(kind))} {kind}" for kind in (LAWFUL, EXEMPT, NOT_LAWFUL))
        width = max((len(verdict.name) for verdict in self.verdicts), default=0)
        lines = [f"{len(self.verdicts)} parameters: {counts}."]
        for verdict in self.verdicts:
            ratio = "" if verdict.ratio is None else f"; variance x {verdict.ratio:.2f}"
            lines.append(f"  {verdict.name:<{width}}  {verdict.kind}: {verdict.why}{ratio}")
        return "\n".join([*lines, *(f"Note: {note}." for note in self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """Return the verdicts and notes as plain data."""
        return asdict(self)
