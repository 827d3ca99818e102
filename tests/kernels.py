"""Whether the tests hold whichever kernels compute: of OpenBLAS, NumPy, the C library, oneDNN.

Each of these libraries chooses by the processor which of its kernels to take, and these add up in
other orders and approximate functions otherwise. This makes them choose, one after the other, each
kernel that this processor can run; runs the numerical tests, without TensorFlow (for oneDNN, the
fuzzer); and prints which kernel was asked for, which was taken, and what came of it. One that was
asked for and not taken is told of, and has passed nothing; nor is one tested again that OpenBLAS
takes unasked. `together` asks for one of each of the first three at a time, which takes two runs of
the tests in place of six; who is to blame, each of them alone then tells. Usage::

    python tests/kernels.py [--cases N] [openblas] [numpy] [libm] [together] [onednn]
        [-- PYTEST ARGUMENT...]

Exit status: 1 if anything failed, or if not one kernel was taken of a library that was named.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from typing import Dict, Iterator, List, NamedTuple

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OPENBLAS = ("Prescott", "Haswell", "Zen", "SkylakeX")
# A newer OpenBLAS has one kernel for all processors before Nehalem, and names the oldest.
ALIASES = {"Katmai": "Prescott"}
# Has glibc do without fused multiply-add. An older one knows the names that end in _Usable.
LIBM = "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX2_Usable,-FMA_Usable,-FMA4_Usable"
# The tests in which it matters what a kernel computes; the others are of files, words, processes.
NUMERICAL = [
    "tests/models",
    "tests/harness/numerics",
    *("tests/harness/test_{}.py".format(x) for x in ("forcing", "verdict", "divergences")),
    *("tests/ports/test_{}.py".format(x) for x in ("styles", "measure", "engines")),
    "tests/strangers",
]
# What oneDNN calls itself, by the name that is asked for.
ONEDNN = {"SSE41": "Intel SSE4.1", "AVX": "Intel AVX", "AVX2": "Intel AVX2"}
COLUMNS = "{:<9} {:<43} {:<43} {}"

# Prints what was taken. The products are there to end the process if the processor cannot do them.
PROBE = """
import json, zlib
import numpy as np
for dtype in ("f4", "f8"):
    for rows in (1, 3, 64):
        a = np.ones((rows, 65), dtype)
        np.dot(a, a.T), np.dot(a, a[0]), np.dot(a[0], a[0])
import threadpoolctl
blas = [each for each in threadpoolctl.threadpool_info() if each["internal_api"] == "openblas"]
try:
    from numpy._core import _multiarray_umath as core
except ImportError:
    from numpy.core import _multiarray_umath as core
features = getattr(core, "__cpu_features__", {})
dispatched = [name for name in getattr(core, "__cpu_dispatch__", []) if features.get(name)]
numbers = np.linspace(-8, 8, 10001)
bits = [zlib.crc32(function(numbers).tobytes()) for function in (np.tanh, np.exp, np.expm1)]
print(json.dumps([blas[0]["architecture"] if blas else None, dispatched, bits]))
"""
# Makes oneDNN say what it is.
PRODUCT = """
from rnndiff.models.tf1 import ONEDNN, tf1
if ONEDNN:
    with tf1.Graph().as_default(), tf1.Session() as session:
        x = tf1.placeholder(tf1.float32, [2, 3])
        session.run(tf1.matmul(x, tf1.ones([3, 4])), {x: [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]})
"""


class Kernel(NamedTuple):
    """A kernel that environment variables ask for, and the one that is taken then."""

    library: str
    asked: str
    variables: Dict[str, str]
    taken: str
    is_default: bool = False


def run(arguments: List[str], variables: Dict[str, str], **options):
    """Run Python in the root of the repository."""
    paths = [ROOT] + os.environ.get("PYTHONPATH", "").split(os.pathsep)
    variables = dict(variables, PYTHONPATH=os.pathsep.join(filter(None, paths)))
    return subprocess.run(
        [sys.executable] + arguments,
        cwd=ROOT,
        env=dict(os.environ, **variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        **options,
    )


def probe(variables: Dict[str, str]):
    """OpenBLAS's kernel, or the signal that ended it; NumPy's features; what functions yield."""
    done = run(["-W", "ignore", "-c", PROBE], variables)
    if done.returncode < 0:
        return signal.Signals(-done.returncode).name, [], []
    done.check_returncode()
    return json.loads(done.stdout)


def of_openblas() -> Iterator[Kernel]:
    unasked, _, _ = probe({})
    for asked in OPENBLAS:
        variables = {"OPENBLAS_CORETYPE": asked}
        taken, _, _ = probe(variables)
        taken = ALIASES.get(taken, taken)
        is_default = taken == ALIASES.get(unasked, unasked)
        yield Kernel("openblas", asked, variables, taken, is_default)


def of_numpy() -> Iterator[Kernel]:
    _, features, _ = probe({})
    avx512 = [name for name in features if name.startswith(("AVX512", "X86_V4"))]
    for asked, left_out in (("without AVX-512", avx512), ("without any choice", features)):
        if left_out:
            variables = {"NPY_DISABLE_CPU_FEATURES": " ".join(left_out)}
            still = set(left_out) & set(probe(variables)[1])
            yield Kernel("numpy", asked, variables, " ".join(sorted(still)) or asked)


def of_libm() -> Iterator[Kernel]:
    # Where NumPy has functions of its own, these are left out.
    variables = {"NPY_DISABLE_CPU_FEATURES": " ".join(probe({})[1])}
    _, _, bits = probe(variables)
    variables["GLIBC_TUNABLES"] = LIBM
    asked = "without FMA"
    yield Kernel("libm", asked, variables, "the same" if probe(variables)[2] == bits else asked)


def together() -> Iterator[Kernel]:
    """The oldest kernels of the three libraries at once, then the newest not taken unasked."""
    blas, numpy, libm = (
        [kernel for kernel in library() if kernel.asked == kernel.taken and not kernel.is_default]
        for library in (of_openblas, of_numpy, of_libm)
    )
    for kernels in (blas[:1] + numpy[-1:] + libm, blas[1:][-1:] + numpy[:-1]):
        variables: Dict[str, str] = {}
        for kernel in kernels:
            variables.update(kernel.variables)
        if variables:
            asked = ", ".join(kernel.asked for kernel in kernels)
            taken, features, _ = probe(variables)
            left_out = set(variables.get("NPY_DISABLE_CPU_FEATURES", "").split())
            were = left_out.isdisjoint(features) and (
                "OPENBLAS_CORETYPE" not in variables
                or ALIASES.get(taken, taken) == variables["OPENBLAS_CORETYPE"]
            )
            yield Kernel("together", asked, variables, asked if were else "others")


def of_onednn() -> Iterator[Kernel]:
    for asked, name in ONEDNN.items():
        variables = {"ONEDNN_MAX_CPU_ISA": asked}
        told = dict(variables, ONEDNN_VERBOSE="1")
        done = run(["-W", "ignore", "-c", PRODUCT], told, stderr=subprocess.DEVNULL)
        found = re.search("info,cpu,isa:(.*)", done.stdout)
        taken = found.group(1) if found else "none"
        yield Kernel("onednn", asked, variables, asked if taken == name else taken)


LIBRARIES = {
    "openblas": of_openblas,
    "numpy": of_numpy,
    "libm": of_libm,
    "together": together,
    "onednn": of_onednn,
}


def result_of(kernel: Kernel, cases: int, arguments: List[str]) -> str:
    """What came of the tests under a kernel, in one line; all of it is printed if any failed."""
    if kernel.taken != kernel.asked:
        return "not taken, nothing tested"
    if kernel.is_default:
        return "taken unasked, so that all other runs of the tests are of it"
    started = time.time()
    command = ["pytest", "-q", "--without-tensorflow"] + arguments
    if kernel.library == "onednn":
        command = ["rnndiff", "fuzz", "--cases", str(cases), "--seed", "1"]
    done = run(["-m"] + command, kernel.variables, stderr=subprocess.STDOUT)
    if done.returncode:
        print(done.stdout)
    lines = [line for line in done.stdout.splitlines() if re.search(r"\d (passed|agree)", line)]
    counts = lines[-1].strip(" =") if lines else "nothing"
    verdict = "FAILED" if done.returncode else "passed"
    return "{} in {:.0f} s: {}".format(verdict, time.time() - started, counts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("libraries", nargs="*", metavar="|".join(LIBRARIES))
    parser.add_argument("--cases", type=int, default=600, help="how many the fuzzer judges")
    end = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    options, arguments = parser.parse_args(sys.argv[1:end]), sys.argv[end + 1 :]
    arguments = arguments or ["-n", "auto", *NUMERICAL]
    for library in options.libraries:
        if library not in LIBRARIES:
            parser.error("there is no {!r}, only {}".format(library, ", ".join(LIBRARIES)))
    print(COLUMNS.format("library", "kernel asked for", "kernel taken", "tests"), flush=True)
    alone = [library for library in LIBRARIES if library != "together"]
    results = {library: [] for library in options.libraries or alone}
    for library in results:
        for kernel in LIBRARIES[library]():
            results[library].append(result_of(kernel, options.cases, arguments))
            row = library, kernel.asked, kernel.taken, results[library][-1]
            print(COLUMNS.format(*row), flush=True)
    failed = any(result.startswith("FAILED") for each in results.values() for result in each)
    tested = [name for name in results if any(r.startswith("passed") for r in results[name])]
    untested = set(options.libraries) - set(tested)
    for library in sorted(untested):
        print("{}: no kernel was taken and passed".format(library))
    return 1 if failed or untested else 0


if __name__ == "__main__":
    sys.exit(main())
