"""Golden values of the conflict methods, made by independent implementations.

Run: python xtask/parity/weightings.py > crates/polytask-weighting/tests/data/weightings.json
Made with Python 3.11, torch 2.15.0, torchjd 0.18.0, scipy 1.17.1, numpy 2.4.6.

- mgda: the minimum-norm point as a non-negative least-squares problem (scipy's active-set NNLS, exact up to
  rounding), cross-checked against TorchJD's Frank-Wolfe run to convergence where that converges.
- pcgrad: the published algorithm on the rows themselves in float64, with the orders written down; with two rows
  also TorchJD's PCGrad.
- uw: the published loss, weights from autograd, log variances learned by torch.optim.Adam.
"""

import json
import sys

import numpy as np
import torch
from scipy.optimize import nnls
from torchjd.aggregation import MGDA, PCGrad

RNG = np.random.default_rng(20)


def jacobians():
    """Ten random and eight degenerate Jacobians, exact in float32."""
    for k in range(10):
        m, d = [(2, 5), (3, 4), (3, 12), (4, 6), (4, 30), (5, 5), (6, 3), (6, 20), (8, 40), (8, 9)][k]
        scales = 10.0 ** RNG.uniform(-1, 1, (m, 1)) if k % 2 else 1.0
        yield f"random {m}x{d}, number {k}", RNG.normal(size=(m, d)) * scales
    a, b = RNG.normal(size=6), RNG.normal(size=6)
    yield "identical rows", np.stack([a, a, b])
    yield "opposite rows", np.stack([a, -2 * a])
    yield "opposite rows and another", np.stack([a, -a, b])
    yield "collinear rows", np.stack([a, 3 * a, 0.5 * a])
    yield "orthogonal rows", np.diag([1.0, 2.0, 4.0])
    yield "rank one with signs", np.outer([1.0, -1.0, 2.0, -3.0], a)
    yield "sizes 1e-2 and 1e2", np.stack([1e-2 * a, 1e2 * b])
    yield "nearly parallel rows", np.stack([a, a + 1e-3 * b, a - 1e-3 * b])


def as_float32(rows):
    return np.asarray(rows, dtype=np.float32).astype(np.float64)


def min_norm(rows):
    """min ||J^T w|| over the simplex: NNLS on [s J^T; k 1^T] w = [0; k], whose solution is a multiple of w."""
    scale = np.sqrt((rows**2).sum(1).min())
    system = np.vstack([rows.T / scale, np.ones((1, len(rows)))])
    target = np.concatenate([np.zeros(rows.shape[1]), [1.0]])
    w, _ = nnls(system, target, maxiter=100_000)
    w = w / w.sum()
    gradient = rows @ (rows.T @ w)
    gap = w @ gradient - gradient.min()
    assert gap <= 1e-10 * scale**2, gap
    return rows.T @ w


def torchjd_mgda(rows):
    return MGDA(epsilon=1e-15, max_iters=5_000)(torch.tensor(rows)).numpy()


def pcgrad(rows, orders):
    total = np.zeros(rows.shape[1])
    for i, order in enumerate(orders):
        v = rows[i].copy()
        for j in order:
            product = v @ rows[j]
            if product < 0:
                v -= product / (rows[j] @ rows[j]) * rows[j]
        total += v
    return total


def uw_steps(steps=12):
    """Weights of successive steps with LibMTL's start and Adam at 0.01."""
    s = torch.full((3,), -0.5, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([s], lr=0.01)
    out = []
    for _ in range(steps):
        losses = torch.tensor(RNG.uniform(0.05, 4.0, 3), requires_grad=True)
        adam.zero_grad()
        (losses / (2 * s.exp()) + s / 2).sum().backward()
        out.append((losses.tolist(), losses.grad.tolist()))
        adam.step()
    return out


def adam_values():
    s = torch.tensor([-0.5], dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([s], lr=0.01)
    values = []
    for gradient in (0.7, -0.2, 3.0):
        s.grad = torch.tensor([gradient], dtype=torch.float64)
        adam.step()
        values.append(s.item())
    return values


def main():
    out = {"pcgrad": [], "pcgrad_two": [], "mgda": [], "uw": []}
    for name, rows in jacobians():
        rows = as_float32(rows)
        case = {"name": name, "rows": rows.tolist()}
        exact = min_norm(rows)
        size = max(np.abs(exact).max(), np.sqrt((rows**2).sum(1).min()))
        peer = torchjd_mgda(rows)
        print(name, "torchjd - exact:", np.abs(peer - exact).max() / size, file=sys.stderr)
        # Ours is the shortest point of the hull: no peer's is shorter.
        assert np.linalg.norm(peer) >= np.linalg.norm(exact) - 1e-9 * size, name
        out["mgda"].append({**case, "expected": exact.tolist()})
        orders = [[int(j) for j in RNG.permutation(len(rows)) if j != i] for i in range(len(rows))]
        out["pcgrad"].append({**case, "orders": orders, "expected": pcgrad(rows, orders).tolist()})
        if len(rows) == 2:
            out["pcgrad_two"].append({**case, "expected": PCGrad()(torch.tensor(rows)).tolist()})
    for k in range(6):
        rows = as_float32(RNG.normal(size=(2, 4 + k)))
        case = {"name": f"two rows, number {k}", "rows": rows.tolist()}
        out["pcgrad_two"].append({**case, "expected": PCGrad()(torch.tensor(rows)).tolist()})
    out["uw"] = uw_steps()
    print("adam", adam_values(), file=sys.stderr)
    json.dump(out, sys.stdout)
    print()


main()
