"""Schedulers that step after every batch, and a OneCycleLR made for another number of steps."""

import warnings

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.optim import lr_scheduler as schedules

from daleml.layers import DANNLinear
from daleml.optim import EG, param_groups
from daleml.training import Shuffled, train

X = torch.rand(30, 6, generator=torch.Generator().manual_seed(0))
Y = torch.arange(30) % 3
BATCHES = Shuffled(X, Y, 8)


class Killed(BaseException):
    pass


def learn(make, batches=BATCHES, epochs=5, **options):
    """Train with the scheduler that ``make`` makes of an optimiser and its groups."""
    torch.manual_seed(0)
    net = DANNLinear(6, 3)
    groups = param_groups(net, 0.1)
    optimizer = EG(groups, 0.1, momentum=0.5)
    rates = []
    history = train(
        net,
        batches,
        optimizer,
        cross_entropy,
        epochs=epochs,
        trackers={},
        callbacks=[Rates(rates)],
        scheduler=make(optimizer, groups),
        progress=False,
        **{"scheduler_step": "batch", **options},
    )
    return net, history, rates


class Rates:
    def __init__(self, rates):
        self.rates = rates

    def on_step(self, state):
        self.rates.append([group["lr"] for group in state.optimizer.param_groups])


def one_cycle(total):
    return lambda optimizer, groups: schedules.OneCycleLR(
        optimizer, groups.lrs(0.4), total_steps=total, div_factor=4
    )


def test_one_cycle_by_batch_is_that_of_a_plain_loop_and_keeps_the_corrections():
    net, _, rates = learn(one_cycle(20))
    torch.manual_seed(0)
    plain = DANNLinear(6, 3)
    groups = param_groups(plain, 0.1)
    optimizer = EG(groups, 0.1, momentum=0.5)
    scheduler = one_cycle(20)(optimizer, groups)
    expected = []
    for epoch in range(1, 6):
        for x, y in BATCHES(epoch):
            optimizer.zero_grad()
            cross_entropy(plain(x), y).backward()
            optimizer.step()
            scheduler.step()
            expected.append(scheduler.get_last_lr())
    assert rates == expected
    assert len(rates) == 20
    assert all(
        torch.equal(p, q)
        for p, q in zip(net.parameters(), plain.parameters(), strict=True)
    )
    scales = [group["lr_scale"] for group in groups]
    assert len(set(scales)) == 3
    for row in rates:
        unit = [rate / scale for rate, scale in zip(row, scales, strict=True)]
        assert unit == pytest.approx([unit[0]] * 4)


@pytest.mark.parametrize("epoch", [1, 4])
def test_one_cycle_by_batch_resumes_to_the_bit(epoch, tmp_path):
    def killed(now):
        for i, batch in enumerate(BATCHES(now)):
            if (now, i) == (epoch, 2):
                raise Killed
            yield batch

    whole, history, rates = learn(one_cycle(20))
    with pytest.raises(Killed):
        learn(one_cycle(20), killed, checkpoint=tmp_path)
    resumed, again, later = learn(one_cycle(20), checkpoint=tmp_path)
    assert again.equals(history)
    assert later == rates[-len(later) :]
    assert all(
        torch.equal(p, q)
        for p, q in zip(whole.parameters(), resumed.parameters(), strict=True)
    )


def test_one_rate_for_all_is_told_by_batch_too():
    def make(optimizer, groups):
        return schedules.OneCycleLR(optimizer, 0.4, total_steps=20)

    with pytest.warns(UserWarning, match="erases the corrections of `param_groups`"):
        learn(make)


def plateau(optimizer, groups):
    return schedules.ReduceLROnPlateau(optimizer)


def steady(optimizer, groups):
    return schedules.StepLR(optimizer, 1)


@pytest.mark.parametrize(
    ("make", "options", "sentence"),
    [
        (one_cycle(19), {}, "`scheduler` must be made for at least 20 steps, for 5 epochs of 4 batches; got total_steps=19."),
        (one_cycle(4), {"scheduler_step": "epoch"}, "`scheduler` must be made for at least 5 steps, for 5 epochs; got total_steps=4."),
        (one_cycle(9), {"batches": lambda epoch: BATCHES(epoch)}, "`scheduler` must be made for as many steps as there are batches; its total_steps=9 are used up in epoch 3."),
        (steady, {"scheduler_step": "step"}, "`scheduler_step` must be 'epoch' or 'batch'; got 'step'."),
        (lambda optimizer, groups: None, {}, "`scheduler_step` must be left out where there is no `scheduler`; got 'batch'."),
        (plateau, {}, "`scheduler_step` must be 'epoch' for a ReduceLROnPlateau, which is shown the mean loss of an epoch; got 'batch'."),
    ],
    ids=["too few", "too few epochs", "unknown", "misspelt", "none", "plateau"],
)  # fmt: skip
def test_a_schedule_that_cannot_be_kept_is_one_sentence(make, options, sentence):
    with pytest.raises(ValueError) as raised:
        learn(make, **options)
    assert str(raised.value) == sentence


def test_a_cycle_that_would_not_end_is_told_once():
    told = "`scheduler` was made for total_steps={} and will take {}, for 5 epochs{}"
    by_batch = told.format(50, 20, " of 4 batches: its rates will not come down.")
    by_epoch = told.format(20, 5, ": scheduler_step='batch' steps after every batch.")
    with pytest.warns(UserWarning, match=by_batch) as warned:
        learn(one_cycle(50))
    with pytest.warns(UserWarning, match=by_epoch):
        learn(one_cycle(20), scheduler_step="epoch")
    assert [one.filename for one in warned] == [__file__]
    # Those that go on later, and those whose length is not known, are taken at their word.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learn(one_cycle(50), batches=lambda epoch: BATCHES(epoch))
        learn(steady)


def test_a_longer_cycle_may_be_trained_in_parts(tmp_path):
    whole, _, _ = learn(one_cycle(20))
    learn(one_cycle(20), epochs=2, checkpoint=tmp_path)
    resumed, _, _ = learn(one_cycle(20), checkpoint=tmp_path)
    assert torch.equal(whole.weight_ex, resumed.weight_ex)
