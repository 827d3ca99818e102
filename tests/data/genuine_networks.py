"""What genuine cells compute in networks that somebody may have, as checkpoints.

Run as a script, with TensorFlow 1.15 and from the root of the repository, this writes beside
itself, for each of ``networks()``, the checkpoint ``genuine_NAME.index`` and
``genuine_NAME.data-00000-of-00001``, and ``genuine_NAME.npz`` with what the network reads and what
TensorFlow 1.15 computes of it::

    python -m tests.data.genuine_networks

Every network was trained for some steps by an optimizer whose slots, with a moving average of the
variables, are in the checkpoint, too. ``genuine_first_format`` is the checkpoint of the LSTM in the
format of TensorFlow's first releases.
"""

import os

import numpy as np

from rnndiff.models.tf1 import tf1

FOLDER = os.path.dirname(os.path.abspath(__file__))
BATCH, TIME, INPUTS, OUTPUTS, TOKENS = 3, 5, 3, 4, 3


def lstm(inputs, random):
    """An LSTM by ``dynamic_rnn``, with peepholes and a projection."""
    cell = tf1.nn.rnn_cell.LSTMCell(
        4, use_peepholes=True, num_proj=3, cell_clip=0.75, forget_bias=0.5
    )
    with tf1.variable_scope("my_model/encoder"):
        outputs, (c, h) = tf1.nn.dynamic_rnn(cell, inputs, dtype=tf1.float32)
    with tf1.variable_scope("my_model/head"):
        scores = tf1.layers.dense(h, OUTPUTS)
    return {}, {"outputs": outputs, "final_c": c, "final_h": h}, scores


def masked(inputs, random):
    """A bidirectional GRU by ``bidirectional_dynamic_rnn``, of rows that have lengths."""
    lengths = tf1.constant([5, 0, 3])
    with tf1.variable_scope("tagger"):
        cells = [tf1.nn.rnn_cell.GRUCell(3) for _ in range(2)]
        outputs, (forward, backward) = tf1.nn.bidirectional_dynamic_rnn(
            *cells, inputs, sequence_length=lengths, dtype=tf1.float32, scope="words"
        )
        outputs = tf1.concat(outputs, axis=2)
        scores = tf1.layers.dense(outputs, OUTPUTS, name="tags")
    data = {"sequence_length": lengths}
    return (
        data,
        {"outputs": outputs, "forward_final_h": forward, "backward_final_h": backward},
        scores,
    )


def stack(inputs, random):
    """Two layers of LSTMs by ``stack_bidirectional_dynamic_rnn``, each run in both directions."""
    from tensorflow.contrib.rnn import stack_bidirectional_dynamic_rnn

    with tf1.variable_scope("speech"):
        forward, backward = ([tf1.nn.rnn_cell.LSTMCell(3) for _ in range(2)] for _ in range(2))
        outputs, *final = stack_bidirectional_dynamic_rnn(
            forward, backward, inputs, dtype=tf1.float32
        )
        scores = tf1.layers.dense(outputs, OUTPUTS, name="letters")
    computed = {"outputs": outputs}
    for direction, layers in zip(("forward", "backward"), final):
        for part, states in zip("ch", zip(*layers)):
            computed["{}_final_{}".format(direction, part)] = tf1.stack(states, axis=1)
    return {}, computed, scores


def attention(cell):
    """An encoder-decoder with attention around the cells that `cell` makes."""

    def network(inputs, random):
        from tensorflow.contrib.rnn import AttentionCellWrapper

        labels = tf1.constant(np.eye(OUTPUTS, dtype=np.float32)[random.randint(0, 4, (3, 3))])
        encoder, decoder = (
            AttentionCellWrapper(cell(), attn_length=2, attn_size=5, attn_vec_size=3)
            for _ in range(2)
        )
        with tf1.variable_scope("translate"):
            outputs, state = tf1.nn.dynamic_rnn(
                encoder, inputs, dtype=tf1.float32, scope="my_encoder"
            )
            head = tf1.layers.Dense(OUTPUTS, name="to_words")
            scores = [head(outputs[:, -1])]
            with tf1.variable_scope("my_decoder"):
                for _ in range(TOKENS - 1):
                    token = tf1.one_hot(tf1.argmax(scores[-1], -1), OUTPUTS)
                    output, state = decoder(token, state)
                    scores.append(head(output))
        scores = tf1.stack(scores, axis=1)
        computed = {
            "encoder_outputs": outputs,
            "scores": scores,
            "probabilities": tf1.nn.softmax(scores),
            "predictions": tf1.argmax(scores, -1),
        }
        return {"labels": labels}, computed, scores

    return network


def networks():
    """By name a function that builds the network, and the optimizer that trains it."""
    rnn_cell, train = tf1.nn.rnn_cell, tf1.train
    return {
        "lstm": (lstm, train.AdamOptimizer(0.05)),
        "masked": (masked, train.MomentumOptimizer(0.05, 0.9, name="my_momentum")),
        "stack": (stack, train.AdagradOptimizer(0.05)),
        "attention_lstm": (
            attention(lambda: rnn_cell.LSTMCell(3)),
            train.RMSPropOptimizer(0.01),
        ),
        "attention_basic": (
            attention(lambda: rnn_cell.BasicRNNCell(3)),
            train.AdamOptimizer(0.01),
        ),
    }


def write(name, network, optimizer, random):
    given = random.standard_normal((BATCH, TIME, INPUTS)).astype(np.float32)
    data, computed, scores = network(tf1.constant(given), random)
    step = tf1.train.get_or_create_global_step()
    average = tf1.train.ExponentialMovingAverage(0.9)
    learn = optimizer.minimize(tf1.reduce_sum(scores**2), step)
    with tf1.control_dependencies([learn]):
        learn = average.apply(tf1.trainable_variables())
    with tf1.Session() as session:
        session.run(tf1.global_variables_initializer())
        for variable in tf1.trainable_variables():
            shape = variable.shape.as_list()
            variable.load(random.standard_normal(shape).astype(np.float32), session)
        for _ in range(3):
            session.run(learn)
        arrays = dict(session.run({**data, **computed}), inputs=given)
        path = os.path.join(FOLDER, "genuine_" + name)
        np.savez_compressed(path + ".npz", **arrays)
        written = dict(write_meta_graph=False, write_state=False)
        tf1.train.Saver().save(session, path, **written)
        if name == "lstm":
            path = os.path.join(FOLDER, "genuine_first_format")
            saver = tf1.train.Saver(write_version=tf1.train.SaverDef.V1)
            saver.save(session, path, **written)


def main():
    for name, (network, optimizer) in networks().items():
        with tf1.Graph().as_default():
            write(name, network, optimizer, np.random.RandomState(0))


if __name__ == "__main__":
    main()
