"""Connections between two layers that drive each other: one weight, read in both directions."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, linear

from daleml.learning.equilibrium.conv_block import ConvBlock
from daleml.learning.equilibrium.split_rows import SplitRows


class Connection(nn.Module):
    """A weight between two layers, a bias of the upper one, and how each layer drives the other.

    Called with the lower state, it returns the drive of the upper layer; with both states, that
    and the feedback to the lower layer. Both go through the call, so that a weight that hooks
    compute, as pruning does, is computed anew.

    The term of the connection in the network's potential is the upper state times what arrives
    there. Its derivative to the upper state is the drive, to the lower state the feedback, and
    to the weight what is learnt from.

    Args:
        weight: The initial weight, ``(post, pre, ...)``.
        n_post: Number of units, or of channels, of the upper layer.
        bias: Whether there is a bias.
    """

    weight: nn.Parameter
    bias: nn.Parameter | None
    feedback_signs: Tensor | None
    post_shape: tuple[int, ...]

    def __init__(self, weight: Tensor, n_post: int, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        if bias:
            self.bias = nn.Parameter(weight.new_zeros(n_post))
        else:
            self.register_parameter("bias", None)
        # A buffer, so that it is saved and moved with the weight.
        self.register_buffer("feedback_signs", None)
        keep = _keep_feedback_signs
        self.register_load_state_dict_pre_hook(keep)  # type: ignore[no-untyped-call]

    def feedback_weight(self) -> Tensor:
        """Return what carries the upper state down, ``(post, pre, ...)``.

        That is the weight itself. Under Dale's law it is the weight's size with the sign of the
        synapse's sender, which is the upper unit.
        """
        if self.feedback_signs is None:
            return self.weight
        shape = (-1, *(1,) * (self.weight.ndim - 1))
        sender = self.feedback_signs.to(self.weight.dtype).reshape(shape)
        return sender * self.weight.abs()

    def _bias(self, like: Tensor) -> Tensor | None:
        return None if self.bias is None else self.bias.to(like.dtype)

    def _add_bias_(self, drive: Tensor, rows: SplitRows) -> Tensor:
        """Add the bias to all rows but imaginary parts, in place."""
        if self.bias is not None:
            shape = (-1, *(1,) * (drive.ndim - 2))
            drive[: rows.n_numbers].add_(self.bias.reshape(shape))
        return drive


class DenseConnection(Connection):
    """A connection of every unit with every unit.

    Args:
        pre_shape: Shape of the lower layer's state, without samples.
        n_post: Number of units of the upper layer.
        bias: Whether there is a bias.
        device: Where the parameters live.
        dtype: Their type.
    """

    def __init__(
        self,
        pre_shape: tuple[int, ...],
        n_post: int,
        bias: bool,
        device: torch.device | str | None,
        dtype: torch.dtype | None,
    ) -> None:
        n_pre = math.prod(pre_shape)
        super().__init__(
            torch.empty(n_post, n_pre, device=device, dtype=dtype), n_post, bias
        )
        self.pre_shape = pre_shape
        self.post_shape: tuple[int, ...] = (n_post,)

    def forward(
        self, pre: Tensor, post: Tensor | None = None, rows: SplitRows | None = None
    ) -> Any:
        """Return the drive of the upper layer, ``W h + b``.

        Args:
            pre: State of the lower layer, ``(batch, *pre_shape)``.
            post: State of the upper layer, (batch, n_post). With it, the feedback to the lower
                layer is returned too.
            rows: What the rows of real states mean, where they hold complex numbers part by
                part; else None.
        """
        if rows is None:
            drive = linear(pre.flatten(1), self.weight.to(pre.dtype), self._bias(pre))
        else:
            # One real product for both parts of all numbers.
            drive = self._add_bias_(linear(pre.flatten(1), self.weight), rows)
        if post is None:
            return drive
        # Transposed and never conjugated: a conjugate is not holomorphic.
        feedback = post @ self.feedback_weight().to(post.dtype)
        return drive, feedback.reshape(pre.shape)

    def learn(self, pre: Tensor, signal: Tensor) -> tuple[Tensor, Tensor]:
        """Return gradients of weight and bias, given the derivative to the drive.

        Args:
            pre: State of the lower layer.
            signal: The derivative to the drive of the upper layer.

        Returns:
            Real parts, summed over the batch.
        """
        if not pre.is_complex() and signal.is_complex():
            # The input is real, and so the imaginary part of the product would be dropped anyway.
            signal = signal.real
        weight = signal.mT @ pre.flatten(1)
        return _real(weight), _real(signal.sum(0))


class ConvConnection(Connection):
    """A convolution of stride 1, and perhaps pooling.

    Args:
        pre_shape: (channels, height, width) of the lower layer.
        block: The convolution and its pooling.
        bias: Whether there is a bias, one number for each channel.
        device: Where the parameters live.
        dtype: Their type.

    Raises:
        ValueError: If the windows of the pooling do not divide the maps evenly.
    """

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
        height = pre_shape[1] + 2 * block.padding - side + 1
        width = pre_shape[2] + 2 * block.padding - side + 1
        size = 1 if block.pool is None else block.pool.size
        if height < 1 or width < 1 or height % size or width % size:
            raise ValueError(
                "`hidden` must hold convolutions whose maps the windows of their pooling"
                f" divide evenly; got {block!r} on {pre_shape}, whose maps are {height} x"
                f" {width}."
            )
        self.padding = block.padding
        self.pool = block.pool
        self.post_shape = (channels, height // size, width // size)

    def forward(
        self, pre: Tensor, post: Tensor | None = None, rows: SplitRows | None = None
    ) -> Any:
        """Return the drive of the upper layer, ``pool(W * h + b)``.

        Args:
            pre: State of the lower layer, ``(batch, *pre_shape)``.
            post: State of the upper layer, ``(batch, *post_shape)``. With it, the feedback to the
                lower layer is returned too.
            rows: What the rows of real states mean, where they hold complex numbers part by
                part; else None.
        """
        drive = self._convolved(pre, rows)
        if self.pool is not None:
            # The Jacobian of pooling is taken at the current drive.
            if post is None:
                drive = _on_numbers(self.pool, rows, drive)
            else:
                drive, post = _on_numbers(self.pool.transposed, rows, drive, post)
        if post is None:
            return drive
        weight = self.feedback_weight().to(post.dtype)
        return drive, conv_transpose2d(post, weight, padding=self.padding)

    def learn(self, pre: Tensor, signal: Tensor) -> tuple[Tensor, Tensor]:
        """Return gradients of weight and bias, given the derivative to the drive.

        Args:
            pre: State of the lower layer.
            signal: The derivative to the drive of the upper layer.

        Returns:
            Real parts, summed over the batch and over positions.
        """
        if self.pool is not None:
            _, signal = self.pool.transposed(self._convolved(pre), signal)
        if not pre.is_complex() and signal.is_complex():
            signal = signal.real.contiguous()
        # The derivative to the filters is itself a convolution of the input, with the signal as
        # filters.
        filters = conv2d(
            pre.transpose(0, 1), signal.transpose(0, 1), padding=self.padding
        )
        return _real(filters.transpose(0, 1)), _real(signal.sum((0, 2, 3)))

    def _convolved(self, pre: Tensor, rows: SplitRows | None = None) -> Tensor:
        if rows is not None:
            return self._add_bias_(conv2d(pre, self.weight, padding=self.padding), rows)
        weight = self.weight.to(pre.dtype)
        return conv2d(pre, weight, self._bias(pre), padding=self.padding)


def _on_numbers(function: Any, rows: SplitRows | None, *given: Tensor) -> Any:
    """Call a function that is not linear, and so needs both parts of a complex number at once."""
    return function(*given) if rows is None else rows.apply(function, *given)


def _keep_feedback_signs(
    module: nn.Module, state: dict[str, Any], prefix: str, *_: Any
) -> None:
    """Let a checkpoint without feedback signs load, as one without the signs of weights does."""
    if module.feedback_signs is not None:
        state.setdefault(prefix + "feedback_signs", module.feedback_signs)


def _real(x: Tensor) -> Tensor:
    return x.real if x.is_complex() else x
