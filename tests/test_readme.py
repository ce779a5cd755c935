import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize(
    "block", BLOCKS, ids=[f"block {i}" for i in range(len(BLOCKS))]
)
def test_the_readme_runs(block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert len(block.strip().splitlines()) <= 24
    namespace = {}
    exec(compile(block, "README.md", "exec"), namespace)
    printed = capsys.readouterr().out
    if "history" in namespace:
        assert "SVD entropy" in printed
        assert namespace["history"].accuracy.iloc[-1] > 0.8
        assert (tmp_path / "weights.png").exists()
    elif "report" in namespace:
        assert printed.startswith("6 parameters: 3 lawful, 3 exempt, 0 not lawful.")
        assert "Dale's law holds: 3 parameters" in printed
    elif "worm" in namespace:
        assert printed.startswith("3,638 weights (counts, zero not seen)")
        assert "The 2 groups differ" in printed
        assert namespace["seen"].min() == 5
    elif "settling" in namespace:
        assert "Dale's law holds for the 1 of 2 weights that have signs" in printed
        assert 0 < namespace["settling"].readout.weight.grad.norm() < 1
    else:
        assert printed.startswith("('L2', 'L3', 'L4') Dale's law holds")
        assert namespace["rnn"].weight_hh_l0.grad.abs().sum() > 0


def test_the_readmes_commands_exist():
    targets = set(
        re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    )
    named = set(re.findall(r"[`$] ?make ([a-z-]+)", README))
    assert {"demo", "test", "bench"} <= named
    assert named <= targets
    from daleml.cli import app

    commands = {command.callback.__name__ for command in app.registered_commands}
    assert set(re.findall(r"\$ daleml (\w+)", README)) <= commands


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "CONTRIBUTING.md",
        "docs/behaviour.md",
        "docs/cell_types.md",
        "docs/time_and_perturbations.md",
        "docs/dynamics.md",
        "docs/pathways.md",
        "docs/tasks.md",
        "docs/activity.md",
        "docs/published_circuits.md",
        "docs/claims.md",
        "docs/mechanisms.md",
        "docs/routes.md",
    ],
)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
        assert (
            target.startswith("http") or (ROOT / page).parent.joinpath(target).exists()
        ), target


@pytest.mark.parametrize(
    "page",
    [
        "docs/index.md",
        "docs/behaviour.md",
        "docs/cell_types.md",
        "docs/time_and_perturbations.md",
        "docs/dynamics.md",
        "docs/pathways.md",
        "docs/tasks.md",
        "docs/activity.md",
        "docs/published_circuits.md",
    ],
)
def test_examples_of_pages_run(page):
    flags = doctest.NORMALIZE_WHITESPACE
    failed, tried = doctest.testfile(str(ROOT / page), False, optionflags=flags)
    assert tried
    assert not failed


def test_contributing_is_short():
    assert len((ROOT / "CONTRIBUTING.md").read_text().splitlines()) < 80
