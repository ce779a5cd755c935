"""A folder has one writer, and a dead one hinders nobody."""

import os
import threading

import pytest

from daleml._support import locks
from daleml._support.locks import InUseError, only_writer


def test_a_second_writer_is_refused_and_told_who_writes(tmp_path):
    with (
        only_writer(tmp_path, "out"),
        pytest.raises(InUseError) as refused,
        only_writer(tmp_path, "out"),
    ):
        pass
    assert str(refused.value).startswith(
        "`out` must be a folder into which nobody else writes; "
    )
    assert f"process {os.getpid()} on " in str(refused.value)
    with only_writer(tmp_path):  # given back
        pass
    assert not list(tmp_path.iterdir())


def test_an_exception_gives_it_back(tmp_path):
    with pytest.raises(RuntimeError), only_writer(tmp_path):
        raise RuntimeError
    with only_writer(tmp_path):
        pass


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_what_a_killed_process_left_hinders_nobody(tmp_path):
    process = os.fork()
    if process == 0:
        with only_writer(tmp_path):
            os.kill(os.getpid(), 9)
    os.waitpid(process, 0)
    assert (tmp_path / locks.NAME).exists()
    with only_writer(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_folders_are_apart(tmp_path):
    (tmp_path / "a").mkdir()
    with only_writer(tmp_path), only_writer(tmp_path / "a"):
        pass


def test_never_two_at_once(tmp_path):
    """Many threads come and go: the file is removed and made anew, and still only one is inside."""
    inside, most, entered = [], [], []

    def come_and_go():
        for _ in range(60):
            try:
                with only_writer(tmp_path):
                    inside.append(1)
                    most.append(len(inside))
                    entered.append(1)
                    inside.pop()
            except InUseError:
                pass

    threads = [threading.Thread(target=come_and_go) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1
    assert entered


def test_a_file_system_without_locks_refuses_nobody(tmp_path, monkeypatch):
    import errno
    import fcntl

    def none(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with only_writer(tmp_path), only_writer(tmp_path):
        pass


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(OSError, match="No such file"), only_writer(tmp_path / "none"):
        pass
