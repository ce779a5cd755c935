"""A run that was stopped and started again ends where one that never stopped does, whatever its state is made of."""

import cmath
import enum
import inspect
import json
import math
import random
import warnings
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.optim import lr_scheduler as schedules
from torch.optim.swa_utils import SWALR

from daleml import signs
from daleml._saving.decoding import Decoder
from daleml._saving.encoding import Encoder
from daleml._saving.generators import write_generator
from daleml._saving.typed_json import StateError
from daleml.checkpoint import CheckpointError
from daleml.layers import DANNLinear
from daleml.optim import EG, MirrorDescent, param_groups
from daleml.potentials import PNorm
from daleml.training import Shuffled, train
from tests.catalog import OPTIMIZERS, attach, network, optimizers
from tests.names import steady

X = torch.rand(12, 9, generator=torch.Generator().manual_seed(0))
Y = torch.arange(12) % 3


# -- typed JSON --------------------------------------------------------------------------------------------------------

Point = namedtuple("Point", "x y")


class Phase(enum.Enum):
    WARM = "warm"
    COOL = (1, 2)


class Level(enum.IntEnum):
    LOW = 1


class Flags(enum.Flag):
    A = 1
    B = 2


def there_and_back(value):
    encoder = Encoder()
    tree = json.loads(json.dumps(encoder.encode(value, "it"), allow_nan=False))
    tensors = {name: tensor.clone() for name, tensor in encoder.tensors.items()}
    return Decoder(tensors, encoder.functions, {}).decode(tree, "it")


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -(2**70), 2**53, 10**5000, "text", "\ud800 lone", 0.1, -0.0, math.inf, -math.inf, math.nan, 1e-320,
        [1, [2]], (1, (2.0, "a")), (), [], {}, {"a": {"b": 1}}, {3: 1, "3": 2}, {(1, "a"): None}, {None: 1, True: 2},
        {"type": "tuple", "value": [1]}, {"type": {"type": "list"}},
        {1, 2}, frozenset({"a"}), deque([1, (2,)], maxlen=3), deque(), Counter({3: 1, 5: 2}), OrderedDict([("b", 1), ("a", 2)]),
        defaultdict(list, {"a": [1]}), defaultdict(None, {1: 2}), complex(1, -math.inf), cmath.nanj, b"\x00\xff", bytearray(b"ab"),
        range(2, 9, 3), Phase.WARM, Phase.COOL, Level.LOW, Flags.A | Flags.B, Point(1, [2]),
        np.float32(0.1), np.int64(7), np.bool_(True), np.float64(math.nan), np.complex64(1 + 2j), np.str_("a"),
        torch.float16, torch.device("cpu"), torch.Size([2, 3]),
    ],
    ids=lambda value: steady(value) if type(value) is not int else "int",
)  # fmt: skip
def test_plain_values_come_back_with_their_types(value):
    back = there_and_back(value)
    assert type(back) is type(value)
    assert back == value if type(value) is int else repr(back) == repr(value)
    if isinstance(value, deque):
        assert back.maxlen == value.maxlen
    if isinstance(value, defaultdict):
        assert back.default_factory is value.default_factory
    if isinstance(value, np.generic):
        assert back.dtype == value.dtype


@pytest.mark.parametrize(
    "dtype",
    [
        torch.float64,
        torch.bfloat16,
        torch.float16,
        torch.int8,
        torch.bool,
        torch.uint8,
        torch.complex64,
        torch.complex128,
    ],
    ids=steady,
)
def test_tensors_come_back(dtype):
    value = torch.tensor([[0.0, 1.0], [2.0, 3.0]]).to(dtype)
    back = there_and_back({"a": value, "b": [value]})
    assert torch.equal(back["a"], value)
    assert back["a"].dtype == dtype
    assert back["b"][0] is back["a"]  # one thing stays one thing


def test_arrays_and_parameters_come_back():
    array = np.arange(6, dtype=np.uint16).reshape(2, 3)
    back = there_and_back(
        [array, nn.Parameter(torch.ones(2), requires_grad=False), np.float32([])]
    )
    assert back[0].dtype == np.uint16
    assert (back[0] == array).all()
    assert type(back[1]) is nn.Parameter
    assert not back[1].requires_grad
    assert back[2].dtype == np.float32


def test_what_is_shared_and_what_holds_itself_stays_so():
    shared, loop = deque([1]), []
    loop.append((loop, shared))
    back = there_and_back(
        {"a": shared, "b": [shared, loop], "c": np.zeros(1), "d": shared}
    )
    assert back["a"] is back["b"][0] is back["d"] is back["b"][1][0][1]
    assert back["b"][1][0][0] is back["b"][1]


@pytest.mark.parametrize(
    "make", [lambda: torch.Generator().manual_seed(3), lambda: np.random.default_rng(3), lambda: np.random.RandomState(3), lambda: random.Random(3)],
    ids=["torch", "numpy", "RandomState", "random"],
)  # fmt: skip
def test_generators_come_back_where_they_were(make):
    def draw(source):
        return (
            torch.rand(2, generator=source).tolist()
            if isinstance(source, torch.Generator)
            else source.random()
        )

    generator, encoder = make(), Encoder()
    draw(generator)
    tree = json.loads(json.dumps(encoder.encode([generator, generator], "it")))
    expected = draw(generator)
    for own in (
        {},
        {"it.0": generator},
    ):  # a generator of the run that goes on is the same object as before
        decoder = Decoder(dict(encoder.tensors), {}, own)
        back = decoder.decode(tree, "it")
        assert back[0] is back[1]
        assert (back[0] is generator) == bool(own)
        ((source, state),) = decoder.pending
        write_generator(source, state)
        assert draw(back[0]) == expected


class Custom:
    pass


class OwnList(list):
    pass


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (Custom(), "Custom"), (OwnList(), "OwnList"), (np.array(["a"]), "<U1"), (np.array([None]), "object"),
        (torch.eye(2).to_sparse(), "layout torch.sparse_coo"), (torch.ones(2, device="meta"), "a meta tensor"),
        (nn.Linear(1, 1), "torch.nn.modules.linear.Linear"), (defaultdict(lambda: 0), "<lambda>"),
        (np.longdouble(1), "longdouble|float128"), (iter([]), "list_iterator"), (Custom().__init__, "method"),
    ],
    ids=steady,
)  # fmt: skip
def test_what_cannot_be_kept_is_refused_by_its_path(value, got):
    with pytest.raises(StateError, match=rf"`it\.deep\.1` must .*; got .*({got})"):
        Encoder().encode({"deep": [0, value]}, "it")


def test_an_enum_of_a_function_is_refused():
    class Inner(enum.Enum):
        A = 1

    with pytest.raises(StateError, match="a class at the top of a module"):
        Encoder().encode(Inner.A, "it")


@pytest.mark.parametrize(
    "tree",
    [
        {"type": "nonsense", "value": 1}, {"type": "tuple"}, {"type": "tuple", "value": 3}, {"type": "float", "value": "x"},
        {"type": "same as", "value": 4}, {"type": "tensor", "value": "missing"}, {"type": "enum", "of": "os.system", "value": 1},
        {"type": "enum", "of": "tests._saving.test_resuming.Phase", "value": "cold"}, {"type": "bytes", "value": "zz"},
        {"type": "function", "value": "os.system"}, {"type": "torch.dtype", "value": "nn"}, {"type": ["list"], "value": 1},
        {"type": "namedtuple", "of": "subprocess.Popen", "value": ["true"]}, {"type": "dict", "value": [[[1], 2]]},
        {"type": "deque", "value": [1], "maxlen": -3}, {"type": "defaultdict", "value": [], "factory": "eval"},
        {"type": "numpy.random._generator.Generator", "value": {"bit_generator": "seed"}}, {"type": "set", "value": [[]]},
        {"type": "torch.Size", "value": "ab"}, {"type": "numpy", "value": 1, "dtype": "nonsense"}, {"type": "array", "value": 1},
    ],
    ids=steady,
)  # fmt: skip
def test_json_that_describes_no_value_is_one_error_and_runs_nothing(tree):
    with pytest.raises(StateError, match="it"):
        Decoder({}, {}, {}).decode(tree, "it")


# -- schedulers --------------------------------------------------------------------------------------------------------


class Half:
    """A factor with a memory of its own, as LambdaLR allows."""

    def __init__(self):
        self.calls = 0

    def __call__(self, epoch):
        self.calls += 1
        return 0.5**epoch + 0.001 * self.calls


SCHEDULERS = {
    "LambdaLR": lambda o: schedules.LambdaLR(o, lambda epoch: 0.9**epoch),
    "LambdaLR object": lambda o: schedules.LambdaLR(o, Half()),
    "MultiplicativeLR": lambda o: schedules.MultiplicativeLR(o, lambda epoch: 0.9),
    "StepLR": lambda o: schedules.StepLR(o, 2, 0.5),
    "MultiStepLR": lambda o: schedules.MultiStepLR(o, [3, 3, 5], 0.5),
    "ConstantLR": lambda o: schedules.ConstantLR(o, 0.3, 4),
    "LinearLR": lambda o: schedules.LinearLR(o, 0.2, total_iters=5),
    "ExponentialLR": lambda o: schedules.ExponentialLR(o, 0.8),
    "PolynomialLR": lambda o: schedules.PolynomialLR(o, 5, 2.0),
    "CosineAnnealingLR": lambda o: schedules.CosineAnnealingLR(o, 4, eta_min=0.01),
    "CosineAnnealingWarmRestarts": lambda o: schedules.CosineAnnealingWarmRestarts(
        o, 2, 2
    ),
    "ReduceLROnPlateau": lambda o: schedules.ReduceLROnPlateau(
        o, patience=0, threshold=0.5, cooldown=1
    ),
    "CyclicLR": lambda o: schedules.CyclicLR(o, 0.01, 0.2, 2, mode="triangular2"),
    "CyclicLR function": lambda o: schedules.CyclicLR(
        o, 0.01, 0.2, 2, scale_fn=lambda x: 1 / (1 + x)
    ),
    "OneCycleLR": lambda o: schedules.OneCycleLR(
        o, 0.3, total_steps=9, three_phase=True
    ),
    "SequentialLR": lambda o: schedules.SequentialLR(
        o,
        [
            schedules.LinearLR(o, 0.1, total_iters=2),
            schedules.MultiStepLR(o, [2, 3], 0.5),
        ],
        [2],
    ),
    "ChainedScheduler nested": lambda o: schedules.ChainedScheduler(
        [
            schedules.SequentialLR(
                o, [schedules.StepLR(o, 1), schedules.MultiStepLR(o, [1], 0.5)], [2]
            )
        ],
        optimizer=o,
    ),
    "ChainedScheduler": lambda o: schedules.ChainedScheduler(
        [schedules.MultiStepLR(o, [2, 4], 0.5), schedules.ExponentialLR(o, 0.9)],
        optimizer=o,
    ),
    "SWALR": lambda o: SWALR(o, 0.05, anneal_epochs=4, anneal_strategy="linear"),
}


def test_every_scheduler_that_torch_has_is_tried():
    found = {
        name
        for name, kind in vars(schedules).items()
        if inspect.isclass(kind)
        and issubclass(kind, schedules.LRScheduler)
        and not name.startswith("_")
    }
    assert found - {"LRScheduler"} <= {name.split()[0] for name in SCHEDULERS}


def go(
    epochs,
    folder=None,
    scheduler=None,
    optimizer=None,
    model=None,
    loss=cross_entropy,
    **options,
):
    """Train a small model from one start, and return what there is in the end."""
    torch.manual_seed(0)
    net = nn.Linear(9, 3) if model is None else model()
    built = (
        torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
        if optimizer is None
        else optimizer(net)
    )
    made = None if scheduler is None else scheduler(built)
    options.setdefault("trackers", {})
    batches = options.pop("batches", Shuffled(X, Y, 8))
    history = train(
        net,
        batches,
        built,
        loss,
        epochs=epochs,
        scheduler=made,
        checkpoint=folder,
        progress=False,
        **options,
    )
    return net, built, made, history


def tree(thing):
    encoder = Encoder()
    encoded = encoder.encode(thing.state_dict(), "state")
    return json.dumps(encoded), {
        name: tensor.tolist() for name, tensor in encoder.tensors.items()
    }


def assert_same(one, other):
    for a, b in zip(one[:3], other[:3], strict=True):
        if isinstance(a, nn.Module):
            state, again = a.state_dict(), b.state_dict()
            assert all(torch.equal(state[name], again[name]) for name in state)
        elif a is not None:
            assert tree(a) == tree(b)
    assert one[3].equals(other[3])


@pytest.mark.filterwarnings(
    "ignore:Detected call of:UserWarning"
)  # torch's, of nested schedulers
@pytest.mark.filterwarnings("ignore:The epoch parameter:UserWarning")
@pytest.mark.parametrize("name", SCHEDULERS)
def test_schedulers_resume_exactly(name, tmp_path):
    whole = go(6, scheduler=SCHEDULERS[name])
    for epochs in (1, 3, 6):
        resumed = go(epochs, tmp_path, SCHEDULERS[name])
    assert_same(whole, resumed)
    assert len({row["lr"] for row in whole[1].param_groups}) == 1


def test_milestones_drop_the_rate_after_a_stop(tmp_path):
    build = SCHEDULERS["MultiStepLR"]
    go(2, tmp_path, build)
    assert go(6, tmp_path, build)[1].param_groups[0]["lr"] == pytest.approx(
        0.1 * 0.5**3
    )


def warm_up(epoch):
    return 1 / (1 + epoch)


class Own(schedules.LRScheduler):
    """A stranger's, which keeps everything in its attributes and uses all of it."""

    def __init__(self, optimizer):
        self.losses = deque([0.1], maxlen=3)
        self.met = {0}
        self.average = torch.tensor([1.0, 2.0], dtype=torch.float64)
        self.scale = np.float32(0.5)
        self.counts = defaultdict(int, {3: 1})
        self.order = OrderedDict([("b", 1), ("a", 2)])
        self.phase = complex(0.3, 0.1)
        self.key = b"\x01"
        self.stage = Phase.WARM
        self.best = math.inf
        self.worst = math.nan
        self.milestones = {1: 0.9, (2, "x"): 0.8}
        self.generator = torch.Generator().manual_seed(1)
        self.source = np.random.default_rng(2)
        self.rule = warm_up
        self.alias = self.losses
        super().__init__(optimizer)

    def get_lr(self):
        self.alias.append(self.last_epoch)
        self.met.add(self.last_epoch)
        self.counts[self.last_epoch] += 1
        self.average *= 1.1
        self.best = min(self.best, float(self.average[0]))
        self.stage = Phase.COOL if len(self.met) > 3 else Phase.WARM
        self.phase *= self.phase
        noise = float(torch.rand(1, generator=self.generator)) + self.source.random()
        factor = (
            self.rule(self.last_epoch) + self.scale * len(self.losses) + abs(self.phase)
        )
        factor += (
            self.milestones.get(self.last_epoch, 1.0)
            + sum(self.losses)
            + self.counts[3]
            + noise
        )
        return [
            0.01 * float(factor) * (2 if self.stage is Phase.COOL else 1)
            for _ in self.base_lrs
        ]


def test_a_users_scheduler_keeps_its_types(tmp_path):
    whole = go(6, scheduler=Own)
    for epochs in (2, 4, 6):
        resumed = go(epochs, tmp_path, Own)
    assert_same(whole, resumed)
    ours, again = whole[2], resumed[2]
    assert type(again.counts) is defaultdict
    assert again.alias is again.losses
    assert again.losses.maxlen == 3
    assert again.stage is Phase.COOL
    assert again.rule is warm_up
    assert again.met == ours.met


class WarmUp(schedules.LRScheduler):
    """Holds the scheduler that takes over, as strangers' often do."""

    def __init__(self, optimizer, after):
        self.after = after
        super().__init__(optimizer)

    def get_lr(self):
        return [rate * (self.last_epoch + 1) / 3 for rate in self.base_lrs]

    def step(self, epoch=None):
        if self.last_epoch >= 2:
            self.last_epoch += 1
            self.after.step()
        else:
            super().step()


def test_a_scheduler_within_a_strangers_resumes(tmp_path):
    for name, inner in {
        "milestones": lambda o: schedules.MultiStepLR(o, [1, 3], 0.5),
        "nested": lambda o: WarmUp(o, schedules.MultiStepLR(o, [1], 0.5)),
    }.items():
        build = lambda o, inner=inner: WarmUp(o, inner(o))  # noqa: E731
        whole = go(7, scheduler=build)
        for epochs in (2, 5, 7):
            resumed = go(epochs, tmp_path / name, build)
        assert_same(whole, resumed)
        assert type(resumed[2].after) is type(whole[2].after)
    with pytest.raises(
        CheckpointError,
        match=r"`scheduler\.after` must be a torch\.optim\.lr_scheduler\.MultiStepLR",
    ):
        go(8, tmp_path / "milestones", lambda o: WarmUp(o, schedules.StepLR(o, 1)))


class Holds(schedules.StepLR):
    def __init__(self, optimizer, thing):
        super().__init__(optimizer, 1)
        self.thing = thing


def test_a_scheduler_that_cannot_be_kept_is_refused_before_training(tmp_path):
    seen = []
    for thing in (Custom(), nn.Linear(1, 1), torch.eye(2).to_sparse(), iter([1])):
        with pytest.raises(
            CheckpointError,
            match=r"`scheduler\.thing` must be .* to be kept in a checkpoint",
        ):
            go(
                2,
                tmp_path,
                lambda o, thing=thing: Holds(o, thing),
                batches=lambda epoch: seen.append(epoch) or [(X, Y)],
            )
    assert not seen
    assert not list(tmp_path.iterdir())


class Bare:
    """No scheduler of torch's, and without a state."""

    def __init__(self, optimizer):
        self.optimizer = optimizer

    def step(self):
        self.optimizer.param_groups[0]["lr"] *= 0.5


def test_a_scheduler_that_tells_no_state_is_refused_before_training(tmp_path):
    assert go(2, scheduler=Bare)[1].param_groups[0]["lr"] == 0.025
    with pytest.raises(
        TypeError,
        match="`scheduler` must have state_dict to be kept in a checkpoint; Bare has none",
    ):
        go(2, tmp_path, Bare)
    with pytest.raises(
        CheckpointError,
        match="`scheduler` must tell its state, .*; its state_dict raises AttributeError",
    ):
        go(2, tmp_path, lambda o: schedules.LambdaLR(o, math.cos))
    for path in (3, True, ""):
        with pytest.raises(
            TypeError, match="`checkpoint` must be the path of a folder; got"
        ):
            go(2, path)


def test_a_state_nested_too_deeply_is_refused(tmp_path):
    deep = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(CheckpointError, match="nested too deeply"):
        go(1, tmp_path, lambda o: Holds(o, deep))


def test_another_function_is_refused(tmp_path):
    go(1, tmp_path, lambda o: Holds(o, warm_up))
    with pytest.raises(
        CheckpointError, match=r"`scheduler\.thing` must be .*warm_up.*; it is .*lambda"
    ):
        go(2, tmp_path, lambda o: Holds(o, lambda epoch: 1.0))


# -- optimisers --------------------------------------------------------------------------------------------------------


@optimizers()
def test_optimisers_resume_exactly(optimizer, tmp_path):
    if optimizer.name == "LBFGS":
        pytest.skip(
            "two steps of it leave the finite numbers on this network; see the test of killed runs"
        )
    partial = optimizer.matrices_only

    def run(epochs, folder=None):
        def build(net):
            for parameter in net.parameters():
                parameter.requires_grad_(parameter.ndim == 2 or not partial)
            made = attach(optimizer, net, 0.01)
            for group in made.param_groups:
                group["lr"] *= 0.1
            return made

        return go(epochs, folder, optimizer=build, model=network, clip_norm=1.0)

    whole = run(3)
    run(1, tmp_path)
    assert_same(whole, run(3, tmp_path))


class Hoarder(torch.optim.SGD):
    """Keeps more than tensors by parameter: under keys of its own, nested, as text, in float32 beside bfloat16."""

    def step(self, closure=None):
        loss = super().step(closure)
        shared = self.state.setdefault(
            "shared",
            {
                "calls": 0,
                (1, 2): deque([0.0], maxlen=2),
                "noise": torch.Generator().manual_seed(5),
            },
        )
        shared["calls"] += 1
        shared[1, 2].append(float(torch.rand(1, generator=shared["noise"])))
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state[parameter]
                state["mode"] = "even" if shared["calls"] % 2 == 0 else "odd"
                state["slow"] = (
                    0.9 * state.get("slow", torch.zeros(()))
                    + parameter.detach().float().mean()
                )
                state.setdefault("counts", Counter())[shared["calls"] % 3] += 1
                state.setdefault("past", deque(maxlen=2)).append(
                    (shared["calls"], parameter.detach().float().sum())
                )
                with torch.no_grad():
                    parameter -= 0.001 * (
                        sum(shared[1, 2])
                        + state["slow"]
                        + state["counts"][1]
                        + state["past"][0][1]
                    )
        return loss


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_an_optimisers_own_state_keeps_its_types(dtype, tmp_path):
    def run(epochs, folder=None):
        return go(
            epochs, folder, optimizer=lambda net: Hoarder(net.parameters(), 0.1),
            model=lambda: nn.Linear(9, 3, dtype=dtype), batches=[(X.to(dtype), Y)],
        )  # fmt: skip

    whole = run(5)
    run(2, tmp_path)
    resumed = run(5, tmp_path)
    assert_same(whole, resumed)
    state = resumed[1].state[resumed[0].weight]
    assert state["mode"] == "odd"
    assert type(state["counts"]) is Counter
    assert state["past"].maxlen == 2
    assert state["slow"].dtype == torch.float32


def test_a_tensor_as_learning_rate_and_a_potential_resume(tmp_path):
    for name, build in {
        "lr": lambda net: torch.optim.Adam(net.parameters(), torch.tensor(0.01)),
        "potential": lambda net: MirrorDescent(net.parameters(), 0.01, PNorm(3)),
    }.items():
        whole = go(4, optimizer=build, scheduler=SCHEDULERS["StepLR"])
        go(2, tmp_path / name, optimizer=build, scheduler=SCHEDULERS["StepLR"])
        assert_same(
            whole,
            go(4, tmp_path / name, optimizer=build, scheduler=SCHEDULERS["StepLR"]),
        )


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda o: o.state.update({0: {"mine": 1}}), "no whole numbers as keys"),
        (
            lambda o: o.state.update({"mine": Custom()}),
            r"`optimizer\.state\.mine` must be tensors and plain values",
        ),
        (
            lambda o: o.state.update(
                {"flat": (flat := torch.zeros(6)), "view": flat[2:4]}
            ),
            "must have memory of its own.*shares `optimizer.state.(flat|view)`'s",
        ),
        (
            lambda o: o.state.update({"alias": o.param_groups[0]["params"][0].data}),
            "shares `model.weight`'s",
        ),
    ],
    ids=["number", "object", "overlap", "alias"],
)
def test_an_optimiser_that_cannot_be_kept_is_refused_before_training(
    spoil, match, tmp_path
):
    def build(net):
        made = torch.optim.SGD(net.parameters(), 0.1)
        spoil(made)
        return made

    with pytest.raises(CheckpointError, match=match):
        go(1, tmp_path, optimizer=build)


class Forgets(schedules.StepLR):
    def __init__(self, optimizer):
        super().__init__(optimizer, 1)
        self.seen = 0

    def step(self, epoch=None):
        super().step()
        self.seen = getattr(self, "seen", 0) + 1

    def load_state_dict(self, state):
        super().load_state_dict({**state, "seen": 0})


def test_what_does_not_come_back_is_said(tmp_path):
    go(2, tmp_path, Forgets)
    with pytest.warns(
        UserWarning, match=r"`checkpoint` does not bring `scheduler\.seen` back"
    ):
        go(3, tmp_path, Forgets)


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "then", "said"),
    [
        ({}, {"optimizer": lambda net: torch.optim.SGD(net.parameters(), 0.2, momentum=0.9)}, r"`optimizer\.0\.lr` 0\.1, not 0\.2"),
        ({"scheduler": SCHEDULERS["StepLR"]}, {"scheduler": lambda o: schedules.StepLR(o, 3, 0.5)}, r"`scheduler\.step_size` 2, not 3"),
        ({}, {"batches": Shuffled(X, Y, 6)}, r"`batches\.batch_size` 8, not 6"),
        ({}, {"clip_norm": 1.0}, r"`clip_norm` None, not 1\.0"),
        ({}, {"loss": nn.functional.nll_loss}, r"`loss` .*cross_entropy.*, not .*nll_loss"),
        (
            {"model": lambda: nn.Sequential(nn.Linear(9, 3), nn.ReLU())},
            {"model": lambda: nn.Sequential(nn.Linear(9, 3), nn.Tanh())},
            r"`model\.2` .*ReLU.*, not .*Tanh",
        ),
    ],
    ids=["lr", "step size", "batch size", "clip", "loss", "nonlinearity"],
)  # fmt: skip
def test_other_settings_are_said_and_the_checkpoints_hold(first, then, said, tmp_path):
    go(1, tmp_path, **first)
    with pytest.warns(
        UserWarning,
        match=f"`checkpoint` (goes on with what its run began with|was begun with other settings than this run's): {said}",
    ):
        _, optimizer, scheduler, _ = go(2, tmp_path, **first | then)
    assert optimizer.param_groups[0]["lr"] <= 0.1
    assert scheduler is None or scheduler.step_size == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        go(
            3, tmp_path, **first
        )  # what it began with is what counts, however often it is resumed


def test_a_generator_too_few_is_said(tmp_path):
    class Noisy(nn.Linear):
        generator = torch.Generator().manual_seed(0)

    go(1, tmp_path, model=lambda: Noisy(9, 3))
    Noisy.generator = None
    with pytest.warns(
        UserWarning, match="has the states of 1 random generators, and this run has 0"
    ):
        go(2, tmp_path, model=lambda: Noisy(9, 3))


def test_a_samplers_generator_resumes(tmp_path):
    from torch.utils.data import DataLoader, RandomSampler, TensorDataset

    def loader():
        data = TensorDataset(X, Y)
        return DataLoader(
            data,
            5,
            sampler=RandomSampler(data, generator=torch.Generator().manual_seed(7)),
        )

    whole = go(4, batches=loader())
    go(2, tmp_path, batches=loader())
    assert_same(whole, go(4, tmp_path, batches=loader()))


class Extra(nn.Linear):
    """A module with a state that is no tensor."""

    times: int = 0

    def forward(self, x):
        self.times += self.training
        return super().forward(x) * (1 + 0.01 * self.times)

    def get_extra_state(self):
        return {"times": self.times, 3: (1, 2)}

    def set_extra_state(self, state):
        assert state[3] == (1, 2)
        self.times = state["times"]


def test_a_modules_extra_state_resumes(tmp_path):
    whole, *_ = go(4, model=lambda: Extra(9, 3))
    go(2, tmp_path, model=lambda: Extra(9, 3))
    resumed, *_ = go(4, tmp_path, model=lambda: Extra(9, 3))
    assert torch.equal(whole.weight, resumed.weight)
    assert resumed.times == whole.times == 8


def test_the_index_is_strict_json_and_the_weights_plain(tmp_path):
    net, *_ = go(2, tmp_path, SCHEDULERS["ReduceLROnPlateau"])

    def refuse(name):
        raise AssertionError(name)

    index = json.loads(
        (tmp_path / "checkpoint.json").read_text(), parse_constant=refuse
    )
    assert index["format"] == 2
    assert torch.equal(
        load_file(tmp_path / "model-2.safetensors")["weight"], net.weight
    )


def test_dann_with_everything_resumes(tmp_path):
    def run(epochs, folder=None):
        return go(
            epochs, folder, model=lambda: DANNLinear(9, 3), optimizer=lambda net: EG(param_groups(net, 0.1), 0.1),
            scheduler=lambda o: schedules.OneCycleLR(o, [g["lr"] for g in o.param_groups], total_steps=9, cycle_momentum=False),
        )  # fmt: skip

    whole = run(5)
    run(2, tmp_path)
    resumed = run(5, tmp_path)
    assert_same(whole, resumed)
    assert signs.check(resumed[0])


def test_the_catalogue_is_tried():
    assert len(OPTIMIZERS) > 20
    assert mse_loss
