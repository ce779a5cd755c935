"""The error of a training that has left the finite numbers."""

from __future__ import annotations


class DivergedError(RuntimeError):
    """Raised when a loss, a weight, a gradient or the state of an optimiser is no longer finite.

    Attributes:
        epoch: The epoch in which it was found; None outside :func:`~daleml.training.train`.
    """

    def __init__(self, message: str, epoch: int | None = None) -> None:
        super().__init__(message)
        self.epoch = epoch

    def __reduce__(self) -> tuple[type, tuple[str, int | None]]:
        """Keep the epoch when a worker process hands the error on."""
        # Without this, pickle calls the class with the message alone.
        return type(self), (str(self), self.epoch)
