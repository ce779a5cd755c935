"""The paths of a circuit, as its options describe them: which synapses each has, of what kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from daleml.layers._recurrent.masks import draw_of, is_structured, mask_matrix
from daleml.layers._recurrent.wiring import Path
from daleml.layers._shared import sparse_choice, synapse_options
from daleml.layers._shared.sparse_masks import sparse_mask
from daleml.populations import Populations

_OF_PATHS = ("mask", "strength", "fixed", "lr_scale")
"""The options of recurrent synapses; those of input synapses begin with ``input_``."""


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
    of_input = {f"{name}": f"input_{name}" for name in _OF_PATHS}
    between = {"mask": "layer_mask"}
    sparse_choice.require_sparse_possible(options, suffixes)
    unsigned = synapse_options.unsigned(
        "input_signed", options.get("input_signed", True), inputs
    )
    within = {name: name for name in _OF_PATHS}
    paths = []
    for layer, suffix in enumerate(suffixes):
        # The first layer reads the input, the others what is below them.
        name = f"ih{suffix}"
        if layer:
            path = _path(name, between, (populations, populations), options)
        else:
            path = _path(name, of_input, (populations, inputs), options)
            path = path._replace(unsigned=unsigned)
        paths.append(path)
        paths.append(_path(f"hh{suffix}", within, (populations, populations), options))
    return paths


def _path(
    path: str,
    arguments: Mapping[str, str],
    ends: tuple[Populations, Populations],
    options: Mapping[str, Any],
) -> Path:
    """Return a path by the options of the given names."""
    given = {name: options.get(argument) for name, argument in arguments.items()}
    post, pre = ends
    mask, name = given["mask"], arguments["mask"]
    autapses, unit_signs = True, None
    if path.startswith("hh"):
        # A graph says signs of its own, which must agree with the populations.
        autapses, unit_signs = options["autapses"], pre.signs(device="cpu")
    elif hasattr(mask, "adjacency"):
        raise TypeError(f"`{name}` must be a matrix, a density or Blocks; got a graph.")
    how: dict[str, Any] = {"autapses": autapses, "signs": unit_signs}
    how["generator"] = options["generator"]
    present = pattern = None
    if sparse_choice.is_chosen(options.get("sparse", False), mask, ends):
        pattern = sparse_mask(name, mask, ends, **how)
    else:
        present = mask_matrix(name, mask, ends, **how)
    rest: dict[str, Any] = {}
    if "fixed" in given:
        rest = {
            "fixed": synapse_options.which(
                arguments["fixed"], given["fixed"], ends, pattern
            ),
            "wholly_fixed": given["fixed"] is True,
            "strength": synapse_options.relative_strengths(
                arguments["strength"], given["strength"], ends, pattern
            ),
            "learning": synapse_options.factors(
                arguments["lr_scale"], given["lr_scale"], ends, pattern
            ),
        }
    return Path(
        path,
        pre,
        post.size,
        present,
        draw_of(mask, ends),
        is_structured(mask),
        pattern=pattern,
        **rest,
    )
