"""The LSTM of ``genuine_lstm`` as somebody moved it to objects of TensorFlow 2.

Run as a script, with TensorFlow 2.10 to 2.15 and from the root of the repository, this writes the
checkpoint ``genuine_objects.index`` and ``genuine_objects.data-00000-of-00001`` beside itself::

    python -m tests.data.genuine_objects

It has the variables of ``genuine_lstm``, and the slots of two optimizers that trained copies of
them: one that says of each slot what it is of, and one that lists all of them.
"""

import os

import tensorflow as tf

FOLDER = os.path.dirname(os.path.abspath(__file__))
SCOPE = "my_model/encoder/rnn/lstm_cell/"
NAMES = ("kernel", "bias", "w_f_diag", "w_i_diag", "w_o_diag", "projection/kernel")


def main():
    read = tf.train.load_checkpoint(os.path.join(FOLDER, "genuine_lstm"))
    model = tf.Module()
    model.encoder, model.encoder.projection = tf.Module(), tf.Module()
    for name in NAMES:
        owner = model.encoder.projection if "/" in name else model.encoder
        setattr(owner, name.split("/")[-1], tf.Variable(read.get_tensor(SCOPE + name)))
    trained = [variable for variable in model.variables]
    optimizers = tf.keras.optimizers.legacy.Adam(), tf.keras.optimizers.Adam()
    before = [variable.numpy() for variable in trained]
    for optimizer in optimizers:
        optimizer.apply_gradients([(variable * 0 + 1, variable) for variable in trained])
    for variable, value in zip(trained, before):
        variable.assign(value)
    saved = tf.train.Checkpoint(model=model, adam=optimizers[0], optimizer=optimizers[1])
    saved.write(os.path.join(FOLDER, "genuine_objects"))


if __name__ == "__main__":
    main()
