import json
import math
import multiprocessing
import random

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, TensorDataset

from daleml import signs, trackers
from daleml.checkpoint import CheckpointError
from daleml.layers import DANNLinear
from daleml.optim import EG, EGAdamW, enforce, param_groups
from daleml.training import Shuffled, train

X = torch.rand(60, 8, generator=torch.Generator().manual_seed(0))
Y = (X[:, :4].sum(1) > X[:, 4:].sum(1)).long()


def model(seed=0, dtype=torch.float32, dropout=0.2):
    net = nn.Sequential(
        DANNLinear(8, 12, 2, dtype=dtype),
        nn.ReLU(),
        nn.Dropout(dropout),
        DANNLinear(12, 2, 1, dtype=dtype),
    )
    for layer in (net[0], net[3]):
        layer.reset_parameters(torch.Generator().manual_seed(seed))
    return net


OPTIMIZERS = {
    "sgd": lambda net: torch.optim.SGD(param_groups(net, 0.1), 0.1, momentum=0.9),
    "adam": lambda net: torch.optim.AdamW(param_groups(net, 0.01), 0.01),
    "lbfgs": lambda net: torch.optim.LBFGS(
        net.parameters(), max_iter=4, line_search_fn="strong_wolfe"
    ),
    "eg": lambda net: EG(param_groups(net, 0.3), 0.3, momentum=0.5),
    "egadamw": lambda net: EGAdamW(param_groups(net, 0.03), 0.03),
}


def run(name="eg", epochs=4, checkpoint=None, batches=None, seed=0, **options):
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)
    net = model(seed, options.pop("dtype", torch.float32))
    optimizer = OPTIMIZERS[name](net)
    enforce(optimizer, net)
    if options.pop("scheduled", False):
        options["scheduler"] = StepLR(optimizer, 2, 0.5)
    # The default ones take longer than the training does.
    options.setdefault("trackers", {})
    batches = (
        Shuffled(X.to(next(net.parameters()).dtype), Y, 16)
        if batches is None
        else batches
    )
    history = train(
        net,
        batches,
        optimizer,
        cross_entropy,
        epochs=epochs,
        checkpoint=checkpoint,
        progress=False,
        **options,
    )
    return net, history


def same(one, other):
    assert all(
        torch.equal(p, q)
        for p, q in zip(one.parameters(), other.parameters(), strict=True)
    )


RECORDED = {"sign_violations": trackers.sign_violations}

# -- learning ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_learns_and_records(name):
    recorded = RECORDED | trackers.DEFAULT if name == "eg" else RECORDED
    net, history = run(name, epochs=30, trackers=recorded)
    assert history.epoch.tolist() == list(range(31))
    assert math.isnan(history.loss[0])
    assert history.loss[30] < history.loss[1]
    assert history.accuracy[30] > 0.7
    assert (history.sign_violations == 0).all()
    if name == "eg":
        every = {"fraction_at_zero", "lognormal_sigma/0.weight_ex", "svd_entropy/3"}
        assert every <= set(history.columns)
    assert signs.check(net)


def test_equals_a_plain_loop():
    net, history = run("sgd", epochs=3)
    torch.manual_seed(0)
    plain = model()
    optimizer = OPTIMIZERS["sgd"](plain)
    losses = []
    for epoch in (1, 2, 3):
        total = 0.0
        for x, y in Shuffled(X, Y, 16)(epoch):
            optimizer.zero_grad()
            loss = cross_entropy(plain(x), y)
            loss.backward()
            optimizer.step()
            signs.project_(plain)
            total += loss.item() * len(x)
        losses.append(total / len(X))
    same(net, plain)
    assert history.loss[1:].tolist() == pytest.approx(losses)


def test_regression_has_no_accuracy():
    net = nn.Linear(8, 1)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    history = train(
        net,
        [(X, X.sum(1, keepdim=True))] * 5,
        optimizer,
        mse_loss,
        epochs=2,
        trackers={},
        progress=False,
    )
    assert list(history.columns) == ["epoch", "loss"]


def test_clip_norm_clips():
    net = nn.Linear(8, 1, bias=False)
    before = net.weight.detach().clone()
    optimizer = torch.optim.SGD(net.parameters(), lr=1.0)
    train(
        net,
        [(X, 1000 * X)],
        optimizer,
        lambda out, y: (out * y).sum(),
        clip_norm=0.5,
        trackers={},
        progress=False,
    )
    assert (net.weight - before).norm().item() == pytest.approx(0.5, rel=1e-3)


def test_trackers_see_eval_mode_and_leave_the_model_as_it_was():
    modes = []
    net, _ = run(
        trackers={"mode": lambda net: modes.append(net.training) or 0.0}, epochs=1
    )
    assert modes == [False, False]
    assert net.training


def test_shuffled_depends_on_seed_and_epoch_only():
    batches = Shuffled(X, Y, 16, seed=3)
    state = torch.get_rng_state()
    first = [x for x, _ in batches(1)]
    assert [len(x) for x in first] == [16, 16, 16, 12]
    assert all(torch.equal(a, b) for a, (b, _) in zip(first, batches(1), strict=True))
    assert not torch.equal(first[0], next(iter(batches(2)))[0])
    assert not torch.equal(first[0], next(iter(Shuffled(X, Y, 16, seed=4)(1)))[0])
    assert torch.equal(torch.cat(first).sort(0).values, X.sort(0).values)
    assert torch.equal(torch.get_rng_state(), state)


# -- resuming ----------------------------------------------------------------------------------------------------------


class Killed(BaseException):
    pass


def killed_in(epoch, batches=None):
    """Batches that break off in the middle of an epoch, as a killed run does."""
    source = batches or Shuffled(X, Y, 16)

    def broken(now):
        for i, batch in enumerate(source(now) if callable(source) else source):
            if now == epoch and i == 2:
                raise Killed
            yield batch

    return broken


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("epoch", [1, 3])
def test_a_killed_run_resumes_to_the_same_weights(name, epoch, tmp_path):
    options = {"scheduled": True, "trackers": trackers.DEFAULT if name == "eg" else {}}
    whole, history = run(name, **options)
    with pytest.raises(Killed):
        run(name, batches=killed_in(epoch), checkpoint=tmp_path, **options)
    resumed, again = run(name, checkpoint=tmp_path, seed=0, **options)
    same(whole, resumed)
    assert history.equals(again)


@pytest.mark.parametrize("dtype", [torch.bfloat16])
def test_low_precision_masters_resume_too(dtype, tmp_path):
    whole, _ = run("eg", dtype=dtype, trackers={})
    run("eg", epochs=2, dtype=dtype, checkpoint=tmp_path, trackers={})
    resumed, _ = run("eg", dtype=dtype, checkpoint=tmp_path, trackers={})
    same(whole, resumed)


def test_a_resumed_run_takes_the_checkpoints_weights_not_its_own(tmp_path):
    whole, _ = run()
    run(epochs=2, checkpoint=tmp_path)
    resumed, _ = run(
        checkpoint=tmp_path, seed=5
    )  # another start: everything comes from the checkpoint
    same(whole, resumed)


def test_a_finished_run_is_not_trained_further(tmp_path):
    done, history = run(checkpoint=tmp_path)
    again, read = run(checkpoint=tmp_path)
    same(done, again)
    assert history.equals(read)
    longer, _ = run(epochs=6, checkpoint=tmp_path)
    whole, _ = run(epochs=6)
    same(longer, whole)


def test_a_shuffling_loader_resumes(tmp_path):
    def loader():
        return DataLoader(
            TensorDataset(X, Y),
            16,
            shuffle=True,
            generator=torch.Generator().manual_seed(7),
        )

    whole, _ = run(batches=loader())
    run(epochs=2, batches=loader(), checkpoint=tmp_path)
    resumed, _ = run(batches=loader(), checkpoint=tmp_path)
    same(whole, resumed)


def test_numpy_and_python_randomness_resumes(tmp_path):
    def noisy(epoch):
        for x, y in Shuffled(X, Y, 16)(epoch):
            yield x + np.random.rand() * random.random(), y

    whole, _ = run(batches=noisy)
    run(epochs=2, batches=noisy, checkpoint=tmp_path)
    resumed, _ = run(batches=noisy, checkpoint=tmp_path, seed=9)
    same(whole, resumed)


IMPORTED_LATER = ("torch._dynamo", "pandas", "rich.progress", "safetensors.torch")
"""What training imports where it needs it: seconds, in each process that was not forked with it."""


def train_to_the_end(folder, started):
    """Train in a process of its own, which may be killed."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = model()
    started.set()
    optimizer = OPTIMIZERS["eg"](net)
    batches = Shuffled(X, Y, 4)
    train(
        net,
        batches,
        optimizer,
        cross_entropy,
        epochs=30,
        trackers={},
        checkpoint=folder,
        progress=False,
    )
    torch.save(net.state_dict(), folder / "end.pt")


def test_a_process_killed_at_any_moment_resumes_to_the_same_weights(tmp_path):
    """SIGKILL, at moments the run does not choose, until it gets to its end."""
    # A server that has imported everything once, and forks a process at each start.
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload([train_to_the_end.__module__, *IMPORTED_LATER])

    def start(folder):
        started = server.Event()
        process = server.Process(target=train_to_the_end, args=(folder, started))
        process.start()
        assert started.wait(60)
        return process

    whole, broken, kills = tmp_path / "whole", tmp_path / "broken", 0
    for folder in (whole, broken):
        folder.mkdir()
    process = start(whole)
    process.join()
    assert process.exitcode == 0
    for delay in (0.05, 0.2, 0.31, 60):
        process = start(broken)
        process.join(delay)
        if process.is_alive():
            process.kill()
            kills += 1
        process.join()
        if process.exitcode == 0:
            break
    assert kills >= 1
    one, other = (
        torch.load(folder / "end.pt", weights_only=True) for folder in (whole, broken)
    )
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not list(broken.glob(".*"))  # nothing half-written is left


# -- checkpoints -------------------------------------------------------------------------------------------------------


def test_a_checkpoint_is_plain_files(tmp_path):
    net, _ = run(checkpoint=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "checkpoint.json",
        "model-4.safetensors",
        "optimizer-4.safetensors",
    ]
    index = json.loads((tmp_path / "checkpoint.json").read_text())
    assert index["content"]["epoch"] == 4
    weights = load_file(tmp_path / "model-4.safetensors")
    assert all(
        torch.equal(weights[name], value) for name, value in net.state_dict().items()
    )
    assert signs.check(weights)


def test_tied_weights(tmp_path):
    net = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    net[1].weight = net[0].weight
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for epochs in (1, 2):
        train(
            net,
            [(X, X)],
            optimizer,
            mse_loss,
            epochs=epochs,
            checkpoint=tmp_path,
            trackers={},
            progress=False,
        )
    assert net[1].weight is net[0].weight


def spoil_index(folder):
    (folder / "checkpoint.json").write_text('{"format": 1, "epo')


def forget_a_key(folder):
    (folder / "checkpoint.json").write_text('{"format": 2, "epoch": 2}')


def truncate(folder):
    path = folder / "model-4.safetensors"
    path.write_bytes(path.read_bytes()[:-7])


def flip(folder):
    path = folder / "optimizer-4.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def lose(folder):
    (folder / "model-4.safetensors").unlink()


def change_a_digit(folder):
    path = folder / "checkpoint.json"
    path.write_text(path.read_text().replace('"epoch": 4', '"epoch": 3', 1))


def not_a_dict(folder):
    (folder / "checkpoint.json").write_text("[]")


def other_format(folder):
    (folder / "checkpoint.json").write_text('{"format": 99}')


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (spoil_index, "is damaged: JSONDecodeError"),
        (forget_a_key, "is damaged: KeyError 'sha256'"),
        (truncate, "is damaged: its SHA-256"),
        (flip, "is damaged: its SHA-256"),
        (lose, "must be there, its checkpoint names it; it is not"),
        (change_a_digit, "is damaged: its SHA-256 is not the one it names"),
        (not_a_dict, "is damaged: TypeError"),
        (other_format, "must be of format 2 or older; got 99"),
    ],
)
def test_a_damaged_checkpoint_is_one_sentence_and_changes_nothing(
    damage, match, tmp_path
):
    run(checkpoint=tmp_path)
    damage(tmp_path)
    net = model(3)
    before = [p.clone() for p in net.parameters()]
    with pytest.raises(CheckpointError, match=match) as raised:
        train(
            net,
            Shuffled(X, Y, 16),
            OPTIMIZERS["eg"](net),
            cross_entropy,
            epochs=5,
            checkpoint=tmp_path,
            progress=False,
        )
    assert "\n" not in str(raised.value)
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), before, strict=True))


def test_another_models_checkpoint_is_refused_and_changes_nothing(tmp_path):
    run("sgd", checkpoint=tmp_path)
    for net in (nn.Linear(8, 2), nn.Sequential(*model(3), nn.Linear(2, 2))):
        before = [p.clone() for p in net.parameters()]
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        with pytest.raises(
            CheckpointError, match="does not belong to this model and optimiser"
        ):
            train(
                net,
                Shuffled(X, Y),
                optimizer,
                cross_entropy,
                checkpoint=tmp_path,
                trackers={},
                progress=False,
            )
        assert all(
            torch.equal(p, q) for p, q in zip(net.parameters(), before, strict=True)
        )


def test_other_groups_are_refused(tmp_path):
    run(checkpoint=tmp_path)
    other = model()
    with pytest.raises(
        CheckpointError, match="does not belong to this model and optimiser"
    ):
        train(
            other,
            Shuffled(X, Y),
            EG(other.parameters(), 0.1),
            cross_entropy,
            checkpoint=tmp_path,
            progress=False,
        )


@pytest.mark.parametrize(
    ("saved", "resumed"),
    [("egadamw", "eg"), ("eg", "egadamw"), ("sgd", "eg"), ("eg", "adam")],
)
def test_another_optimisers_checkpoint_is_refused_and_changes_nothing(
    saved, resumed, tmp_path
):
    run(saved, checkpoint=tmp_path)
    net = model(3)
    before = [p.clone() for p in net.parameters()]
    with pytest.raises(
        CheckpointError, match="must be of the same optimiser and scheduler; it is of"
    ):
        train(
            net,
            Shuffled(X, Y),
            OPTIMIZERS[resumed](net),
            cross_entropy,
            checkpoint=tmp_path,
            progress=False,
        )
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), before, strict=True))


def test_a_scheduler_is_restored_and_must_be_there(tmp_path):
    def go(epochs, scheduled):
        net = model()
        optimizer = OPTIMIZERS["sgd"](net)
        enforce(optimizer, net)
        scheduler = StepLR(optimizer, 2, 0.5) if scheduled else None
        train(
            net,
            Shuffled(X, Y),
            optimizer,
            cross_entropy,
            epochs=epochs,
            scheduler=scheduler,
            checkpoint=tmp_path,
            progress=False,
        )
        return scheduler

    go(3, True)
    assert go(5, True).last_epoch == 5
    with pytest.raises(
        CheckpointError, match="must be of the same optimiser and scheduler"
    ):
        go(6, False)


def test_a_frozen_part_stays_frozen():
    net = nn.Sequential(nn.Linear(8, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    net[1].eval()
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    train(net, Shuffled(X, Y), optimizer, cross_entropy, epochs=2, progress=False)
    assert not net[1].training
    assert (net[1].running_mean == 0).all()
    net.eval()
    train(net, Shuffled(X, Y), optimizer, cross_entropy, progress=False)
    assert net.training


def test_lbfgs_reports_the_loss_it_met_first():
    net = nn.Linear(8, 2)
    first = cross_entropy(net(X), Y).item()
    optimizer = torch.optim.LBFGS(net.parameters(), max_iter=5)
    history = train(
        net, [(X, Y)], optimizer, cross_entropy, trackers={}, progress=False
    )
    assert history.loss[1] == pytest.approx(first)


def test_seeds_and_epochs_do_not_meet():
    order = [
        next(iter(Shuffled(X, Y, 60, seed)(epoch)))[0]
        for seed, epoch in ((0, 2), (1, 1), (2, 0))
    ]
    assert not torch.equal(order[0], order[1])
    assert not torch.equal(order[1], order[2])
    assert len(list(Shuffled(X, Y, seed=2**40)(1))) == 2


def test_sequences_have_no_accuracy():
    assert (
        trackers.n_correct(torch.rand(5, 7, 3), torch.zeros(5, 7, dtype=torch.long))
        is None
    )


def test_a_plateau_is_shown_the_loss(tmp_path):
    net = nn.Linear(8, 1)
    optimizer = torch.optim.SGD(net.parameters(), 1e-9)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, patience=0, threshold=0.5, eps=0
    )
    train(
        net,
        [(X, X.sum(1, keepdim=True))],
        optimizer,
        mse_loss,
        epochs=3,
        trackers={},
        scheduler=plateau,
        checkpoint=tmp_path,
        progress=False,
    )
    assert optimizer.param_groups[0]["lr"] < 1e-9


def test_a_checkpoint_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        ValueError, match="`checkpoint` must be a folder that can be written to; got"
    ):
        run(checkpoint=tmp_path / "file")


def test_a_lawless_checkpoint_is_refused(tmp_path):
    run(checkpoint=tmp_path)
    weights = load_file(tmp_path / "model-4.safetensors")
    weights["0.weight_ex"][0, 0] = -1
    save_file(weights, tmp_path / "model-4.safetensors")
    import hashlib

    index = json.loads((tmp_path / "checkpoint.json").read_text())
    content = index["content"]
    content["files"]["model-4.safetensors"] = hashlib.sha256(
        (tmp_path / "model-4.safetensors").read_bytes()
    ).hexdigest()
    index["sha256"] = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    (tmp_path / "checkpoint.json").write_text(json.dumps(index))
    with pytest.raises(
        CheckpointError, match="Dale's law is broken: 0.weight_ex, unit 0"
    ):
        run(checkpoint=tmp_path, epochs=5)


# -- wrong input -------------------------------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(tmp_path):
    def spoiled(epoch):
        for x, y in Shuffled(X, Y, 16)(epoch):
            yield (x * math.nan if epoch == 3 else x), y

    with pytest.raises(
        RuntimeError, match=r"`loss` must stay finite; got nan in epoch 3\."
    ):
        run(batches=spoiled, checkpoint=tmp_path)
    assert (
        json.loads((tmp_path / "checkpoint.json").read_text())["content"]["epoch"] == 2
    )


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"epochs": 0}, ValueError, "`epochs` must be at least 1; got 0."),
        ({"epochs": 1.5}, TypeError, "`epochs` must be an integer; got 1.5."),
        ({"clip_norm": 0}, ValueError, "`clip_norm` must be above 0; got 0."),
        (
            {"batches": [(X, Y, Y)]},
            ValueError,
            "`batches` must yield pairs of inputs and targets; got tuple.",
        ),
        (
            {"batches": [(X[:0], Y[:0])]},
            ValueError,
            "`batches` must hold at least one batch; got none in epoch 1.",
        ),
        (
            {"batches": []},
            ValueError,
            "`batches` must hold at least one batch; got none in epoch 1.",
        ),
    ],
)
def test_wrong_input_is_one_sentence(options, error, sentence):
    with pytest.raises(error) as raised:
        run(**options)
    assert str(raised.value) == sentence


def test_swapped_arguments_are_one_sentence():
    net = model()
    optimizer = OPTIMIZERS["eg"](net)
    with pytest.raises(TypeError, match="`model` must be a module; got EG."):
        train(optimizer, Shuffled(X, Y), net, cross_entropy)
    with pytest.raises(
        TypeError, match="`optimizer` must be a torch optimiser; got Shuffled."
    ):
        train(net, optimizer, Shuffled(X, Y), cross_entropy)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (
            lambda: Shuffled(X, Y[:5]),
            "`targets` must be as many as `inputs`, 60; got 5.",
        ),
        (lambda: Shuffled(X, Y, 0), "`batch_size` must be at least 1; got 0."),
    ],
)
def test_wrong_batches_are_one_sentence(build, sentence):
    with pytest.raises(ValueError) as raised:
        build()
    assert str(raised.value) == sentence


# -- trackers ----------------------------------------------------------------------------------------------------------


def test_trackers_measure():
    net = nn.Sequential(DANNLinear(8, 12, 2), nn.ReLU(), nn.Linear(12, 2))
    with torch.no_grad():
        net[0].weight_ex[:3] = 0
        net[0].weight_ix[0, :5] = -1
    assert trackers.sign_violations(net) == 5
    assert math.isnan(trackers.sign_violations(nn.Linear(2, 2)))
    n = 12 * 8 + 2 * 8 + 12 * 2 + 24
    assert trackers.fraction_at_zero(net) == pytest.approx(24 / n)
    assert list(trackers.svd_entropies(net)) == ["0", "2.weight"]
    row = trackers.read(
        {"test": trackers.held_out(X, Y, cross_entropy), **trackers.DEFAULT}, net
    )
    assert row["test/error"] == pytest.approx(
        (net(X).argmax(1) != Y).float().mean().item()
    )
    assert row["test/loss"] == pytest.approx(cross_entropy(net(X), Y).item())


def test_sign_flips_counts_changed_signs():
    net = nn.Linear(4, 2)
    tracker = trackers.sign_flips(net)
    assert tracker(net) == 0
    with torch.no_grad():
        net.weight[0] *= -1
        net.weight[1, 0] = 0
    assert tracker(net) == 0.5


def test_a_model_may_return_more_than_its_outputs(tmp_path):
    rnn = torch.nn.RNN(3, 4)
    x, y = torch.rand(6, 5, 3), torch.rand(6, 5, 4)
    optimizer = torch.optim.SGD(rnn.parameters(), 0.1)
    history = train(
        rnn,
        [(x, y)],
        optimizer,
        lambda out, y: (out[0] - y).square().mean(),
        epochs=3,
        trackers={},
        progress=False,
    )
    assert history.loss.iloc[-1] < history.loss.iloc[1]
    assert "accuracy" not in history


def test_a_tasks_batches_train_a_circuit_and_resume(tmp_path):
    from daleml.layers import EIRNN
    from daleml.tasks import PerceptualDecision

    task = PerceptualDecision()

    def run(epochs, folder):
        torch.manual_seed(0)
        rnn = EIRNN(
            task.n_inputs,
            task.n_outputs,
            mask=0.7,
            noise=0.1,
            generator=torch.Generator().manual_seed(1),
        )
        optimizer = EG(param_groups(rnn, 0.1), 0.1)
        batches = task.batches(8, 2)
        loss = lambda out, trials: task.loss(out[0], trials)  # noqa: E731
        train(
            rnn,
            batches,
            optimizer,
            loss,
            epochs=epochs,
            checkpoint=folder,
            progress=False,
        )
        return rnn

    whole = run(4, tmp_path / "whole")
    run(2, tmp_path / "parts")
    same(whole, run(4, tmp_path / "parts"))
