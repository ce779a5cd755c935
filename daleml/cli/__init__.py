"""The command line: ``daleml demo | fit | spectrum | check | reproduce``.

It composes, and computes nothing itself. Each command has a file of its own.
"""

from daleml.cli.check_command import check
from daleml.cli.demo_command import demo
from daleml.cli.entry import app, main
from daleml.cli.fit_command import fit
from daleml.cli.reproduce_command import reproduce
from daleml.cli.spectrum_command import spectrum

__all__ = ["app", "check", "demo", "fit", "main", "reproduce", "spectrum"]
