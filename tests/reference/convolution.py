"""A DANN convolution as a loop over pixels, each of them a dense DANN."""

import torch

from tests.reference.dann import dann


def dann_convolution(image, layer, stride, padding, dilation):
    """One image, zero-padded by hand: the dense layer's slow twin on every patch, its taps in the kernels' order."""
    channels, height, width = layer.weight_ex.shape[1:]
    image = torch.nn.functional.pad(image, (padding,) * 4)
    shunting = (layer.alpha, layer.gain, layer.eps) if layer.shunting else ()
    rows = []
    for top in range(0, image.shape[1] - dilation * (height - 1), stride):
        row = []
        for left in range(0, image.shape[2] - dilation * (width - 1), stride):
            patch = [
                image[c, top + a * dilation, left + b * dilation]
                for c in range(channels)
                for a in range(height)
                for b in range(width)
            ]
            banks = layer.weight_ex.flatten(1), layer.weight_ix.flatten(1)
            row.append(
                torch.stack(dann(patch, *banks, layer.weight_ei, layer.bias, *shunting))
            )
        rows.append(torch.stack(row, dim=-1))
    return torch.stack(rows, dim=-2)
