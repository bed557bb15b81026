"""Reference values of learned merge coefficients, numpy only.

    python xtask/parity/merge_coefficients.py positions > crates/polytask-merge/src/learn/positions_golden.json
    python xtask/parity/merge_coefficients.py atlas > crates/polytask-merge/src/learn/atlas_golden.json
    python xtask/parity/merge_coefficients.py delta > crates/polytask-merge/src/delta_golden.json

positions: iterated spherical interpolation on inner products and its slopes (arXiv 2410.15035); atlas: slopes, penalties,
steps and choices of coefficients by block (arXiv 2407.02880); delta: fusion weighed by how far parameters moved
(arXiv 2508.11442).
"""
import json
import math
import sys

import numpy as np


def slerp_weights(beta, angle):
    """Coefficients of (first, second); beta = share of the second."""
    s = math.sin(angle)
    return (1 - beta, beta) if s < 1e-6 else (math.sin((1 - beta) * angle) / s, math.sin(beta * angle) / s)


def recursion(a, G):
    """c with V = sum_k c_k V_k; weight of the running merge = mean of the a seen so far."""
    n = len(a)
    c = np.eye(n)[0]
    angles = []
    for k in range(1, n):
        e = np.eye(n)[k]
        cos = (c @ G @ e) / math.sqrt((c @ G @ c) * G[k, k])
        ang = math.acos(min(1, max(-1, cos)))
        w = a[:k].mean()
        u, v = slerp_weights(a[k] / (w + a[k]), ang)
        c = u * c + v * e
        angles.append(ang)
    return c, angles


def jacobian(a, G, h=1e-6):
    return np.stack([(recursion(a + h * e, G)[0] - recursion(a - h * e, G)[0]) / (2 * h) for e in np.eye(len(a))], 1)


def positions():
    G3 = np.array([[4.0, 1, 0], [1, 9, -1], [0, -1, 1]])
    G2 = G3[:2, :2]
    out = []
    for G, a, lam in ((G3, (1, 1, 1), 1.0), (G3, (3, 1, 1), 1.2), (G3, (1, 0.5, 2), 0.8), (G2, (1, 1), 1.0), (G2, (3, 1), 1.0)):
        a = np.array(a, float)
        c, ang = recursion(a, G)
        out.append({"gram": G.tolist(), "a": a.tolist(), "lambda": lam, "coefficients": (lam * c).round(6).tolist(), "angles": [round(x, 6) for x in ang],
                    "dc_da": (lam * jacobian(a, G)).round(6).tolist(), "merged_norm": round(float(lam * math.sqrt(c @ G @ c)), 6)})
    return out


def lcg(seed, shape, scale=1.0):
    s, out = seed, []
    for _ in range(int(np.prod(shape))):
        s = (1103515245 * s + 12345) % (1 << 31)
        out.append((2 * (s / (1 << 31)) - 1) * scale)
    return np.array(out).reshape(shape)


# ---- golden: one hidden layer, blocks W1 [4,3], b1 [4], W2 [3,4], b2 [3]; two task vectors; 6 rows, 3 classes -----------
SHAPES = [(4, 3), (4,), (3, 4), (3,)]
THETA0 = [lcg(1 + j, s) for j, s in enumerate(SHAPES)]
TAU = [[lcg(10 * i + 20 + j, s, 0.5) for j, s in enumerate(SHAPES)] for i in range(2)]
X, Y = lcg(99, (6, 3)), np.array([0, 1, 2, 0, 1, 2])


def compose(lam):
    return [t + sum(lam[i, j] * TAU[i][j] for i in range(2)) for j, t in enumerate(THETA0)]


def loss_grad(theta):
    W1, b1, W2, b2 = theta
    h = np.tanh(X @ W1.T + b1)
    z = h @ W2.T + b2
    z = z - z.max(1, keepdims=True)
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    loss = -np.log(p[np.arange(6), Y]).mean()
    d = p.copy(); d[np.arange(6), Y] -= 1; d /= 6
    dh = (d @ W2) * (1 - h ** 2)
    return loss, [dh.T @ X, dh.sum(0), d.T @ h, d.sum(0)]


def coefficient_gradient(lam):
    loss, g = loss_grad(compose(lam))
    return loss, np.array([[(g[j] * TAU[i][j]).sum() for j in range(4)] for i in range(2)])


def penalty(lam, p, gamma=0.5):
    """gamma * mean over blocks of the p-norm over task vectors; gradient (0 at 0)."""
    m = lam.shape[1]
    if p == 1:
        return gamma * np.abs(lam).sum(0).mean(), gamma * np.sign(lam) / m
    n = np.linalg.norm(lam, axis=0)
    return gamma * n.mean(), gamma * lam / np.where(n > 0, n, 1) / m


def adamw(lam, grad, state, lr, wd, step):
    norm = np.linalg.norm(grad)
    grad = grad * min(1, 1 / (norm + 1e-6))                        # clip to norm 1 over all coefficients
    lam = lam * (1 - lr * wd)
    m, v = state
    m[:], v[:] = 0.9 * m + 0.1 * grad, 0.999 * v + 0.001 * grad ** 2
    return lam - lr * (m / (1 - 0.9 ** step)) / (np.sqrt(v / (1 - 0.999 ** step)) + 1e-8)


def atlas():
    lam = np.array([[0.3, -0.2, 0.5, 0.1], [-0.4, 0.6, 0.2, -0.1]])
    loss, g = coefficient_gradient(lam)
    fd = np.zeros_like(lam)
    for i in range(2):
        for j in range(4):
            e = np.zeros_like(lam); e[i, j] = 1e-6
            fd[i, j] = (coefficient_gradient(lam + e)[0] - coefficient_gradient(lam - e)[0]) / 2e-6
    l0, g0 = coefficient_gradient(np.zeros((2, 4)))
    traj, state, cur = [], (np.zeros((2, 4)), np.zeros((2, 4))), np.zeros((2, 4))
    for s in range(1, 6):
        l, gr = coefficient_gradient(cur)
        cur = adamw(cur, gr, state, 0.1, 0.1, s)
        traj.append([round(float(l), 9), cur.round(9).ravel().tolist()])
    masks = [np.array([(7 * q + 3) % 3 for q in range(int(np.prod(s)))]).reshape(s) for s in SHAPES]
    _, full = loss_grad(compose(lam))
    parts = [[[(full[j] * TAU[i][j] * (masks[j] == k)).sum() for k in range(3)] for j in range(4)] for i in range(2)]
    r = lambda a: np.asarray(a, float).round(9).tolist()
    return {"lambda": r(lam), "loss": round(float(loss), 9), "dlambda": r(g), "largest difference to finite differences": float(f"{np.abs(fd - g).max():.1e}"),
            "loss at 0": round(float(l0), 9), "dlambda at 0": r(g0), "blockwise choice at 0 with budget 1 (task vector per block)": np.abs(g0).argmax(0).tolist(),
            "whole-vector scores at 0 (L1 of the gradient)": r(np.abs(g0).sum(1)), "penalty L1": [round(float(penalty(lam, 1)[0]), 9), r(penalty(lam, 1)[1])],
            "penalty L2": [round(float(penalty(lam, 2)[0]), 9), r(penalty(lam, 2)[1])], "AdamW lr .1 wd .1 clip 1, five steps from 0: [loss before, lambda after]": traj,
            "K = 3 with mask (7 q + 3) mod 3 over the flat index q: dlambda[i][j][k]": r(parts)}


R = lambda a: np.round(np.asarray(a, float), 6).tolist()
base = {"0.w": np.array([[1., 2.], [3., 4.]]), "0.b": np.array([0., 1.]), "1.w": np.array([5., 5.])}
A = {"0.w": np.array([[1.3, 2.], [3., 4.4]]), "0.b": np.array([0., 1.]), "1.w": np.array([5., 5.1])}
B = {"0.w": np.array([[1.1, 2.2], [3., 4.]]), "0.b": np.array([0., 1.]), "1.w": np.array([4.7, 5.])}


def fuse(base, models, granularity, g):        # base, models: {"layer.tensor": array}
    out, weights = {}, {}
    norm = lambda v: np.sqrt((v ** 2).sum())
    groups = {"model": lambda n: "all", "layer": lambda n: n.split(".")[0], "tensor": lambda n: n}
    for n, b in base.items():
        D = np.stack([m[n] - b for m in models])
        if granularity == "element":
            a = np.abs(D)
        else:
            same = [k for k in base if groups[granularity](k) == groups[granularity](n)]
            a = np.array([norm(np.concatenate([(m[k] - base[k]).ravel() for k in same])) for m in models])
            a = a.reshape((-1,) + (1,) * b.ndim) * np.ones_like(D)
        a = a ** g if g else np.ones_like(a)   # g = 0: the plain soup, also where nothing moved
        t = a.sum(0)
        w = np.where(t > 0, a / np.where(t > 0, t, 1), 1 / len(models))
        weights[n], out[n] = R(w), R(b + (w * D).sum(0))
    return {"weights": weights, "merged": out}


def delta():
    small = lambda tensors: {k: R(v) for k, v in tensors.items()}
    cases = {f"{gr}_g{e}": fuse(base, [A, B], gr, e) for gr in ("model", "layer", "tensor", "element") for e in (1, 2)}
    return {"base": small(base), "a": small(A), "b": small(B), **cases, "soup_g0": fuse(base, [A, B], "model", 0)}


json.dump({"positions": positions, "atlas": atlas, "delta": delta}[sys.argv[1]](), sys.stdout, separators=(",", ":"))
