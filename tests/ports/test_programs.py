"""A program is a port: a right one is not blamed, a wrong one is found, shrunk and replayed."""

import os
import re
import select
import shlex
import shutil
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from click.testing import CliRunner
from judging import blamed

import rnndiff
from rnndiff.harness.cases.case import load
from rnndiff.harness.cases.random_cases import normal_case
from rnndiff.harness.cases.restriction import make_restriction
from rnndiff.harness.checking.check import Checker
from rnndiff.harness.checking.verdicts import verdict_on, verdicts_on
from rnndiff.harness.cli import cli
from rnndiff.harness.errors import UserError
from rnndiff.harness.judging.tally import Tally
from rnndiff.harness.judging.verdict import DISAGREE
from rnndiff.harness.subjects.executable import Executable, written
from rnndiff.harness.subjects.port import look
from rnndiff.harness.subjects.run import run
from rnndiff.models import find

EXAMPLES = os.path.join(os.path.dirname(__file__), "..", "..", "examples")
COMPILER = shutil.which("cc")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler, cc")
BIDIRECTIONAL = find("bidirectional")
SMALL = make_restriction(BIDIRECTIONAL, {"num_units": (0, 3), "inputs": (0, 3)}, {})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- the example in C ----------------------------------------------------------------------------


def source():
    with open(os.path.join(EXAMPLES, "my_rnn.c")) as file:
        return file.read()


def built(folder, text):
    """The command of a program in C."""
    (folder / "my_rnn.c").write_text(text)
    command = [COMPILER, "-O2", "-Wall", "-Werror", "-o", "my_rnn", "my_rnn.c", "-lm"]
    subprocess.run(command, cwd=str(folder), check=True)
    return shlex.quote(str(folder / "my_rnn"))


def with_mistake(right, wrong):
    assert source().count(right) == 1
    return source().replace(right, wrong)


@needs_compiler
def test_the_example_is_short_and_is_not_blamed(folder):
    assert len(source().splitlines()) <= 150
    reports = blamed(Executable(built(folder, source())), ["bidirectional"], 200)
    assert not reports, reports[0]


@pytest.mark.slow
@needs_compiler
def test_the_example_is_not_blamed_in_10000_cases(folder):
    reports = blamed(Executable(built(folder, source())), ["bidirectional"], 10000, seed=1)
    assert not reports, reports[0]


MISTAKES = {
    "no bias": ("float sum = bias[j];", "float sum = 0 * bias[j];"),
    "kernel transposed": ("x[k] * kernel[k * size + j]", "x[k] * kernel[j * x_size + k]"),
    "not backwards": ("backward, both, -1);", "backward, both, 1);"),
    "first output for last": ("forward + (size_t)(time_steps - 1) * both", "forward"),
}


@needs_compiler
@pytest.mark.parametrize(
    "mistake",
    [
        "no bias",
        "not backwards",
        pytest.param("kernel transposed", marks=pytest.mark.slow),
        pytest.param("first output for last", marks=pytest.mark.slow),
    ],
)
def test_a_mistake_in_it_is_found_shrunk_and_replayed(mistake, folder):
    subject = Executable(built(folder, with_mistake(*MISTAKES[mistake])))
    failure = first_failure(subject)
    assert "disagree: " in failure.report
    case = load(failure.path).case
    sizes = case.config.sizes()
    assert max(sizes.values()) <= 2 and sizes["batch"] == 1
    assert sum(np.count_nonzero(array) for array in case.arrays.values()) <= 6
    again = shlex.split(failure.report.partition("run it again: rnndiff ")[2])
    assert again[2:] == ["--command", str(folder / "my_rnn")]
    replayed = CliRunner().invoke(cli, again)
    assert replayed.exit_code == 1 and "disagree on " in replayed.output, replayed.output


def first_failure(subject, restriction=SMALL, **given):
    """Of the failures that the first cases have, the one that is told."""
    checker = Checker(
        subject, Tally(), restriction=restriction, first_alone=True, seconds=8.0, **given
    )
    for number in range(20):
        batch = rnndiff.random_batch("bidirectional", 0, number, restriction=restriction, most=16)
        failures = checker(batch).failures
        if failures:
            return failures[0]
    raise AssertionError("it does not fail")


@pytest.mark.slow
@needs_compiler
def test_a_command_takes_the_program_and_ends_at_its_failure(folder):
    built(folder, with_mistake(*MISTAKES["no bias"]))
    options = ["--model", "bidirectional", "--no-empty", "--workers", "1", "--cases", "50"]
    done = CliRunner().invoke(cli, ["check", "--command", "./my_rnn", *options])
    assert done.exit_code == 1, done.output
    assert "disagree: outputs (teacher-forced)" in done.output
    assert re.search(r"run it again: rnndiff replay \S+ --command \./my_rnn\n", done.output)


@pytest.mark.slow
@needs_compiler
def test_the_lines_of_the_examples_page_work(folder):
    with open(os.path.join(EXAMPLES, "README.md"), encoding="utf-8") as file:
        (lines,) = re.findall(r"```sh\n(.*?)```", file.read(), re.DOTALL)
    build, check = lines.splitlines()
    shutil.copytree(EXAMPLES, str(folder / "examples"))
    subprocess.run(shlex.split(build), check=True)
    done = CliRunner().invoke(cli, [*shlex.split(check)[1:], "--workers", "2"])
    assert done.exit_code == 0 and "0 disagree" in done.output, done.output


@pytest.mark.slow
@needs_compiler
def test_a_test_takes_the_program(folder):
    built(folder, with_mistake(*MISTAKES["no bias"]))
    (folder / "test_it.py").write_text(
        "import pytest, rnndiff\n\n\n"
        "@pytest.fixture(scope='session')\n"
        "def subject():\n"
        "    return rnndiff.Executable('./my_rnn')\n\n\n"
        "def test_it(check):\n"
        "    check(rnndiff.random_batch('bidirectional', 0, 0, most=4))\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    ended = subprocess.run(command, capture_output=True, text=True).stdout
    assert "1 failed" in ended and re.search(r"rnndiff replay \S+ --command \./my_rnn\n", ended)


# --- what a program may do -----------------------------------------------------------------------

# In Python, as it takes no compiler. What `answer` does is what is tried; `zeros` is a right form.
PROGRAM = """
import os, signal, sys, time

SIZES = {{"float32": 4, "int32": 4}}


def read():
    lines = [line.decode().split() for line in iter(sys.stdin.buffer.readline, b"\\n") if line]
    arrays = [line for line in lines if line[0] == "array"]
    data = []
    for _, name, dtype, *shape in arrays:
        count = SIZES[dtype]
        for size in shape:
            count *= int(size)
        data.append(sys.stdin.buffer.read(count))
    return {{line[-2]: line[-1] for line in lines}}, {{x[1]: d for x, d in zip(arrays, data)}}


def write(text, count=0):
    sys.stdout.buffer.write(text.encode() + bytes(count))
    sys.stdout.buffer.flush()


def zeros(sizes, of=lambda count: count):
    rows, classes = int(sizes["batch"]), int(sizes["outputs"])
    write("array scores float32 %d %d\\n\\n" % (rows, classes), of(4 * rows * classes))


calls = 0
while sys.stdin.buffer.peek(1):
    sizes, arrays = read()
    calls += 1
    {answer}
"""
ZEROS = "zeros(sizes)"


@pytest.fixture
def program(folder):
    """The subject of a program that answers so."""

    def make(answer, timeout=60.0):
        text = PROGRAM.format(answer=answer.replace("\n", "\n    "))
        (folder / "program.py").write_text(text)
        subject = Executable(command())
        subject.timeout = timeout
        return subject

    return make


def command():
    return "{} -S -E program.py".format(shlex.quote(sys.executable))


def case(**sizes):
    given = dict(batch=2, time=2, inputs=3, outputs=4, num_units=1)
    config = BIDIRECTIONAL.Config(**dict(given, **sizes))
    return normal_case(np.random.RandomState(0), BIDIRECTIONAL, config)


CRASHES = {
    "a signal": (
        "os.write(2, b'one\\ntwo\\n'); os.kill(os.getpid(), signal.SIGSEGV)",
        "Crash: the program was ended by SIGSEGV; nothing of its answer came; its .*: one \\| two$",
    ),
    "an exit status": (
        "sys.exit('no such size')",
        "Crash: the program exited with the status 1; .*standard error ends with: no such size$",
    ),
    "an end without an answer": (
        "sys.exit(0)",
        "Crash: the program exited with the status 0; nothing of its answer came",
    ),
    "an end in the header": (
        "write('array scores float32 2 4\\narray out'); sys.exit(0)",
        "status 0; its answer breaks off after 'array out'$",
    ),
    "an end behind the names": (
        "write('array scores float32 2 4\\n'); sys.exit(0)",
        "its answer breaks off before the empty line after the names of its arrays$",
    ),
    "an end in an array": (
        "zeros(sizes, lambda count: count - 5); sys.exit(3)",
        "status 3; 27 of the 32 bytes of its arrays came$",
    ),
    "a closed output": (
        "os.close(1); time.sleep(60)",
        "Crash: the program closed its output, and went on; nothing",
    ),
    "what a sanitizer finds": (
        "sys.exit('SUMMARY: AddressSanitizer: heap-buffer-overflow my.c:3\\n' + 99 * 'shadow\\n')",
        "ends with: SUMMARY: AddressSanitizer: heap-buffer-overflow my.c:3$",
    ),
}


@pytest.mark.parametrize("what", sorted(CRASHES))
def test_a_crash_is_told_with_what_came_before_it(what, program, monkeypatch):
    monkeypatch.setattr("rnndiff.harness.subjects.executable._EXITS", 0.5)
    answer, said = CRASHES[what]
    outcome = run(program(answer), case())
    assert outcome.trace is None and re.search(said, outcome.error), outcome.error


WRONG = {
    "text": ("write('hello\\n')", "its answer has 'hello' where a line such as 'array"),
    "text without an end": ("write('batch? ')", "its answer has 'batch. ' where .*scores float32"),
    "bytes": ("write('', 100)", r"its answer has '\\+x00"),
    "a line that does not end": ("write('array ' + 2000 * 'x')", "where a line such as"),
    "no array": ("write('\\n')", "its answer names no array"),
    "another name": ("write('array score float32 2 4\\n\\n', 32)", "array 'score', but the arrays"),
    "another shape": ("write('array scores float32 2 5\\n\\n', 40)", r"\[2, 5\], not \[2, 4\]"),
    "fewer sizes": ("write('array scores float32 8\\n\\n', 32)", r"the shape \[8\], not \[2, 4\]"),
    "a huge shape": (
        "write('array scores float32 999999999 999999999\\n\\n')",
        r"the shape \[999999999, 999999999\], not",
    ),
    "a number that is none": ("write('array scores float32 2 x\\n\\n')", "where a line such as"),
    "another type": ("write('array scores float 2 4\\n\\n', 32)", "has numbers of 'float', which"),
    "one twice": (
        "write('array scores float32 2 4\\narray scores float32 2 4\\n\\n', 64)",
        "it returns 'scores' twice",
    ),
    "more bytes": ("zeros(sizes, lambda count: count + 3)", "after its answer it wrote '.*x00'$"),
}


@pytest.mark.parametrize("what", sorted(WRONG))
def test_an_answer_in_a_wrong_form_is_told(what, program):
    answer, said = WRONG[what]
    outcome = run(program(answer), case())
    assert outcome.kind == "WrongTrace" and re.search(said, outcome.error), outcome.error
    assert len(outcome.error) < 600


def test_an_answer_in_a_wrong_form_to_an_ordinary_case_is_one_sentence(program):
    with pytest.raises(UserError, match="cannot be judged: its answer has 'hello'") as raised:
        look(program(WRONG["text"][0]), BIDIRECTIONAL, make_restriction(BIDIRECTIONAL, {}, {}))
    assert "\n" not in str(raised.value)


def test_what_is_written_after_an_answer_is_no_part_of_the_next(program, folder):
    waits = "while not os.path.exists('go'): time.sleep(0.01)"
    subject = program("\n".join([ZEROS, waits, "write('done')"]))
    assert not run(subject, case()).kind
    (folder / "go").write_text("")
    select.select([subject._process._process.stdout], [], [], 60)
    outcome = run(subject, case())
    assert "after its answer to the case before it wrote 'done'" in outcome.error


@pytest.mark.parametrize("thread", [False, True])
def test_a_hang_is_told(thread, program):
    subject, outcomes = program("time.sleep(60)", timeout=0.3), []

    def hang():
        outcomes.append(run(subject, case(), timeout=0.3))

    if thread:
        # Where no signal comes.
        other = threading.Thread(target=hang)
        other.start()
        other.join()
    else:
        hang()
    assert outcomes[0].error == (
        "Hang: no result after 0.3 s; nothing of its answer came, which may not have been flushed, "
        "or it waits for more than the case has (a layout?)"
    )


def test_a_hang_is_told_with_how_far_it_came(program):
    subject = program("zeros(sizes, lambda count: count // calls)")
    assert not run(subject, case()).kind
    # By then, it is there.
    said = run(subject, case(), timeout=2.0).error
    assert said == "Hang: no result after 2 s; 16 of the 32 bytes of its arrays came"


def test_a_crash_between_two_cases_is_told_with_what_was_written_then(program):
    subject = program(ZEROS + "; os.write(2, b'free(): invalid pointer'); os.abort()")
    assert not run(subject, case()).kind
    subject._process._process.wait()
    said = run(subject, case()).error
    assert re.search("by SIGABRT; nothing of its answer came; .* free.*invalid pointer$", said)


def test_after_each_of_these_it_is_started_again(program):
    lines = [
        "if sizes['batch'] == '1': os.abort()",
        "if sizes['batch'] == '3': write('hello')",
        "elif sizes['batch'] == '4': time.sleep(60)",
        "else: zeros(sizes)",
    ]
    subject = program("\n".join(lines))
    for batch, kind in ((1, "Crash"), (3, "WrongTrace"), (4, "Hang")):
        assert not run(subject, case()).kind
        assert run(subject, case(batch=batch), timeout=0.3 if batch == 4 else 60.0).kind == kind
    assert not run(subject, case()).kind


def test_a_program_of_many_cases_is_started_once_and_of_one_case_for_each(program):
    def pids(subject):
        found = {subject(case())["scores"].tobytes() for _ in range(4)}
        return len(found)

    tells = "write('array scores float32 2 4\\n\\n' + '%032d' % os.getpid())"
    assert pids(program(tells)) == 1
    assert pids(program(tells + "; sys.exit(0)")) == 4
    subject = program(tells)
    assert subject(case())["scores"].tobytes() != subject.fresh()(case())["scores"].tobytes()


def test_a_crash_is_shrunk_and_saved_and_replays_with_the_printed_command(program, folder):
    subject = program("if any(arrays['labels'][:4]): os.abort()\nzeros(sizes)")
    failure = first_failure(subject)
    assert os.path.basename(failure.path) == "bidirectional-Crash.npz"
    assert "was ended by SIGABRT" in failure.report and failure.shrunk
    assert max(load(failure.path).case.config.sizes().values()) == 1
    replayed = CliRunner().invoke(
        cli, shlex.split(failure.report.partition("run it again: rnndiff ")[2])
    )
    assert replayed.exit_code == 1 and "): disagree: Crash" in replayed.output


def test_a_program_that_ends_on_every_case_is_not_started_for_all(program):
    subject = program("open('started', 'a').write('.'); sys.exit(1)")
    _, judged = verdicts_on(subject, [case()] * 12)
    with open("started") as file:
        assert len(judged) == len(file.read()) == 8


def test_a_hang_is_saved(program):
    subject = program("if sizes['num_units'] == '3': time.sleep(60)\nzeros(sizes)")
    restriction = make_restriction(BIDIRECTIONAL, {"num_units": 3}, {})
    failure = first_failure(subject, restriction, timeout=0.3)
    assert os.path.basename(failure.path) == "bidirectional-Hang.npz"


def test_a_program_that_remembers_is_told_to_compute_something_else(program):
    subject = program(
        "n = int(sizes['batch']) * int(sizes['outputs'])\n"
        "write('array scores float32 %s %s\\n\\n' % (sizes['batch'], sizes['outputs'])"
        " + n * ('%04d' % calls))"
    )
    restriction = make_restriction(BIDIRECTIONAL, {"num_units": 1}, {})
    assert "NotRepeatable" in first_failure(subject, restriction).report


def test_what_it_starts_ends_with_it(program, folder):
    subject = program("open('pid', 'w').write(str(os.getpid()))\nzeros(sizes)")
    subject(case())
    del subject
    pid = int((folder / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux sees to that")
def test_a_program_that_hangs_ends_with_the_process_that_started_it(program, folder):
    program("open('pid', 'w').write(str(os.getpid()))\ntime.sleep(60)")
    starts = "import rnndiff; case = rnndiff.load('case.npz').case; rnndiff.Executable({!r})(case)"
    rnndiff.save("case.npz", case())
    process = subprocess.Popen([sys.executable, "-c", starts.format(command())])
    wait_for(lambda: os.path.exists("pid") and (folder / "pid").read_text())
    process.kill()
    process.wait()
    wait_for(lambda: not is_running(int((folder / "pid").read_text())))


def is_running(pid):
    try:
        with open("/proc/{}/stat".format(pid)) as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


# --- what it is given ----------------------------------------------------------------------------


def test_a_case_is_written_as_the_examples_page_says():
    one = case(batch=1, num_units=4, outputs=2)
    with open(os.path.join(EXAMPLES, "README.md"), encoding="utf-8") as file:
        (shown,) = re.findall(r"```\n(model .*?\n\n)<112 bytes", file.read(), re.DOTALL)
    header, _, numbers = written(one).partition(b"\n\n")
    assert header.decode() + "\n\n" == shown
    arrays = [one.arrays[name] for name in re.findall(r"array (\S+) ", shown)]
    assert numbers == b"".join(array.astype("<f4").tobytes() for array in arrays)


def test_a_program_has_weights_in_a_layout_and_those_options_that_are_drawn(program, folder):
    program(
        "with open('seen', 'a') as file: print(sizes, list(arrays), file=file)\n"
        "shape = [int(sizes[x]) for x in ('batch', 'time', 'num_units')]\n"
        "count = shape[0] * shape[1] * shape[2]\n"
        "write('array outputs float32 %d %d %d\\n\\n' % tuple(shape), 4 * count)"
    )
    seen = [
        given(folder, *options) for options in ([], ["--draw", "initial_state, sequence_length"])
    ]
    for lines in seen:
        assert all("'cell/weight_ih', 'cell/weight_hh', 'cell/bias_ih'" in x for x in lines)
    assert not any("initial_h" in line for line in seen[0])
    assert any("initial_h" in line for line in seen[1])
    assert any("sequence_length" in line.rpartition("[")[2] for line in seen[1])


def given(folder, *options):
    """What the program was given by a command."""
    with pytest.MonkeyPatch.context() as patch:
        # In this process.
        from rnndiff.harness.commands import check as module

        drawn = {}
        patch.setattr(module, "judge_and_tell", lambda *args, **how: drawn.update(how))
        arguments = ["check", "--command", command(), "--model", "rnn-lstm", "--layout", "pytorch"]
        done = CliRunner().invoke(cli, [*arguments, *options])
        assert not done.exception, done.output
    subject = Executable(command())
    for number in range(8):
        for one in rnndiff.random_batch(
            "rnn-lstm@pytorch", 0, number, restriction=drawn["restriction"], most=1
        ):
            run(subject, one)
    lines = (folder / "seen").read_text().splitlines()
    (folder / "seen").unlink()
    return lines


LSTM = """
import sys

import numpy as np

sys.path[:0] = [{folder!r}]
import pytorch

while True:
    lines = [line.split() for line in iter(sys.stdin.buffer.readline, b"\\n") if line]
    if not lines:
        break
    shapes = [list(map(int, line[3:])) for line in lines if line[0] == b"array"]
    bytes_of = [sys.stdin.buffer.read(4 * int(np.prod(shape))) for shape in shapes]
    arrays = [np.frombuffer(x, "<f4").reshape(shape) for x, shape in zip(bytes_of, shapes)]
    *weights, inputs = arrays
    outputs = pytorch.unrolled(pytorch.lstm, 2, {weights}, inputs).astype("<f4")
    shape = " ".join(map(str, outputs.shape))
    sys.stdout.buffer.write("array outputs float32 {{}}\\n\\n".format(shape).encode())
    sys.stdout.buffer.write(outputs.tobytes())
    sys.stdout.buffer.flush()
"""


@pytest.mark.parametrize(
    "weights, wrong", [("weights", False), ("weights[:3] + [0 * weights[3]]", True)]
)
def test_a_program_in_an_engines_layout_is_judged_as_a_function_is(weights, wrong, folder):
    text = LSTM.format(folder=os.path.dirname(os.path.abspath(__file__)), weights=weights)
    (folder / "lstm.py").write_text(text)
    subject, model = Executable(shlex.quote(sys.executable) + " lstm.py"), find("rnn-lstm@pytorch")
    restriction = make_restriction(model, {}, subject.knows(model), False)
    cases = rnndiff.random_batch(model, 0, 0, restriction=restriction, most=16)
    statuses = {verdict_on(subject, one)[0].status for one in cases}
    assert (DISAGREE in statuses) == wrong


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--command", "./none"], "The program ./none cannot be started: No such file"),
        (["--command", "."], "The program . cannot be started: Permission denied"),
        (["--command", "./text"], "The program ./text cannot be started: Exec format error"),
        (["--command", "env ./none"], "cannot be run: it ended with the exit status 127.*No such"),
        (["--command", "'"], "The command ' cannot be read: No closing quotation"),
        (["--command", ""], "There is no program in the command ''"),
        (["--command", "a", "--mode", "b"], "The subject command a has no mode 'b'"),
    ],
)
def test_a_program_that_cannot_be_started_is_one_sentence(arguments, said, folder):
    (folder / "text").write_text("text")
    os.chmod("text", 0o700)
    rnndiff.save("case.npz", case())
    done = CliRunner().invoke(cli, ["replay", "case.npz", *arguments])
    is_told = done.exit_code == 2 and done.output.startswith("rnndiff: case.npz: ")
    assert is_told or isinstance(done.exception, UserError), done.output
    told = done.output.rstrip("\n") if is_told else str(done.exception)
    assert re.search(said, told) and "\n" not in told


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["check", "--command", "a", "m:f"], "Give either --command or"),
        (["check"], "Name a port, MODULE:FUNCTION, or by --command a program"),
        (["replay", "a", "--command", "a", "--subject", "float32"], "Give either --command or"),
    ],
)
def test_a_port_is_named_once(arguments, said):
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 2 and said in done.output


def test_an_option_to_be_drawn_that_there_is_not_is_one_sentence():
    arguments = ["check", "--command", "a", "--model", "rnn-lstm", "--draw", "forget"]
    done = CliRunner().invoke(cli, arguments)
    assert "rnn-lstm has no option 'forget' (is it forget_bias?)" in str(done.exception)
