"""Files, and sets of files, are whole or not there: whatever disk is full, and whoever is killed."""

import errno
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from daleml._support import atomic_files, file_sets, locks, processes


def contents(place):
    """Return every file of a folder, hidden ones too."""
    return {
        str(path.relative_to(place)): path.read_bytes()
        for path in sorted(place.rglob("*"))
        if path.is_file()
    }


OLD = {
    "page.html": b"old page",
    "figures/a.png": b"old a",
    "figures/gone.png": b"old gone",
}
NEW = {
    "page.html": b"new page",
    "figures/a.png": b"new a",
    "figures/more.png": b"new more",
}


def write_set(place, files, label):
    atomic_files.write_set(
        "out",
        place,
        files,
        "results.json",
        {"label": label, "value": np.float64("nan")},
    )


@pytest.fixture
def place(tmp_path):
    """A folder with an earlier set, and with files of the user's own."""
    out = tmp_path / "out"
    write_set(out, OLD, "old")
    (out / "notes.txt").write_text("mine")
    (out / "figures" / "mine.svg").write_text("mine")
    return out


def state(place):
    """Say which set a folder holds; the user's own files must be there in any case."""
    found = contents(place)
    assert found.pop("notes.txt") == b"mine"
    assert found.pop("figures/mine.svg") == b"mine"
    label = json.loads(found.pop("results.json"))["label"]
    assert found == {"old": OLD, "new": NEW}[label]
    return label


# -- one file ----------------------------------------------------------------------------------------------------------


def test_a_file_has_the_rights_of_an_ordinary_one(tmp_path):
    before = os.umask(0o027)
    try:
        atomic_files.write_text(tmp_path / "a.txt", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


def test_the_mask_of_the_process_is_never_touched(tmp_path, monkeypatch):
    """It belongs to all threads: a file that another makes in that instant could be written by everybody."""
    monkeypatch.setattr(os, "umask", lambda mask: pytest.fail("the mask was set"))
    atomic_files.write_text(tmp_path / "a.txt", "x")
    write_set(tmp_path / "o", OLD, "old")


def test_what_is_flushed_was_opened_to_be_written(tmp_path, monkeypatch):
    """Windows flushes no file that was opened to be read."""
    import fcntl

    sync, seen = os.fsync, []

    def watched(number):
        seen.append(fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE)
        sync(number)

    monkeypatch.setattr(os, "fsync", watched)
    atomic_files.write_text(tmp_path / "a.txt", "x")
    write_set(tmp_path / "o", OLD, "old")
    assert len(seen) >= 5
    assert os.O_RDONLY not in seen


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
def test_a_full_disk_leaves_the_old_file_and_names_it(tmp_path, number):
    path = tmp_path / "a.json"
    atomic_files.write_text(path, "old")

    def fill(temporary):
        temporary.write_text("half")
        raise OSError(number, os.strerror(number))

    with pytest.raises(OSError, match=r"a\.json") as raised:
        atomic_files.write(path, fill)
    assert raised.value.errno == number
    assert contents(tmp_path) == {"a.json": b"old"}


LEFT = [
    ".unfinished-x.json",
    ".unfinished-le7fx_px.json",
    ".unfinished-abcdefgh.safetensors",
]
NOT_OURS = [
    ".unfinished-thesis-chapter.md",
    ".unfinished-x",
    "unfinished-x.json",
    ".unfinished-Abc.json",
    ".unfinished-x.txt",
]


def test_what_dead_processes_left_is_removed_and_nothing_else(tmp_path):
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"],
        capture_output=True,
        text=True,
    )
    number = int(dead.stdout)
    ours = f".unfinished-{atomic_files._HOST}"
    left = [
        *LEFT,
        f"{ours}-{number}-{'0' * 16}.png",
        f"{ours}-{os.getpid()}-{'1' * 16}.json",
        f"{ours}-{10**30}-{'0' * 16}.x",
    ]
    kept = [
        *NOT_OURS,
        f"{ours}-{os.getppid()}-{'0' * 16}.png",
        f".unfinished-00000000-{number}-{'0' * 16}.png",
    ]
    for name in (*left, *kept):
        (tmp_path / name).write_text("x")
    (tmp_path / ".unfinished-folder.json").mkdir()
    (tmp_path / ".unfinished-link.json").symlink_to(tmp_path / ".unfinished-x")
    atomic_files.write_text(tmp_path / "a.txt", "x")
    assert set(os.listdir(tmp_path)) == {
        *kept,
        "a.txt",
        ".unfinished-folder.json",
        ".unfinished-link.json",
    }


def test_two_writers_of_one_process_leave_each_other_alone(tmp_path):
    def fill(temporary):
        atomic_files.write_text(
            tmp_path / "other.txt", "x"
        )  # cleans the folder up meanwhile
        temporary.write_text("whole")

    atomic_files.write(tmp_path / "a.txt", fill)
    assert contents(tmp_path) == {"a.txt": b"whole", "other.txt": b"x"}


def test_json_is_strict(tmp_path):
    content = {
        "s\udcff": ["\ud800", float("inf"), np.float32("nan"), np.arange(2), "σ\x1b"],
        3: (1,),
    }
    atomic_files.write_json(tmp_path / "a.json", content)
    text = (tmp_path / "a.json").read_text()
    assert "\\ud" not in text.replace("\\\\ud", "")
    read = json.loads(text, parse_constant=lambda name: pytest.fail(name))
    assert read == {"s\\xff": ["\\ud800", None, None, [0, 1], "σ\x1b"], "3": [1]}


# -- a set -------------------------------------------------------------------------------------------------------------


def test_a_set_takes_the_place_of_the_earlier_one(place):
    write_set(place, NEW, "new")
    assert state(place) == "new"
    named = json.loads((place / "results.json").read_text())["files"]
    assert named == {name: sha256(data).hexdigest() for name, data in NEW.items()}


def test_a_file_of_the_earlier_set_that_was_changed_since_stays(place):
    (place / "figures" / "gone.png").write_text("drawn over by hand")
    write_set(place, NEW, "new")
    assert (place / "figures" / "gone.png").read_text() == "drawn over by hand"


@pytest.mark.parametrize(
    "name", ["../secret.txt", "figures/../../secret.txt", "{absolute}", ".", ""]
)
def test_an_index_from_elsewhere_removes_nothing_outside(place, name):
    secret = place.parent / "secret.txt"
    secret.write_text("mine")
    index = json.loads((place / "results.json").read_text())
    index["files"] = {name.format(absolute=secret): sha256(b"mine").hexdigest()}
    (place / "results.json").write_text(json.dumps(index))
    write_set(place, NEW, "new")
    assert secret.read_text() == "mine"


@pytest.mark.parametrize(
    "index", ["[" * 100_000, "{", "[]", '{"files": 3}', '{"files": {"a": []}}', "\xff"]
)
def test_a_damaged_index_is_replaced(place, index):
    (place / "results.json").write_text(index, encoding="latin-1")
    write_set(place, NEW | {"figures/gone.png": b"x"}, "new")
    assert json.loads((place / "results.json").read_text())["label"] == "new"


@pytest.mark.parametrize("broken", range(1, 6))
def test_a_full_disk_leaves_the_old_set(place, monkeypatch, broken):
    """Whichever of the writes finds the disk full."""
    sync, count = atomic_files._sync, []

    def full(path):
        count.append(path)
        if len(count) == broken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(path)

    monkeypatch.setattr(atomic_files, "_sync", full)
    before = contents(place)
    with pytest.raises(
        OSError, match="holds what it held before: No space left on device"
    ) as raised:
        write_set(place, NEW, "new")
    assert str(place) in str(raised.value)
    assert raised.value.errno == errno.ENOSPC
    assert contents(place) == before
    assert len(count) == broken


def test_a_full_disk_leaves_no_folder_that_was_not_there(tmp_path, monkeypatch):
    def full(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic_files, "_sync", full)
    with pytest.raises(OSError, match="No space left"):
        write_set(tmp_path / "new" / "out", NEW, "new")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="mounts a small disk"
)
@pytest.mark.parametrize("where", ["o", "."])
def test_a_disk_that_is_really_full(tmp_path, where):
    """And a folder that is a mount point."""
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", tmp_path],
        capture_output=True,
    ).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        out = tmp_path / where
        write_set(out, OLD, "old")
        before = contents(out)
        large = {name: os.urandom(60_000) for name in "abcdefgh"}
        with pytest.raises(OSError, match="No space left on device"):
            write_set(out, large, "new")
        assert contents(out) == before
        write_set(out, NEW, "new")
        assert json.loads((out / "results.json").read_text())["label"] == "new"
    finally:
        subprocess.run(["umount", tmp_path], check=True)


KILL = """
import os, signal, sys
from pathlib import Path
from tests._support.test_atomic_files import NEW, write_set
from daleml._support import atomic_files, file_sets
moment = int(sys.argv[2])
count = 0
def counted(function):
    def called(*args, **kwargs):
        global count
        count += 1
        if count == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return called
atomic_files._sync = counted(atomic_files._sync)
for name in ("mkdtemp",):
    setattr(atomic_files.tempfile, name, counted(getattr(atomic_files.tempfile, name)))
if sys.argv[3] == "here":
    file_sets.in_a_process_of_its_own = lambda *_: None
os.replace = counted(os.replace)
os.unlink = counted(os.unlink)
Path.unlink = counted(Path.unlink)
file_sets.shutil.rmtree = counted(file_sets.shutil.rmtree)
write_set(Path(sys.argv[1]), NEW, "new")
"""


def killed_at(moment, place, where):
    """Fork a process that is killed at some moment of writing a set; return whether it was."""
    process = os.fork()
    if process == 0:
        try:
            sys.argv = ["", str(place), str(moment), where]
            exec(KILL, {"__name__": "killed"})
        except BaseException:
            os._exit(3)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


def settled(place):
    """Wait until the process that renames is done: it gives the lock back by ending."""
    for _ in range(10_000):
        try:
            with locks.only_writer(place):
                return
        except locks.InUseError:
            pass


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("where", ["apart", "here"])
def test_killed_at_any_moment_the_set_is_old_or_new(place, where, tmp_path):
    """Renames in a process of their own are never seen half done; where there is none, the next write completes them."""
    ends = []
    for moment in range(1, 100):
        copy = tmp_path / f"{where}-{moment}"
        shutil.copytree(place, copy)
        was_killed = killed_at(moment, copy, where)
        if was_killed:
            settled(copy)
            if where == "here":
                with locks.only_writer(copy):
                    atomic_files.recover(copy)
        for staged in copy.glob(f"{file_sets.PREFIX}*"):
            shutil.rmtree(staged)
        ends.append(state(copy))
        write_set(copy, NEW, "new")  # whatever was left hinders nobody, and is gone
        assert state(copy) == "new"
        if not was_killed:
            break
    assert ends == sorted(ends, reverse=True)  # first old, then new
    assert ends.count("old") >= 5
    assert ends[-1] == "new"


def test_what_cannot_take_its_place_brings_the_old_set_back(place, monkeypatch):
    """As where another program holds a file, or somebody else owns it: the third rename is refused."""
    staged = atomic_files._stage(
        place, {**NEW, "results.json": b"{}"}, ["figures/gone.png"]
    )
    before = {
        name: data for name, data in contents(place).items() if not name.startswith(".")
    }
    replace, count = os.replace, []

    def refused(source, target):
        if "new" in Path(source).parts:
            count.append(target)
            if len(count) == 3:
                raise PermissionError(
                    errno.EPERM, os.strerror(errno.EPERM), str(target)
                )
        replace(source, target)

    monkeypatch.setattr(file_sets.os, "replace", refused)
    with pytest.raises(PermissionError):
        file_sets.complete(staged)
    monkeypatch.undo()
    shutil.rmtree(staged)
    assert contents(place) == before
    assert state(place) == "old"


def test_a_refusal_of_the_other_process_is_told(place):
    """A folder stands where a file is to be, since it was looked at."""
    staged = atomic_files._stage(place, {"page.html": b"x", "deep": b"y"}, [])
    (place / "deep").mkdir()
    problem = file_sets.in_a_process_of_its_own(staged)
    assert problem[0] == errno.EISDIR
    shutil.rmtree(staged)
    (place / "deep").rmdir()
    assert state(place) == "old"


def test_a_folder_in_place_of_a_file_is_refused_before_anything_is_written(place):
    before = contents(place)
    with pytest.raises(ValueError, match="must be a file to write; it is a folder"):
        write_set(place, {"figures": b"x", **OLD}, "new")
    assert contents(place) == before


def test_two_writers_do_not_mix(place):
    with (
        locks.only_writer(place),
        pytest.raises(
            ValueError, match="`out` must be a folder into which nobody else"
        ),
    ):
        write_set(place, NEW, "new")
    assert state(place) == "old"


@pytest.mark.parametrize("kind", ["link", "here", "without a process"])
def test_any_kind_of_folder(place, kind, monkeypatch, tmp_path):
    if kind == "link":
        (tmp_path / "link").symlink_to(place, target_is_directory=True)
        write_set(tmp_path / "link", NEW, "new")
        assert (tmp_path / "link").is_symlink()
    elif kind == "here":
        monkeypatch.chdir(place)
        number = os.stat(".").st_ino
        write_set(Path(), NEW, "new")
        assert os.stat(place).st_ino == number  # a shell that is in it stays in it
    else:
        monkeypatch.setattr(file_sets.sys, "executable", "/nowhere/python")
        write_set(place, NEW, "new")
    assert state(place) == "new"


def test_a_process_is_known_to_live():
    assert processes.is_alive(os.getpid())
    assert processes.is_alive(1)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert not processes.is_alive(ended.pid)
    assert not processes.is_alive(10**30)
