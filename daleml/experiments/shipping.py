"""Values that other processes are given: pickled once, wherever they were defined."""

from __future__ import annotations

import os
import pickle
import sys
from typing import Any


def cloudpickle() -> Any:
    """Return the module cloudpickle, which joblib brings along."""
    try:
        import cloudpickle as found
    except ImportError:
        # Before joblib 1.6 it was inside.
        from joblib.externals import cloudpickle as found
    return found


class Shipped:
    """A value, and how other processes get it.

    Functions and classes of a script or a notebook travel by value, those of modules by name:
    the folders in which this process finds modules travel along, for those that the other
    process would not find.

    Args:
        value: The value.

    Example:
        >>> import pickle
        >>> square = Shipped(lambda x: x**2)
        >>> pickle.loads(pickle.dumps(square)).value(3)
        9
    """

    def __init__(self, value: Any) -> None:
        self._value = value
        self._pickled: bytes | None = None
        self._folders: tuple[str, ...] = ()

    def pickled(self) -> bytes:
        """Return the value pickled.

        Raises:
            Exception: Of any kind, if it cannot be.
        """
        if self._pickled is None:
            self._pickled = cloudpickle().dumps(self._value)
            # An empty entry is the folder that this process works in.
            self._folders = tuple(os.path.abspath(place) for place in sys.path)
        return self._pickled

    @property
    def value(self) -> Any:
        """The value."""
        if self._value is None and self._pickled is not None:
            for place in self._folders:
                if place not in sys.path:
                    sys.path.append(place)
            self._value = pickle.loads(self._pickled)
        return self._value

    def __getstate__(self) -> dict[str, Any]:
        return {"pickled": self.pickled(), "folders": self._folders}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._value = None
        self._pickled = state["pickled"]
        self._folders = state["folders"]
