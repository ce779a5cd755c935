"""An ordinary torch model made lawful, with a report of what became of every parameter."""

from daleml.convert.conversion import Dalified, dalify
from daleml.convert.conversion_report import DalifyReport, Verdict

__all__ = ["Dalified", "DalifyReport", "Verdict", "dalify"]
