"""What `rnndiff ulp --subject` measures is what is there, and what it states covers it."""

import itertools
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from judging import blamed
from port import Port
from styles import STYLES, Style, bias_first, product_then_bias

from rnndiff.harness.commands.ulp import ulp
from rnndiff.harness.errors import UserError
from rnndiff.harness.numerics.accuracy import Accuracy, ulp_of
from rnndiff.harness.numerics.arithmetic import arithmetic
from rnndiff.harness.subjects.measure import measure_subject
from rnndiff.harness.subjects.measure.samples import MARGIN, Sample, fit_accuracy, with_margin
from rnndiff.harness.subjects.named import subject_named
from rnndiff.harness.subjects.ulp import SMALLEST_NORMAL as FLUSHED
from rnndiff.models import ARTICLE, MODELS

UNIT = 2.0**-24


def rounded(function):
    """A function as a processor would have it that rounds every result to the nearest."""
    return lambda x: function(x.astype(np.float64)).astype(np.float32)


# --- what is measured ---------------------------------------------------------------------------


def worst_of(subject, function, models=ARTICLE):
    """The worst error in ULP of a function, by the name that it has in a statement."""
    kind = function.replace("affine ", "")
    samples = measure_subject(subject, models, 20000, (kind,)).samples
    return max(sample.worst()[0] for sample in samples if sample.function == function)


@pytest.mark.parametrize("model", ARTICLE)
@pytest.mark.parametrize("off", [0, 3, 40])
def test_a_tanh_of_so_many_ulp_is_found_to_be_so(model, off):
    def tanh(x):
        exact = np.tanh(x.astype(np.float64))
        return (exact + off * ulp_of(exact) * np.sin(1e6 * exact)).astype(np.float32)

    for function in ("affine tanh", "tanh") if model == "attention" else ("affine tanh",):
        seen = worst_of(Port(Style(tanh=tanh)), function, (model,))
        # To the nearest, and where that is beyond a power of two, to that of twice the distance.
        assert max(0.49, 0.98 * off) <= seen <= off + (1.01 if off else 0.51)


def test_a_tanh_that_is_wrong_in_whole_vectors_alone_is_found():
    def tanh(x):
        result = rounded(np.tanh)(x)
        flat = result.reshape(-1)
        flat[: len(flat) // 16 * 16] *= np.float32(1 + 2.0**-20)
        return result

    samples = measure_subject(Port(Style(tanh=tanh)), ("bidirectional",), 20000, ("tanh",)).samples
    of_long = max(s.worst()[0] for s in samples if "4096 rows" in s.place)
    assert of_long > 7


def test_a_tanh_that_is_wrong_in_short_arrays_alone_is_found():
    def tanh(x):
        result = rounded(np.tanh)(x)
        return result * np.float32(1 + 2.0**-20) if result.size % 8 else result

    samples = measure_subject(Port(Style(tanh=tanh)), ("bidirectional",), 20000, ("tanh",)).samples
    of_short = max(s.worst()[0] for s in samples if "short" in s.place)
    of_long = max(s.worst()[0] for s in samples if "4096 rows" in s.place)
    assert of_short > 7 and of_long <= 0.51


@pytest.mark.parametrize("model", ARTICLE)
def test_a_softmax_of_so_many_ulp_is_found_to_be_so(model):
    def softmax(scores):
        exact = np.exp((scores - np.max(scores, axis=-1, keepdims=True)).astype(np.float64))
        exact /= np.sum(exact, axis=-1, keepdims=True)
        return (exact * (1 + 20 * UNIT)).astype(np.float32)

    seen = worst_of(Port(Style(softmax=softmax)), "softmax", (model,))
    # Of the ten, each is two roundoffs. Rounding adds one roundoff, and of two classes the contract
    # takes one off, which is what adding them up costs.
    assert 9.9 <= seen <= 10.001


@pytest.mark.parametrize("style", [style for style in sorted(STYLES) if "softmax" in style])
def test_only_a_softmax_that_depends_on_the_scores_has_no_accuracy(style):
    found = measure_subject(Port(STYLES[style]), ARTICLE, 20000, ("softmax",))
    depends = style == "softmax by log-sum-exp"
    assert found.softmax_depends_on_scores == depends
    assert ("softmax" in found.accuracies()) == (not depends)


def test_what_softmax_loses_of_small_shares_is_seen():
    """Of the argument of exp2, scaling loses twice as much again as subtracting does."""
    for style, least, most in (("as the oracle", 0.3, 4), ("softmax by exp2", 6, 50)):
        assert least < worst_of(Port(STYLES[style]), "softmax") < most


@pytest.mark.parametrize("model", ARTICLE)
def test_a_log_of_so_many_ulp_is_found_to_be_so(model):
    def row_losses(probabilities, labels):
        losses = -np.log(np.max(labels * probabilities, axis=-1).astype(np.float64))
        return (losses + 12 * ulp_of(losses) * (losses < 1)).astype(np.float32)

    seen = worst_of(Port(Style(row_losses=row_losses)), "log", (model,))
    assert 11.9 <= seen <= 12.51


@pytest.mark.parametrize("style", sorted(STYLES))
def test_it_is_seen_where_the_bias_is_added(style):
    anywhere = STYLES[style].affine.__name__ not in ("product_then_bias", "einsum")
    for model in ARTICLE:
        assert (
            measure_subject(Port(STYLES[style]), (model,), 1, ("bias",)).bias_anywhere == anywhere
        )


class BiasFirst(Port):
    """The bias comes first in one linear map alone."""

    def __init__(self, kernel):
        self._kernel = kernel

    def __call__(self, case):
        def affine(parts, kernel, bias):
            is_it = np.shares_memory(kernel, case.arrays[self._kernel])
            return (bias_first if is_it else product_then_bias)(parts, kernel, bias)

        return Port(Style(affine=affine))(case)


@pytest.mark.parametrize(
    "model, kernel",
    [
        (name, parameter.name)
        for name in ARTICLE
        for parameter in MODELS[name].parameters(MODELS[name].article)
        if parameter.name.endswith(("kernel", "attn_w"))
    ],
)
def test_a_bias_that_comes_first_in_one_linear_map_is_seen_there_alone(model, kernel):
    sums = measure_subject(BiasFirst(kernel), (model,), 1, ("bias",)).sums
    assert all(each.sums for each in sums)
    (seen,) = [each for each in sums if each.not_last]
    assert seen.not_last > 5


def test_a_tanh_that_differs_from_row_to_row_moves_no_bias():
    def tanh(x):
        rows = np.arange(len(x)).reshape((-1,) + (1,) * (x.ndim - 1))
        return rounded(np.tanh)(x) * np.float32(1 + 2.0**-18 * (rows % 4))

    assert not measure_subject(Port(Style(tanh=tanh)), ARTICLE, 1, ("bias",)).bias_anywhere


def test_where_nobody_looked_the_bias_may_be_anywhere():
    assert measure_subject(Port(Style()), ARTICLE, 1, ("log",)).bias_anywhere


def test_the_meter_of_any_subject_knows_no_tensorflow():
    code = "import sys, rnndiff.harness.subjects.measure; "
    code += "print([m for m in sys.modules if 'tensorflow' in m])"
    run = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    assert run.stdout.strip() == b"[]"


# --- what is stated -----------------------------------------------------------------------------


def sample_of(errors, exact):
    return Sample("f", "", exact, errors, ulp_of(exact))


EXACT = 2.0 ** np.random.RandomState(0).uniform(-126, 0, 20000)


def test_ulp_alone_describe_a_function_of_relative_accuracy():
    accuracy = fit_accuracy([sample_of(3 * ulp_of(EXACT), EXACT)])
    assert accuracy.absolute == FLUSHED and accuracy.ulp == pytest.approx(3)


def test_ulp_alone_describe_a_function_whose_worst_arguments_are_few():
    errors = ulp_of(EXACT) * np.where(np.arange(len(EXACT)) % 1000, 1.0, 3.0)
    accuracy = fit_accuracy([sample_of(errors, EXACT)])
    assert accuracy.absolute == FLUSHED and accuracy.ulp == pytest.approx(3)


def test_an_absolute_error_describes_a_function_that_is_wrong_near_zero():
    errors = np.minimum(2e-7, EXACT) + ulp_of(EXACT)
    accuracy = fit_accuracy([sample_of(errors, EXACT)])
    assert 1e-7 < accuracy.absolute < 2.2e-7 and accuracy.ulp < 4


def test_what_is_flushed_to_zero_is_no_inaccuracy():
    errors = np.where(EXACT < 2.0**-100, 2.0**-127, 0.5 * ulp_of(EXACT))
    assert fit_accuracy([sample_of(errors, EXACT)]) == Accuracy(pytest.approx(0.5), FLUSHED)


def test_what_is_stated_covers_what_was_seen():
    for scale, near_zero in itertools.product((0.3, 1.0, 7.7), (0.0, 2e-7)):
        errors = scale * (np.minimum(near_zero, EXACT) + 1.23 * ulp_of(EXACT))
        ulp, absolute = with_margin(fit_accuracy([sample_of(errors, EXACT)]))
        assert (MARGIN * errors <= ulp * ulp_of(EXACT) + absolute).all()


@pytest.mark.parametrize("style", ["as the oracle", "all at once", "softmax by log-sum-exp"])
def test_stated_as_measured_a_right_port_is_not_blamed(style):
    port = Port(STYLES[style])
    stated = measure_subject(port, ARTICLE, 20000).arithmetic()
    port.arithmetic = lambda case: stated
    reports = blamed(port, ARTICLE, 500)
    assert not reports, reports[0]


# --- the command --------------------------------------------------------------------------------

PORT = """
import sys
sys.path.insert(0, {folder!r})
from port import Port
from styles import STYLES, Style, bias_first, product_then_bias
import numpy as np
from rnndiff.harness.errors import SubjectError

class MyPort(Port):
    def __init__(self):
        super().__init__(Style(tanh=self.tanh))

    @staticmethod
    def tanh(x):
        return (np.tanh(x.astype(np.float64)) + 2e-7).astype(np.float32)

    def __call__(self, case):
        if case.model.name == "attention":
            raise NotImplementedError("no attention")
        return super().__call__(case)

class Infinite(MyPort):
    @staticmethod
    def tanh(x):
        return x / np.sqrt(1 + np.square(x))

class Small(MyPort):
    def __call__(self, case):
        if case.config.batch > 8:
            raise MemoryError("too large")
        return super().__call__(case)

class Nothing(MyPort):
    def __call__(self, case):
        return None

class Empty(MyPort):
    def __call__(self, case):
        return dict()

class Half(MyPort):
    def __call__(self, case):
        return dict((k, np.float16(v)) for k, v in super().__call__(case).items())

class Leaves(MyPort):
    def __call__(self, case):
        sys.exit(0)

class LeavesAtOnce(MyPort):
    def __init__(self):
        sys.exit(0)

not_a_subject = dict

def fails():
    raise KeyError("weights")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "my_port", raising=False)
    (tmp_path / "my_port.py").write_text(PORT.format(folder=os.path.dirname(__file__)))
    (tmp_path / "broken_port.py").write_text("import no_such_library")
    return tmp_path


def rnndiff_ulp(*options):
    result = CliRunner().invoke(ulp, ["--samples", "20000"] + list(options))
    if isinstance(result.exception, (SyntaxError, AssertionError)):
        raise result.exception
    return result


def test_the_command_prints_a_statement_to_be_pasted(folder):
    result = rnndiff_ulp("--subject", "my_port:MyPort", "--json", "result.json")
    assert result.exit_code == 0, result.output
    assert "attention is not measured: NotImplementedError: no attention" in result.output
    pasted = result.output[result.output.index("arithmetic(") :]
    stated = eval(pasted, {"arithmetic": arithmetic, "Accuracy": Accuracy})
    assert not stated.bias_anywhere
    assert 2e-7 < stated.functions["tanh"].absolute < 4e-7
    assert stated.functions["tanh"].ulp < 3
    saved = json.loads((folder / "result.json").read_text())["stated"]
    assert saved["functions"]["tanh"] == list(stated.functions["tanh"])


def test_an_infinite_error_is_said_and_ends_with_1(folder):
    result = rnndiff_ulp("--subject", "my_port:Infinite", "--function", "tanh")
    assert result.exit_code == 1, result.output
    assert "tanh has no accuracy" in result.output and "arithmetic(" not in result.output


@pytest.mark.parametrize(
    "name, said",
    [
        ("my_port", "write MODULE:CLASS"),
        ("my_port:", "write MODULE:CLASS"),
        ("no_such_module:MyPort", "cannot be imported: ModuleNotFoundError"),
        ("broken_port:MyPort", "cannot be imported: ModuleNotFoundError: No module named 'no_such"),
        ("my_port:YourPort", "has no 'YourPort'"),
        ("my_port:not_a_subject", "derive it from rnndiff.Subject"),
        ("my_port:fails", "fails: KeyError: 'weights'"),
        ("my_port:LeavesAtOnce", "fails: SystemExit: 0"),
    ],
)
def test_what_names_no_subject_is_the_users_to_mend(folder, name, said):
    with pytest.raises(UserError, match=said):
        subject_named(name)


def test_the_users_error_takes_one_line_and_exit_status_2():
    command = [sys.executable, "-m", "rnndiff", "ulp", "--subject", "no_such_module:MyPort"]
    run = subprocess.run(command, capture_output=True)
    assert run.returncode == 2
    assert run.stderr.decode().count("\n") == 1


def test_what_a_subject_raises_while_it_is_measured_is_said(folder):
    result = rnndiff_ulp("--subject", "my_port:Small")
    assert isinstance(result.exception, UserError)
    said = r"The subject fails on seq2seq Config\(batch=4096, .*\): MemoryError: too large \(line"
    assert re.match(said, str(result.exception))


@pytest.mark.parametrize(
    "name, said",
    [
        ("Nothing", "WrongTrace"),
        ("Empty", "no 'encoder_states' of the shape"),
        ("Half", "as float16 numbers: only float32"),
        ("Leaves", "SystemExit"),
    ],
)
def test_a_subject_that_returns_no_trace_is_not_measured(folder, name, said):
    result = rnndiff_ulp("--subject", "my_port:" + name)
    assert result.exit_code != 0
    assert isinstance(result.exception, UserError) and said in str(result.exception)


def test_a_model_that_is_asked_for_must_be_computed(folder):
    result = rnndiff_ulp("--subject", "my_port:MyPort", "--model", "attention")
    assert isinstance(result.exception, UserError)
    assert "does not compute attention: NotImplementedError: no attention" in str(result.exception)


def test_options_of_the_table_do_not_go_with_a_subject(folder):
    for option in (["--exhaustive"], ["--function", "exp"]):
        assert rnndiff_ulp("--subject", "my_port:MyPort", *option).exit_code == 2
    assert rnndiff_ulp("--model", "seq2seq").exit_code == 2
