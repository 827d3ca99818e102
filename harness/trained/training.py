"""Where the weights come from: training with TensorFlow, or a file."""

import dataclasses
import re
import time
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Set, Tuple

import numpy as np

from rnndiff.harness.errors import UserError
from rnndiff.harness.files import read_npz, written_whole
from rnndiff.harness.trained.data import Rows
from rnndiff.harness.trained.matching import match, sizes_from_shapes
from rnndiff.harness.trained.own import AnyData, OwnData
from rnndiff.models import MODELS, Model
from rnndiff.models.layout import Field, check_arrays, is_optional, sizes_in

WHAT = "weights, an .npz file or a TensorFlow checkpoint"
NUMBERED = re.compile(r"(arr_)?[0-9]+$")


class Plan(NamedTuple):
    """How long and how fast a model learns; the learning rate falls to zero along the steps."""

    steps: int
    batch: int
    learning_rate: float


# Of each family. Seconds of training on one core, and an accuracy that chance is far below.
PLANS = {
    "seq2seq": Plan(steps=5000, batch=128, learning_rate=3e-3),
    "bidirectional": Plan(steps=2000, batch=128, learning_rate=3e-3),
    "attention": Plan(steps=2500, batch=32, learning_rate=3e-3),
}


@dataclasses.dataclass(frozen=True, eq=False)
class Weights:
    """The parameters of one model.

    Parameters
    ----------
    config : Config
        The sizes; its batch is of no meaning.
    parameters : dict of str to float32 array
        By the names of ``model.parameters(config)``.
    origin : str
        "trained", or the file.
    steps, planned_steps : int, optional
        How many steps they were trained for, and how many it should have been: fewer after Ctrl-C.
    seconds : float
        What the training took.
    """

    config: Any
    parameters: Dict[str, np.ndarray]
    origin: str
    steps: Optional[int] = None
    planned_steps: Optional[int] = None
    seconds: float = 0.0

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the training."""
        return self.steps != self.planned_steps

    def not_finite(self) -> Dict[str, Dict[str, int]]:
        """How many elements are "NaN" and how many "infinite", of each parameter that has any."""
        found = {
            name: {
                "NaN": int(np.count_nonzero(np.isnan(array))),
                "infinite": int(np.count_nonzero(np.isinf(array))),
            }
            for name, array in self.parameters.items()
        }
        return {name: counts for name, counts in found.items() if any(counts.values())}


def train(
    model: Model,
    config: Any,
    rows: Rows,
    plan: Plan,
    seed: int = 0,
    progress: Callable[[int, float], None] = lambda step, loss: None,
) -> Weights:
    """Train a model by Adam with TensorFlow; the same seed gives the same weights.

    Ctrl-C ends the training after the step at hand, and the weights reached so far are returned.
    Before the first step there are none worth keeping.

    Parameters
    ----------
    model : Model
    config : Config
        The sizes, but for the batch, which is the plan's.
    rows : Rows
        Inputs [rows, time, inputs] and labels [rows, ..., outputs].
    plan : Plan
    seed : int
        0 to 2**32 - 1.
    progress : function of (int, float)
        Called after every step with the number of steps done and the loss of the step's rows.

    Raises
    ------
    ImportError
        If TensorFlow cannot be imported.
    KeyboardInterrupt
        If Ctrl-C comes before the first step is done.
    """
    from rnndiff.models.tf1 import tf1

    started = time.time()
    config = dataclasses.replace(config, batch=plan.batch)
    fields = model.parameters(config)
    random = np.random.RandomState(seed)
    graph = model.graph().build(config, training=True)
    with graph.graph.as_default():
        rate = tf1.placeholder(tf1.float32, [])
        step = tf1.train.AdamOptimizer(rate).minimize(graph.trace["loss"])
        initial = [tf1.placeholder(tf1.float32, field.shape(config)) for field in fields]
        assign = tf1.group(*[tf1.assign(v, value) for v, value in zip(graph.parameters, initial)])
        initialize = tf1.global_variables_initializer()
    graph.graph.finalize()

    # One thread: as fast at these sizes, and sums are always made in the same order.
    options = tf1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    done = 0
    with tf1.Session(graph=graph.graph, config=options) as session:
        session.run(initialize)
        session.run(assign, dict(zip(initial, _initial_values(fields, config, random))))
        try:
            while done < plan.steps:
                some = random.randint(0, len(rows.inputs), plan.batch)
                feed = {
                    graph.data["inputs"]: rows.inputs[some],
                    graph.data["labels"]: rows.labels[some],
                    rate: plan.learning_rate * (1 - done / plan.steps),
                }
                _, loss = session.run([step, graph.trace["loss"]], feed)
                done += 1
                progress(done, float(loss))
        except KeyboardInterrupt:
            if done == 0:
                raise
        values = session.run(graph.parameters)
    parameters = {field.name: value for field, value in zip(fields, values)}
    return Weights(config, parameters, "trained", done, plan.steps, time.time() - started)


def _initial_values(
    fields: Tuple[Field, ...], config: Any, random: np.random.RandomState
) -> List[np.ndarray]:
    """TensorFlow's own defaults, Glorot's uniform kernels and zero biases.

    Drawn by NumPy, because TensorFlow's random numbers are others in other versions.
    """
    values = []
    for field in fields:
        shape = field.shape(config)
        if field.name.endswith("/bias"):
            values.append(np.zeros(shape))
        else:
            fan_in, fan_out = shape[-2:] if len(shape) > 1 else shape * 2
            limit = np.sqrt(6.0 / (fan_in + fan_out))
            values.append(random.uniform(-limit, limit, shape))
    return values


def save_weights(path: str, weights: Mapping[str, Weights]) -> None:
    """Write the weights of some models, as arrays "MODEL/PARAMETER" of an ``.npz``.

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    arrays = {
        "{}/{}".format(model, name): array
        for model, trained in weights.items()
        for name, array in trained.parameters.items()
    }
    with written_whole(path) as file:
        np.savez(file, **arrays)


def read_weights(path: str) -> Dict[str, np.ndarray]:
    """The arrays of a file of weights, for :func:`models_of` and :func:`fit_weights`.

    Raises
    ------
    UserError
        If the file is missing or damaged.
    """
    return read_npz(path, WHAT)


def models_of(arrays: Mapping[str, np.ndarray]) -> List[str]:
    """The models that the names of arrays say they are of; none if they have plain names."""
    prefixes = {name.partition("/")[0] for name in arrays}
    return [model for model in MODELS if model in prefixes and MODELS[model].family in PLANS]


def fit_weights(
    path: str,
    arrays: Mapping[str, np.ndarray],
    model: Model,
    data: AnyData,
    options: Optional[Mapping[str, Any]] = None,
    names: Optional[Mapping[str, str]] = None,
) -> Weights:
    """Take a model's parameters, and the sizes that their shapes tell, from a file's arrays.

    Parameters
    ----------
    path : str
        The file, for messages.
    arrays : dict of str to array
        Named "MODEL/PARAMETER", or "PARAMETER", or by TensorFlow's order of creation: "arr_0",
        "arr_1" (as ``np.savez(file, *values)`` names them) or "0", "1".
    model : Model
    data : Data or OwnData
        Decides the sizes of inputs and outputs.
    options : dict of str to value, optional
        Fields of the config; the others are the article's, or what data and weights tell.
    names : dict of str to str, optional
        If given, the arrays are variables in any scopes, found by :func:`matching.match`; it has
        the names of those that are said to be a parameter.

    Raises
    ------
    UserError
        If a parameter is missing, is not of real numbers or does not have its shape, or if there
        is an array that the model does not have.
    """
    given = dict(options or {}, **data.sizes())
    own = model.name + "/"
    if names is None and model.name in models_of(arrays):
        arrays = {name[len(own) :]: a for name, a in arrays.items() if name.startswith(own)}
    try:
        config = dataclasses.replace(model.article, **given)
        if names is not None:
            found = match(path, arrays, model, config, given, names)
            config = dataclasses.replace(config, **found.options)
            arrays = {name: arrays[variable] for name, variable in found.names.items()}
        named = _by_name(arrays, model.parameters(config))
        for name, array in named.items():
            if array.dtype.kind not in "fiub":
                raise ValueError("{!r} holds {}, not real numbers".format(name, array.dtype))
        told = sizes_from_shapes(config, model, named)
        config = dataclasses.replace(config, **dict(told, **given))
        check_arrays(named, model.parameters(config), config)
    except ValueError as error:
        raise UserError("{} does not fit the model {}: {}.".format(path, model.name, error))
    if isinstance(data, OwnData):
        _check_told(model, set(told) | set(given))
    with np.errstate(over="ignore"):
        parameters = {name: np.asarray(array, np.float32) for name, array in named.items()}
    return Weights(config, parameters, path)


def _check_told(model: Model, told: Set[str]) -> None:
    """See that no size is the article's: of a network of one's own it says nothing."""
    for name in sizes_in(model.Config):
        if name not in told | {"batch"} and not is_optional(model.Config, name):
            raise UserError(
                "Neither weights nor data tell the {0} of {1}: give --set {0}=N.".format(
                    name, model.name
                )
            )


def _by_name(arrays: Mapping[str, np.ndarray], fields: Tuple[Field, ...]) -> Dict[str, np.ndarray]:
    """Replace numbers in TensorFlow's order of creation by names."""
    if not arrays or not all(NUMBERED.match(name) for name in arrays):
        return dict(arrays)
    if len(arrays) != len(fields):
        raise ValueError("it has {} arrays instead of {}".format(len(arrays), len(fields)))
    ordered = sorted(arrays, key=lambda name: int(name.replace("arr_", "")))
    return {field.name: arrays[name] for field, name in zip(fields, ordered)}
