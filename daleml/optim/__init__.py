"""Optimisers that respect signs.

=================  ================================================================================================
``EG``             exponentiated gradient: no weight changes sign, each moves in proportion to itself
``EGAdamW``        the same along AdamW's direction
``enforce``        a guard that keeps Dale's law under any other torch optimiser
``param_groups``   learning rates by role, biases apart
``functional``     the update rules as functions of tensors
=================  ================================================================================================
"""

from daleml.optim import functional
from daleml.optim.eg import EG, EGAdamW
from daleml.optim.enforce import enforce
from daleml.optim.groups import param_groups

__all__ = ["EG", "EGAdamW", "enforce", "functional", "param_groups"]
