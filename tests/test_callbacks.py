"""Callbacks see the run as it is, may stop it, and outlive a kill."""

import math
import warnings

import pandas as pd
import pytest
import torch
from torch.nn.functional import cross_entropy

from daleml import signs
from daleml.callbacks import CSVLogger, EarlyStopping, TensorBoard
from daleml.checkpoint import CheckpointError
from daleml.law import DaleError
from daleml.layers import DANNLinear
from daleml.optim import EG, param_groups
from daleml.trackers import sign_violations
from daleml.training import DivergedError, Shuffled, train

X = torch.rand(30, 6, generator=torch.Generator().manual_seed(0))
Y = torch.arange(30) % 3
BATCHES = Shuffled(X, Y, 8)


def learn(callbacks=(), epochs=4, lr=0.3, **options):
    torch.manual_seed(0)
    net = DANNLinear(6, 3)
    optimizer = EG(param_groups(net, lr), lr, momentum=0.5)
    options = {"trackers": {}, "batches": BATCHES, "loss": cross_entropy, **options}
    batches, loss = options.pop("batches"), options.pop("loss")
    if "scheduler" in options:
        options["scheduler"] = options["scheduler"](optimizer)
    history = train(
        net,
        batches,
        optimizer,
        loss,
        epochs=epochs,
        callbacks=callbacks,
        progress=False,
        **options,
    )
    return net, history


def values_of(*values):
    """A tracker that gives one value after the other, whatever the model; before training NaN.

    It counts by the model's own buffer, so that a resumed run goes on where it was.
    """

    def tracker(net):
        return values[int(net.epochs)] if int(net.epochs) < len(values) else values[-1]

    return tracker


class Counting(DANNLinear):
    """A layer that knows how often it was trained for an epoch."""

    def __init__(self):
        super().__init__(6, 3)
        self.register_buffer("epochs", torch.tensor(0))


def counted(values, callbacks, epochs=12, **options):
    """Train a layer whose ``test`` column has these values, epoch by epoch."""
    torch.manual_seed(0)
    net = Counting()
    optimizer = EG(param_groups(net, 0.3), 0.3)

    def batches(epoch):
        net.epochs.fill_(epoch)
        return BATCHES(epoch)

    history = train(
        net,
        batches,
        optimizer,
        cross_entropy,
        epochs=epochs,
        callbacks=callbacks,
        trackers={"test": values_of(math.nan, *values)},
        progress=False,
        **options,
    )
    return net, history


def same(one, other):
    return all(
        torch.equal(p, q)
        for p, q in zip(
            one.state_dict().values(), other.state_dict().values(), strict=True
        )
    )


# -- what they see -------------------------------------------------------------------------------


class Watch:
    """Notes all that it is told."""

    def __init__(self):
        self.steps, self.epochs, self.ends = [], [], []

    def on_step(self, state):
        self.steps.append((state.epoch, state.step, state.batch_loss, state.loss))

    def on_epoch(self, state):
        self.epochs.append((state.epoch, state.loss, state.accuracy, state.history))

    def on_end(self, state):
        self.ends.append((state.epoch, state.step, len(state.history), state.loss))


def test_the_state_is_that_of_the_run():
    watch, plain = Watch(), []
    net, history = learn([watch, lambda state: plain.append(state)], epochs=2)
    assert [entry[:2] for entry in watch.steps] == [
        (1 + i // 4, i + 1) for i in range(8)
    ]
    sizes = [8, 8, 8, 6]
    for epoch in (1, 2):
        losses = [entry[2] for entry in watch.steps if entry[0] == epoch]
        so_far = [entry[3] for entry in watch.steps if entry[0] == epoch]
        for i in range(4):
            total = sum(a * b for a, b in zip(losses, sizes[: i + 1], strict=False))
            assert so_far[i] == pytest.approx(total / sum(sizes[: i + 1]))
        assert watch.epochs[epoch - 1][:3] == (
            epoch,
            history.loss[epoch],
            history.accuracy[epoch],
        )
        assert len(watch.epochs[epoch - 1][3]) == epoch + 1
    assert watch.ends == [(2, 8, 3, history.loss[2])]
    assert plain[0].model is net
    assert (plain[0].epochs, plain[0].scheduler, plain[0].stopped) == (2, None, False)
    with pytest.raises(AttributeError):
        plain[0].epoch = 5
    with pytest.raises(TypeError):
        plain[0].history[0]["loss"] = 0.0
    # A run that is watched learns as one that is not.
    alone, expected = learn(epochs=2)
    assert same(net, alone)
    assert expected.equals(history)


def test_steps_are_counted_through_a_checkpoint(tmp_path):
    watch = Watch()
    learn(epochs=1, checkpoint=tmp_path)
    learn([watch], epochs=2, checkpoint=tmp_path)
    assert [entry[:2] for entry in watch.steps] == [(2, 5), (2, 6), (2, 7), (2, 8)]
    again = Watch()
    _, history = learn([again], epochs=2, checkpoint=tmp_path)
    assert not again.steps
    assert not again.epochs
    assert again.ends == [(2, 8, 3, history.loss[2])]


@pytest.mark.parametrize(
    ("callbacks", "sentence"),
    [
        (Watch(), "`callbacks` must be a list of callbacks; got Watch: give [callback], or []."),
        ([Watch], "`callbacks` must be functions or objects; got the class Watch: call it first."),
        ([3], "`callbacks` must be functions of the state, or have one of the methods on_step, on_epoch, on_end; got int."),
        ([type("Near", (), {"on_epoch_end": print})()], "`callbacks` know on_step, on_epoch, on_end; got on_epoch_end of Near, which nothing would call."),
        ([type("Half", (), {"on_epoch": print, "state_dict": dict})()], "`callbacks` must have both state_dict and load_state_dict, or none; Half has one of them."),
    ],
    ids=["no list", "class", "number", "misspelt", "half a state"],
)  # fmt: skip
def test_what_is_no_callback_is_one_sentence(callbacks, sentence):
    with pytest.raises(TypeError) as raised:
        learn(callbacks)
    assert str(raised.value) == sentence


# -- stopping ------------------------------------------------------------------------------------


def stop_at(epoch):
    def callback(state):
        if state.epoch == epoch:
            state.stop()

    return callback


class StopAtStep:
    def __init__(self, step):
        self.step = step

    def on_step(self, state):
        if state.step == self.step:
            state.stop()


def test_a_stopped_run_is_recorded_and_stays_stopped(tmp_path):
    stopped, history = learn([stop_at(2)], epochs=9, checkpoint=tmp_path)
    assert history.epoch.tolist() == [0, 1, 2]
    two, expected = learn(epochs=2)
    assert same(stopped, two)
    assert expected.equals(history)
    # Without the callback, too, and whatever the number of epochs.
    again, read = learn(epochs=12, checkpoint=tmp_path)
    assert same(again, two)
    assert read.equals(history)


def test_a_run_may_stop_within_an_epoch(tmp_path):
    net, history = learn([StopAtStep(6)], epochs=9, checkpoint=tmp_path)
    assert history.epoch.tolist() == [0, 1, 2]
    plain = learn(epochs=1)[0]
    assert not same(net, plain)

    def six(epoch):
        for i, batch in enumerate(BATCHES(epoch)):
            if epoch == 1 or i < 2:
                yield batch

    expected, rows = learn(batches=six, epochs=2)
    assert same(net, expected)
    assert rows.equals(history)
    assert same(learn(epochs=9, checkpoint=tmp_path)[0], net)


def test_what_a_callback_raises_ends_the_run_and_its_epoch_is_not_saved(tmp_path):
    def break_off(state):
        if state.epoch == 3:
            raise OSError("no network")

    with pytest.raises(OSError, match="no network"):
        learn([break_off], checkpoint=tmp_path)
    seen = []
    resumed, history = learn(
        [lambda state: seen.append(state.epoch)], checkpoint=tmp_path
    )
    assert seen == [3, 4]
    whole, expected = learn()
    assert same(resumed, whole)
    assert expected.equals(history)


def test_weights_that_a_callback_makes_lawless_are_not_saved(tmp_path):
    def spoil(state):
        if state.epoch == 2:
            with torch.no_grad():
                state.model.weight_ex[0, 0] = -1

    with pytest.raises(DaleError, match="1 synapses break Dale's law after epoch 2"):
        learn([spoil], checkpoint=tmp_path)
    assert signs.check(learn(checkpoint=tmp_path)[0])


# -- early stopping ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "options", "last"),
    [
        ([5, 4, 3, 3, 3, 3], {"patience": 2}, 5),
        ([5, 4, 5, 3, 5, 5, 5], {"patience": 2}, 6),
        ([5, 4.9, 4.8, 4.7, 4.6], {"patience": 2, "min_delta": 0.5}, 3),
        ([5, 4.9, 4.4, 4.0, 3.95], {"patience": 2, "min_delta": 0.5}, 5),
        ([1, 2, 3, 2, 2], {"patience": 1, "maximise": True}, 4),
        ([5, math.nan, 4, math.nan, math.nan], {"patience": 2}, 5),
        ([3, 2, 1], {"patience": 9}, 12),
    ],
)  # fmt: skip
def test_it_stops_where_it_should(values, options, last):
    _, history = counted(values, [EarlyStopping("test", **options)])
    assert history.epoch.iloc[-1] == last


@pytest.mark.parametrize("restore_best", [False, True])
def test_a_column_without_a_number_stops_training_with_a_warning(restore_best):
    stopping = EarlyStopping("test", patience=3, restore_best=restore_best)
    told = "`monitor` 'test' was no finite number in any of 3 epochs"
    with pytest.warns(UserWarning, match=told) as caught:
        _, history = counted([math.nan] * 9, [stopping])
    assert history.epoch.iloc[-1] == 3
    (warning,) = caught
    assert ("keeps its last weights" in str(warning.message)) == restore_best


def test_a_tracker_that_gives_no_number_is_refused():
    for wrong in (None, torch.ones(2)):
        with pytest.raises(TypeError, match="`trackers` must return a number.*'mine'"):
            learn(trackers={"mine": lambda _, wrong=wrong: wrong})


def test_an_accuracy_is_to_grow_and_the_loss_to_fall():
    _, history = learn([EarlyStopping("accuracy", patience=1)], epochs=30)
    changes = history.accuracy[1:].diff()[1:].tolist()
    assert all(change > 0 for change in changes[:-1])
    assert changes[-1] <= 0


VALUES = [5, 4, 2, 3, 3, 3, 3]


def test_a_killed_run_stops_at_the_same_epoch_with_the_same_weights(tmp_path):
    def stopping():
        return EarlyStopping("test", patience=3, restore_best=True)

    whole, history = counted(VALUES, [stopping()])
    assert history.epoch.iloc[-1] == 6
    best, _ = counted(VALUES, [], epochs=3)
    assert same(whole, best)
    for killed in (1, 3, 5):
        folder = tmp_path / str(killed)

        def kill(state, epoch=killed):
            if state.epoch == epoch + 1:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            counted(VALUES, [stopping(), kill], checkpoint=folder)
        resumed, again = counted(VALUES, [stopping()], checkpoint=folder)
        assert same(resumed, whole)
        assert history.equals(again)
    # Once more, when all is done: its best weights are in the checkpoint.
    once_more, again = counted(VALUES, [stopping()], checkpoint=folder)
    assert same(once_more, whole)
    assert history.equals(again)


def test_a_run_goes_on_from_its_last_epoch_and_not_from_its_best(tmp_path):
    def stopping():
        return EarlyStopping("test", patience=9, restore_best=True)

    ended, _ = counted(VALUES, [stopping()], epochs=5, checkpoint=tmp_path)
    assert same(ended, counted(VALUES, [], epochs=3)[0])
    counted(VALUES, [stopping()], epochs=7, checkpoint=tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        longer, _ = counted(VALUES, [], epochs=7, checkpoint=tmp_path)
    assert same(longer, counted(VALUES, [], epochs=7)[0])


def test_one_object_serves_one_run_after_the_other():
    stopping = EarlyStopping("test", patience=3, restore_best=True)
    counted(VALUES, [stopping])
    second, history = counted([3, 4, 5, 6], [stopping])
    assert history.epoch.iloc[-1] == 4
    assert same(second, counted([3], [], epochs=1)[0])


def test_weights_that_are_not_there_are_not_restored_in_silence(tmp_path):
    counted(VALUES, [], epochs=4, checkpoint=tmp_path)
    stopping = EarlyStopping("test", patience=3, restore_best=True)
    other = r"`callbacks` 'none', not \"EarlyStopping\(monitor='test'"
    lost = "^`restore_best` has no weights of epoch 3, the best by `test`"
    with pytest.warns(UserWarning, match=other), pytest.warns(UserWarning, match=lost):
        counted(VALUES, [stopping], checkpoint=tmp_path)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"monitor": 3}, TypeError, "`monitor` must be a string; got int."),
        ({"patience": 0}, ValueError, "`patience` must be at least 1; got 0."),
        ({"min_delta": -1}, ValueError, "`min_delta` must be at least 0; got -1."),
        ({"maximise": "max"}, TypeError, "`maximise` must be True or False; got 'max'."),
        ({"restore_best": 1}, TypeError, "`restore_best` must be True or False; got 1."),
        ({"monitor": "acuracy"}, ValueError, "`monitor` must be a column of the history; got 'acuracy', did you mean 'accuracy'?"),
        ({"monitor": "x"}, ValueError, "`monitor` must be a column of the history, epoch, loss, accuracy; got 'x'."),
    ],
)  # fmt: skip
def test_wrong_options_are_one_sentence(options, error, sentence):
    with pytest.raises(error) as raised:
        learn([EarlyStopping(**options)])
    assert str(raised.value) == sentence


def test_a_state_that_is_none_is_refused_and_changes_nothing(tmp_path):
    class Proud:
        def __init__(self, refuse):
            self.refuse, self.n = refuse, 0

        def on_epoch(self, state):
            self.n += 1

        def state_dict(self):
            return {"n": self.n}

        def load_state_dict(self, state):
            if self.refuse and state["n"] == 2:
                raise ValueError("too proud")
            self.n = state["n"]

    learn([Proud(False), Proud(False)], epochs=2, checkpoint=tmp_path)
    kept, proud = Proud(False), Proud(True)
    with pytest.raises(CheckpointError, match=r"does not belong .* too proud"):
        learn([kept, proud], checkpoint=tmp_path)
    assert (kept.n, proud.n) == (0, 0)
    learn([kept, Proud(False)], epochs=3, checkpoint=tmp_path)
    assert kept.n == 3


# -- logs ----------------------------------------------------------------------------------------


def test_a_csv_is_the_history_after_every_epoch(tmp_path):
    path = tmp_path / "new" / "history.csv"
    lengths = []
    options = {"trackers": {"wrong": sign_violations}}
    _, history = learn(
        [CSVLogger(path), lambda state: lengths.append(len(pd.read_csv(path)))],
        **options,
    )
    assert lengths == [2, 3, 4, 5]
    pd.testing.assert_frame_equal(pd.read_csv(path), history, check_exact=True)


def test_tensorboard_has_the_history_and_the_rates(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logs, folder = tmp_path / "logs", tmp_path / "run"

    def stop(state):
        if state.epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learn([TensorBoard(logs), stop], checkpoint=folder)
    _, history = learn([TensorBoard(logs)], checkpoint=folder)
    events = EventAccumulator(str(logs))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {
        "loss", "accuracy", "lr/weight_ex", "lr/weight_ix", "lr/weight_ei", "lr/bias",
    }  # fmt: skip
    for name in ("loss", "accuracy"):
        found = events.Scalars(name)
        assert [event.step for event in found] == [1, 2, 3, 4]
        values = [event.value for event in found]
        assert values == pytest.approx(history[name][1:].tolist())
    rates = [event.value for event in events.Scalars("lr/weight_ei")]
    assert rates == pytest.approx([0.3 / 6] * 4)


def test_a_loss_that_diverges_is_not_stopped_but_raised():
    with pytest.raises(DivergedError):
        learn([EarlyStopping(patience=1)], loss=lambda out, y: out.sum() * math.nan)
