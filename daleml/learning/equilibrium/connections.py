"""What joins two layers that drive each other: one weight, read in both directions."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, linear

from daleml.learning.equilibrium.conv_block import ConvBlock


class Connection(nn.Module):
    """A weight between two layers, a bias of the upper one, and how each drives the other.

    Called with the lower state, it returns the drive of the upper layer; with both, that and
    the feedback to the lower one. Both go through the call, so that a weight that hooks
    compute, as pruning does, is computed anew.

    The term of the connection in the network's potential is the upper state times what arrives
    there: its derivative to the upper state is the drive, to the lower state the feedback, to
    the weight what is learnt from.
    """

    weight: nn.Parameter
    bias: nn.Parameter | None
    feedback_signs: Tensor | None
    post_shape: tuple[int, ...]

    def __init__(self, weight: Tensor, n_post: int, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        own = (
            nn.Parameter(torch.zeros(n_post, dtype=weight.dtype, device=weight.device))
            if bias
            else None
        )
        self.register_parameter("bias", own)
        self.register_buffer("feedback_signs", None)
        self.register_load_state_dict_pre_hook(_keep_feedback_signs)  # type: ignore[no-untyped-call]

    def feedback_weight(self) -> Tensor:
        """Return what carries the upper state down, ``(post, pre)``.

        The weight itself, or under Dale's law its size.

        The sign of a synapse is then that of its sender, which is the upper unit.
        """
        if self.feedback_signs is None:
            return self.weight
        sender = self.feedback_signs.to(self.weight.dtype).reshape(
            -1, *(1,) * (self.weight.ndim - 1)
        )
        return sender * self.weight.abs()

    def _bias(self, like: Tensor) -> Tensor | None:
        return None if self.bias is None else self.bias.to(like.dtype)


class DenseConnection(Connection):
    """Every unit with every unit."""

    def __init__(
        self,
        pre_shape: tuple[int, ...],
        n_post: int,
        bias: bool,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__(
            torch.empty(n_post, math.prod(pre_shape), device=device, dtype=dtype),
            n_post,
            bias,
        )
        self.pre_shape = pre_shape
        self.post_shape: tuple[int, ...] = (n_post,)

    def forward(self, pre: Tensor, post: Tensor | None = None) -> Any:
        """Return the drive of the upper layer, ``W h + b``, and with ``post`` the feedback to the lower one too."""
        drive = linear(pre.flatten(1), self.weight.to(pre.dtype), self._bias(pre))
        if post is None:
            return drive
        # Transposed and never conjugated: a conjugate is not holomorphic.
        return drive, (post @ self.feedback_weight().to(post.dtype)).reshape(pre.shape)

    def learn(self, pre: Tensor, signal: Tensor) -> tuple[Tensor, Tensor]:
        """Return the real parts of ``signal`` times the derivatives of the drive to weight and bias, summed."""
        if not pre.is_complex() and signal.is_complex():
            signal = signal.real
        weight = signal.mT @ pre.flatten(1)
        return _real(weight), _real(signal.sum(0))


class ConvConnection(Connection):
    """A convolution of stride 1, and perhaps pooling."""

    def __init__(
        self,
        pre_shape: tuple[int, ...],
        block: ConvBlock,
        bias: bool,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        channels, side = block.channels, block.kernel_size
        weight = torch.empty(
            channels, pre_shape[0], side, side, device=device, dtype=dtype
        )
        super().__init__(weight, channels, bias)
        height, width = (
            length + 2 * block.padding - side + 1 for length in pre_shape[1:]
        )
        size = 1 if block.pool is None else block.pool.size
        if height < 1 or width < 1 or height % size or width % size:
            raise ValueError(
                "`hidden` must hold convolutions whose maps the windows of their pooling"
                f" divide evenly; got {block!r} on {pre_shape}, whose maps are {height} x"
                f" {width}."
            )
        self.padding, self.pool = block.padding, block.pool
        self.post_shape = (channels, height // size, width // size)

    def forward(self, pre: Tensor, post: Tensor | None = None) -> Any:
        """Return the drive of the upper layer, ``pool(W * h + b)``, and with ``post`` the feedback to the lower one."""
        drive = self._convolved(pre)
        if post is None:
            return drive if self.pool is None else self.pool(drive)
        if self.pool is not None:
            drive, post = self.pool.transposed(drive, post)
        return drive, conv_transpose2d(
            post, self.feedback_weight().to(post.dtype), padding=self.padding
        )

    def learn(self, pre: Tensor, signal: Tensor) -> tuple[Tensor, Tensor]:
        """Return the real parts of ``signal`` times the derivatives of the drive to weight and bias, summed."""
        if self.pool is not None:
            signal = self.pool.transposed(self._convolved(pre), signal)[1]
        if not pre.is_complex() and signal.is_complex():
            signal = signal.real.contiguous()
        # The derivative to the filters is itself a convolution of the input, with the signal as
        # filters.
        weight = conv2d(
            pre.transpose(0, 1), signal.transpose(0, 1), padding=self.padding
        ).transpose(0, 1)
        return _real(weight), _real(signal.sum((0, 2, 3)))

    def _convolved(self, pre: Tensor) -> Tensor:
        return conv2d(
            pre, self.weight.to(pre.dtype), self._bias(pre), padding=self.padding
        )


def _keep_feedback_signs(
    module: nn.Module, state: dict[str, Any], prefix: str, *_: Any
) -> None:
    """Let a checkpoint of a network without them load, as one without the signs of its weights does."""
    if module.feedback_signs is not None:
        state.setdefault(prefix + "feedback_signs", module.feedback_signs)


def _real(x: Tensor) -> Tensor:
    return x.real if x.is_complex() else x
