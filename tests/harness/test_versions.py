"""What a case says that its outcome depends on."""

import io

import pytest

from rnndiff.harness.cases.case import load, save
from rnndiff.harness.versions import versions, versions_in
from rnndiff.models import environment

CPUINFO = """processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Intel(R) Xeon(R) Processor
flags\t\t: {}

processor\t: 1
vendor_id\t: another
"""
AVX2 = "fpu sse4_1 avx avx2 fma"
AVX512 = AVX2 + " avx512f avx512bw avx512dq avx512vl"


@pytest.fixture
def on_processor(monkeypatch):
    """A function that has Linux tell of a processor with some flags."""

    def tell(flags):
        text = CPUINFO.format(flags)
        monkeypatch.setattr(environment, "open", lambda path: io.StringIO(text), raising=False)
        environment.processor.cache_clear()
        return environment.processor()

    yield tell
    environment.processor.cache_clear()


def test_versions_are_plain_strings_about_machine_mode_and_environment():
    found = versions()
    assert all(isinstance(value, str) for value in found.values())
    assert {"processor", "instruction_set", "threads", "mode", "environment"} <= set(found)


@pytest.mark.parametrize(
    "flags, largest",
    [
        ("fpu sse4_1", "sse41"),
        ("fpu sse4_1 avx", "avx"),
        (AVX2, "avx2"),
        (AVX512, "avx512"),
        (AVX512 + " amx_tile amx_bf16 amx_int8", "amx"),
        # Without AVX2 there is no way to use AVX-512.
        ("sse4_1 avx avx512f avx512bw avx512dq avx512vl", "avx"),
    ],
)
def test_the_instruction_set_is_the_largest_that_the_processor_has(on_processor, flags, largest):
    found = on_processor(flags)
    assert found.instruction_set == largest
    assert found.vendor == "GenuineIntel" and found.model == "Intel(R) Xeon(R) Processor"


def test_a_processor_that_linux_does_not_tell_of_has_a_name(monkeypatch):
    monkeypatch.setattr(environment, "_cpuinfo", dict)
    environment.processor.cache_clear()
    found = environment.processor()
    environment.processor.cache_clear()
    assert found.vendor == "" and found.model and found.instruction_set


@pytest.mark.parametrize(
    "name",
    [
        "TF_ENABLE_ONEDNN_OPTS",
        "TF_ENABEL_ONEDNN_OPTS",
        "ONEDNN_MAX_CPU_ISA",
        "DNNL_MAX_CPU_ISA",
        "XLA_FLAGS",
        "OPENBLAS_CORETYPE",
        "NPY_DISABLE_CPU_FEATURES",
        "MKL_NUM_THREADS",
        "OMP_NUM_THREADS",
        "RNNDIFF_SUBJECT",
    ],
)
def test_what_may_change_a_result_is_told_even_if_it_is_misspelt(monkeypatch, name):
    monkeypatch.setenv(name, "a b")
    assert "{}='a b'".format(name) in versions()["environment"]


@pytest.mark.parametrize("name", ["TF_VAR_password", "TF_TOKEN_app", "TF_CLI_CONFIG_FILE"])
def test_secrets_of_another_program_are_not_told(monkeypatch, name):
    monkeypatch.setenv(name, "secret")
    assert "secret" not in versions()["environment"]


def test_what_tensorflow_logs_changes_no_result_and_is_not_told(monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    assert "TF_CPP" not in versions()["environment"]


@pytest.mark.parametrize(
    "flags, mode",
    [
        ("", "session"),
        ("--tf_xla_auto_jit=2", "session"),
        ("--tf_xla_cpu_global_jit", "session"),
        ("--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit", "xla-auto"),
        ("--tf_xla_auto_jit=1 --tf_xla_cpu_global_jit=true", "xla-auto"),
        ("--tf_xla_auto_jit=fusible --tf_xla_cpu_global_jit", "xla-auto"),
        ("--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit=false", "session"),
        ("--tf_xla_auto_jit=0 --tf_xla_cpu_global_jit", "session"),
        ("--tf_xla_auto_jit=-1 --tf_xla_cpu_global_jit", "session"),
        ("--tf_xla_auto_jit=single-gpu(2) --tf_xla_cpu_global_jit", "session"),
        ("--tf_xla_auto_jit=2 --tf_xla_auto_jit=0 --tf_xla_cpu_global_jit", "session"),
    ],
)
def test_the_mode_is_xla_where_its_flags_say_so(monkeypatch, tmp_path, flags, mode):
    monkeypatch.setenv("TF_XLA_FLAGS", flags)
    assert versions()["mode"] == mode
    if flags:
        path = tmp_path / "flags"
        path.write_text(flags.replace(" ", "\n"))
        monkeypatch.setenv("TF_XLA_FLAGS", str(path))
        assert versions()["mode"] == mode


def test_a_saved_case_keeps_what_it_depends_on_and_an_old_one_loads(tmp_path, monkeypatch):
    from examples import random_case

    case = random_case("seq2seq")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX")
    path = str(tmp_path / "case.npz")
    save(path, case, notes=dict(versions(), premise="measured here"))
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA")
    found = versions_in(load(path).notes)
    assert "ONEDNN_MAX_CPU_ISA=AVX" in found["environment"] and found["premise"] == "measured here"
    save(path, case, notes={"tensorflow": "2.21.0", "verdict": "disagree"})
    assert versions_in(load(path).notes) == {"tensorflow": "2.21.0"}
