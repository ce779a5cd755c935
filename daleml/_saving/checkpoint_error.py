"""The error that checkpoints raise."""

from __future__ import annotations


class CheckpointError(ValueError):
    """Raised when a checkpoint cannot be written or read, or does not belong to this run."""
