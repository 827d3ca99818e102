"""Mistakes planted in TensorFlow's graphs: does the harness find what people get wrong?

Each is one of the catalogue, :mod:`rnndiff.harness.diagnosis.catalogue`, which says what it is, and
plants it in the oracle. A mistake is data, in the manner of ETNA (Shi et al., *Etna: an evaluation
platform for property-based testing*, Proc. ACM Program. Lang. 7, ICFP, 2023): a piece of a module
that builds the TensorFlow graph, and what somebody wrote instead. It is planted in a copy of that
module, so the code under test has no seams for it. Where the piece is no longer in the module,
planting it is an error: a mistake that is not there would be a mistake that is never found.
"""

import importlib
import linecache
from functools import lru_cache
from types import ModuleType
from typing import Any, NamedTuple, Tuple

from rnndiff.harness.cases.case import Case
from rnndiff.harness.sources import source_with

_ALL = ("seq2seq", "bidirectional", "attention")
_DECODERS = ("seq2seq", "attention")

_GRAPHS = "rnndiff.models.graphs"
_WRAPPER = "rnndiff.models.cells.attention_tensorflow"
_GRAPH = "rnndiff.models.{}.graph"


class Mistake(NamedTuple):
    """A mistake in the TensorFlow graphs of some models.

    ``name`` is its name in the catalogue. ``right`` is a piece of ``module`` ("{}" in its
    name is the model's), and ``wrong`` is what stands in its place, wherever it stands; it may call
    the functions of this module as ``mistakes``. ``steps`` and ``rows`` are how many time steps and
    rows a case needs to show it.
    """

    name: str
    models: Tuple[str, ...]
    module: str
    right: str
    wrong: str
    steps: int = 2
    rows: int = 1

    def build(self, case: Case) -> Any:
        """The ``rnndiff.models.graphs.Graph`` of the case's config with the mistake in it."""
        model = case.model.name
        graph = _copy(_GRAPH.format(model), model, self)
        graph.graphs = _copy(_GRAPHS, model, self)
        if self.module == _WRAPPER:
            wrapper = _copy(_WRAPPER, model, self).AttentionCellWrapper
            return graph.build(case.config, wrapper=wrapper)
        return graph.build(case.config)

    def source(self, name: str, model: str) -> str:
        """The text of the module `name`, with the mistake in it if that is where it belongs.

        Raises
        ------
        LookupError
            If it belongs there, and the module does not have the piece that it replaces.
        """
        belongs = name == self.module.format(model)
        return source_with(name, [(self.right, self.wrong)] if belongs else [], self.name)


@lru_cache(maxsize=None)
def _copy(name: str, model: str, mistake: Mistake) -> Any:
    """A copy of the module `name`, with the mistake in it if that is where it belongs."""
    source = mistake.source(name, model)
    # AutoGraph compiles the `call` of a cell once more, from the file that it says it is from: that
    # of the module would have the right line in it.
    file = "<{} with {}>".format(name, mistake.name)
    linecache.cache[file] = len(source), None, source.splitlines(True), file
    module: Any = ModuleType(name)
    module.mistakes = importlib.import_module(__name__)
    exec(compile(source, file, "exec"), module.__dict__)
    return module


MISTAKES: Tuple[Mistake, ...] = (
    Mistake(
        name="kernel-rows-swapped",
        models=_ALL,
        module=_GRAPH,
        right="tensorflow_cell(config)",
        wrong="mistakes.state_before_input(config.num_units)",
    ),
    Mistake(
        name="bias-left-out",
        models=_ALL,
        module=_GRAPH,
        right="tensorflow_cell(config)",
        wrong="mistakes.without_bias(config.num_units)",
    ),
    Mistake(
        name="bias-after-tanh",
        models=_ALL,
        module=_GRAPH,
        right="tensorflow_cell(config)",
        wrong="mistakes.bias_after_tanh(config.num_units)",
    ),
    Mistake(
        name="projection-bias-left-out",
        models=_ALL,
        module=_GRAPHS,
        right="tf1.nn.bias_add(tf1.matmul(rows, kernel), bias)",
        wrong="tf1.matmul(rows, kernel)",
    ),
    Mistake(
        name="softmax-over-batch",
        models=_ALL,
        module=_GRAPHS,
        right="tf1.nn.softmax(scores)",
        wrong="tf1.nn.softmax(scores, axis=0)",
        rows=2,
    ),
    Mistake(
        name="loss-without-clip",
        models=_ALL,
        module=_GRAPHS,
        right="tf1.clip_by_value(probabilities, 1e-10, 1.0)",
        wrong="probabilities",
        # Scores that lie far enough apart may need the steps of an attention cell to get there.
        steps=3,
    ),
    Mistake(
        name="loss-over-classes",
        models=_ALL,
        module=_GRAPHS,
        right="-tf1.reduce_sum(labels * tf1.log(clipped), axis=-1)",
        wrong="-labels * tf1.log(clipped)",
    ),
    Mistake(
        name="accuracy-of-whole-rows",
        models=_DECODERS,
        module=_GRAPHS,
        right="tf1.reduce_mean(tf1.cast(correct, scores.dtype))",
        wrong="tf1.reduce_mean(tf1.cast(tf1.reduce_all(correct, -1), scores.dtype))",
    ),
    Mistake(
        name="scores-of-other-rows",
        models=_DECODERS,
        module=_GRAPHS,
        right="tf1.stack(scores, axis=1)",
        wrong="tf1.reshape(tf1.stack(scores), [batch_of(config, labels), config.output_time, "
        "config.outputs])",
        rows=2,
    ),
    Mistake(
        name="fed-scores",
        models=_DECODERS,
        module=_GRAPHS,
        right="tf1.one_hot(tf1.argmax(scores[-1], -1), config.outputs)",
        wrong="scores[-1]",
    ),
    Mistake(
        name="fed-labels",
        models=_DECODERS,
        module=_GRAPHS,
        right="if training:",
        wrong="if True:",
    ),
    Mistake(
        name="fed-next-class",
        models=_DECODERS,
        module=_GRAPHS,
        right="tf1.one_hot(tf1.argmax(scores[-1], -1), config.outputs)",
        wrong="tf1.one_hot(tf1.argmax(scores[-1], -1) + 1, config.outputs)",
    ),
    Mistake(
        name="fed-first-token",
        models=_DECODERS,
        module=_GRAPHS,
        right="tf1.one_hot(tf1.argmax(scores[-1], -1), config.outputs)",
        wrong="tf1.one_hot(tf1.argmax(scores[0], -1), config.outputs)",
        steps=3,
    ),
    Mistake(
        name="decoder-from-first-state",
        models=("seq2seq",),
        module=_GRAPH,
        right="last = (encoder_states + decoder_states)[-1]",
        wrong="last = (decoder_states or encoder_states[:1])[-1]",
    ),
    Mistake(
        name="decoder-never-advances",
        models=("seq2seq",),
        module=_GRAPH,
        right="last = (encoder_states + decoder_states)[-1]",
        wrong="last = encoder_states[-1]",
        steps=3,
    ),
    Mistake(
        name="inputs-of-other-rows",
        models=("bidirectional",),
        module=_GRAPH,
        right="tf1.unstack(inputs, axis=1)",
        wrong="tf1.unstack(tf1.reshape(inputs, [config.time, graphs.batch_of(config, inputs), "
        "config.inputs]))",
        rows=2,
    ),
    Mistake(
        name="backward-not-reversed-back",
        models=("bidirectional",),
        module=_GRAPH,
        right="tf1.nn.static_bidirectional_rnn(",
        wrong="mistakes.backward_not_reversed_back(",
    ),
    Mistake(
        name="backward-reads-forwards",
        models=("bidirectional",),
        module=_GRAPH,
        right="tf1.nn.static_bidirectional_rnn(",
        wrong="mistakes.backward_reads_forwards(",
    ),
    Mistake(
        name="halves-swapped",
        models=("bidirectional",),
        module=_GRAPH,
        right="tf1.nn.static_bidirectional_rnn(",
        wrong="mistakes.halves_swapped(",
    ),
    Mistake(
        name="first-output",
        models=("bidirectional",),
        module=_GRAPH,
        right="project(outputs[-1])",
        wrong="project(outputs[0])",
    ),
    Mistake(
        name="backward-output-of-final-state",
        models=("bidirectional",),
        module=_GRAPH,
        right="project(outputs[-1])",
        wrong="project(tf1.concat([forward_final_state, backward_final_state], 1))",
    ),
    Mistake(
        name="window-not-shifted",
        models=("attention",),
        module=_WRAPPER,
        right="tf1.slice(window, [0, 1, 0], [-1, -1, -1])",
        wrong="window[:, :-1]",
    ),
    Mistake(
        name="window-wrong-end",
        models=("attention",),
        module=_WRAPPER,
        right="tf1.concat([window, tf1.expand_dims(output, 1)], 1)",
        wrong="tf1.concat([tf1.expand_dims(output, 1), window], 1)",
    ),
    Mistake(
        name="decoder-from-zero-attention",
        models=("attention",),
        module=_GRAPH,
        right="output, state = decoder(token, last)",
        wrong="last = last if decoder_steps else mistakes.zero_attention(config, last)\n"
        "                output, state = decoder(token, last)",
    ),
    Mistake(
        name="decoder-from-zero-window",
        models=("attention",),
        module=_GRAPH,
        right="output, state = decoder(token, last)",
        wrong="last = last if decoder_steps else mistakes.zero_window(config, last)\n"
        "                output, state = decoder(token, last)",
    ),
    Mistake(
        name="attention-softmax-over-batch",
        models=("attention",),
        module=_WRAPPER,
        right="tf1.nn.softmax(energies)",
        wrong="mistakes.softmax_over_batch(energies)",
        rows=2,
    ),
    Mistake(
        name="empty-slots-left-out",
        models=("attention",),
        module=_WRAPPER,
        right="tf1.nn.softmax(energies)",
        wrong="tf1.nn.softmax(mistakes.only_filled(energies, window))",
    ),
    Mistake(
        name="query-from-old-state",
        models=("attention",),
        module=_WRAPPER,
        right="self._attend(query, window)",
        wrong="self._attend((state if self._state_is_tuple else self._split(state))[0], window)",
    ),
    Mistake(
        name="attention-before-output",
        models=("attention",),
        module=_WRAPPER,
        right="self._output_projection([cell_output, attention])",
        wrong="self._output_projection([attention, cell_output])",
    ),
)


def state_before_input(num_units):
    """A ``BasicRNNCell`` that multiplies its kernel by [h; x]."""
    return _cell(num_units, lambda tf1, x, h, w, b: tf1.tanh(tf1.concat([h, x], 1) @ w + b))


def without_bias(num_units):
    """A ``BasicRNNCell`` that has a bias and does not add it."""
    return _cell(num_units, lambda tf1, x, h, w, b: tf1.tanh(tf1.concat([x, h], 1) @ w))


def bias_after_tanh(num_units):
    """A ``BasicRNNCell`` that adds its bias to the tanh."""
    return _cell(num_units, lambda tf1, x, h, w, b: tf1.tanh(tf1.concat([x, h], 1) @ w) + b)


def _cell(num_units, step):
    """A cell with the variables of TensorFlow's ``BasicRNNCell`` and a step of its own."""
    from rnndiff.models.tf1 import tf1

    class BasicRNNCell(tf1.nn.rnn_cell.BasicRNNCell):
        def call(self, inputs, state):
            output = step(tf1, inputs, state, self._kernel, self._bias)
            return output, output

    return BasicRNNCell(num_units)


def backward_not_reversed_back(forward, backward, inputs, dtype):
    """``static_bidirectional_rnn`` with the backward outputs in the order of their computation."""
    from rnndiff.models.tf1 import tf1

    outputs, *final_states = tf1.nn.static_bidirectional_rnn(forward, backward, inputs, dtype=dtype)
    halves = [tf1.split(output, 2, axis=1) for output in outputs]
    pairs = [(ahead, back) for (ahead, _), (_, back) in zip(halves, reversed(halves))]
    return ([tf1.concat(pair, 1) for pair in pairs], *final_states)


def backward_reads_forwards(forward, backward, inputs, dtype):
    """``static_bidirectional_rnn`` whose cells both read from first to last."""
    from rnndiff.models.tf1 import tf1

    aheads, forward_final_state = tf1.nn.static_rnn(forward, inputs, dtype=dtype, scope="fw")
    backs, backward_final_state = tf1.nn.static_rnn(backward, inputs, dtype=dtype, scope="bw")
    outputs = [tf1.concat(pair, 1) for pair in zip(aheads, backs)]
    return outputs, forward_final_state, backward_final_state


def halves_swapped(forward, backward, inputs, dtype):
    """``static_bidirectional_rnn`` that puts the backward half before the forward half."""
    from rnndiff.models.tf1 import tf1

    outputs, *final_states = tf1.nn.static_bidirectional_rnn(forward, backward, inputs, dtype=dtype)
    pairs = [tf1.split(output, 2, axis=1)[::-1] for output in outputs]
    return ([tf1.concat(pair, 1) for pair in pairs], *final_states)


def zero_attention(config, state):
    """The state of an ``AttentionCellWrapper`` with attention 0."""
    return _with_zeros(config, state, 1)


def zero_window(config, state):
    """The state of an ``AttentionCellWrapper`` with an empty window."""
    return _with_zeros(config, state, 2)


def _with_zeros(config, state, part):
    from rnndiff.models.tf1 import tf1

    attn_size = config.sizes()["attn_size"]
    parts = state
    if not config.state_is_tuple:
        sizes = [config.num_units, attn_size, config.attn_length * attn_size]
        parts = tf1.split(state, sizes, axis=1)
    parts = [tf1.zeros_like(x) if i == part else x for i, x in enumerate(parts)]
    return tuple(parts) if config.state_is_tuple else tf1.concat(parts, 1)


def softmax_over_batch(scores):
    """A softmax along the first axis.

    The trace takes the weights from the one Softmax of the step, so it shows those of the rows.
    """
    from rnndiff.models.tf1 import tf1

    tf1.nn.softmax(scores)
    exponentials = tf1.exp(scores - tf1.reduce_max(scores, 0))
    return exponentials / tf1.reduce_sum(exponentials, 0)


def only_filled(scores, window):
    """The scores of the slots of `window`, lowered so far that empty slots weigh nothing."""
    from rnndiff.models.tf1 import tf1

    empty = tf1.reduce_all(tf1.equal(window, 0.0), axis=2)
    return scores - 1e9 * tf1.cast(empty, scores.dtype)
