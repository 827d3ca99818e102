"""What the genuine AttentionCellWrapper computes, as a checkpoint.

Run as a script, with TensorFlow 1.15 and from the root of the repository, this writes
``genuine_attention.index`` and ``genuine_attention.data-00000-of-00001`` beside itself::

    python -m tests.data.genuine_attention

For each inner cell the checkpoint has the variables, under the names that TensorFlow gives them in
the scope of the cell's name, and the outputs, as CELL/outputs.
"""

import os

import numpy as np

try:
    from rnndiff.models.tf1 import tf1
except Exception:
    # The tests that need this are there without TensorFlow, too: to fail, or to be skipped.
    tf1 = None

CHECKPOINT = os.path.splitext(os.path.abspath(__file__))[0]
INPUTS = np.random.RandomState(0).standard_normal((2, 6, 3)).astype(np.float32)


def cells():
    """The inner cells by name, each a function that makes one."""
    return {
        "BasicRNNCell": lambda: tf1.nn.rnn_cell.BasicRNNCell(3),
        "GRUCell": lambda: tf1.nn.rnn_cell.GRUCell(3),
        "BasicLSTMCell": lambda: tf1.nn.rnn_cell.BasicLSTMCell(3),
        "LSTMCell": lambda: tf1.nn.rnn_cell.LSTMCell(3, num_proj=2),
        "MultiRNNCell": lambda: tf1.nn.rnn_cell.MultiRNNCell(
            [tf1.nn.rnn_cell.GRUCell(2), tf1.nn.rnn_cell.BasicLSTMCell(3)]
        ),
    }


def outputs(wrapper, name):
    """The outputs [batch, time, 4] of the cell `name`, wrapped, on ``INPUTS``."""
    cell = wrapper(cells()[name](), attn_length=3, attn_size=4, attn_vec_size=5, input_size=6)
    steps = []
    with tf1.variable_scope(name):
        state = cell.zero_state(INPUTS.shape[0], tf1.float32)
        for t in range(INPUTS.shape[1]):
            output, state = cell(tf1.constant(INPUTS[:, t]), state)
            steps.append(output)
    return tf1.stack(steps, axis=1)


def main():
    from tensorflow.contrib.rnn import AttentionCellWrapper

    random = np.random.RandomState(1)
    with tf1.Graph().as_default(), tf1.Session() as session:
        computed = {name: outputs(AttentionCellWrapper, name) for name in cells()}
        for variable in tf1.global_variables():
            shape = variable.shape.as_list()
            variable.load(random.standard_normal(shape).astype(np.float32) / 2, session)
        kept = {
            name: tf1.Variable(session.run(tensor), name=name + "/outputs")
            for name, tensor in computed.items()
        }
        session.run([variable.initializer for variable in kept.values()])
        tf1.train.Saver().save(session, CHECKPOINT, write_meta_graph=False, write_state=False)


if __name__ == "__main__":
    main()
