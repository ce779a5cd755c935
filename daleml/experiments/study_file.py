"""A study in a file: a Python script that defines ``run``, and what to run it for."""

from __future__ import annotations

import importlib.util
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from daleml.experiments.run_numbers import traceback_of
from daleml.experiments.shipping import cloudpickle

_OPTIONAL = ("grid", "conditions", "seeds", "batch")


@dataclass(frozen=True)
class Study:
    """What a file says is to be run.

    Attributes:
        run: The function.
        options: Those of :func:`sweep`'s arguments that the file sets.
    """

    run: Any
    options: dict[str, Any]

    @classmethod
    def load(cls, path: Path) -> Study:
        r"""Run a file, and return what it defines.

        What it defines travels to other processes by value: they need no module of its name.

        Args:
            path: The file.

        Raises:
            ValueError: If there is no such file, it cannot be run, or it defines no ``run``.

        Example:
            >>> path = getfixture("tmp_path") / "my_study.py"
            >>> _ = path.write_text("def run(seed, lr): ...\n\ngrid = {'lr': [0.1, 0.3]}\n")
            >>> Study.load(path).options
            {'grid': {'lr': [0.1, 0.3]}}
        """
        if not path.is_file():
            raise ValueError(
                f"`study` must be a Python file that defines `run`; there is no `{path}`."
            )
        module = _imported(path)
        if not callable(getattr(module, "run", None)):
            raise ValueError(
                f"`study` must define `run(seed, **condition)`, which returns numbers by"
                f" name; `{path}` does not."
            )
        options = {}
        for name in _OPTIONAL:
            # An import of that name, such as of a module, is none of these.
            value = getattr(module, name, None)
            if value is not None and not isinstance(value, ModuleType):
                options[name] = value
        return cls(module.run, options)


def _imported(path: Path) -> ModuleType:
    # As Python does for a script: it may import what lies beside it.
    beside = str(path.resolve().parent)
    if beside not in sys.path:
        sys.path.insert(0, beside)
    name = "daleml_study_" + re.sub(r"\W", "_", path.stem)
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise ValueError(
            f"`study` must be a Python file, whose name ends in .py; got `{path}`."
        )
    module = importlib.util.module_from_spec(spec)
    # Before it is run: its dataclasses look for their module.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        # The frames of the loader tell nobody anything.
        lines = traceback_of(error, own_frames=4).strip().splitlines()
        where = [line.strip() for line in lines if line.startswith("  File ")]
        at = f", at {where[-1]}" if where else ""
        raise ValueError(
            f"`study` must be a Python file that runs; `{path}` raised"
            f" {type(error).__name__}: {error}{at}."
        ) from error
    cloudpickle().register_pickle_by_value(module)
    return module
