"""What is beneath Keras 3: how each backend runs a function that is written in Keras."""

import contextlib
import os
from importlib import import_module
from typing import Any, Callable, Dict, Iterator, NamedTuple

import numpy as np

from rnndiff.harness.errors import UserError, optional_import

Function = Callable[..., Any]

# As KERAS_BACKEND calls them.
TENSORFLOW, JAX, TORCH = "tensorflow", "jax", "torch"


class Backend(NamedTuple):
    """A backend of Keras.

    ``what`` is a sentence on how functions are run, ``extra`` what installs it. ``runs`` makes a
    function of its tensors one of arrays, which is called with arrays of the same types and shapes
    each time; it is given the package, which has the name of the backend.
    """

    what: str
    extra: str
    runs: Callable[[Any, Function], Function]


def keras_on(name: str) -> Any:
    """Keras 3 on a backend, with the processor's kernels, whatever the environment says.

    Raises
    ------
    UserError
        If it cannot be imported, or was imported on another backend.
    """
    with optional_import("Keras 3 on {}".format(name), BACKENDS[name].extra):
        if name == TENSORFLOW:
            # As graphs need it, which may be compared with Keras in the same process.
            with contextlib.suppress(ImportError):
                import_module("rnndiff.models.tf1")
        # First: parts of a Keras that fails to import stay, on their backend.
        import_module(name)
        # It reads them when it is imported.
        with _environment(KERAS_BACKEND=name, KERAS_TORCH_DEVICE="cpu"):
            import keras
    if int(keras.__version__.partition(".")[0]) < 3:
        raise UserError("This needs Keras 3, and here is Keras {}.".format(keras.__version__))
    found = keras.config.backend()
    if found != name:
        raise UserError(
            "Keras was imported on {}, and takes its backend when it is imported: run --mode {} "
            "by itself.".format(found, name)
        )
    return keras


@contextlib.contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Variables of the environment for a while, which are then again what they were."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


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
