"""Golden values of the aggregators and of the sharpness-aware methods, made by independent implementations.

Run: python xtask/parity/aggregators.py LIBMTL > crates/polytask-weighting/tests/data/aggregators.json
LIBMTL is an unpacked LibMTL (commit 4336804). Made with Python 3.11, torch 2.15.0, torchjd 0.18.0, scipy 1.17.1,
numpy 2.4.6.

- graddrop, config, trimmed mean: TorchJD in float64 (graddrop with the uniform draws written down; config as a
  pseudo-inverse cut off at float32's rounding, held against TorchJD).
- moco, modo, sdmgrad, db-mtl: the rules of LibMTL run on Jacobians that are given to them; modo and sdmgrad see the
  Jacobians of three batches.
- flat, sam, samo: written here from the papers' algorithms, gradients by autograd in float64, on a model of two trunk
  tensors and one head per task whose losses are polynomials of fourth degree. Inner methods: sum, min-norm by
  non-negative least squares (MGDA), PCGrad of two rows, CAGrad by convex optimisation to convergence.

Rows with a zero gradient are dropped first, as polytask does.
"""

import importlib.util
import json
import sys
import types
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import minimize, nnls
from torchjd.aggregation import ConFIG, GradDrop, TrimmedMean

RNG = np.random.default_rng(31)
torch.set_default_dtype(torch.float64)


def exact(values):
    """Rounded to float32, as the program's inputs are."""
    return np.asarray(values, dtype=np.float32).astype(np.float64)


def jacobians():
    """Twenty random and ten degenerate Jacobians, exact in float32."""
    shapes = [(2, 5), (3, 4), (3, 12), (4, 6), (4, 16), (5, 5), (6, 3), (6, 12), (2, 2), (3, 9)]
    for k in range(20):
        m, d = shapes[k % 10]
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
    yield "a zero row", np.stack([a, 0 * a, b])
    yield "zero columns", np.stack([a, b]) * np.array([1, 0, 1, 0, 1, 1])


# ---- TorchJD ----


def graddrop(rows, leak):
    """TorchJD's GradDrop with its draws written down."""
    draws = exact(RNG.uniform(size=rows.shape[1]))
    keep, torch.rand = torch.rand, lambda *_args, **_kwargs: torch.tensor(draws)
    try:
        direction = GradDrop(leak=None if leak is None else torch.tensor(leak))(torch.tensor(rows))
    finally:
        torch.rand = keep
    # A column of zeros is 0 / 0 there; it has no sign to pick.
    return draws.tolist(), np.nan_to_num(direction.numpy()).tolist()


def config(rows):
    """ConFIG with singular values below 1e-6 of the largest cut off: the rows are rounded to float32. TorchJD cuts at
    the rounding of float64, and agrees wherever no singular value lies between."""
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    singular = np.linalg.svd(units, compute_uv=False)
    v = np.linalg.pinv(units, rcond=1e-6) @ np.ones(len(rows))
    length = np.linalg.norm(v)
    direction = 0 * v if length < 1e-9 else (rows @ v).sum() * v / length**2
    between = singular[(singular < 1e-6 * singular[0]) & (singular > 1e-14 * singular[0])]
    if len(between) == 0:
        size = max(np.abs(direction).max(), np.linalg.norm(rows, axis=1).min())
        apart = np.abs(ConFIG()(torch.tensor(rows)).numpy() - direction).max() / size
        assert apart < 1e-6, apart
    return direction.tolist()


def of_torchjd():
    cases, out = [], {"graddrop": [], "graddrop_leak": [], "config": [], "trimmed_mean": []}
    for name, rows in jacobians():
        rows = exact(rows)
        cases.append({"name": name, "rows": rows.tolist()})
        rows = rows[np.abs(rows).sum(1) > 0]
        draws, expected = graddrop(rows, None)
        out["graddrop"].append({"draws": draws, "expected": expected})
        leak = exact(RNG.uniform(size=len(rows))).tolist()
        draws, expected = graddrop(rows, leak)
        out["graddrop_leak"].append({"leak": leak, "draws": draws, "expected": expected})
        out["config"].append(config(rows))
        trim = min(1 + len(rows) // 5, (len(rows) - 1) // 2)
        expected = TrimmedMean(trim)(torch.tensor(rows)).tolist()
        out["trimmed_mean"].append({"trim": trim, "expected": expected})
    return {"jacobians": cases, **out}


# ---- LibMTL ----


class Given:
    """Stands in for LibMTL's base class: hands out gradients of given losses and keeps the direction."""

    rep_grad = False
    device = "cpu"
    decoders: dict = {}

    def _compute_grad_dim(self):
        pass

    def _compute_grad(self, losses, mode):
        rows = [torch.autograd.grad(loss, self.theta, retain_graph=True)[0] for loss in losses]
        return torch.stack(rows)

    _get_grads = _compute_grad

    def _reset_grad(self, direction):
        self.direction = direction

    def _backward_new_grads(self, weights, grads):
        self.direction = weights @ grads


def libmtl(folder, name, n_tasks, d, **attributes):
    """A fresh method of LibMTL, without the trainer around it."""
    np.alltrue = np.all  # removed from numpy 2
    base = types.ModuleType("LibMTL.weighting.abstract_weighting")
    base.AbsWeighting = Given
    sys.modules[base.__name__] = base
    sys.modules.setdefault("LibMTL", types.ModuleType("LibMTL"))
    sys.modules.setdefault("LibMTL.weighting", types.ModuleType("LibMTL.weighting"))
    spec = importlib.util.spec_from_file_location(name, Path(folder) / "LibMTL" / "weighting" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    method = getattr(module, name)()
    method.task_num, method.grad_dim = n_tasks, d
    method.theta = torch.zeros(d, requires_grad=True)
    method.init_param()
    return method


def losses_with(method, rows, values):
    """Losses of these values and gradients, as a graph."""
    return torch.tensor(values) + torch.tensor(rows) @ method.theta


def sequences(batches):
    """Random sequences of Jacobians and losses: (name, [steps][batches] rows, [steps] losses)."""
    for k, (m, d) in enumerate([(2, 4), (3, 6), (4, 9), (5, 3)]):
        common = RNG.normal(size=(m, d))
        noise = lambda: exact(common + 0.7 * RNG.normal(size=(m, d)))  # noqa: E731
        steps = [[noise() for _ in range(batches)] for _ in range(5)]
        yield f"{m}x{d}, number {k}", steps, [exact(RNG.uniform(0.2, 3.0, m)) for _ in steps]


def own_last(name, rows):
    return rows[1:] + rows[:1] if name == "SDMGrad" else rows


def of_libmtl(folder):
    settings = {
        "MoCo": (1, {"MoCo_beta": 0.5, "MoCo_beta_sigma": 0.5, "MoCo_gamma": 0.1, "MoCo_gamma_sigma": 0.5, "MoCo_rho": 0.0}),
        "DB_MTL": (1, {"DB_beta": 0.9, "DB_beta_sigma": 0.5}),
        "MoDo": (3, {"MoDo_gamma": 1e-3, "MoDo_rho": 0.1}),
        "SDMGrad": (3, {"SDMGrad_lamda": 0.3, "SDMGrad_niter": 20}),
    }
    out = {}
    for name, (batches, kwargs) in settings.items():
        cases = []
        for title, steps, losses in sequences(batches):
            method = libmtl(folder, name, *steps[0][0].shape)
            expected = []
            for rows, values in zip(steps, losses):
                each = [losses_with(method, r, values) for r in rows]
                method.backward(each[0] if batches == 1 else each, **kwargs)
                expected.append(method.direction.detach().tolist())
            cases.append(
                {
                    "name": title,
                    # The batch the direction is of comes last.
                    "steps": [[r.tolist() for r in own_last(name, rows)] for rows in steps],
                    "losses": [v.tolist() for v in losses],
                    "expected": expected,
                }
            )
        out[name.lower()] = cases
    return out


# ---- Inner methods ----


def equal(rows):
    return rows.sum(0)


def min_norm(rows):
    """min ||J^T w|| over the simplex, by non-negative least squares."""
    scale = np.sqrt((rows**2).sum(1).min())
    system = np.vstack([rows.T / scale, np.ones((1, len(rows)))])
    w, _ = nnls(system, np.concatenate([np.zeros(rows.shape[1]), [1.0]]), maxiter=100_000)
    w = w / w.sum()
    gradient = rows @ (rows.T @ w)
    assert w @ gradient - gradient.min() <= 1e-10 * scale**2
    return rows.T @ w


def pcgrad(rows):
    assert len(rows) == 2, "with more rows the order counts"
    total = np.zeros(rows.shape[1])
    for i, j in ((0, 1), (1, 0)):
        product = rows[i] @ rows[j]
        total += rows[i] - (min(product, 0.0) / (rows[j] @ rows[j])) * rows[j]
    return total


def cagrad(rows, c=0.4):
    """CAGrad with its second rescaling, g / (1 + c^2): the weights by convex optimisation from every corner."""
    m = len(rows)
    gramian = rows @ rows.T
    size = np.trace(gramian) / m
    gramian = gramian / size
    mean = np.full(m, 1 / m)
    radius = c * np.sqrt(mean @ gramian @ mean)
    value = lambda w: w @ gramian @ mean + radius * np.sqrt(max(w @ gramian @ w, 1e-300))  # noqa: E731
    slope = lambda w: gramian @ mean + radius * gramian @ w / np.sqrt(max(w @ gramian @ w, 1e-300))  # noqa: E731
    starts = [mean, *(0.9 * np.eye(m)[i] + 0.1 * mean for i in range(m))]
    simplex = {"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(m)}
    options = {"maxiter": 10_000, "ftol": 1e-16}
    found = [
        minimize(value, s, jac=slope, bounds=[(0, 1)] * m, constraints=simplex, method="SLSQP", options=options).x
        for s in starts
    ]
    w = min(found, key=value)
    w = refine(w, slope)
    along = rows.T @ w
    norm = np.sqrt(along @ along)
    return (rows.mean(0) + radius * np.sqrt(size) * along / norm) / (1 + c * c)


def refine(w, slope):
    """Projected gradient steps with a step that shrinks until the optimality condition holds tightly."""
    step = 0.5
    for _ in range(20_000):
        s = slope(w)
        if w @ s - s.min() <= 1e-13:
            break
        new = project(w - step * s)
        if np.abs(new - w).max() < 1e-15:
            break
        if new @ slope(new) - slope(new).min() > w @ s - s.min():
            step *= 0.7
        w = new
    return w


def project(v):
    u = np.sort(v)[::-1]
    c = np.cumsum(u) - 1
    k = np.nonzero(u * np.arange(1, len(v) + 1) > c)[0][-1]
    return np.maximum(v - c[k] / (k + 1), 0)


def min_norm_of_units(rows):
    """The F-MGDA of FS-MTL's scripts for NYUv2 and Cityscapes: the rows made unit vectors, and the result times their number."""
    return len(rows) * min_norm(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def drop_zeros(method):
    """A method that never sees a zero row, and passes a lone row through."""

    def called(rows):
        rows = rows[np.abs(rows).sum(1) > 0]
        if len(rows) == 0:
            return np.zeros(rows.shape[1])
        return rows[0] if len(rows) == 1 else method(rows)

    return called


INNER = {
    "equal": ("equal", drop_zeros(equal), False),
    "mgda": ({"name": "mgda", "tolerance": 1e-14, "max_iterations": 1_000_000}, drop_zeros(min_norm), False),
    "pcgrad": ("pcgrad", drop_zeros(pcgrad), True),
    "cagrad": ({"name": "cagrad", "c": 0.4}, drop_zeros(cagrad), False),
}


# ---- The model of the sharpness-aware methods ----


class Model:
    """Two trunk tensors and one head per task; each loss is a polynomial of fourth degree."""

    def __init__(self, m, sizes=(3, 2), d_head=2):
        d = sum(sizes)
        self.sizes = sizes
        square = lambda n: RNG.normal(size=(n, n))  # noqa: E731
        self.theta = exact(RNG.normal(size=d))
        self.heads = exact(RNG.normal(size=(m, d_head)))
        self.quadratic = exact([q @ q.T * 0.3 + q * 0 for q in (square(d) for _ in range(m))])
        self.linear = exact(RNG.normal(size=(m, d)))
        self.quartic = exact(RNG.uniform(0, 0.3, size=(m, d)))
        self.mixed = exact(RNG.normal(size=(m, d, d_head)) * 0.5)
        self.of_head = exact(RNG.uniform(0.5, 2, size=(m, d_head)))

    def json(self):
        fields = ("theta", "heads", "quadratic", "linear", "quartic", "mixed", "of_head")
        return {"sizes": self.sizes, **{field: getattr(self, field).tolist() for field in fields}}

    def loss(self, i, theta, head):
        t = torch.tensor
        return (
            5.0
            + theta @ t(self.quadratic[i]) @ theta / 2
            + t(self.linear[i]) @ theta
            + (t(self.quartic[i]) * theta**4).sum() / 4
            + theta @ t(self.mixed[i]) @ head
            + (t(self.of_head[i]) * head**2).sum() / 2
        )

    def gradients(self, i, theta, head):
        theta, head = torch.tensor(theta, requires_grad=True), torch.tensor(head, requires_grad=True)
        loss = self.loss(i, theta, head)
        shared, own = torch.autograd.grad(loss, (theta, head))
        return loss.item(), shared.numpy(), own.numpy()

    def all(self):
        return [self.gradients(i, self.theta, self.heads[i]) for i in range(len(self.heads))]


def ascent(theta, gradient, adaptive):
    """The direction e before it has its length, and the vector whose norm gives it."""
    return (theta**2 * gradient, np.abs(theta) * gradient) if adaptive else (gradient, gradient)


def flat(model, inner, rho, rho_heads, adaptive, joint, variant, fixed):
    """Algorithm 1 and its ablations; `fixed` are trunk entries that stay."""
    plain, perturbed, heads, sharpness = [], [], [], []
    for i, (loss, g, h) in enumerate(model.all()):
        masked = np.where(fixed, 0.0, g)
        trunk, trunk_measure = ascent(model.theta, masked, adaptive)
        head, head_measure = ascent(model.heads[i], h, adaptive)
        norms = [np.linalg.norm(trunk_measure), np.linalg.norm(head_measure)]
        if joint:
            norms = [np.hypot(*norms)] * 2
        there = model.gradients(i, model.theta + rho * trunk / norms[0], model.heads[i] + rho_heads * head / norms[1])
        plain.append(g)
        perturbed.append(there[1])
        heads.append(there[2])
        sharpness.append(there[0] - loss)
    g, s = np.array(plain), np.array(perturbed)
    f = s - g
    trunk = {
        "separate": lambda: inner(g) + inner(f),
        "direct": lambda: inner(s),
        "second": lambda: inner(np.stack([inner(g), inner(f)])),
        "each": lambda: inner(np.stack([inner(np.stack(pair)) for pair in zip(g, f)])),
    }[variant]()
    return trunk, np.array(heads), np.array(sharpness)


def sam(model, rho, adaptive):
    all_ = model.all()
    g, h = sum(g for _, g, _ in all_), np.array([h for _, _, h in all_])
    trunk, trunk_measure = ascent(model.theta, g, adaptive)
    head, head_measure = ascent(model.heads, h, adaptive)
    norm = np.sqrt((trunk_measure**2).sum() + (head_measure**2).sum())
    there = [
        model.gradients(i, model.theta + rho * trunk / norm, model.heads[i] + rho * head[i] / norm)
        for i in range(len(all_))
    ]
    return sum(g for _, g, _ in there), np.array([h for _, _, h in there])


def samo(model, inner, rho, beta, eps, adaptive, draws, match_norm=True):
    """SAMO: per task the mean gradient mixed, tensor by tensor, with a zeroth-order direction.

    The authors' script for NYUv2 adds that direction as it is; their others make it as long as the mean gradient.
    """
    all_ = model.all()
    mean = np.mean([g for _, g, _ in all_], axis=0)
    cuts = np.cumsum(model.sizes)[:-1]
    rows, heads = [], []
    for i, (_, _, h) in enumerate(all_):
        u = draws[i]
        value = lambda step: model.gradients(i, model.theta + step * u, model.heads[i])[0]  # noqa: E731
        z = (value(eps) - value(-eps)) / (2 * eps) * u
        mix = [
            (1 - beta) * g + beta * part * (np.linalg.norm(g) / np.linalg.norm(part) if match_norm else 1.0)
            for g, part in zip(np.split(mean, cuts), np.split(z, cuts))
        ]
        trunk, measure = ascent(model.theta, np.concatenate(mix), adaptive)
        head, head_measure = ascent(model.heads[i], h, adaptive)
        there = model.gradients(
            i,
            model.theta + rho * trunk / np.linalg.norm(measure),
            model.heads[i] + rho * head / np.linalg.norm(head_measure),
        )
        rows.append(there[1])
        heads.append(there[2])
    return inner(np.array(rows)), np.array(heads)


def of_models():
    models, flats, sams, samos, made = [], [], [], [], []
    for m in (2, 2, 3, 4):
        model = Model(m)
        made.append(model)
        index = len(models)
        models.append(model.json())
        for adaptive in (False, True):
            rho = 0.9 if adaptive else 0.4
            trunk, heads = sam(model, rho, adaptive)
            params = {"rho": rho, "adaptive": adaptive}
            sams.append({"model": index, "params": params, "trunk": trunk.tolist(), "heads": heads.tolist()})
        for name, (of, inner, only_two) in INNER.items():
            if only_two and m != 2:
                continue
            for variant in ("separate", "direct", "second", "each"):
                for adaptive, joint in ((False, False), (False, True), (True, False), (True, True)):
                    skip = bool(adaptive and joint)
                    rho, rho_heads = (0.9, 0.6) if adaptive else (0.4, 0.2)
                    params = {
                        "of": of,
                        "rho": rho,
                        "rho_heads": rho_heads,
                        "adaptive": adaptive,
                        "norm": "joint" if joint else "separate",
                        "variant": variant,
                        "skip_norms": skip,
                    }
                    # The second tensor is the one that is no matrix.
                    fixed = np.repeat([False, skip], model.sizes)
                    trunk, heads, sharpness = flat(model, inner, rho, rho_heads, adaptive, joint, variant, fixed)
                    flats.append(
                        {
                            "model": index,
                            "inner": name,
                            "params": params,
                            "trunk": trunk.tolist(),
                            "heads": heads.tolist(),
                            "sharpness": sharpness.tolist(),
                        }
                    )
            for adaptive in (False, True):
                params = {"of": of, "rho": 0.3, "beta": 0.4, "eps": 0.01, "adaptive": adaptive}
                draws = exact(RNG.normal(size=(m, 5)))
                trunk, heads = samo(model, inner, 0.3, 0.4, 0.01, adaptive, draws)
                samos.append(
                    {
                        "model": index,
                        "inner": name,
                        "params": params,
                        "draws": draws.tolist(),
                        "trunk": trunk.tolist(),
                        "heads": heads.tolist(),
                    }
                )
    for index, model in enumerate(made):
        add_released_forms(index, model, flats, samos)
    return {"models": models, "flat": flats, "sam": sams, "samo": samos}


def add_released_forms(index, model, flats, samos):
    """Forms that only some of the authors' scripts have; draws of their own, so that those above stay what they are."""
    draw = np.random.default_rng(1000 + index)
    of = {"name": "mgda", "normalise": "l2", "combine": "rows", "tolerance": 1e-14, "max_iterations": 1_000_000}
    fixed = np.repeat([False, False], model.sizes)
    trunk, heads, sharpness = flat(
        model, drop_zeros(min_norm_of_units), 0.4, 0.2, False, False, "separate", fixed
    )
    params = {"of": of, "rho": 0.4, "rho_heads": 0.2}
    flats.append(
        {
            "model": index,
            "inner": "mgda",
            "params": params,
            "trunk": trunk.tolist(),
            "heads": heads.tolist(),
            "sharpness": sharpness.tolist(),
        }
    )
    for adaptive in (False, True):
        draws = exact(draw.normal(size=(len(model.heads), 5)))
        params = {"of": "equal", "rho": 0.3, "beta": 0.4, "eps": 0.01, "adaptive": adaptive, "match_norm": False}
        trunk, heads = samo(model, equal, 0.3, 0.4, 0.01, adaptive, draws, match_norm=False)
        samos.append(
            {
                "model": index,
                "inner": "equal",
                "params": params,
                "draws": draws.tolist(),
                "trunk": trunk.tolist(),
                "heads": heads.tolist(),
            }
        )


def main():
    out = {**of_torchjd(), **of_libmtl(sys.argv[1]), **of_models()}
    json.dump(out, sys.stdout)
    print()


main()
