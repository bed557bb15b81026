"""Golden values of the Gramian weightings, made by independent implementations.

Run: python xtask/parity/gramian_weightings.py LIBMTL > crates/polytask-weighting/tests/data/gramian_weightings.json
where LIBMTL is a checkout of LibMTL (its folder LibMTL is imported for cross-checks).
Made with Python 3.11, torch 2.15.0, torchjd 0.18.0, scipy 1.17.1, numpy 2.4.6, mpmath, LibMTL 4336804.

Every weighting is asked about the same Jacobians, 20 random and 16 degenerate ones, exact in float32. A direction is
null where the method has none that is unique (see each header in crates/polytask-weighting/src/weightings).

- aligned-mtl: from the singular value decomposition of the rows; cross-checked against TorchJD's AlignedMTL times the
  number of tasks (mean to sum), where its cut in float64 keeps as many eigenvalues as that of float32.
- cagrad: the paper's dual, by SLSQP from several starts and Newton on the active set, accepted only when the gap
  between primal and dual values proves it; cross-checked against TorchJD.
- dualproj, upgrad: TorchJD in float64 with quadprog and norm_eps 0.
- fairgrad, nash-mtl: the equation G w = w^(-1/alpha) by Newton in 60 digits (mpmath), with a linear program to find
  out where gradients cancel and no solution exists; cross-checked against TorchJD's Nash-MTL.
- imtl-g: from the singular value decomposition of the unit gradients; cross-checked against TorchJD where the rows
  are independent.
- krum: the paper's squared distances between rows; cross-checked against TorchJD where its choice is the same.
- ntkmtl: the published rule; ntkmtl-sr: kernels of mini-batch losses by autograd, eigenvalues by numpy.
- gradvac, imtl, random: successive steps of the published algorithms with the orders, losses and draws written down;
  cross-checked against LibMTL (gradvac, imtl) and TorchJD (random).
"""

import importlib
import json
import random
import sys
import types

import mpmath as mp
import numpy as np
import torch
from scipy.optimize import linprog, minimize
from torchjd import aggregation as jd
from torchjd.linalg import QuadprogProjector

RNG = np.random.default_rng(31)
mp.mp.dps = 60


def short(values):
    """Multiples of 1/256: short in JSON and exact in float32."""
    return np.round(np.asarray(values) * 256) / 256


def jacobians():
    shapes = [(2, 3), (3, 5), (4, 6), (5, 9), (6, 8), (7, 12), (8, 16), (2, 16), (3, 3), (4, 4),
              (5, 6), (6, 16), (7, 9), (8, 10), (2, 2), (3, 12), (4, 12), (5, 12), (6, 6), (8, 24)]
    for k, (m, d) in enumerate(shapes):
        scales = 2.0 ** RNG.integers(-3, 4, (m, 1)) if k % 2 else 1.0
        yield f"random {m}x{d}, number {k}", short(RNG.normal(size=(m, d))) * scales
    a, b, c = short(RNG.normal(size=(3, 6)))
    yield "identical rows", np.stack([a, a, b])
    yield "opposite rows", np.stack([a, -2 * a])
    yield "opposite rows and another", np.stack([a, -a, b])
    yield "rank one", np.outer([1.0, 2.0, 0.5], a)
    yield "rank one with signs", np.outer([1.0, -1.0, 2.0, -3.0], a)
    yield "orthogonal rows", np.diag([1.0, 2.0, 4.0])
    yield "two orthogonal rows of one length", np.array([[1.0, 1.0, 0.0], [1.0, -1.0, 0.0]])
    yield "one row dominates", np.stack([1000 * a, b, c])
    yield "size 1e-8", 1e-8 * np.stack([a, b, c])
    yield "size 1e8", 1e8 * np.stack([a, b, c])
    yield "sizes 1e-3 to 1e3", np.stack([1e-3 * a, b, 1e3 * c])
    yield "nearly parallel rows", np.stack([a, a + b / 128, a - c / 128])
    yield "integers", np.array([[3.0, 0, 0], [1, 2, 2], [-1, 4, -2]])
    half = short(RNG.normal(size=(8, 2)))
    half[:, 0] = np.abs(half[:, 0]) + 0.5
    yield "eight rows in half a plane", half
    yield "more rows than columns around zero", short(RNG.normal(size=(7, 2)))
    yield "a conflict of two", np.array([[1.0, 0.0], [-1.0, 0.5]])


def as_float32(rows):
    return np.asarray(rows, dtype=np.float32).astype(np.float64)


def tensor(rows):
    return torch.tensor(rows, dtype=torch.float64)


def cancels(rows):
    """Whether a combination with weights >= 0, not all 0, is zero."""
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    found = linprog(np.zeros(len(rows)), A_eq=np.vstack([units.T, np.ones(len(rows))]),
                    b_eq=np.append(np.zeros(rows.shape[1]), 1.0), method="highs")
    return found.status == 0


def report(what, name, error, most=None):
    """Prints how far a peer's direction is from ours; more than `most` ends the program."""
    print(f"{what:12} {name:40} {error:.1e}", file=sys.stderr)
    assert most is None or error <= most, (what, name, error)


def apart(found, expected):
    return np.abs(np.asarray(found) - expected).max() / np.abs(expected).max()


# --- CAGrad ---

def cagrad(rows, c):
    """Direction before rescaling, or None where the best g_w is zero."""
    m = len(rows)
    scale = np.linalg.norm(rows)
    gram = rows @ rows.T / scale**2
    g0 = gram.mean(1)
    c_norm = c * np.sqrt(gram.mean())
    if c == 0 or c_norm < 1e-12:
        return rows.mean(0) if c == 0 else None

    def value(w):
        return g0 @ w + c_norm * np.sqrt(max(w @ gram @ w, 0.0))

    def slope(w):
        return g0 + c_norm * gram @ w / np.sqrt(max(w @ gram @ w, 1e-300))

    best = None
    starts = [np.ones(m) / m] + [0.9 * np.eye(m)[i] + 0.1 / m for i in range(m)] + list(RNG.dirichlet(np.ones(m), 10))
    for start in starts:
        found = minimize(value, start, jac=slope, bounds=[(0, 1)] * m, method="SLSQP",
                         constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(m)},
                         options={"ftol": 1e-16, "maxiter": 2000}).x
        found = np.maximum(found, 0)
        for w in polish(found / found.sum(), gram, g0, c_norm):
            if best is None or gap(rows, w, c) < gap(rows, best, c):
                best = w
    if best @ gram @ best < 1e-10 or gap(rows, best, c) > 1e-9:
        assert best @ gram @ best < 1e-6, (gap(rows, best, c), best)
        return None
    gw = rows.T @ best
    return rows.mean(0) + c * np.linalg.norm(rows.mean(0)) * gw / np.linalg.norm(gw)


def polish(w, gram, g0, c_norm):
    """Newton on the stationarity of the active tasks, for several guesses of which they are."""
    yield w
    for bar in (1e-3, 1e-5, 1e-7):
        active = np.where(w > bar)[0]
        v = w[active] / w[active].sum()
        g, b = gram[np.ix_(active, active)], g0[active]
        for _ in range(50):
            square = v @ g @ v
            if not square > 1e-18:
                break
            norm = np.sqrt(square)
            grad = b + c_norm * g @ v / norm
            hess = c_norm * (g / norm - np.outer(g @ v, g @ v) / norm**3)
            k = len(active)
            if not np.isfinite(hess).all():
                break
            system = np.block([[hess, np.ones((k, 1))], [np.ones((1, k)), np.zeros((1, 1))]])
            step = np.linalg.lstsq(system, np.append(-grad, 0.0), rcond=1e-13)[0][:k]
            v = v + step
        if np.isfinite(v).all() and (v >= 0).all():
            full = np.zeros(len(w))
            full[active] = v / v.sum()
            yield full


def gap(rows, w, c):
    """Dual less primal value, as a share of the shortest row times the direction."""
    g0, gw = rows.mean(0), rows.T @ w
    c_norm = c * np.linalg.norm(g0)
    if np.linalg.norm(gw) == 0:
        return np.inf
    d = g0 + c_norm * gw / np.linalg.norm(gw)
    shortest = np.linalg.norm(rows, axis=1).min()
    return (w @ (rows @ d) - (rows @ d).min()) / (shortest * np.linalg.norm(d))


# --- FairGrad, Nash-MTL ---

def fair(rows, alpha):
    """w with G w = w^(-1/alpha), or None where gradients cancel."""
    if cancels(rows):
        return None
    m, p = len(rows), mp.mpf(1) / mp.mpf(alpha)
    exact = mp.matrix(rows.tolist())
    gram = exact * exact.T
    x = mp.matrix([gram[i, i] ** (-1 / (1 + p)) for i in range(m)])

    def value(x):
        barrier = sum(mp.log(v) if p == 1 else v ** (1 - p) / (1 - p) for v in x)
        return (x.T * gram * x)[0] / 2 - barrier

    for _ in range(400):
        slope = gram * x - mp.matrix([v ** (-p) for v in x])
        if max(abs(s * v**p) for s, v in zip(slope, x)) < mp.mpf(10) ** -30:
            return np.array([float(v) for v in x])
        hess = gram + mp.diag([p * v ** (-p - 1) for v in x])
        step = mp.lu_solve(hess, -slope)
        t = mp.mpf(1)
        while min(v + t * s for v, s in zip(x, step)) <= 0 or value(x + t * step) > value(x) + (slope.T * step)[0] * t / 10000:
            t /= 2
            if t < mp.mpf(10) ** -40:
                break
        x = x + t * step
    raise AssertionError("no convergence")


# --- IMTL ---

def imtl_g(rows, cut=1e-12):
    """Weights; zeros where they would sum to zero."""
    norms = np.linalg.norm(rows, axis=1)
    u, s, _ = np.linalg.svd(rows / norms[:, None], full_matrices=False)
    keep = s**2 > cut * len(rows) * s[0] ** 2
    units = u[:, keep] @ ((u[:, keep].T @ np.ones(len(rows))) / s[keep] ** 2)
    if np.abs(units).max() < 1e-9:
        return np.zeros(len(rows))
    v = units / norms
    return np.zeros(len(rows)) if abs(v.sum()) <= 1e-10 * np.abs(v).sum() else v / v.sum()


def imtl_steps(libmtl, steps=8):
    """LibMTL's IMTL on given gradients, its scales learned by Adam at 0.01."""
    class Given(libmtl["IMTL"]):
        def __init__(self):
            torch.nn.Module.__init__(self)
            self.task_num, self.device, self.rep_grad = 3, "cpu", False
            self.init_param()
            self.double()

        def _get_grads(self, losses, mode):
            return (self.loss_scale.exp()[:, None] * self.rows).detach()

        def _backward_new_grads(self, alpha, grads):
            self.direction = (alpha[:, None] * grads).sum(0)

    method = Given()
    adam = torch.optim.Adam([method.loss_scale], lr=0.01)
    out = []
    for _ in range(steps):
        rows = short(RNG.normal(size=(3, 5)))
        method.rows = tensor(rows)
        losses = tensor(RNG.uniform(0.05, 4.0, 3))
        method.backward(losses)
        heads = method.loss_scale.exp().detach()
        adam.zero_grad()
        (method.loss_scale.exp() * losses - method.loss_scale).sum().backward()
        adam.step()
        out.append({"name": "step", "rows": rows.tolist(), "losses": losses.tolist(), "heads": heads.tolist(),
                    "expected": method.direction.tolist()})
    return out


# --- Aligned-MTL ---

def aligned_checked(name, rows, mode):
    """Sum of the aligned gradients, by singular values of the rows; the cut is that of float32."""
    u, s, _ = np.linalg.svd(rows, full_matrices=False)
    bar = len(rows) * np.finfo(np.float32).eps * s[0] ** 2
    kept = s**2 > bar
    same_rank = kept.sum() == (s**2 > len(rows) * np.finfo(np.float64).eps * s[0] ** 2).sum()
    u, values = u[:, kept], s[kept] ** 2
    scale = {"min": values[-1], "median": np.sort(values)[(len(values) - 1) // 2], "rmse": values.mean()}[mode]
    direction = rows.T @ (u @ (np.sqrt(scale / values) * (u.T @ np.ones(len(rows)))))
    if same_rank and np.abs(direction).max() > 1e-9 * s[0]:
        peer = len(rows) * jd.AlignedMTL(scale_mode=mode)(tensor(rows)).numpy()
        report("aligned-mtl", f"{name}, TorchJD", apart(peer, direction), 1e-9)
    return direction


# --- Krum ---

def krum(rows, n_byzantine, n_selected):
    m = len(rows)
    neighbours, n_selected = max(m - n_byzantine - 2, 1), min(n_selected, m)
    distances = ((rows[:, None] - rows[None]) ** 2).sum(2)
    scores = np.array([np.sort(np.delete(distances[i], i))[:neighbours].sum() for i in range(m)])
    bar = np.sort(scores)[n_selected - 1]
    tied = np.abs(scores - bar) <= 1e-10 * scores.max()
    below = (scores < bar) & ~tied
    return (below + tied * (n_selected - below.sum()) / tied.sum()) / n_selected


# --- GradVac ---

def gradvac_steps(libmtl, beta=0.5, steps=10):
    class Given(libmtl["GradVac"]):
        def __init__(self):
            torch.nn.Module.__init__(self)
            self.task_num, self.device, self.rep_grad = 3, "cpu", False
            self.init_param()

        def _init_rho(self, group_type):
            self.k_idx = [-1]
            self.rho_T = torch.zeros(3, 3, 1, dtype=torch.float64)

        def _compute_grad_dim(self):
            pass

        def _compute_grad(self, losses, mode):
            return self.rows

        def _reset_grad(self, new_grads):
            self.direction = new_grads

    method, rho, out = Given(), np.zeros((3, 3)), []
    base = RNG.normal(size=7)
    for step in range(steps):
        # Tasks that agree on the whole, and now and then do not.
        rows = as_float32(short(base + (0.5 if step % 3 else 1.5) * RNG.normal(size=(3, 7))))
        orders = [[int(j) for j in RNG.permutation(3) if j != i] for i in range(3)]
        total = np.zeros(7)
        for i, order in enumerate(orders):
            v = rows[i].copy()
            for j in order:
                phi = v @ rows[j] / np.linalg.norm(v) / np.linalg.norm(rows[j])
                if phi < rho[i, j]:
                    root = np.sqrt(1 - rho[i, j] ** 2)
                    lift = rho[i, j] * np.sqrt(1 - phi**2) - phi * root
                    v = v + rows[j] * np.linalg.norm(v) * lift / (np.linalg.norm(rows[j]) * root)
                rho[i, j] = (1 - beta) * rho[i, j] + beta * phi
            total += v
        queue = iter(orders)
        shuffle, random.shuffle = random.shuffle, lambda tasks: tasks.__setitem__(slice(None), next(queue))
        method.rows = tensor(rows)
        method.backward([0, 0, 0], GradVac_beta=beta, GradVac_group_type=0)
        random.shuffle = shuffle
        report("gradvac", f"step {step}, LibMTL", apart(method.direction.numpy(), total), 1e-7)
        out.append({"name": f"step {step}", "rows": rows.tolist(), "orders": orders, "expected": total.tolist()})
    return out


# --- Random, NTKMTL-SR ---

def random_steps():
    out = []
    for seed, m in enumerate((2, 3, 5, 8)):
        rows = short(RNG.normal(size=(m, 4)))
        torch.manual_seed(seed)
        draws = torch.randn(m, dtype=torch.float64)
        torch.manual_seed(seed)
        expected = jd.Random()(tensor(rows))
        out.append({"name": f"seed {seed}", "rows": rows.tolist(), "draws": draws.tolist(),
                    "expected": expected.tolist()})
    return out


def ntkmtl_sr_steps():
    """Kernels of the mini-batch losses by autograd, for tasks on samples of their own and shared ones."""
    out = []
    for parts in (1, 2, 4):
        n_samples, width = 12, 3
        z = tensor(RNG.normal(size=(n_samples, width))).requires_grad_()
        own = [list(range(0, 12)), list(range(0, 7)), list(range(5, 12))]
        heads = [tensor(RNG.normal(size=width)) * s for s in (1.0, 5.0, 0.2)]
        rows, weights = [], []
        for samples, head in zip(own, heads):
            loss = lambda batch: ((z[batch] @ head - 1) ** 2).mean()
            rows.append(torch.autograd.grad(loss(samples), z)[0].flatten())
            size = -(-len(samples) // parts)
            batches = [samples[k:k + size] for k in range(0, len(samples), size)]
            jac = torch.stack([torch.autograd.grad(loss(batch), z)[0].flatten() for batch in batches])
            weights.append(np.linalg.eigvalsh((jac @ jac.T).numpy())[-1])
        weights = np.sqrt(np.mean(weights) / np.array(weights))
        rows = as_float32(torch.stack(rows).numpy())
        starts = [width * k for k in range(n_samples + 1)]
        out.append({"name": f"{parts} parts", "rows": rows.tolist(), "samples": starts, "parts": parts,
                    "expected": (rows.T @ weights).tolist()})
    return out


# --- All ---

def cagrad_checked(name, rows, c):
    found = cagrad(rows, c)
    if found is not None:
        # TorchJD keeps its norm_eps of 1e-4 also for small gradients, so it sees them at size 1.
        size = np.linalg.norm(rows)
        peer = jd.CAGrad(c=c)(tensor(rows / size)).numpy() * size
        report("cagrad", f"{name}, TorchJD", apart(peer, found), 1e-3)
    return found


def imtl_g_checked(name, rows):
    w = imtl_g(rows)
    if np.linalg.matrix_rank(rows, tol=1e-5 * np.linalg.norm(rows, axis=1).min()) == len(rows):
        report("imtl-g", f"{name}, TorchJD", apart(jd.IMTLG()(tensor(rows)).numpy(), rows.T @ w), 1e-9)
    return rows.T @ w


def nash_checked(name, rows, max_norm):
    w = fair(rows, 1.0)
    if w is None:
        return None
    # The equation itself; TorchJD stops after 20 iterations, often short of it.
    assert np.allclose(rows @ (rows.T @ w) * w, 1.0, rtol=1e-6), (name, w)
    d = rows.T @ w
    norm = np.linalg.norm(d)
    d = d * max_norm / norm if 0 < max_norm < norm else d
    if max_norm == 1.0:
        report("nash-mtl", f"{name}, TorchJD", apart(jd.NashMTL(n_tasks=len(rows))(tensor(rows)).numpy(), d))
    return d


def krum_checked(name, rows, n_byzantine, n_selected):
    w = krum(rows, n_byzantine, n_selected)
    if len(rows) >= max(n_byzantine + 3, n_selected):
        peer = jd.Krum(n_byzantine, n_selected)(tensor(rows)).numpy()
        report("krum", f"{name}, TorchJD (distances not squared)", apart(peer, rows.T @ w))
    return rows.T @ w


def fair_direction(rows, alpha):
    w = fair(rows, alpha)
    return None if w is None else rows.T @ w


def settings():
    """(choice, direction of a named Jacobian)."""
    for mode in ("min", "median", "rmse"):
        yield {"name": "aligned-mtl", "scale_mode": mode}, lambda n, r, mode=mode: aligned_checked(n, r, mode)
    for c, rescale in ((0.5, "none"), (0.4, "1+c2"), (2.0, "1+c")):
        divisor = {"none": 1, "1+c2": 1 + c * c, "1+c": 1 + c}[rescale]

        def direction(name, rows, c=c, divisor=divisor):
            found = cagrad_checked(name, rows, c)
            return None if found is None else found / divisor

        yield {"name": "cagrad", "c": c, "rescale": rescale}, direction
    projector = QuadprogProjector(norm_eps=0.0, reg_eps=1e-4)
    yield {"name": "dualproj"}, lambda _, r: jd.DualProj(projector=projector)(tensor(r)).numpy()
    yield {"name": "upgrad"}, lambda _, r: jd.UPGrad(projector=projector)(tensor(r)).numpy()
    for alpha in (0.5, 1.0, 2.0, 5.0):
        yield {"name": "fairgrad", "alpha": alpha}, lambda _, r, alpha=alpha: fair_direction(r, alpha)
    for max_norm in (0.0, 1.0):
        yield {"name": "nash-mtl", "max_norm": max_norm}, lambda n, r, top=max_norm: nash_checked(n, r, top)
    yield {"name": "imtl-g"}, imtl_g_checked
    for f, s in ((1, 1), (0, 2), (2, 3)):
        yield {"name": "krum", "n_byzantine": f, "n_selected": s}, lambda n, r, f=f, s=s: krum_checked(n, r, f, s)
    for exponent in (0.5, 0.75):

        def direction(_, rows, exponent=exponent):
            top = np.array([np.linalg.eigvalsh(row[None] @ row[:, None])[-1] for row in rows])
            return rows.T @ (top.mean() / top) ** exponent

        yield {"name": "ntkmtl", "exponent": exponent}, direction


def libmtl_weighting(folder, name):
    """A weighting's class, without what the packages around it import."""
    for package in ("LibMTL", "LibMTL.weighting"):
        module = types.ModuleType(package)
        module.__path__ = [f"{folder}/{package.replace('.', '/')}"]
        sys.modules.setdefault(package, module)
    return getattr(importlib.import_module(f"LibMTL.weighting.{name}"), name)


def main():
    libmtl = {name: libmtl_weighting(sys.argv[1], name) for name in ("GradVac", "IMTL")}
    all_rows = [(name, as_float32(rows)) for name, rows in jacobians()]
    names = {"jacobians": [{"name": n, "rows": np.float32(r).tolist()} for n, r in all_rows]}
    directions = []
    for choice, direction in settings():
        found = [direction(name, rows) for name, rows in all_rows]
        directions.append({"choice": choice, "expected": [None if f is None else np.asarray(f).tolist() for f in found]})
    steps = {"gradvac": gradvac_steps(libmtl), "imtl": imtl_steps(libmtl), "random": random_steps(),
             "ntkmtl-sr": ntkmtl_sr_steps()}
    out = {**names, "directions": directions, "steps": steps}
    text = json.dumps(out, default=float)
    print(shorten(text))


def shorten(text):
    """Numbers with 12 digits are enough for 1e-6; rows stay exact."""
    out = json.loads(text)

    def cut(x):
        return [cut(v) for v in x] if isinstance(x, list) else None if x is None else float(f"{x:.12g}")

    for setting in out["directions"]:
        setting["expected"] = cut(setting["expected"])
    out["jacobians"] = [{**j, "rows": [[float(f"{v:.9g}") for v in row] for row in j["rows"]]} for j in out["jacobians"]]
    return json.dumps(out)


main()
