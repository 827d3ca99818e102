import numpy as np


def seq2seq(parameters, inputs, labels):
    W_en, c_en, V, b, W_de, c_de = parameters
    n_samples, n_in, n_chars = inputs.shape
    n_out = labels.shape[1]
    n_hidden = c_en.shape[0]

    # encoder
    h = np.zeros((n_samples, n_hidden), dtype=np.float32)
    encoder_states = []
    for t in range(n_in):
        xh = np.concatenate([inputs[:, t, :], h], axis=1)
        h = np.tanh(np.dot(xh, W_en) + c_en)
        encoder_states.append(h)

    # the first character comes straight from the encoder's last state
    score = np.dot(h, V) + b
    scores = [score]
    decoder_states = [h]

    # decoder: eats its own previous guess
    for i in range(1, n_out):
        x = np.eye(n_chars, dtype=np.float32)[np.argmax(score, axis=1)]
        xh = np.concatenate([x, h], axis=1)
        h = np.tanh(np.dot(xh, W_de) + c_de)
        score = np.dot(h, V) + b
        decoder_states.append(h)
        scores.append(score)

    encoder_states = np.stack(encoder_states, axis=1)
    decoder_states = np.stack(decoder_states, axis=1)
    scores = np.stack(scores, axis=1)

    exp_scores = np.exp(scores - np.max(scores, axis=2, keepdims=True))
    probabilities = exp_scores / np.sum(exp_scores, axis=2, keepdims=True)
    predictions = np.argmax(probabilities, axis=2)

    accuracy = np.mean(predictions == np.argmax(labels, axis=2))
    log_p = np.log(np.clip(probabilities, 1e-10, 1.0))
    loss = -np.mean(np.sum(labels * log_p, axis=2))

    return {
        "encoder_states": encoder_states,
        "decoder_states": decoder_states,
        "scores": scores,
        "probabilities": probabilities,
        "predictions": predictions,
        "accuracy": accuracy,
        "loss": loss,
    }


if __name__ == "__main__":
    np.random.seed(0)
    N = 50
    shapes = [(12 + 128, 128), (128,), (128, 12), (12,), (12 + 128, 128), (128,)]
    parameters = [(0.1 * np.random.randn(*s)).astype(np.float32) for s in shapes]
    X = np.eye(12, dtype=np.float32)[np.random.randint(12, size=(N, 7))]
    Y = np.eye(12, dtype=np.float32)[np.random.randint(12, size=(N, 4))]
    result = seq2seq(parameters, X, Y)
    for name in result:
        print(name, result[name].shape, result[name].dtype)
    print("accuracy:", result["accuracy"], "loss:", result["loss"])
