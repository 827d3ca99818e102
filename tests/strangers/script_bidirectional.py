import numpy as np


def bidirectional(parameters, inputs, labels):
    W_fw, c_fw = parameters[0], parameters[1]
    W_bw, c_bw = parameters[2], parameters[3]
    V, b = parameters[4], parameters[5]
    batch = inputs.shape[0]
    steps = inputs.shape[1]

    # forward, first row to last
    f = np.zeros((batch, W_fw.shape[1]), dtype=np.float32)
    forward_states = []
    for t in range(steps):
        f = np.tanh(np.hstack([inputs[:, t], f]) @ W_fw + c_fw)
        forward_states.append(f)

    # backward, last row to first
    g = np.zeros((batch, W_bw.shape[1]), dtype=np.float32)
    backward_states = []
    for t in reversed(range(steps)):
        g = np.tanh(np.hstack([inputs[:, t], g]) @ W_bw + c_bw)
        backward_states.append(g)
    backward_states.reverse()  # now backward_states[t] belongs to row t

    outputs = []
    for t in range(steps):
        outputs.append(np.hstack([forward_states[t], backward_states[t]]))

    scores = outputs[-1] @ V + b

    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities = e / e.sum(axis=1, keepdims=True)
    predictions = probabilities.argmax(axis=1)

    accuracy = (predictions == labels.argmax(axis=1)).mean()
    cross_entropy = -(labels * np.log(np.clip(probabilities, 1e-10, 1.0))).sum(axis=1)
    loss = cross_entropy.mean()

    # steps were collected first, so put the batch back in front
    return {
        "forward_states": np.array(forward_states).transpose(1, 0, 2),
        "backward_states": np.array(backward_states).transpose(1, 0, 2),
        "outputs": np.array(outputs).transpose(1, 0, 2),
        "scores": scores,
        "probabilities": probabilities,
        "predictions": predictions,
        "accuracy": accuracy,
        "loss": loss,
    }


if __name__ == "__main__":
    rng = np.random.RandomState(1)
    N = 50
    parameters = [
        rng.normal(0, 0.1, (28 + 128, 128)).astype(np.float32),
        rng.normal(0, 0.1, 128).astype(np.float32),
        rng.normal(0, 0.1, (28 + 128, 128)).astype(np.float32),
        rng.normal(0, 0.1, 128).astype(np.float32),
        rng.normal(0, 0.1, (256, 10)).astype(np.float32),
        rng.normal(0, 0.1, 10).astype(np.float32),
    ]
    X = rng.rand(N, 28, 28).astype(np.float32)
    Y = np.eye(10, dtype=np.float32)[rng.randint(0, 10, N)]
    out = bidirectional(parameters, X, Y)
    for k, v in out.items():
        print(k, v.shape, v.dtype)
    print("accuracy %.4f  loss %.4f" % (out["accuracy"], out["loss"]))
