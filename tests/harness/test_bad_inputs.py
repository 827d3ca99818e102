"""Files from anywhere: each is a case or ends in one sentence, and nothing in one gets out."""

import ast
import contextlib
import glob
import io
import json
import os
import subprocess
import sys
import time
import tracemalloc
import zipfile
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from examples import random_case

from rnndiff.harness import cli, files
from rnndiff.harness.cases.case import load, packed, save
from rnndiff.harness.errors import UserError
from rnndiff.harness.judging.verdict import Verdict
from rnndiff.harness.subjects.tensorflow.repro import Finding, issue, script
from rnndiff.harness.text import plain, printable
from rnndiff.models import ARTICLE

BAD = sorted(glob.glob(os.path.join(os.path.dirname(__file__), "..", "bad-inputs", "*.npz")))
# What is damaged in these files is a text or the trace, and the case can be run.
NOTES = [path for path in BAD if "note" in os.path.basename(path)]
TRACES = [path for path in BAD if os.path.basename(path).startswith("trace-predictions-no")]
RUNNABLE = NOTES + TRACES


def name_of(path):
    return os.path.basename(path)


def run(*arguments):
    """Exit status and output of a command, in this process."""
    out, err, argv = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["rnndiff", *arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            # What it sets is of its process.
            with mock.patch.dict(os.environ), pytest.raises(SystemExit) as ended:
                cli.main()
    finally:
        sys.argv = argv
    return ended.value.code, out.getvalue(), err.getvalue()


def assert_is_safe_text(text):
    __tracebackhide__ = True
    assert text.isascii() and all(c.isprintable() or c == "\n" for c in text), ascii(text)


@pytest.mark.parametrize("path", [path for path in BAD if path not in RUNNABLE], ids=name_of)
def test_a_file_that_is_no_case_is_one_sentence_at_once_and_in_little_memory(path):
    tracemalloc.start()
    started = time.process_time()
    try:
        with pytest.raises(UserError) as error:
            load(path)
        seconds, (_, peak) = time.process_time() - started, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "\n" not in str(error.value) and path in str(error.value)
    assert peak < 50 * os.path.getsize(path) + 2**20
    assert seconds < 1


@pytest.mark.parametrize("command", [["replay"], ["repro"], ["repro", "--issue"], ["minimize"]])
@pytest.mark.parametrize("path", [path for path in BAD if path not in RUNNABLE], ids=name_of)
def test_every_command_ends_with_status_2_on_a_file_that_is_no_case(command, path):
    status, out, err = run(*command, path)
    assert (status, out) == (2, "")
    assert err.startswith("rnndiff: ") and err.count("\n") == 1
    assert_is_safe_text(err)


@pytest.mark.parametrize("path", RUNNABLE, ids=name_of)
def test_what_a_file_notes_is_printable_and_of_one_line(path):
    for key, value in load(path).notes.items():
        assert_is_safe_text(key + value)
        assert "\n" not in key + value


def statements(source):
    """The script without its docstring, as Python reads it."""
    tree = ast.parse(source)
    assert isinstance(tree.body[0].value, (ast.Constant, getattr(ast, "Str", ast.Constant)))
    return [ast.dump(node) for node in tree.body[1:]]


def error_finding(case, versions):
    # As an escape, its backslash would be an error of Python's.
    return Finding(case, Verdict([], error="InvalidArgumentError: \"it\" \\x said '''"), versions)


@pytest.mark.parametrize("path", NOTES, ids=name_of)
def test_no_note_of_a_file_gets_into_the_statements_of_a_script_or_out_of_a_table(path, tensorflow):
    saved = load(path)
    harmless = error_finding(saved.case, {"tensorflow": "1.15.5"})
    finding = error_finding(saved.case, saved.notes)
    assert statements(script(finding)) == statements(script(harmless))
    text = issue(finding)
    assert_is_safe_text(text)
    table = text[: text.index("```python")]
    for mark in ("<", "[click]", "`\n```", "# Heading", '"""'):
        assert mark not in table
    assert text.count("```") == 2


@pytest.mark.parametrize("path", RUNNABLE, ids=name_of)
def test_commands_on_a_runnable_case_print_safe_text(path, tensorflow, tmp_path):
    for command in (["replay"], ["repro"], ["repro", "--issue"]):
        status, out, err = run(*command, path)
        assert status in (0, 1, 2)
        assert "Traceback" not in err
        assert_is_safe_text(
            out + "".join(line for line in err.splitlines() if line[:7] == "rnndiff")
        )
        if command == ["repro"] and status == 0:
            ast.parse(out)


@pytest.mark.parametrize("path", TRACES, ids=name_of)
def test_a_damaged_trace_of_a_file_is_no_finding_to_report(path, tensorflow):
    status, out, err = run("repro", path)
    assert (status, out) == (2, "")
    assert "rnndiff: " in err


def test_one_bad_file_does_not_end_the_replay_of_the_others(tensorflow, tmp_path):
    (tmp_path / "a.npz").write_bytes(b"no case")
    save(str(tmp_path / "b.npz"), random_case("seq2seq"))
    status, out, err = run("replay", str(tmp_path))
    assert status == 2
    assert "b.npz: agree" in out and "a.npz" in err


def test_the_names_of_files_are_printed_as_escaped_text(tmp_path):
    (tmp_path / "\x1b[31mred.npz").write_bytes(b"no case")
    _, _, err = run("replay", str(tmp_path))
    assert_is_safe_text(err)
    assert "\\x1b[31mred.npz" in err


def test_a_device_and_a_pipe_are_refused_before_they_are_read(tmp_path):
    pipe = str(tmp_path / "pipe.npz")
    os.mkfifo(pipe)
    for path in ("/dev/zero", pipe):
        with pytest.raises(UserError, match="no regular file"):
            load(path)


def test_a_file_that_unpacks_to_more_than_there_may_be_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_BYTES", 2**20)
    path = str(tmp_path / "bomb.npz")
    np.savez_compressed(path, meta=np.zeros(2**24, np.uint8))
    tracemalloc.start()
    with pytest.raises(UserError, match="16 MiB, more than 1"):
        load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_a_member_that_unpacks_to_hundreds_of_times_its_size_is_refused_unread(tmp_path):
    path = str(tmp_path / "bomb.npz")
    np.savez_compressed(path, meta=np.zeros(2**25, np.uint8))
    assert_is_refused_in_little_memory(path, "damaged")


def test_a_sparse_file_with_a_huge_directory_is_refused_unread(tmp_path):
    path = tmp_path / "sparse.npz"
    with open(str(path), "wb") as file:
        file.truncate(2**29)
        file.seek(2**29)
        end = b"PK\5\6" + bytes(4) + b"\1\0\1\0" + (2**29 - 64).to_bytes(4, "little") + bytes(6)
        file.write(end)
    assert_is_refused_in_little_memory(str(path), "damaged")


def test_a_file_that_is_larger_than_any_case_is_refused_unread(tmp_path):
    path = tmp_path / "huge.npz"
    with open(str(path), "wb") as file:
        file.truncate(files.MOST_BYTES + 1)
    assert_is_refused_in_little_memory(str(path), "MiB")


def test_a_trace_that_would_be_huge_is_refused(tmp_path):
    case = random_case("attention", batch=1, time=1, inputs=10000, num_units=1, input_size=1)
    config = replace(case.config, attn_length=10000, output_time=3000)
    arrays = dict(case.arrays, labels=np.zeros((1, 3000, 3), np.float32))
    path = str(tmp_path / "case.npz")
    save(path, type(case)(case.model, config, arrays))
    assert_is_refused_in_little_memory(path, "trace")


def assert_is_refused_in_little_memory(path, match):
    __tracebackhide__ = True
    tracemalloc.start()
    started = time.process_time()
    try:
        with pytest.raises(UserError, match=match):
            load(path)
        seconds, (_, peak) = time.process_time() - started, tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2**21 and seconds < 1


def test_a_header_that_claims_more_than_the_file_holds_is_refused_unread(tmp_path):
    path = tmp_path / "case.npz"
    content = io.BytesIO()
    header = {"descr": "<f4", "fortran_order": False, "shape": (10**12,)}
    np.lib.format.write_array_header_1_0(content, header)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("meta.npy", content.getvalue() + bytes(64))
    tracemalloc.start()
    with pytest.raises(UserError, match="damaged"):
        load(str(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_a_text_of_no_characters_is_one_sentence(tmp_path):
    # As NumPy writes it, but with a code point that there is not.
    content = io.BytesIO()
    header = {"descr": "<U1", "fortran_order": False, "shape": ()}
    np.lib.format.write_array_header_1_0(content, header)
    path = tmp_path / "case.npz"
    with zipfile.ZipFile(str(path), "w") as archive:
        archive.writestr("meta.npy", content.getvalue() + b"\xff\xff\xff\x7f")
    with pytest.raises(UserError, match="not a case"):
        load(str(path))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<i8", "|b1", "<U5"])
def test_arrays_are_read_as_numpy_reads_them(dtype, order, tmp_path):
    array = np.asarray(np.arange(6).reshape(2, 3).astype(dtype), order=order)
    path = str(tmp_path / "arrays.npz")
    np.savez_compressed(path, a=array, empty=np.zeros((0, 3), dtype), one=np.array(1).astype(dtype))
    found = files.read_npz(path, "arrays")
    with np.load(path) as expected:
        for name in expected:
            np.testing.assert_array_equal(found[name], expected[name])
            assert found[name].flags.writeable and found[name].dtype.isnative


@pytest.mark.parametrize(
    "command, environment",
    [
        # As before Python 3.11, which cannot be told to leave the working folder out.
        (["replay", "CASE"], {"PYTHONSAFEPATH": ""}),
        pytest.param(
            ["fuzz", "seq2seq", "--cases", "1"],
            {},
            marks=pytest.mark.skipif(sys.version_info < (3, 11), reason="needs PYTHONSAFEPATH"),
        ),
    ],
)
def test_no_module_of_the_working_folder_is_imported(command, environment, tmp_path, tensorflow):
    for name in ("numpy", "signal", "models", "harness"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("open('imported', 'w').close()")
    root = os.path.join(os.path.dirname(__file__), "..", "..")
    # Without oneDNN it just agrees; with it, it ends a process of its own.
    case = os.path.join(root, "tests", "corpus", "empty-inner-product.npz")
    # As the installed script starts: not from the working folder.
    started = "import sys; sys.path[:] = filter(None, sys.path)"
    program = started + "; from rnndiff.harness import cli; cli.main()"
    arguments = [case if word == "CASE" else word for word in command]
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=str(tmp_path),
        env=dict(os.environ, PYTHONPATH=os.path.abspath(root), **environment),
        capture_output=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert not (tmp_path / "imported").exists()


@pytest.mark.parametrize(
    "text, shown",
    [
        ("2.21.0", "2.21.0"),
        ("C:\\new", "C:\\new"),
        ("a\nb", "a\\nb"),
        ("\x1b[8m", "\\x1b[8m"),
        ("\ud800", "\\ud800"),
        (None, "None"),
    ],
)
def test_printable_text_is_one_line_of_ascii(text, shown):
    assert printable(text) == shown


def test_printable_text_that_is_long_has_both_its_ends():
    assert printable("a" * 100 + "b" * 9900, 6) == "aaa ... bbb"


def test_plain_text_means_nothing_anywhere():
    assert plain("a\"'`<>|[]{}*#&\\$!b") == "a" + "?" * 16 + "b"
    assert plain("Linux-5.10-x86_64, TF_X=--a=1") == "Linux-5.10-x86_64, TF_X=--a=1"


# --- files mutilated anew ---------------------------------------------------------------------

WEIRD = [
    None, True, -1, 0, 1, 3, 10**6, 10**12, 10**30, 1.5, "", "x", "\x1b[2J",
    '"""', "\ud800", [], {}, [1], {"a": 1}, float("nan"), float("inf"),
]  # fmt: skip


def weird_array(random, array):
    """Another array in the place of one."""
    kind = random.randint(8)
    if kind == 0:
        return array.astype(["f8", "i8", "f2", "c8", "U3", "M8[s]", "V4"][random.randint(7)])
    if kind == 1:
        return array[..., None]
    if kind == 2:
        return array.ravel()
    if kind == 3:
        return np.zeros((0,) + array.shape, array.dtype)
    if kind == 4:
        return np.repeat(array, 2, axis=0) if array.ndim else np.stack([array, array])
    if kind == 5:
        return np.array(None)
    if kind == 6:
        return np.full_like(array, -1)
    return np.full(array.shape, np.nan)


def mutilated(random, case, trace, notes):
    """The bytes of a case's file with something changed in its text, its arrays or its bytes."""
    content = packed(case, trace, notes)
    with np.load(io.BytesIO(content)) as file:
        arrays = dict(file)
    meta = json.loads(str(arrays["meta"]))
    for _ in range(random.randint(1, 3)):
        kind = random.randint(5)
        weird = WEIRD[random.randint(len(WEIRD))]
        names = [name for name in sorted(arrays) if name != "meta"]
        name = names[random.randint(len(names))]
        if kind == 0:
            keys = sorted(meta["config"]) if isinstance(meta.get("config"), dict) else []
            if keys:
                meta["config"][keys[random.randint(len(keys))]] = weird
        elif kind == 1:
            meta[["format", "model", "config", "notes"][random.randint(4)]] = weird
        elif kind == 2 and isinstance(meta.get("notes"), dict):
            meta["notes"][["tensorflow", "verdict", "platform", "x"][random.randint(4)]] = weird
        elif kind == 3:
            arrays[name] = weird_array(random, arrays[name])
        else:
            arrays.pop(name)
    arrays["meta"] = np.array(json.dumps(meta))
    file = io.BytesIO()
    np.savez(file, **arrays)
    content = bytearray(file.getvalue())
    if random.randint(4) == 0:
        for place in random.randint(0, len(content), random.randint(1, 9)):
            content[place] = random.randint(256)
    return bytes(content)


# How many files a model; more by RNNDIFF_FILES.
FILES = int(os.environ.get("RNNDIFF_FILES", "100"))


@pytest.mark.slow
@pytest.mark.parametrize("name", ARTICLE)
def test_mutilated_files_are_one_sentence_or_a_case_that_runs(name, tmp_path, tensorflow):
    random = np.random.RandomState(len(name))
    case = random_case(name)
    trace = tensorflow(case)
    # So that there is something to report.
    trace["scores"] = trace["scores"] + 1
    path = tmp_path / "case.npz"
    commands = [["replay"], ["repro"], ["repro", "--issue"]]
    readable = 0
    for number in range(FILES):
        notes = {"tensorflow": "1.0", "verdict": "disagree", "platform": "x"}
        path.write_bytes(mutilated(random, case, trace, notes))
        command = commands[number % 3]
        status, out, err = run(*command, str(path))
        assert status in (0, 1, 2) and "Traceback" not in err, number
        assert_is_safe_text(out)
        assert err.startswith("rnndiff: ") == (status == 2) and err.count("\n") <= 1
        if command == ["repro"] and status == 0:
            ast.parse(out)
        readable += status != 2
    assert readable > FILES / 20
