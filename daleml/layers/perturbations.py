"""Perturbations of circuits, as contexts: silence, drive, cut off and lesion, for a while.

.. code-block:: python

    with layers.silence(rnn, "PV", window_ms=(500, 800)):
        rates, state = rnn(trials.inputs)

Inside the block, the circuit runs perturbed; after it, the circuit is what it was, to the bit:
nothing is written into it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn

from daleml import require
from daleml.layers._recurrent import perturbation_arguments as read
from daleml.layers._recurrent.circuit import Circuit
from daleml.layers._recurrent.perturbation_arguments import Pair, Synapses, Units
from daleml.layers._recurrent.perturbing import Cut, Drive, Perturbation, Silence


def silence(
    rnn: nn.Module,
    population: Units,
    window_ms: Pair | None = None,
    *,
    steps: Pair | None = None,
    drive: float | None = None,
    layer: int | None = None,
) -> AbstractContextManager[nn.Module]:
    r"""Silence units of a circuit, inside a block.

    .. math:: r_{t,i} = 0 \quad \text{for } t \in [t_0, t_1) \text{ and silenced } i

    The rates are exactly zero, so the units send nothing, neither into the circuit nor to what
    reads it; adaptation and synapses recover as from rest. Their membrane state goes on, so that
    they return to what the circuit by then asks of them. Where the state is the rate, as without
    a leak, it is zero too.

    Args:
        rnn: A circuit or cell, or a model that contains one.
        population: Which units: the name of a population, an area ("V1"), a pattern
            (``"*.PV"``), or several; the numbers of units, a slice, or a boolean mask.
        window_ms: Begin and end in ms from the beginning of each trial, whole steps; the end is
            no part of it. Default: throughout, where what the state a trial begins in would send
            is silenced too, as in a window that begins at 0.
        steps: The same in steps, for a circuit without ``dt_ms``.
        drive: Silence instead by an inhibitory current of this strength, as :func:`drive` with
            ``-drive`` does: units that are driven strongly enough may still fire.
        layer: The number of the layer, from 0 on; default: every layer.

    Returns:
        A context, to be used in a ``with`` statement, which gives ``rnn``.

    Raises:
        TypeError: If ``rnn`` is no circuit and has none, or an argument is of the wrong kind.
        ValueError: If ``rnn`` has several circuits, there is no such population, unit or layer,
            or a window is impossible; from a run, if the window does not lie within the trial.

    Example:
        >>> import torch
        >>> from daleml import Populations
        >>> from daleml.layers import EIRNN
        >>> pops = Populations.of(exc={"E": 8}, inh={"PV": 2})
        >>> rnn = EIRNN(3, pops, dt_ms=10, tau_ms=50)
        >>> with silence(rnn, "PV", window_ms=(50, 80)):
        ...     rates, state = rnn(torch.rand(10, 4, 3))
        >>> rates[5:8, :, pops["PV"]].any()
        tensor(False)

    Notes:
        - Blocks may be nested: all of them act. Gradients, noise, packed sequences and any
          dynamics work as outside.
        - A trial is what one call runs. In a packed batch the window must lie within the longest
          one; those that end earlier see what they reach. A cell has no trial: enter the block
          for the steps that are meant.
        - ``rnn.rates(state)`` gives what a state would send inside of a block without a window.
        - Copies and pickles that are made inside of a block are unperturbed; other threads that
          run the same circuit meanwhile are perturbed. ``torch.utils.checkpoint`` runs a circuit
          again during ``backward``, which must then be called inside of the block.
        - A perturbed circuit runs step by step, slower than the fused path. One that is not
          perturbed is as fast as ever.
    """
    circuit = read.circuit(rnn)
    units = read.units(circuit, population)
    number, window = read.layer(circuit, layer), read.window(circuit, window_ms, steps)
    change: Perturbation
    # A current leaves the rates to the circuit; without one they are set.
    if drive is None:
        silent = torch.zeros(circuit.hidden_size, dtype=torch.bool, device="cpu")
        silent[units] = True
        change = Silence(number, window, silent)
    else:
        change = Drive(number, window, units, -require.positive("drive", drive))
    return _perturbed(rnn, circuit, change)


def drive(
    rnn: nn.Module,
    population: Units,
    amount: float | Tensor,
    window_ms: Pair | None = None,
    *,
    steps: Pair | None = None,
    layer: int | None = None,
) -> AbstractContextManager[nn.Module]:
    r"""Drive units of a circuit by a current, inside a block.

    .. math:: I_{t,i} = W r_{t-1} + U u_t + b + a_i \quad \text{for } t \in [t_0, t_1)

    Args:
        rnn: A circuit or cell, or a model that contains one.
        population: Which units, as in :func:`silence`.
        amount: :math:`a`, in the units of the bias, below zero to inhibit: a number, or one for
            each of the units in their order. It may have a gradient.
        window_ms: When, as in :func:`silence`; default: throughout.
        steps: The same in steps, for a circuit without ``dt_ms``.
        layer: The number of the layer; default: every layer.

    Shape:
        ``amount`` () or (units of the population,).

    Returns:
        A context, to be used in a ``with`` statement, which gives ``rnn``.

    Raises:
        TypeError: As in :func:`silence`.
        ValueError: As in :func:`silence`, or if ``amount`` is not finite or of another shape.

    Example:
        >>> import torch
        >>> from daleml import Populations
        >>> from daleml.layers import EIRNN
        >>> rnn = EIRNN(3, Populations(8, 2), dt_ms=10, tau_ms=50)
        >>> with drive(rnn, "I", 0.5):
        ...     rates, state = rnn(torch.rand(10, 4, 3))

    Notes:
        Those of :func:`silence`.
    """
    circuit = read.circuit(rnn)
    units = read.units(circuit, population)
    current = read.amount(amount, len(units))
    number, window = read.layer(circuit, layer), read.window(circuit, window_ms, steps)
    return _perturbed(rnn, circuit, Drive(number, window, units, current))


def silence_pathway(
    rnn: nn.Module,
    pathway: Synapses,
    window_ms: Pair | None = None,
    *,
    steps: Pair | None = None,
    layer: int | None = None,
) -> AbstractContextManager[nn.Module]:
    r"""Silence the recurrent synapses of a pathway, inside a block.

    .. math:: W_{ij} = 0 \quad \text{for } t \in [t_0, t_1) \text{ and } j \to i
        \text{ in the pathway}

    Args:
        rnn: A circuit or cell, or a model that contains one.
        pathway: From which population to which, ``"PV->E"``, each side a name, an area or a
            pattern; several of them; Blocks, for the pathways that are not 0; or a boolean
            matrix (post, pre).
        window_ms: When, as in :func:`silence`; default: throughout.
        steps: The same in steps, for a circuit without ``dt_ms``.
        layer: The number of the layer; default: every layer.

    Returns:
        A context, to be used in a ``with`` statement, which gives ``rnn``.

    Raises:
        TypeError: As in :func:`silence`.
        ValueError: As in :func:`silence`, or if there is no such pathway.

    Example:
        >>> import torch
        >>> from daleml import Populations
        >>> from daleml.layers import EIRNN
        >>> rnn = EIRNN(3, Populations(8, 2), dt_ms=10, tau_ms=50)
        >>> with silence_pathway(rnn, "I->E", window_ms=(50, 80)):
        ...     rates, state = rnn(torch.rand(10, 4, 3))

    Notes:
        Those of :func:`silence`. What the presynaptic units send through interneurons of a
        Dale's ANN is silenced with the pathway. Without a window,
        ``effective_weights`` shows it.
    """
    circuit = read.circuit(rnn)
    absent = read.pathway(circuit, pathway)
    number, window = read.layer(circuit, layer), read.window(circuit, window_ms, steps)
    return _perturbed(rnn, circuit, Cut(number, window, absent))


def lesion(
    rnn: nn.Module,
    pathway: Synapses,
    fraction: float = 1.0,
    generator: torch.Generator | None = None,
    *,
    layer: int | None = None,
) -> AbstractContextManager[nn.Module]:
    """Lesion recurrent synapses of a pathway, inside a block: all of them, or a random fraction.

    Args:
        rnn: A circuit or cell, or a model that contains one.
        pathway: Which, as in :func:`silence_pathway`.
        fraction: Fraction in [0, 1] of the synapses that exist, rounded to whole ones, which are
            drawn once, by this call.
        generator: Source of randomness; default: torch's global one.
        layer: The number of the layer; default: every layer, each with a draw of its own.

    Returns:
        A context, to be used in a ``with`` statement, which gives ``rnn``.

    Raises:
        TypeError: As in :func:`silence`.
        ValueError: As in :func:`silence_pathway`, or if ``fraction`` is out of range.

    Example:
        >>> import torch
        >>> from daleml import Populations
        >>> from daleml.layers import EIRNN
        >>> rnn = EIRNN(3, Populations(8, 2), dt_ms=10, tau_ms=50)
        >>> with lesion(rnn, "E->I", fraction=0.5):
        ...     weights = rnn.effective_weights()[0].recurrent
        >>> int((weights[8:, :8] == 0).sum())
        8

    Notes:
        Those of :func:`silence`. ``effective_weights``, and what reads it, such as a spectrum,
        see the lesion. To lesion for good, and train what is left, fix a mask:
        ``signs.fix(..., present=, replace=True)``.
    """
    circuit = read.circuit(rnn)
    require.fraction("fraction", fraction)
    chosen = read.pathway(circuit, pathway)
    if circuit._wiring.shunting and fraction < 1:
        raise ValueError(
            "`fraction` must be 1 for a circuit whose inhibition divides, which has no single"
            f" weight for two units; got {fraction:g}."
        )
    # Here, and not at every run: a block is one lesion, also of a function that it decorates.
    absent = []
    for suffix, meant in zip(circuit._suffixes, chosen, strict=True):
        absent.append(read.lesioned(circuit, suffix, meant, fraction, generator))
    return _perturbed(
        rnn, circuit, Cut(read.layer(circuit, layer), None, tuple(absent))
    )


@contextmanager
def _perturbed(
    rnn: nn.Module, circuit: Circuit, change: Perturbation
) -> Iterator[nn.Module]:
    """Perturb a circuit inside a block, whatever ends it."""
    held = vars(circuit)
    held["_perturbations"] = (*circuit._perturbations, change)
    try:
        yield rnn
    finally:
        # By identity, since threads may leave their blocks in any order.
        rest = list(circuit._perturbations)
        del rest[[one is change for one in rest].index(True)]
        held["_perturbations"] = tuple(rest)
        if not rest:
            del held["_perturbations"]
