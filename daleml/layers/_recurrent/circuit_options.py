"""The keyword-only options of circuits: what recurrent layers and cells take, said once."""

# The annotations below are read when the module is imported, so they are no strings here.

from collections.abc import Mapping, Sequence
from typing import Annotated, TypedDict

import torch
from torch import Tensor

from daleml._support.shared_options import Option
from daleml.layers._recurrent.masks import Connectivity
from daleml.layers.blocks import Blocks
from daleml.layers.dynamics.protocol import Dynamics

TimeConstants = float | Sequence[float] | Tensor | Mapping[str, float]
"""A time constant in ms, of all units, one for each, or one for each population."""
SynapseFacts = bool | Tensor | Blocks | None
"""Which synapses are meant: all, a boolean matrix (post, pre), or some pathways."""
SynapseNumbers = Tensor | Blocks | None
"""A number for each synapse, (post, pre), or for each pathway."""


class CircuitOptions(TypedDict, total=False):
    """What every circuit may be told: its synapses, its dynamics, and where it lives."""

    mask: Annotated[
        Connectivity,
        Option(
            None,
            "Which recurrent synapses exist: a boolean matrix (post, pre), which may be one of"
            " scipy.sparse; a density in (0, 1],"
            " drawn from ``generator`` anew for each layer, or :class:`Blocks` of densities in"
            " [0, 1], one for each pathway; or a networkx ``DiGraph`` whose nodes, in their"
            " order, are the units. Those that do not exist are kept at exactly zero. Of a"
            " DANN it is the excitatory synapses, those of ``weight_ex_hh``; interneurons"
            " reach all.",
        ),
    ]
    input_mask: Annotated[
        Connectivity,
        Option(
            None,
            "The same for the first layer's input synapses: a matrix (units, inputs), a"
            " density or :class:`Blocks` from the inputs' populations to the units'.",
        ),
    ]
    layer_mask: Annotated[
        Connectivity,
        Option(
            None,
            "The same for what every layer above the first reads of the one below: with"
            ' ``Blocks({"E->*": 1})`` only its excitatory units.',
        ),
    ]
    fixed: Annotated[
        SynapseFacts,
        Option(
            None,
            "Which recurrent synapses exist and do not learn: True for all, Blocks of 0 and"
            " 1, or a boolean matrix (post, pre). They keep the strengths that were drawn,"
            " under every optimiser; ``reset_parameters`` draws others. Of a DANN it is the"
            " excitatory synapses, and all of a path with True.",
        ),
    ]
    input_fixed: Annotated[
        SynapseFacts,
        Option(None, "The same for the first layer's input synapses."),
    ]
    autapses: Annotated[
        bool | None,
        Option(
            None,
            "Whether a unit may synapse onto itself. Default: as a matrix or graph says;"
            " without one, no.",
        ),
    ]
    dt_ms: Annotated[
        float | None,
        Option(
            None,
            "Length of a time step in ms; with ``tau_ms``, the circuit leaks.",
        ),
    ]
    tau_ms: Annotated[
        TimeConstants | None,
        Option(
            None,
            "Time constant in ms, at least ``dt_ms``: of all units; one for each; or one for"
            ' each population, by name, area or pattern, as in ``{"E": 20, "PV": 10}``.',
        ),
    ]
    train_tau: Annotated[
        bool,
        Option(
            False,
            "Whether time constants learn, from ``tau_ms``, which must then be above ``dt_ms``:"
            " one for each unit, or one for each key of a mapping by population"
            ' (``{"*": 100}`` is a single one).',
        ),
    ]
    dynamics: Annotated[
        Dynamics | None,
        Option(
            None,
            "What moves the state in a step: an object of :mod:`daleml.layers.dynamics`, such as"
            " ``RateLeak()`` or ``ShortTermPlasticity(...)``, or any that satisfies its protocol."
            " Default: the state leaks, or is the rate. Its state variables lie side by side in"
            " the last dimension of ``hx`` and ``h_n``, the state or rate first.",
        ),
    ]
    noise: Annotated[
        float,
        Option(
            0.0,
            r":math:`\sigma \ge 0`, the standard deviation that noise alone would give the"
            r" state, whatever ``dt_ms``; up to :math:`\sqrt 2` of it where ``dt_ms`` comes"
            r" near ``tau_ms``, or without a leak.",
        ),
    ]
    input_noise: Annotated[
        float,
        Option(
            0.0,
            r":math:`\sigma_u \ge 0` of noise in the first layer's input, which adds"
            r" :math:`\sqrt{2 / \alpha}\, \sigma_u \xi` to it at every step: what it does to the"
            " state does not depend on ``dt_ms``. Where time constants differ, the variance is"
            " the mean over units. What becomes negative stays so: give the input a baseline.",
        ),
    ]
    rate_noise: Annotated[
        float,
        Option(
            0.0,
            r":math:`\sigma_r \ge 0` of noise in the rates, :math:`r_t = f(x_t + \sigma_r \xi_t)`,"
            " which the state does not keep: the same at every step, whatever ``dt_ms``. Without"
            " a leak, where the state is the rate, it adds to ``noise``.",
        ),
    ]
    noise_in_eval: Annotated[
        bool,
        Option(False, "Whether there is noise, of any kind, in ``eval()`` too."),
    ]
    train_initial_state: Annotated[
        bool,
        Option(
            False,
            "Whether the state a sequence begins with is learned; else it is zero.",
        ),
    ]
    generator: Annotated[
        torch.Generator | None,
        Option(
            None,
            "Source of randomness for masks, weights and noise; default: torch's global one.",
        ),
    ]
    device: Annotated[
        torch.device | str | None, Option(None, "Where the parameters live.")
    ]
    dtype: Annotated[torch.dtype | None, Option(None, "Their floating-point type.")]


class ColumnEIOptions(CircuitOptions, total=False):
    """What a column-EI circuit may be told."""

    strength: Annotated[
        SynapseNumbers,
        Option(
            None,
            "Relative mean strength of the recurrent synapses, of either sign, when they are"
            " drawn: Blocks or a matrix (post, pre) of numbers of at least 0. Only proportions"
            " count, since the spectral radius is set afterwards.",
        ),
    ]
    input_strength: Annotated[
        SynapseNumbers,
        Option(
            None,
            "The same for the first layer's input synapses, whose mean square is kept.",
        ),
    ]
    lr_scale: Annotated[
        SynapseNumbers,
        Option(
            None,
            "Factor on what the recurrent synapses learn: Blocks or a matrix (post, pre) of"
            " numbers of at least 0. ``optim.enforce`` applies it to the whole update of any"
            " optimiser; with 0 nothing moves.",
        ),
    ]
    input_lr_scale: Annotated[
        SynapseNumbers,
        Option(None, "The same for the first layer's input synapses."),
    ]
    input_signed: Annotated[
        bool | Mapping[str, bool],
        Option(
            True,
            "Whether the input synapses have the signs of the inputs; or a mapping that says"
            " it for each population of inputs. Those without a sign begin with both, and"
            " may change it.",
        ),
    ]
    input_mean: Annotated[
        float,
        Option(
            0.0,
            "Mean of the input, e.g. the mean pixel: where all inputs excite, the first bias"
            " starts by cancelling what that adds up to. The default cancels nothing; too much"
            " would start the circuit silent.",
        ),
    ]
    sparse: Annotated[
        bool | None,
        Option(
            False,
            "Whether the weights that have a mask hold one number for each synapse that exists,"
            " instead of a matrix: see the guide to sparse circuits. None chooses, by what was"
            " measured to be faster: sparse from 512 by 512 units on, where at most one synapse"
            " in ten exists.",
        ),
    ]
    spectral_radius: Annotated[
        float | None,
        Option(
            None,
            "Largest absolute value of an eigenvalue of the recurrent weights when they are"
            " drawn. Below 1, activity fades without input; above, it may grow. Default: 0.95,"
            " or 0.9 if all units have one sign. Li et al. start at 1.5, where the activity of"
            " one circuit in ten grows without end.",
        ),
    ]


class DANNOptions(CircuitOptions, total=False):
    """What a recurrent Dale's ANN may be told."""

    shunting: Annotated[bool, Option(False, "Whether inhibition also divides.")]
    eps: Annotated[
        float,
        Option(0.01, "The weakest shunt that divides. Used with ``shunting`` only."),
    ]
