import numpy as np


def attention(parameters, inputs, labels):
    W1, c1, W2, c2, K, v, Q, q, W3, c3 = parameters[:10]
    V, b = parameters[10:12]
    U1, d1, U2, d2, L, w, R, r, U3, d3 = parameters[12:]  # decoder's own ten

    N, steps_in, chars = inputs.shape
    steps_out = labels.shape[1]
    attn_length = 7

    h = np.zeros((N, c2.shape[0]), dtype=np.float32)
    a = np.zeros((N, c3.shape[0]), dtype=np.float32)
    M = np.zeros((N, attn_length, c3.shape[0]), dtype=np.float32)
    hs, contexts, weights, windows, ys = [], [], [], [], []

    # encoder
    for t in range(steps_in):
        z = np.concatenate((inputs[:, t], a), axis=1) @ W1 + c1
        h = np.tanh(np.concatenate((z, h), axis=1) @ W2 + c2)
        query = h @ Q + q
        e = np.sum(v * np.tanh(M @ K[0, 0] + query[:, np.newaxis, :]), axis=2)
        alpha = np.exp(e - e.max(axis=1, keepdims=True))
        alpha = alpha / alpha.sum(axis=1, keepdims=True)
        a = np.sum(alpha[:, :, np.newaxis] * M, axis=1)
        y = np.concatenate((h, a), axis=1) @ W3 + c3
        M = np.concatenate((M[:, 1:], y[:, np.newaxis, :]), axis=1)
        hs.append(h)
        contexts.append(a)
        weights.append(alpha)
        windows.append(M)
        ys.append(y)

    score = y @ V + b
    scores = [score]

    # decoder, going on from (h, a, M)
    for i in range(1, steps_out):
        x = np.eye(chars, dtype=np.float32)[score.argmax(axis=1)]
        z = np.concatenate((x, a), axis=1) @ U1 + d1
        h = np.tanh(np.concatenate((z, h), axis=1) @ U2 + d2)
        query = h @ R + r
        e = np.sum(w * np.tanh(M @ L[0, 0] + query[:, np.newaxis, :]), axis=2)
        alpha = np.exp(e - e.max(axis=1, keepdims=True))
        alpha = alpha / alpha.sum(axis=1, keepdims=True)
        a = np.sum(alpha[:, :, np.newaxis] * M, axis=1)
        y = np.concatenate((h, a), axis=1) @ U3 + d3
        M = np.concatenate((M[:, 1:], y[:, np.newaxis, :]), axis=1)
        hs.append(h)
        contexts.append(a)
        weights.append(alpha)
        windows.append(M)
        ys.append(y)
        score = y @ V + b
        scores.append(score)

    result = {"states": hs, "contexts": contexts, "weights": weights,
              "windows": windows, "outputs": ys, "scores": scores}
    result = {name: np.stack(arrays, axis=1) for name, arrays in result.items()}
    p = np.exp(result["scores"] - result["scores"].max(axis=2, keepdims=True))
    p = p / p.sum(axis=2, keepdims=True)
    result["probabilities"] = p
    result["predictions"] = p.argmax(axis=2)
    result["accuracy"] = np.mean(result["predictions"] == labels.argmax(axis=2))
    result["loss"] = -np.mean(np.sum(labels * np.log(np.clip(p, 1e-10, 1)), axis=2))
    return result


if __name__ == "__main__":
    ten = [(140, 12), 12, (140, 128), 128, (1, 1, 128, 128), 128, (128, 128), 128, (256, 128), 128]
    shapes = ten + [(128, 12), 12] + ten
    params = [np.random.normal(0, 0.1, s).astype(np.float32) for s in shapes]
    X = np.eye(12, dtype=np.float32)[np.random.randint(0, 12, (50, 7))]
    Y = np.eye(12, dtype=np.float32)[np.random.randint(0, 12, (50, 4))]
    for name, value in attention(params, X, Y).items():
        print(name, value.shape, value.dtype)
