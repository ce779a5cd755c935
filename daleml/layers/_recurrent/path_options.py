"""The paths of a circuit, as its options describe them: which synapses each has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from daleml.layers._recurrent.masks import Connectivity, Ends, draw_of, mask_matrix
from daleml.layers._recurrent.wiring import Path
from daleml.populations import Populations


def connect(
    suffixes: Sequence[str],
    inputs: Populations,
    populations: Populations,
    options: Mapping[str, Any],
) -> list[Path]:
    """Return the paths of all layers, of each the input's, then the recurrent one.

    Args:
        suffixes: The end of the names of each layer's parameters.
        inputs: What the first layer reads.
        populations: The units of every layer.
        options: Those of the circuit, complete.

    Raises:
        TypeError: If an option is of the wrong kind.
        ValueError: If an option does not fit the populations.
    """
    if len(suffixes) < 2 and options["layer_mask"] is not None:
        raise ValueError(
            "`layer_mask` must be left out of a circuit of one layer, whose synapses from"
            " below are those of `input_mask`."
        )
    paths = []
    for layer, suffix in enumerate(suffixes):
        # The first layer reads the input, the others what is below them.
        name, pre = "input_mask", inputs
        if layer:
            name, pre = "layer_mask", populations
        paths.append(_input_path(f"ih{suffix}", name, (populations, pre), options))
        paths.append(_recurrent_path(f"hh{suffix}", populations, options))
    return paths


def _input_path(
    path: str, argument: str, ends: tuple[Populations, Populations], options: Any
) -> Path:
    given: Connectivity = options[argument]
    if hasattr(given, "adjacency"):
        raise TypeError(
            f"`{argument}` must be a matrix, a density or Blocks; got a graph."
        )
    present = mask_matrix(
        argument, given, ends, autapses=True, generator=options["generator"]
    )
    post, pre = ends
    return Path(path, pre, post.size, present, draw_of(given, ends))


def _recurrent_path(path: str, populations: Populations, options: Any) -> Path:
    given: Connectivity = options["mask"]
    ends: Ends = populations, populations
    present = mask_matrix(
        "mask",
        given,
        ends,
        autapses=options["autapses"],
        # A graph says signs of its own, which must agree with the populations.
        signs=populations.signs(device="cpu"),
        generator=options["generator"],
    )
    drawn = draw_of(given, ends)
    return Path(path, populations, populations.size, present, drawn)
