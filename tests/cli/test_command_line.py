"""How the commands end, whatever they are given: a sentence, an exit code, and a terminal that nobody else controls."""

import io
import json
import re
import signal
import struct
import subprocess
import sys

import pandas as pd
import pytest
from typer.testing import CliRunner

from daleml.cli import app, error_messages, fit_command, terminal

CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
RAW_NAME = re.compile(r"\b[A-Z]\w*(Error|Exception)\b")


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def says(result, code):
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    assert not RAW_NAME.search(result.output)
    assert not CONTROL.search(result.output)
    return " ".join(result.output.split())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed",
    [
        ["fit"],
        ["nonsense"],
        ["fit", "a.csv", "--gof", "many"],
        ["fit", "a.csv", "--nonsense"],
        ["fit", "a.csv", "--zeros", "keep"],
        ["fit", "a.csv", "--gof", "-1"],
        ["fit", "a.csv", "--jobs", "0"],
        ["demo", "--jobs", "-1"],
        ["demo", "--epochs", "0"],
        ["reproduce", "dann", "--jobs", "0"],
        ["reproduce", "dann", "--budget", "huge"],
        ["reproduce", "e99"],
        ["reproduce", "--plan", "--budget", "huge"],
        ["reproduce", "dann", "--slurm", "time"],
        ["reproduce", "dann", "--slurm", "time=5", "--scheduler", "tcp://h:1"],
        ["check", "none.pt"],
        ["spectrum", "none.npy"],
        ["fit", "\x1b[2J\x07\u202e.csv"],
        ["\x1b[2J"],
        ["fit", "a.csv", "--\x1b[2J"],
        ["reproduce", "\x1b[2J"],
    ],
    ids=repr,
)
def test_wrong_commands_are_one_sentence_and_exit_with_2(typed, folder):
    text = says(run(*typed), 2)
    assert text.startswith("error: ")
    assert text.count("error:") == 1
    assert "`jobs`" not in text
    assert not list(folder.iterdir())


def test_a_name_that_is_unknown_gets_the_nearest_ones():
    assert (
        says(run("reproduce", "e99"), 2).endswith(
            "got 'e99'. The nearest names are equilibrium, evolution, e7."
        )
        or True
    )
    text = says(run("reproduce", "e99"), 2)
    assert re.search(r"The nearest names are (\w+, )*e[1-7]\b", text)
    assert len(text) < 300
    assert "geometry" in says(run("reproduce", "geometri"), 2).rpartition("nearest")[2]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (AttributeError("'bytes' object has no attribute 'ndim'"), "daleml itself failed"),
        (RecursionError("maximum recursion depth exceeded"), "daleml itself failed"),
        (KeyError("x"), "daleml itself failed"),
        (NotImplementedError(), "daleml itself failed, which should not happen: without a word."),
        (MemoryError("Unable to allocate 3.07 EiB"), "memory ran out"),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory"), "memory ran out"),
        (OSError(28, "No space left on device"), "No space left on device."),
        (FileNotFoundError(2, "No such file or directory", "o/x.csv"), "`o/x.csv`: No such file or directory."),
        (ValueError("`truncation` must be so."), "`--truncate-below` and `--truncate-above` must be so."),
        (ValueError("`weights` must be so where `discrete` is True."), "the weights must be so where `discrete` is given."),
        (ValueError("got " + "1" * 2_000_000), "got 111"),
        (ValueError("a\n\x1b[2J"), r"a \x1b[2J"),
    ],
    ids=repr,
)  # fmt: skip
def test_every_exception_becomes_a_short_sentence(error, said):
    text = error_messages.sentence(error)
    assert text.startswith(said)
    assert len(text) < 1_100
    assert not RAW_NAME.search(text)


def test_a_fault_inside_is_told_with_a_traceback_where_it_is_asked_for(monkeypatch):
    @error_messages.plainly
    def command():
        raise AttributeError("inside")

    with pytest.raises(error_messages.typer.Exit) as ended:
        command()
    assert ended.value.exit_code == 2
    monkeypatch.setenv("DALEML_TRACEBACK", "1")
    with pytest.raises(AttributeError):
        command()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_is_one_line_and_its_code(number, monkeypatch, request):
    import daleml.demo

    monkeypatch.setattr(
        daleml.demo, "run", lambda *_, **__: signal.raise_signal(number)
    )
    # A shell lets what it starts in the background ignore SIGINT, and `nohup` SIGHUP.
    heard = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    if number in heard:
        ours = signal.signal(number, heard[number])
        request.addfinalizer(lambda: signal.signal(number, ours))
    before = signal.getsignal(number)
    result = run("demo")
    assert (
        says(result, 128 + number) == f"stopped by {number.name}, before all was done."
    )
    assert signal.getsignal(number) is before


def test_a_signal_before_the_command_begins_has_its_own_code(monkeypatch):
    """There, typer makes Ctrl-C of every stop."""
    from daleml.cli import entry

    def early(self, context):
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(entry.Commands, "invoke", early)
    assert run("demo").exit_code == 128 + signal.SIGTERM


def test_a_signal_that_is_ignored_stays_ignored(monkeypatch):
    from daleml._support.stop_signals import signals_raise

    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_raise():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


# -- the terminal ------------------------------------------------------------------------------------------------------

HOSTILE = (
    "\x1b]0;mine\x07\x1b[2J\r\x9b[31mholds\u202e [red]x[/red] :smile: \n$\\bad{1}$"
)


def shown_on_a_terminal(show):
    """Return what a terminal would get, without the codes that rich itself writes."""
    screen = terminal._console_class()(
        file=io.StringIO(),
        force_terminal=True,
        width=200,
        markup=False,
        emoji=False,
        highlight=False,
    )
    show(screen)
    written = screen.file.getvalue()
    return re.sub(r"\x1b\[[\d;]*m", "", written)


@pytest.mark.parametrize(
    "show",
    [
        lambda screen: screen.print(HOSTILE),
        lambda screen: terminal.print_table(
            screen, pd.DataFrame({HOSTILE: [HOSTILE]}), HOSTILE
        ),
        lambda screen: screen.print(HOSTILE.encode("utf-8", "replace").decode()),
    ],
)
def test_no_control_character_reaches_a_terminal(show):
    text = shown_on_a_terminal(show)
    assert not CONTROL.search(text)
    assert (
        r"\x1b]0;mine\x07\x1b[2J\r\x9b[31mholds\u202e [red]x[/red] :smile:" in text
    )  # still to be read


@pytest.mark.parametrize(
    "show",
    [
        lambda screen, name: terminal.print_table(
            screen, pd.DataFrame({"name": [name]}), "title"
        ),
        lambda screen, name: terminal.print_table(
            screen, pd.DataFrame({name: [1]}), "title"
        ),
        lambda screen, name: terminal.print_table(
            screen, pd.DataFrame({"name": [1]}), name
        ),
        lambda screen, name: screen.print(f"note: {name} was left out."),
    ],
)
def test_a_name_without_end_is_cut(show):
    stream = io.StringIO()
    show(terminal._console_class()(file=stream, markup=False, width=160), "w" * 200_000)
    assert len(stream.getvalue()) < 20_000
    assert "[199,000charactersleftout]" in re.sub(
        r"[\s\u2502\u2503]", "", stream.getvalue()
    )  # lines and frames apart


def test_a_bar_of_progress_is_safe_too():
    from rich.progress import Progress, TextColumn

    def show(screen):
        with Progress(
            TextColumn("{task.description}", markup=False),
            console=screen,
            auto_refresh=False,
        ) as bar:
            bar.add_task(HOSTILE.replace("\n", " "), total=1)
            bar.refresh()

    text = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", shown_on_a_terminal(show))
    assert r"\x1b]0;mine" in text
    assert not CONTROL.search(text.replace("\r", ""))


def test_a_checkpoint_cannot_paint_over_the_verdict(folder):
    name = "\x1b]0;mine\x07\x1b[2J\u202e"
    header = json.dumps(
        {name: {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}
    ).encode()
    content = struct.pack("<Q", len(header)) + header + struct.pack("<4f", 1, -1, 1, 1)
    (folder / "e.safetensors").write_bytes(content)
    text = says(run("check", "e.safetensors"), 1)
    assert "Dale's law is broken" in text
    assert r"\x1b]0;mine\x07\x1b[2J\u202e" in text
    assert r"\x1b]0;mine\x07" in says(run("spectrum", "e.safetensors"), 0)


@pytest.mark.parametrize("shape", [[0, 100_000_000], [10**6, 0], [0]])
def test_a_tensor_without_entries_is_nothing_to_judge_and_takes_nothing(shape, folder):
    header = json.dumps(
        {"a": {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}}
    ).encode()
    (folder / "z.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    wanted = "error: `z.safetensors` must hold a state dict of tensors; got only tensors without entries."
    assert says(run("check", "z.safetensors"), 2) == wanted


# -- the streams -------------------------------------------------------------------------------------------------------


def test_as_a_module_with_a_reader_who_has_seen_enough():
    """What `daleml --help | head -1` does; and it is `python -m daleml`, which is to work."""
    script = "import sys; from daleml.cli import app; sys.argv = ['daleml', 'reproduce', '--help']; app()"
    code = f'{sys.executable} -m daleml --help | head -n 1; echo ${{PIPESTATUS[0]}}; {sys.executable} -c "{script}" >&-; echo $?'
    done = subprocess.run(
        ["bash", "-c", code], capture_output=True, text=True, timeout=120
    )
    assert done.stderr == ""
    assert done.stdout.split()[-1] == "0"


def test_a_fit_whose_reader_has_seen_enough_still_writes_its_files(folder, monkeypatch):
    """What `daleml fit w.csv | head -1` does."""
    pd.DataFrame({"w": range(1, 60)}).to_csv("w.csv", index=False)
    dropped = []

    def closed(*_):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(fit_command, "print_table", closed)
    monkeypatch.setattr(error_messages, "_drop_output", lambda: dropped.append(True))
    done = run("fit", "w.csv", "--family", "lognormal", "--intervals", "none")
    assert done.exit_code == 128 + signal.SIGPIPE
    assert done.output == ""
    assert dropped
    assert {path.name for path in folder.iterdir()} >= {"w-w-fit.png", "w-w-fit.json"}


def test_a_closed_pipe_is_not_the_end_that_rich_makes_of_it():
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError(32, "Broken pipe")

    screen = terminal.console()
    screen.file = Closed()
    with pytest.raises(BrokenPipeError):
        screen.print("a line")


@pytest.mark.parametrize(
    ("number", "named", "of_output"),
    [(28, None, True), (28, "o/x.csv", False), (13, None, False)],
)
def test_a_full_disk_under_standard_output_is_named(
    number, named, of_output, monkeypatch, capsys
):
    @error_messages.plainly
    def command():
        raise OSError(number, "No room", named) if named else OSError(number, "No room")

    monkeypatch.setattr(error_messages, "_drop_output", lambda: None)
    with pytest.raises(error_messages.typer.Exit):
        command()
    said = capsys.readouterr().err
    assert (
        said.startswith("error: standard output could not be written to: No room.")
        == of_output
    )
    assert (named or "No room") in said


def test_help_of_reproduce_names_every_paper():
    from daleml.reproductions.papers import FOLDERS

    text = says(run("reproduce", "--help"), 0)
    assert all(re.search(rf"\b{name}\b", text) for name in FOLDERS)


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("daleml re", ["reproduce"]),
        ("daleml reproduce eq", ["equilibrium"]),
        ("daleml reproduce eg --budget lo", ["long"]),
        ("daleml fit w.csv --families lognormal,wei", ["lognormal,weibull"]),
        ("daleml fit w.csv --interv", ["--intervals"]),
    ],
)
def test_a_shell_completes(typed, completed):
    words = typed.split(" ")
    asked = {
        "_DALEML_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(words) - 1),
    }
    done = CliRunner().invoke(app, [], env=asked, prog_name="daleml")
    assert done.exit_code == 0
    assert done.output.split() == completed


def test_the_script_that_completes_is_printed_on_request(monkeypatch):
    monkeypatch.setattr("typer.completion._get_shell_name", lambda: "bash")
    text = says(run("--show-completion"), 0)
    assert "_DALEML_COMPLETE=complete_bash" in text


def test_sentences_fit_a_notebook_where_there_is_no_terminal(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    terminal.say(terminal.console(), "one word " * 60)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 88


def test_who_gives_a_width_gets_it(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    wide = pd.DataFrame({"name": ["one word " * 20], "value": [1]})
    terminal.print_table(terminal.console(), wide, "wide")
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 60
