"""What is beneath Keras 3: how each backend runs a function that is written in Keras."""

import os
import sys
from importlib import import_module
from typing import Any, Callable, Dict, NamedTuple

import numpy as np

from rnndiff.harness.errors import UserError

Function = Callable[..., Any]

# As KERAS_BACKEND calls them.
TENSORFLOW, JAX, TORCH = "tensorflow", "jax", "torch"


class Backend(NamedTuple):
    """A backend of Keras.

    ``what`` is a sentence on how functions are run. ``package`` is imported by the name of the
    backend, and ``extra`` is what installs it. ``runs`` makes a function of its tensors one of
    arrays, which is called with arrays of the same types and shapes each time.
    """

    what: str
    extra: str
    runs: Callable[[Any, Function], Function]


def keras_on(name: str) -> Any:
    """Keras 3 on a backend, with the processor's kernels.

    Raises
    ------
    UserError
        If it cannot be imported, or was imported on another backend.
    """
    extra = BACKENDS[name].extra
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = name
        os.environ["KERAS_TORCH_DEVICE"] = "cpu"
    try:
        # First: parts of a Keras that fails to import stay, on their backend.
        import_module(name)
        import keras
    except ImportError as error:
        raise UserError(
            "This needs Keras 3 on {} ({}): run pip install '.[{}]' in the folder of "
            "rnndiff.".format(name, error, extra)
        )
    if keras.__version__ < "3":
        raise UserError("This needs Keras 3, and here is Keras {}.".format(keras.__version__))
    found = keras.config.backend()
    if found != name:
        raise UserError(
            "Keras was imported on {}, and takes its backend when it is imported: run --mode {} "
            "by itself.".format(found, name)
        )
    return keras


def _in_tensorflow(tf: Any, function: Function) -> Function:
    """As a graph, made for the types and shapes of the first call."""
    made = []

    def run(*arrays: np.ndarray) -> Any:
        if not made:
            shapes = [tf.TensorSpec(array.shape, array.dtype) for array in arrays]
            graph = tf.function(function, autograph=False)
            made.append(graph.get_concrete_function(*shapes))
        return _arrays(made[0](*map(tf.constant, arrays)))

    return run


def _in_jax(jax: Any, function: Function) -> Function:
    compiled, processor = jax.jit(function), jax.devices("cpu")[0]

    def run(*arrays: np.ndarray) -> Any:
        with jax.default_device(processor):
            return _arrays(compiled(*arrays))

    return run


def _in_torch(torch: Any, function: Function) -> Function:
    torch.set_num_threads(1)

    def run(*arrays: np.ndarray) -> Any:
        with torch.no_grad():
            return _arrays(function(*map(torch.from_numpy, map(np.ascontiguousarray, arrays))))

    return run


def _arrays(tensors: Any) -> Any:
    """One tensor, or several of them, as arrays."""
    if isinstance(tensors, (list, tuple)):
        return [np.asarray(tensor) for tensor in tensors]
    return np.asarray(tensors)


# The first one is the default.
BACKENDS: Dict[str, Backend] = {
    TENSORFLOW: Backend("On TensorFlow, in a tf.function.", "tensorflow", _in_tensorflow),
    JAX: Backend("On JAX, under jax.jit.", "keras,jax", _in_jax),
    TORCH: Backend("On PyTorch, eagerly, on one thread.", "keras,torch", _in_torch),
}
