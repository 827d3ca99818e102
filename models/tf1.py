"""TensorFlow's graph API, the same on TensorFlow 1.13 to 2.21.

``tf1`` is ``tensorflow.compat.v1``. From TensorFlow 2.16 on its RNN cells live in the package
``tf_keras``, and only if ``TF_USE_LEGACY_KERAS`` is set before TensorFlow is imported. TensorFlow
2.15 knows the variable too, but must not see it where there is no ``tf_keras``.
"""

import contextlib
import importlib.util
import os
import sys
import tempfile
import warnings

from rnndiff.models.environment import has_onednn, processor, xla_compiles_unasked

# What TensorFlow tells of itself is asked for by setting this variable, to 0 for all of it.
_LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
_SILENT = "3"

if "tensorflow" not in sys.modules:
    if importlib.util.find_spec("tf_keras") is not None:
        os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault(_LOG_LEVEL, _SILENT)


@contextlib.contextmanager
def _without_banner():
    """Keep from the standard error what an import writes there, unless it fails or was asked for.

    The first lines of newer TensorFlows, on oneDNN and CUDA, are written whatever the level.
    """
    # A TensorFlow that is made for a larger instruction set says so, and ends the process.
    made_for_it = not processor().flags or "avx2" in processor().flags
    try:
        if os.environ.get(_LOG_LEVEL) != _SILENT or not made_for_it:
            raise OSError
        file, real = tempfile.TemporaryFile(), os.dup(2)
    except OSError:  # There is no standard error, or no room.
        yield
        return
    with file as banner:
        sys.stderr.flush()
        os.dup2(banner.fileno(), 2)
        try:
            yield
        except BaseException:
            banner.seek(0)
            os.write(real, banner.read())
            raise
        finally:
            os.dup2(real, 2)
            os.close(real)


with warnings.catch_warnings(), _without_banner():
    # TensorFlow 1.x on NumPy 1.17 and later: FutureWarning of its own dtypes, on every import.
    warnings.simplefilter("ignore", FutureWarning)
    import tensorflow
    from tensorflow.core.protobuf import config_pb2

tf1 = tensorflow.compat.v1
tf1.logging.set_verbosity(tf1.logging.ERROR)

_major, _minor = tensorflow.__version__.split(".")[:2]
VERSION = (int(_major), int(_minor))
ONEDNN = has_onednn(VERSION)
XLA = xla_compiles_unasked()


def _has_tf_keras():
    try:
        import tf_keras  # noqa: F401
    except ImportError:
        return False
    return True


def _require_rnn_cells():
    legacy = os.environ.get("TF_USE_LEGACY_KERAS") in ("1", "True", "true")
    if VERSION < (2, 15) or (VERSION == (2, 15) and not legacy):
        return
    if not _has_tf_keras():
        raise ImportError(
            "TensorFlow {} has its RNN cells in the package tf_keras: "
            "pip install --no-deps 'tf_keras=={}.{}.*'".format(tensorflow.__version__, *VERSION)
        )
    if not legacy:
        raise ImportError(
            "TensorFlow was imported before rnndiff: set TF_USE_LEGACY_KERAS=1 in the environment"
        )


_require_rnn_cells()


def ready_to_run(session, feeds, fetches):
    """A function that computes `fetches`, tensors and operations, from arrays for `feeds`.

    It returns a list of the tensors' values. What ``Session.run`` does in Python before and after
    each run takes longer than to compute a small network; this is what TensorFlow's own Keras used
    in its place, TensorFlow's C++ ``Session::MakeCallable``. The arrays are not converted: they
    must have the types and the shapes of `feeds`.
    """
    return session._make_callable_from_options(_callable_options(feeds, fetches))


def nodes_run(session, feeds, fetches, arrays):
    """The nodes that such a function runs, after all rewriting, as it tells when it runs once."""
    options = _callable_options(feeds, fetches)
    # Not for every run: it takes longer then, and TensorFlow 1.x must be asked each time.
    options.run_options.output_partition_graphs = True
    metadata = tf1.RunMetadata()
    session._make_callable_from_options(options)(*arrays, run_metadata=metadata)
    return [node for graph in metadata.partition_graphs for node in graph.node]


def _callable_options(feeds, fetches):
    options = config_pb2.CallableOptions()
    options.feed.extend(tensor.name for tensor in feeds)
    for fetch in fetches:
        is_operation = isinstance(fetch, tf1.Operation)
        (options.target if is_operation else options.fetch).append(fetch.name)
    return options
