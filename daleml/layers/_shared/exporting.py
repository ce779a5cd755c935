"""The question whether a layer is being exported."""

from __future__ import annotations

from collections.abc import Callable

import torch

is_exporting: Callable[[], bool] = getattr(torch.compiler, "is_exporting", bool)
"""Whether ``torch.export`` records what is run; torch 2.6 does not tell."""
