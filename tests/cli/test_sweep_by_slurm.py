"""``daleml sweep --slurm`` with an ``sbatch`` that runs the jobs of an array on this machine."""

import os
import stat
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from daleml.cli import app
from daleml.experiments import read, sweep
from tests.experiments import studies

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="scripts of a shell"),
]

SBATCH = r"""#!/bin/bash
script="${@: -1}"
last=$(sed -n 's/^#SBATCH --array=0-\([0-9]*\).*/\1/p' "$script")
echo "$@" >> "$SBATCH_CALLS"
for task in $(seq 0 "$last"); do
  SLURM_JOB_ID=7 SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_ID=$task SLURM_JOB_NUM_NODES=1 \
  SLURM_NTASKS=1 SLURM_NODEID=0 SLURM_PROCID=0 SLURM_LOCALID=0 \
  nohup bash "$script" > /dev/null 2>&1 &
done
echo "Submitted batch job 7"
"""
SRUN = r"""#!/bin/bash
while [[ "$1" == --* ]]; do
  if [[ "$1" == --output || "$1" == --error ]]; then shift; fi
  shift
done
exec "$@"
"""
SACCT = "#!/bin/bash\necho 'JobID|State'\n"

STUDY = """
from tests.experiments import studies

def run(seed, lr):
    return studies.draws(seed, lr)

grid = {"lr": [0.1, 0.2]}
seeds = 2
"""


def test_each_run_is_a_job_of_an_array(tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    commands = {"sbatch": SBATCH, "srun": SRUN, "sacct": SACCT}
    for name, text in commands.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    root = str(Path(__file__).parents[2])
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("SBATCH_CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("PYTHONPATH", root)
    monkeypatch.syspath_prepend(root)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.py").write_text(STUDY)
    words = ["sweep", "study.py", "--slurm", "time=5,partition=cpu", "--out", "out"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert len((tmp_path / "calls").read_text().splitlines()) == 1
    alone = sweep(
        studies.draws,
        {"lr": [0.1, 0.2]},
        seeds=2,
        out=tmp_path / "alone",
        jobs=1,
        progress=False,
    )
    assert read("out").equals(alone)
    assert list((tmp_path / "out" / "slurm").glob("7_3_*"))
