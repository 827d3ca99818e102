"""What somebody has who has installed rnndiff: public names, and a plugin that keeps to itself."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import rnndiff
from rnndiff.strategies import batches

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def test_every_package_is_installed():
    with open(os.path.join(ROOT, "pyproject.toml")) as file:
        (listed,) = re.findall(r"^packages = \[\n(.*?)^\]", file.read(), re.DOTALL | re.MULTILINE)
    found = {"rnndiff"}
    for folder in ("models", "harness"):
        for path, _, names in os.walk(os.path.join(ROOT, folder)):
            if "__init__.py" in names:
                found.add("rnndiff." + os.path.relpath(path, ROOT).replace(os.sep, "."))
    assert set(re.findall('"(.*?)"', listed)) == found


@pytest.mark.parametrize("name", rnndiff.__all__)
def test_every_public_name_is_there_and_explained(name):
    public = getattr(rnndiff, name)
    assert not callable(public) or public.__doc__


def run(folder, *command, **environment):
    environment = dict(os.environ, **environment)
    environment.pop("PYTEST_XDIST_WORKER", None)
    return subprocess.run(
        [sys.executable, *command], cwd=str(folder), env=environment, capture_output=True, text=True
    )


def test_the_public_names_import_nothing_before_they_are_asked_for(tmp_path):
    code = "import sys, rnndiff; print([m for m in ('numpy', 'click') if m in sys.modules])"
    assert run(tmp_path, "-c", code).stdout == "[]\n"
    code = "from rnndiff import *; import sys; print(Subject, 'tensorflow' in sys.modules)"
    printed = run(tmp_path, "-c", code).stdout
    assert "Subject" in printed and printed.endswith("False\n")


NO_TEST_OF_RNNDIFF = """
import signal
import sys

import pytest


{fixture}
@pytest.mark.parametrize("{parameters}", [(1, 2)])
def test_it({arguments}):
    # The package alone, until it is asked for anything.
    ours = {{name for name in sys.modules if name.partition(".")[0] == "rnndiff"}}
    plugin = "rnndiff.harness.pytest_plugin"
    plugins = {{plugin, plugin + ".beginning", plugin + ".fixtures"}}
    assert ours == {{"rnndiff", "rnndiff.harness", "rnndiff.harness.limits", *plugins}}
    assert "numpy" not in sys.modules
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
"""
OWN_FIXTURE = """
@pytest.fixture
def check():
    return 1


"""


@pytest.mark.parametrize("workers", [[], ["-n", "1"]])
@pytest.mark.parametrize(
    "fixture, parameters, arguments",
    [
        ("", "a, b", "a, b"),
        # As in scikit-learn's tests of estimators.
        ("", "estimator, check", "estimator, check"),
        (OWN_FIXTURE, "a, b", "a, b, check"),
    ],
)
def test_a_run_that_has_nothing_to_do_with_rnndiff_has_nothing_of_it(
    fixture, parameters, arguments, workers, tmp_path
):
    test = NO_TEST_OF_RNNDIFF.format(fixture=fixture, parameters=parameters, arguments=arguments)
    (tmp_path / "test_it.py").write_text(test)
    ended = run(tmp_path, "-m", "pytest", "-p", "no:cacheprovider", *workers)
    assert ended.returncode == 0, ended.stdout
    assert not re.search("rnndiff:|differential", ended.stdout)
    assert not (tmp_path / ".rnndiff").exists()


def test_collecting_alone_begins_nothing(tmp_path):
    (tmp_path / "test_it.py").write_text("def test_it(check):\n    check([])\n")
    ended = run(tmp_path, "-m", "pytest", "-p", "no:cacheprovider", "--collect-only")
    assert ended.returncode == 0 and "1 test collected" in ended.stdout
    assert not re.search("rnndiff:|differential", ended.stdout)
    assert not (tmp_path / ".rnndiff").exists()


# A project of somebody's that has folders of these names, and whose port is wrong if it is told to.
CONFTEST = """
import numpy as np
import pytest

import rnndiff
from harness import WRONG
from models import Port
from rnndiff.strategies import load_profile

load_profile("quick")


@pytest.fixture(scope="session")
def subject():
    return Port(WRONG)
"""
MODELS = """
import numpy as np

import rnndiff


class Port(rnndiff.Float32):
    def __init__(self, wrong):
        self.wrong = wrong

    def __call__(self, case):
        trace = super().__call__(case)
        return dict(trace, loss=trace["loss"] + np.float32(self.wrong))
"""
TESTS = """
import pytest
from hypothesis import given

import rnndiff
from rnndiff.strategies import batches


@given(cases=batches("bidirectional"))
def test_with_hypothesis(cases, check):
    check(cases)


@pytest.mark.parametrize("number", range(2))
def test_without(number, check):
    check(rnndiff.random_batch("seq2seq", 0, number)[:9])
"""


@pytest.mark.parametrize("workers", [[], ["-n", "2"]])
def test_the_project_of_somebody_with_folders_of_the_same_names(workers, tmp_path):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TESTS)
    for name in ("models", "harness"):
        (tmp_path / name).mkdir()
    (tmp_path / "models" / "__init__.py").write_text(MODELS)
    options = ["-m", "pytest", "-p", "no:cacheprovider", "--rnndiff-report", "page.html", *workers]
    for wrong, told in ((0, "3 passed"), (1, "3 failed")):
        (tmp_path / "harness" / "__init__.py").write_text("WRONG = {}\n".format(wrong))
        ended = run(tmp_path, *options, PYTHONPATH=str(tmp_path), HYPOTHESIS_PROFILE="")
        assert told in ended.stdout and " cases: " in ended.stdout, ended.stdout
        assert "Traceback" not in ended.stdout + ended.stderr
        assert ended.stdout.count("disagree: loss (teacher-forced)") >= 2 * wrong
        assert "disagree: loss" in (tmp_path / "page.html").read_text() or not wrong
    assert {path.name for path in (tmp_path / ".rnndiff" / "failures").iterdir()} == {
        "seq2seq-loss-teacher-forced.npz",
        "bidirectional-loss-teacher-forced.npz",
    }


NOT_INSTALLED = """
import sys

sys.modules["hypothesis"] = None
"""


def test_a_port_is_tested_where_hypothesis_is_not_installed(tmp_path):
    (tmp_path / "not_installed.py").write_text(NOT_INSTALLED)
    test = (
        TESTS.partition("from hypothesis")[0] + "import rnndiff\n" + TESTS[TESTS.index("@pytest") :]
    )
    (tmp_path / "test_it.py").write_text("\n" + test)
    options = ["-p", "not_installed", "-p", "no:hypothesispytest", "--rnndiff-subject", "float32"]
    ended = run(tmp_path, "-m", "pytest", *options, PYTHONPATH=str(tmp_path))
    assert "2 passed" in ended.stdout, ended.stdout + ended.stderr
    assert "18 cases: " in ended.stdout


@pytest.mark.parametrize("workers", [[], ["-n", "1"]])
def test_a_test_may_ask_for_the_fixture_while_it_runs(workers, tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import rnndiff\n\n\n"
        "def test_it(request):\n"
        "    check = request.getfixturevalue('check')\n"
        "    check([rnndiff.random_case('seq2seq')])\n"
    )
    options = ["-p", "no:cacheprovider", "--rnndiff-subject", "float32", *workers]
    ended = run(tmp_path, "-m", "pytest", *options, "--rnndiff-json", "told/cases.json")
    assert "1 passed" in ended.stdout and "1 cases: 1 agree" in ended.stdout, ended.stdout
    told = json.loads((tmp_path / "told" / "cases.json").read_text())
    assert told["models"] == {"seq2seq": told["cases"]} and told["cases"]["agree"] == 1


@pytest.mark.parametrize("workers", [[], ["-n", "1"]])
@pytest.mark.parametrize(
    "options, said",
    [
        (["--rnndiff-subject", "no_such:Port"], "The module no_such cannot be imported"),
        (["--rnndiff-timeout", "0"], "invalid"),
        (["--rnndiff-timeout", "inf"], "invalid"),
        (["--rnndiff-report", "no/such/folder/page.html"], "Cannot write"),
        (["--rnndiff-json", "no/such/folder/cases.json"], "Cannot write"),
    ],
)
def test_an_option_that_is_wrong_is_one_sentence_and_no_test_runs(options, said, workers, tmp_path):
    (tmp_path / "no").write_text("")
    (tmp_path / "test_it.py").write_text("def test_it(check):\n    check([])\n")
    ended = run(tmp_path, "-m", "pytest", "-p", "no:cacheprovider", *options, *workers)
    assert said in ended.stdout + ended.stderr, ended.stdout + ended.stderr
    assert ended.returncode in (2, 4) and "test_it" not in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "soon"])
def test_the_projects_own_option_is_no_wider_than_that_of_the_plugin(seconds):
    options = ["--case-timeout", seconds, "--collect-only", os.path.join(ROOT, "conftest.py")]
    ended = run(ROOT, "-m", "pytest", "-p", "no:cacheprovider", *options)
    assert "argument --case-timeout: invalid" in ended.stderr and ended.returncode == 4


WRONG_PORTS = """
import numpy as np
import pytest

import rnndiff


def named(port, name):
    port.name = name
    return port


class Port(rnndiff.Float32):
    def __call__(self, case):
        {computes}

    def supports(self, model, config):
        {supports}


@pytest.fixture(scope="module")
def subject():
    return {subject}


def test_it(check):
    case = rnndiff.random_case("seq2seq", num_units=3, batch=2)
    check([case])
    check([case])
"""


@pytest.mark.parametrize(
    "computes, supports, subject, said",
    [
        ("raise ValueError('a bug')", "return True", "Port()", "ValueError: a bug"),
        (
            "return {'scores': super().__call__(case)['scores']}",
            "return True",
            "Port()",
            "1 passed",
        ),
        ("pass", "return 1 / 0", "Port()", "Port.supports fails: ZeroDivisionError"),
        ("pass", "return True", "Port", "is no subject: derive its class from rnndiff.Subject"),
        ("pass", "return True", "named(Port(), 3)", "a subject is MODULE:CLASS or empty, not 3"),
        ("pass", "return True", "named(Port(), '\\udc80')", "MODULE:CLASS or empty, not '"),
    ],
    ids=["raises", "has scores alone", "cannot say what it supports", "is a class"]
    + ["has a number for a name", "has no text for a name"],
)
def test_a_port_of_any_kind_has_its_sentence_and_its_page(
    computes, supports, subject, said, tmp_path
):
    text = WRONG_PORTS.format(computes=computes, supports=supports, subject=subject)
    (tmp_path / "test_it.py").write_text(text)
    options = ["-p", "no:cacheprovider", "--rnndiff-report", "page.html"]
    ended = run(tmp_path, "-m", "pytest", *options)
    assert said in ended.stdout, ended.stdout
    assert "Traceback" not in ended.stdout and "INTERNALERROR" not in ended.stdout
    assert "report: page.html" in ended.stdout and (tmp_path / "page.html").exists()


def test_two_subjects_that_fail_in_the_same_way_are_two_failures(tmp_path):
    for number in (1, 2):
        computes = "return dict(super().__call__(case), loss=np.float32({}))".format(number)
        test = WRONG_PORTS.format(computes=computes, supports="return True", subject="Port()")
        (tmp_path / "test_{}.py".format(number)).write_text(test)
    ended = run(tmp_path, "-m", "pytest", "-p", "no:cacheprovider")
    assert ended.stdout.count("failure, told above: .rnndiff") == 2, ended.stdout
    assert "saved meanwhile" not in ended.stdout


def test_two_calls_of_check_in_an_example_of_hypothesis_own_profile(tmp_path):
    (tmp_path / "test_it.py").write_text(
        "from hypothesis import given, settings\n"
        "from hypothesis import strategies as st\n\n"
        "import rnndiff\n\n\n"
        "@settings(max_examples=3, deadline=None)\n"
        "@given(seed=st.integers(0, 9))\n"
        "def test_it(seed, check):\n"
        "    for name in ('seq2seq', 'bidirectional'):\n"
        "        check(rnndiff.random_case(name, seed))\n"
    )
    options = ["-p", "no:cacheprovider", "--rnndiff-subject", "float32"]
    ended = run(tmp_path, "-m", "pytest", *options)
    assert "1 passed" in ended.stdout, ended.stdout


def test_the_fixture_of_pytest_check_stays_its_own(tmp_path):
    (tmp_path / "pytest_check.py").write_text(
        "import pytest\n\n\n@pytest.fixture\ndef check():\n    return 'its own'\n"
    )
    (tmp_path / "test_it.py").write_text(
        "import rnndiff\n\n\n"
        "def test_its(check):\n    assert check == 'its own'\n\n\n"
        "def test_ours(rnndiff_check):\n    rnndiff_check(rnndiff.random_case('seq2seq'))\n"
    )
    options = ["-p", "no:cacheprovider", "-p", "pytest_check", "--rnndiff-subject", "float32"]
    ended = run(tmp_path, "-m", "pytest", *options, PYTHONPATH=str(tmp_path))
    assert "2 passed" in ended.stdout and "1 cases: 1 agree" in ended.stdout, ended.stdout


ENDS_ITSELF = """
import os
import signal

import rnndiff


class Port(rnndiff.Float32):
    def __call__(self, case):
        os.kill(os.getpid(), signal.SIGKILL)


def test_it(check):
    check([rnndiff.random_case("seq2seq")])
"""


@pytest.mark.skipif(not hasattr(os, "kill") or os.name != "posix", reason="needs SIGKILL")
def test_the_first_case_of_a_worker_that_is_ended_by_it_is_told_with_its_subject(tmp_path):
    (tmp_path / "test_it.py").write_text(ENDS_ITSELF)
    options = ["-p", "no:cacheprovider", "-n", "1", "--max-worker-restart", "0"]
    options += ["--rnndiff-subject", "test_it:Port"]
    ended = run(tmp_path, "-m", "pytest", *options, PYTHONPATH=str(tmp_path))
    (line,) = [line for line in ended.stdout.splitlines() if "in flight when a process" in line]
    assert line.endswith(".npz --subject test_it:Port")
    assert "1 process was ended" in ended.stdout


def test_the_smallest_case_of_something():
    smallest = rnndiff.minimal("bidirectional")
    assert set(smallest.config.sizes().values()) == {1}
    assert not any(array.any() for name, array in smallest.arrays.items() if name != "labels")
    case = rnndiff.minimal("seq2seq", lambda case: case.inputs.sum() >= 2 and case.config.time > 2)
    assert case.config.time == 3 and case.inputs.sum() == 2
    assert set(case.config.sizes().values()) == {1, 3}
    with pytest.raises(rnndiff.UserError, match="None of 300 cases of seq2seq fulfils"):
        rnndiff.minimal("seq2seq", lambda case: False, cases=300)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: rnndiff.random_case("seqseq"),
        lambda: rnndiff.random_batch("seqseq", 0, 0),
        lambda: rnndiff.minimal("seqseq"),
        lambda: batches("seqseq"),
    ],
)
def test_a_model_that_there_is_not_is_one_sentence(draw):
    with pytest.raises(rnndiff.UserError, match="'seqseq' is not one of the models .*is 'seq2seq'"):
        draw()


def test_a_model_that_was_misspelt_is_told_those_that_may_be_meant():
    with pytest.raises(rnndiff.UserError, match=r"\(is 'attention-lstm', .* meant\?\)"):
        rnndiff.random_case("attention-lst")


def test_a_regime_or_an_accuracy_that_there_is_not_is_one_sentence():
    with pytest.raises(rnndiff.UserError, match="'tame' is not one of the regimes "):
        batches("seq2seq", "tame")
    with pytest.raises(ValueError, match="the accuracy of 'tanh' is no Accuracy, but 2"):
        rnndiff.arithmetic("float32", {"tanh": 2})
    with pytest.raises(ValueError, match="no function 'tahn' whose accuracy counts, but of .*tanh"):
        rnndiff.arithmetic("float32", {"tahn": 2})


def test_a_run_in_which_the_subject_supports_nothing_says_so(tmp_path):
    test = WRONG_PORTS.format(computes="pass", supports="return False", subject="Port()")
    (tmp_path / "test_it.py").write_text(test)
    ended = run(tmp_path, "-m", "pytest", "-p", "no:cacheprovider")
    assert "2 cases are left out, as the subject does not support them" in ended.stdout
    assert "No case was judged: the subject supports none of them." in ended.stdout


def test_a_random_case_has_the_sizes_that_it_is_to_have():
    case = rnndiff.random_case("attention", seed=1, num_units=7, batch=0)
    assert (case.config.num_units, case.config.batch) == (7, 0)
    same = rnndiff.random_case("attention", seed=1, num_units=7, batch=0)
    assert all(np.array_equal(case.arrays[name], same.arrays[name]) for name in case.arrays)


@pytest.mark.parametrize("workers", [[], ["-n", "1"]])
def test_a_run_says_once_on_what_it_judges(workers, tmp_path):
    test = "import rnndiff\n\n\ndef test_{}(check):\n    check([rnndiff.random_case('seq2seq')])\n"
    for name in ("it", "another"):
        (tmp_path / "test_{}.py".format(name)).write_text(test.format(name))
    options = ["-p", "no:cacheprovider", "--rnndiff-subject", "float32", *workers]
    ended = run(tmp_path, "-m", "pytest", *options)
    lines = [line for line in ended.stdout.splitlines() if line.startswith("rnndiff: ")]
    assert len(lines) == 3 and re.match("rnndiff: TensorFlow .*, NumPy .*, Hypothesis ", lines[0])
    # Nothing is said of TensorFlow's accuracy, as it is not judged.
    assert "accuracy" not in "".join(lines) and "2 passed" in ended.stdout
    assert not re.search("rnndiff: ", run(tmp_path, "-m", "pytest", "-q", *options).stdout)
