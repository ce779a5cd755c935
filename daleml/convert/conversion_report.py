"""The report of a conversion: a verdict for every parameter, and remarks."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What a parameter is, after ``dalify``."""

    LAWFUL = "lawful"
    EXEMPT = "exempt"
    NOT_LAWFUL = "not lawful"


LAWFUL, EXEMPT, NOT_LAWFUL = Kind.LAWFUL, Kind.EXEMPT, Kind.NOT_LAWFUL


class Note(str):
    """A remark of a report, as text.

    Attributes:
        unlawful: Whether it names something that is not lawful, so that the report is false.
    """

    __slots__ = ("unlawful",)
    unlawful: bool

    def __new__(cls, text: str, unlawful: bool = False) -> Note:
        """Return the text as a remark."""
        note = super().__new__(cls, text)
        note.unlawful = unlawful
        return note

    def __reduce__(self) -> tuple[type[Note], tuple[str, bool]]:
        return Note, (str(self), self.unlawful)


@dataclass(frozen=True)
class Verdict:
    """The verdict on one parameter.

    Attributes:
        name: The parameter's name.
        kind: ``"lawful"``, ``"exempt"`` or ``"not lawful"``.
        why: The reason, or which units it reads.
        variance: Variance of its pre-activations over batch, positions and units, on the
            example; None if it was not measured.
        original: That variance before the model was changed.

    Raises:
        ValueError: If ``kind`` is none of the three.

    Example:
        >>> verdict = Verdict("0.weight", "lawful", "", variance=3.0, original=2.0)
        >>> verdict.ratio
        1.5
    """

    name: str
    kind: Kind | str
    why: str
    variance: float | None = None
    original: float | None = None

    def __post_init__(self) -> None:
        kinds = [kind.value for kind in Kind]
        if self.kind not in kinds:
            raise ValueError(
                f"`kind` must be one of {', '.join(kinds)}; got {self.kind!r}."
            )
        object.__setattr__(self, "kind", Kind(self.kind))

    @property
    def ratio(self) -> float | None:
        """Variance over the original one."""
        if self.variance is None or not self.original:
            return None
        return self.variance / self.original


@dataclass(frozen=True)
class DalifyReport:
    """The report of ``dalify``.

    It is true when no parameter was left unlawful, and no note names something unlawful.

    Attributes:
        verdicts: One for each parameter, in the model's order.
        notes: Remarks: assumptions, and what could not be looked for. Those of type
            :class:`Note` say by themselves whether they name something unlawful; a plain string
            decides nothing.

    Example:
        >>> import torch
        >>> from daleml import dalify
        >>> net = torch.nn.Sequential(torch.nn.Linear(10, 5), torch.nn.ReLU())
        >>> _, report = dalify(net, example=torch.rand(8, 10))
        >>> [(verdict.name, verdict.kind.value) for verdict in report.verdicts]
        [('0.weight', 'lawful'), ('0.bias', 'exempt')]
        >>> bool(report), len(report.of("not lawful"))
        (True, 0)
    """

    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]

    def __bool__(self) -> bool:
        for note in self.notes:
            if isinstance(note, Note) and note.unlawful:
                return False
        return not self.of(NOT_LAWFUL)

    def of(self, kind: str) -> tuple[Verdict, ...]:
        """Return the verdicts of one kind, such as ``"lawful"``."""
        return tuple(verdict for verdict in self.verdicts if verdict.kind == kind)

    def __str__(self) -> str:
        counts = ", ".join(f"{len(self.of(kind))} {kind}" for kind in Kind)
        width = max((len(verdict.name) for verdict in self.verdicts), default=0)
        # One line for each parameter, with their names in one column.
        lines = [f"{len(self.verdicts)} parameters: {counts}."]
        for verdict in self.verdicts:
            ratio = "" if verdict.ratio is None else f"; variance x {verdict.ratio:.2f}"
            lines.append(
                f"  {verdict.name:<{width}}  {verdict.kind}: {verdict.why}{ratio}"
            )
        return "\n".join([*lines, *(f"Note: {note}." for note in self.notes)])

    def to_dict(self) -> dict[str, Any]:
        """Return the verdicts and notes as plain data, and whether all is lawful."""
        verdicts = []
        for verdict in self.verdicts:
            # An enum and a `Note` are strings, but not all that writes JSON takes them.
            verdicts.append(asdict(verdict) | {"kind": str(verdict.kind)})
        return {
            "lawful": bool(self),
            "verdicts": tuple(verdicts),
            "notes": tuple(map(str, self.notes)),
        }
