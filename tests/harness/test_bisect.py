"""Between which versions of TensorFlow a verdict changes: under Pythons that are scripts."""

import json
import os
import sys

import pytest
from click.testing import CliRunner
from examples import random_case

from rnndiff.harness.cases.case import save
from rnndiff.harness.checking.bisect import Answer, PassedOver, ask
from rnndiff.harness.commands.bisect import bisect
from rnndiff.harness.commands.replay import replay
from rnndiff.harness.errors import UserError

CORPUS = os.path.join(os.path.dirname(__file__), "..", "corpus")
AGREES = dict(
    verdict="agree", known=[], first_wrong=None, error=None, ended_by=None, kernels=["_FusedMatMul"]
)
DISAGREES = dict(AGREES, verdict="disagree", first_wrong="outputs", kernels=["_MklSwish"])
IS_KNOWN = dict(DISAGREES, verdict="known", first_wrong=None, known=["swish-of-two-numbers"])
# As rnndiff there would: the version first, then a result in the file after --json.
ANSWERS = """\
#!/bin/sh
echo "TensorFlow {version}"
echo "$@" > "$0.arguments"
while [ "$1" != --json ]; do shift; done
cat > "$2" <<'END'
{result}
END
"""


@pytest.fixture
def case(tmp_path, monkeypatch):
    """The path of a case in the working folder, where nothing else is."""
    monkeypatch.chdir(str(tmp_path))
    save("case.npz", random_case("seq2seq"))
    return "case.npz"


def python(name, text):
    """The path of a Python that is a script."""
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    with open(name, "w") as file:
        file.write(text)
    os.chmod(name, 0o755)
    return os.path.abspath(name)


def that_answers(version, result, name=None):
    said = json.dumps({"cases": [result] if result else []})
    return python(name or version, ANSWERS.format(version=version, result=said))


def run(case, *pythons, options=()):
    arguments = [case, *options]
    for each in pythons:
        arguments += ["--python", each]
    return CliRunner().invoke(bisect, arguments)


def test_the_versions_between_which_the_verdict_changes_are_told_in_their_order(case):
    results = {"2.10.1": IS_KNOWN, "2.4.4": AGREES, "1.15.5": AGREES, "2.13.0": AGREES}
    pythons = [that_answers(version, result) for version, result in results.items()]
    ran = run(case, *pythons, options=["--json", "said.json"])
    assert ran.exit_code == 1
    with open("said.json") as file:
        said = json.load(file)
    assert [x["version"] for x in said["answers"]] == ["1.15.5", "2.4.4", "2.10.1", "2.13.0"]
    assert said["changes"] == [["2.4.4", "2.10.1"], ["2.10.1", "2.13.0"]]
    assert "It changes between 2.4.4 and 2.10.1: agree, then disagree." in ran.output
    assert "kernels in 2.10.1 alone: _MklSwish" in ran.output
    assert "known: swish-of-two-numbers" in ran.output


def test_what_is_excused_in_one_version_alone_is_no_change(case):
    ran = run(case, that_answers("2.10.1", IS_KNOWN), that_answers("2.13.0", DISAGREES))
    assert ran.exit_code == 0
    assert "The verdict is the same in all 2." in ran.output


@pytest.mark.parametrize(
    "result, verdict",
    [
        (AGREES, "agree"),
        (dict(AGREES, verdict="undecided"), "undecided"),
        (DISAGREES, "disagree"),
        (IS_KNOWN, "disagree"),
        (dict(DISAGREES, error="ValueError: no"), "error (ValueError)"),
        (dict(IS_KNOWN, error="ValueError: no"), "error (ValueError)"),
        (dict(DISAGREES, error="Hang: no result", ended_by="Hang"), "error (Hang)"),
        (
            dict(IS_KNOWN, error="SIGFPE: the process was ended", ended_by="SIGFPE"),
            "ends the process (SIGFPE)",
        ),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_the_verdict_is_what_it_is_if_nothing_is_excused(result, verdict, case):
    answer = ask(that_answers("2.10.1", result), case)
    assert answer.verdict == verdict
    assert answer.excused == ("known: swish-of-two-numbers" if result["known"] else verdict)


@pytest.mark.parametrize(
    "text, why",
    [
        (ANSWERS.format(version="", result="{}"), "it has no TensorFlow"),
        (
            ANSWERS.format(version="2.4.4", result='{"cases": [{"verdict": "unsupported"}]}'),
            "TensorFlow 2.4.4 does not have what it computes",
        ),
        (
            "#!/bin/sh\necho TensorFlow 1.15.5\n"
            "echo 'rnndiff: TensorFlow 1.15 has no such mode.' >&2; echo bye >&2; exit 2\n",
            "TensorFlow 1.15 has no such mode.",
        ),
        ("#!/bin/sh\necho 'ModuleNotFoundError: no click' >&2; exit 1\n", "ModuleNotFoundError"),
        ("#!/bin/sh\nexit 3\n", "it ended by exit-3 and said nothing"),
        ("#!/nowhere/sh\n", "it cannot be run"),
    ],
    ids=["none", "unsupported", "mode", "import", "silent", "no-program"],
)
def test_a_python_that_cannot_answer_is_passed_over_in_one_line(text, why, case):
    other = that_answers("2.10.1", AGREES)
    ran = run(case, python("other", text), other)
    assert ran.exit_code == 0
    lines = [line for line in ran.output.splitlines() if "passed over" in line]
    assert len(lines) == 1 and why in lines[0]
    assert "TensorFlow 2.10.1: agree" in ran.output


def test_a_python_that_hangs_is_passed_over(case):
    there = python("there", "#!/bin/sh\nexec sleep 60\n")
    assert ask(there, case, timeout=0.3) == PassedOver(there, "no answer after 0.3 s")


@pytest.mark.parametrize("imports", [True, False])
def test_a_process_that_ends_is_the_case_s_doing_unless_the_import_ends_it_too(imports, case):
    ends = "kill -FPE $$"
    there = python(
        "there",
        '#!/bin/sh\nif [ "$2" = "import tensorflow" ]; then {}; exit; fi\n'
        "echo TensorFlow 2.1.4\n{}\n".format("true" if imports else ends, ends),
    )
    answer = ask(there, case)
    if imports:
        assert answer == Answer(there, "2.1.4", "ends the process (SIGFPE)")
    else:
        assert answer == PassedOver(there, "it ended by SIGFPE and said nothing")


def test_a_python_that_ends_and_whose_import_hangs_is_passed_over(case):
    there = python(
        "there",
        '#!/bin/sh\nif [ "$2" = "import tensorflow" ]; then exec sleep 60; fi\n'
        "echo TensorFlow 2.1.4\nkill -FPE $$\n",
    )
    assert ask(there, case, timeout=2.0) == PassedOver(there, "no answer after 2 s")


def test_those_of_tox_are_asked_by_default_in_the_mode_that_the_file_notes(case):
    name = os.path.join(".tox", "py310-tf210", "bin", "python")
    that_answers("2.10.1", AGREES, name)
    save(case, random_case("seq2seq"), notes={"mode": "grappler-off"})
    assert run(case).exit_code == 0
    with open(name + ".arguments") as file:
        assert file.read().split()[-2:] == ["--mode", "grappler-off"]


def test_without_any_python_that_answers_it_is_an_error(case):
    none = run(case)
    assert isinstance(none.exception, UserError) and "run tox first" in str(none.exception)
    silent = run(case, python("other", "#!/bin/sh\nexit 3\n"))
    assert isinstance(silent.exception, UserError) and "none of 1 Pythons" in str(silent.exception)


def test_another_python_runs_this_rnndiff_and_nothing_of_the_working_folder(case):
    for name in ("rnndiff.py", "json.py", "click.py"):
        python(name, "raise SystemExit(1)")
    passed = ask(sys.executable, "none.npz")
    # It comes as far as the case, which the command would have read before.
    if passed.why != "it has no TensorFlow":
        assert passed.why.startswith("There is no file or folder none.npz")


@pytest.mark.slow
def test_this_python_says_what_is_known_of_its_tensorflow(tensorflow):
    path = os.path.join(CORPUS, "argmax-skips-nan.npz")
    answer = ask(sys.executable, path)
    assert answer.version.startswith("{}.{}.".format(*tensorflow.version))
    assert answer.verdict == "disagree" and "argmax-skips-nan" in answer.known


def replayed(*arguments):
    ran = CliRunner().invoke(replay, [*arguments, "--json", "said.json"])
    with open("said.json") as file:
        return ran, json.load(file)["cases"]


def test_what_replay_says_is_written_as_json(case):
    ran, [said] = replayed(case, "--subject", "float32")
    assert ran.exit_code == 0 and "agree on Float32" in ran.output
    assert (said["path"], said["verdict"], said["ended_by"]) == (case, "agree", None)
    assert (said["known"], said["kernels"], said["error"]) == ([], [], None)


def test_the_json_of_a_known_divergence_names_it_and_the_kernels_that_stand_in(case, tensorflow):
    path = os.path.join(CORPUS, "argmax-skips-nan.npz")
    _, [said] = replayed(os.path.abspath(path))
    assert said["verdict"] == "known" and "argmax-skips-nan" in said["known"]
    assert all(name.startswith("_") for name in said["kernels"])
    assert not {"_Arg", "_Retval"} & set(said["kernels"])
    if tensorflow.version >= (2, 0):
        assert any("FusedMatMul" in name for name in said["kernels"])
