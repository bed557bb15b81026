"""Golden values of the loss weightings and the bilevel methods.

Run: python xtask/parity/loss_weightings.py LIBMTL > crates/polytask-weighting/tests/data/loss_weightings.json
LIBMTL is the folder of LibMTL's source (commit 4336804). Made with Python 3.11, torch 2.15.0, numpy 2.4.6.

From losses (weights = gradient of the loss each method minimises, by autograd in f64):
- dwa, stch, gls, rlw: LibMTL's own classes. GLS reports weights that are not its gradient; the gradient is taken.
- si, imtl-l: the published losses, scales learned by torch.optim.Adam (LibMTL has IMTL only as a whole).
Where a loss is exactly 0 LibMTL divides by 0; losses and epoch means then count as 1e-20, as the headers say.

From losses and gradients, on models linear in their weights:
- gradnorm, excess-mtl: LibMTL's own classes; a row that is zero is left out and has weight 0.

From evaluations at other weights, on models quadratic in trunk and heads, trained by plain gradient descent:
- famo: LibMTL's class.
- auto-lambda, moml, forum: LibMTL's steps, with the step's batch as the lower level and as the data of the weights,
  another as the upper level. Two approximate solvers are replaced by exact ones: MOML's shortest vector by
  non-negative least squares, FORUM's quadratic problem by an interior-point method to 1e-13. A model of one task is
  plain training.
"""

import contextlib
import json
import sys
import types

import cvxpy as cp
import numpy as np
import torch
from scipy.optimize import nnls

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
sys.modules["torch_geometric"] = types.ModuleType("torch_geometric")  # LibMTL uses it for one data set only
from LibMTL.trainer import Trainer  # noqa: E402
from LibMTL.weighting.DWA import DWA  # noqa: E402
from LibMTL.weighting.ExcessMTL import ExcessMTL  # noqa: E402
from LibMTL.weighting.FAMO import FAMO  # noqa: E402
from LibMTL.weighting.GLS import GLS  # noqa: E402
from LibMTL.weighting.GradNorm import GradNorm  # noqa: E402
from LibMTL.weighting.MGDA import MGDA  # noqa: E402
from LibMTL.weighting.RLW import RLW  # noqa: E402
from LibMTL.weighting.STCH import STCH  # noqa: E402

RNG = np.random.default_rng(21)
EPOCH_STEPS = 2
STEPS = 14
SMALLEST = 1e-20
RATE = 0.01


def series():
    """Twenty random and ten degenerate series of losses, `[steps, tasks]`."""
    for k in range(20):
        m = 2 + k % 4
        decay = np.exp(-RNG.uniform(0, 0.3, m) * np.arange(STEPS)[:, None])
        scale = 10.0 ** RNG.uniform(-2, 2, m) if k % 2 else 1.0
        yield f"random {k}", scale * decay * RNG.uniform(0.5, 1.5, (STEPS, m))
    noise = RNG.uniform(0.5, 1.5, (STEPS, 3))
    yield "one task", noise[:, :1]
    yield "constant", np.ones((STEPS, 3))
    yield "identical", np.repeat(noise[:, :1], 4, axis=1)
    yield "tiny", 1e-12 * noise
    yield "huge", 1e12 * noise
    yield "tiny and huge", noise * [1e-12, 1.0, 1e12]
    yield "one is 0", noise * [0.0, 1.0, 2.0]
    yield "one becomes 0", noise * (np.arange(STEPS) < 5)[:, None] ** np.array([1, 0, 0])
    yield "growing", noise * np.exp(0.5 * np.arange(STEPS))[:, None]
    yield "one falls fast", noise * np.exp(-4.0 * np.arange(STEPS)[:, None] * [1, 0, 0])


def libmtl(method, losses, kwargs):
    """Gradients of LibMTL's loss along the losses, step by step."""
    m = losses.shape[1]
    driver = method()
    driver.task_num, driver.device = m, "cpu"
    driver.train_loss_buffer = np.zeros((m, STEPS // EPOCH_STEPS))
    driver.init_param()
    weights = []
    for step, now in enumerate(losses):
        driver.epoch = step // EPOCH_STEPS
        leaf = torch.tensor(now, requires_grad=True)
        method.backward(driver, leaf, **kwargs)
        weights.append(leaf.grad.tolist())
        if (step + 1) % EPOCH_STEPS == 0:
            mean = losses[step + 1 - EPOCH_STEPS : step + 1].mean(0)
            driver.train_loss_buffer[:, driver.epoch] = np.maximum(mean, SMALLEST)
    return weights


def si(losses):
    weights = []
    for now in losses:
        leaf = torch.tensor(now, requires_grad=True)
        torch.log(leaf + 1e-8).sum().backward()
        weights.append(leaf.grad.tolist())
    return weights


def imtl_l(losses):
    scale = torch.zeros(losses.shape[1], requires_grad=True)
    adam = torch.optim.Adam([scale], lr=RATE)
    weights = []
    for now in losses:
        leaf = torch.tensor(now, requires_grad=True)
        adam.zero_grad()
        (scale.exp() * leaf - scale).sum().backward()
        weights.append(leaf.grad.tolist())
        adam.step()
    return weights


def rlw():
    cases = []
    for k in range(30):
        draws = RNG.normal(size=1 + k % 6) * (1.0 if k < 25 else 30.0)
        randn, torch.randn = torch.randn, lambda m, draws=draws: torch.tensor(draws)
        driver = RLW()
        driver.task_num, driver.device = len(draws), "cpu"
        leaf = torch.ones(len(draws), requires_grad=True)
        driver.backward(leaf)
        torch.randn = randn
        cases.append((draws.tolist(), leaf.grad.tolist()))
    return cases


def from_losses(out):
    ways = {
        "si": si,
        "imtl-l": imtl_l,
        "gls": lambda losses: libmtl(GLS, np.maximum(losses, SMALLEST), {}),
        "dwa": lambda losses: libmtl(DWA, losses, {"T": 2.0}),
        "stch": lambda losses: libmtl(STCH, np.maximum(losses, SMALLEST), {"STCH_mu": 1.0, "STCH_warmup_epoch": 4}),
    }
    cases = list(series())
    out["epoch_steps"] = EPOCH_STEPS
    out["series"] = [{"name": name, "losses": losses.tolist()} for name, losses in cases]
    out["weights"] = {name: [way(losses) for _, losses in cases] for name, way in ways.items()}
    out["rlw"] = rlw()


def row_series():
    """Twenty random and ten degenerate series of losses and rows, `[steps, tasks, params]`, exact in float32."""
    steps = 8
    for k in range(20):
        m, d = 2 + k % 4, 2 + k % 5
        scale = 10.0 ** RNG.uniform(-1, 1, (m, 1)) if k % 2 else 1.0
        yield f"random {k}", RNG.uniform(0.1, 3.0, (steps, m)), scale * RNG.normal(size=(steps, m, d))
    losses, rows = RNG.uniform(0.1, 3.0, (steps, 3)), RNG.normal(size=(steps, 3, 4))
    signs = np.array([1.0, -1.0, 2.0])[:, None]
    yield "one task", losses[:, :1], rows[:, :1]
    yield "a zero row", losses, rows * [[1.0], [0.0], [1.0]]
    yield "identical rows", losses, np.repeat(rows[:, :1], 3, axis=1)
    yield "opposite rows", losses[:, :2], rows[:, :1] * [[1.0], [-1.0]]
    yield "rank one", losses, rows[:, :1] * signs
    yield "the same rows at every step", losses, np.repeat(rows[:1], steps, axis=0)
    yield "tiny", 1e-6 * losses, 1e-6 * rows
    yield "huge", 1e6 * losses, 1e6 * rows
    yield "tiny and huge", losses * [1e-6, 1.0, 1e6], rows * [[1e-6], [1.0], [1e6]]
    yield "identical losses", np.ones((steps, 3)), rows


class Linear(torch.nn.Module):
    """What LibMTL's gradient methods ask of a model with one tensor of shared parameters."""

    def __init__(self, method, m, d):
        super().__init__()
        self.method, self.task_num, self.device, self.rep_grad = method, m, "cpu", False
        self.shared = torch.nn.Parameter(torch.zeros(d))
        self.encoder = self
        method.init_param(self)

    def __getattr__(self, name):
        if hasattr(self.method, name):
            return getattr(self.method, name).__get__(self)
        return super().__getattr__(name)

    def get_share_params(self):
        return [self.shared]

    def zero_grad_share_params(self):
        self.shared.grad = None


def libmtl_rows(method, losses, rows, kwargs):
    """LibMTL's weights, step by step, for rows none of which is zero."""
    model = Linear(method, *rows.shape[1:])
    model.train_loss_buffer = np.tile(losses[:EPOCH_STEPS].mean(0)[:, None], (1, len(losses)))
    adam = torch.optim.Adam([model.loss_scale], lr=RATE) if method is GradNorm else None
    weights = []
    for step, (now, jacobian) in enumerate(zip(losses, rows)):
        model.epoch = step // EPOCH_STEPS
        values = torch.tensor(now) + torch.tensor(jacobian) @ model.shared
        model.zero_grad()
        weights.append(np.asarray(method.backward(model, values, **kwargs)).tolist())
        if adam and model.epoch > 0:
            adam.step()
    return weights


def from_rows(out):
    cases = [(name, losses, as_float32(rows)) for name, losses, rows in row_series()]
    out["row_series"] = [{"name": n, "losses": l.tolist(), "rows": r.tolist()} for n, l, r in cases]
    out["row_weights"] = {"gradnorm": [], "excess-mtl": []}
    for _, losses, rows in cases:
        kept = [i for i in range(rows.shape[1]) if np.any(rows[:, i])]
        for name, method, kwargs in [
            ("gradnorm", GradNorm, {"alpha": 1.5}),
            ("excess-mtl", ExcessMTL, {"robust_step_size": 0.01}),
        ]:
            weights = np.zeros(losses.shape)
            if name == "gradnorm":
                weights[:EPOCH_STEPS] = 1.0
            weights[:, kept] = libmtl_rows(method, losses[:, kept], rows[:, kept], kwargs)
            out["row_weights"][name].append(weights.tolist())


def as_float32(values):
    return np.asarray(values, dtype=np.float32).astype(np.float64)


DESCENT_STEPS = 6
D, H, K = 4, 2, 3


def models():
    """Twenty random and ten degenerate models: per batch and task a loss 1/2 |A theta + B h - y|^2."""

    def model(name, m, scale=1.0, change=lambda batches: None):
        terms = lambda: [  # noqa: E731
            {"a": scale * RNG.normal(size=(K, D)), "b": RNG.normal(size=(K, H)), "y": RNG.normal(size=K)}
            for _ in range(m)
        ]
        batches = [terms(), terms()]
        for first, second in zip(*batches):  # another batch of the same task
            for key in first:
                second[key] = first[key] + 0.3 * second[key]
        change(batches)
        shared, heads = RNG.normal(size=D), 0.5 * RNG.normal(size=(m, H))
        rounded = [[{k: np.round(v, 4).tolist() for k, v in t.items()} for t in b] for b in batches]
        return {
            "name": name,
            "lr": 0.05,
            "shared": np.round(shared, 4).tolist(),
            "heads": np.round(heads, 4).tolist(),
            "batches": rounded,
        }

    for k in range(20):
        yield model(f"random {k}", 2 + k % 4, scale=[0.5, 1.0][k % 2])

    def each(key, factors):
        def change(batches):
            for batch in batches:
                for term, factor in zip(batch, factors):
                    term[key] = term[key] * factor

        return change

    def copy(key, factors):
        def change(batches):
            for batch in batches:
                for term, factor in zip(batch, factors):
                    term[key] = batch[0][key] * factor

        return change

    def identical(batches):
        batches[:] = [[batch[0]] * 3 for batch in batches]

    def same_batches(batches):
        batches[1] = batches[0]

    def rank_one(batches):
        for batch in batches:
            for term in batch:
                term["a"] = np.outer(term["a"][:, 0], batch[0]["a"][0])

    yield model("one task", 1)
    yield model("identical tasks", 3, 0.5, identical)
    yield model("the same trunk maps", 3, 0.5, copy("a", [1.0, 1.0, 1.0]))
    yield model("parallel trunk maps", 3, 0.5, copy("a", [1.0, -1.0, 2.0]))
    yield model("rank one", 3, 0.5, rank_one)
    yield model("heads do nothing", 3, 0.5, each("b", [0.0, 0.0, 0.0]))
    yield model("both batches the same", 3, 0.5, same_batches)
    yield model("small losses", 2, 1e-3, lambda b: (each("b", [1e-3] * 2)(b), each("y", [1e-2] * 2)(b)))
    yield model("large targets", 3, 0.5, each("y", [30.0, 30.0, 30.0]))
    yield model("targets of all sizes", 3, 0.5, each("y", [0.1, 1.0, 30.0]))


class Model(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.shared = torch.nn.Parameter(torch.tensor(model["shared"]))
        self.heads = torch.nn.ParameterList([torch.tensor(h) for h in model["heads"]])

    def flat_gradient(self):
        return torch.cat([p.grad.flatten() for p in self.parameters()]).tolist()


def losses_of(model, batch):
    def loss(term, head):
        a, b, y = (torch.tensor(term[key]) for key in ("a", "b", "y"))
        return 0.5 * ((a @ model.shared + b @ head - y) ** 2).sum()

    return torch.stack([loss(term, head) for term, head in zip(batch, model.heads)])


def famo(spec):
    model = Model(spec)
    driver = FAMO()
    driver.task_num, driver.device = len(spec["heads"]), "cpu"
    driver.init_param()
    sgd = torch.optim.SGD(model.parameters(), lr=spec["lr"])
    weights = []
    for _ in range(DESCENT_STEPS):
        losses = losses_of(model, spec["batches"][0])
        losses.retain_grad()
        sgd.zero_grad()
        driver.backward(losses, FAMO_w_lr=0.025, FAMO_w_gamma=1e-3)
        weights.append(losses.grad.tolist())
        sgd.step()
        with torch.no_grad():
            driver.update_w(losses_of(model, spec["batches"][0]).detach())
    return weights


class Loop:
    """What LibMTL's bilevel steps ask of its trainer."""

    multi_input, scheduler, device, rate = False, None, "cpu", 1e-3

    def __init__(self, spec, kwargs):
        self.spec, self.kwargs = spec, {"weight_args": kwargs}
        self.task_num = len(spec["heads"])
        self.task_name = list(range(self.task_num))
        self.model = Model(spec)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=spec["lr"])
        self.meter = types.SimpleNamespace(update=lambda *_: None)
        Trainer._prepare_tw(self, self.rate)
        self.tw.double()  # LibMTL makes these in float32

    def forward4loss(self, model, batch, _targets, return_preds=False):
        losses = losses_of(model, self.spec["batches"][batch])
        return (losses, None) if return_preds else losses

    def _process_data(self, _loader):
        return 0, None

    def weights(self):
        return torch.softmax(self.tw.weights, -1).tolist()


def auto_lambda(spec):
    loop, weights = Loop(spec, {"inner_step": 1}), []
    for _ in range(DESCENT_STEPS):
        Trainer.bacth_forward_AutoLambda(loop, 0, None, 1, None, None)
        weights.append(loop.weights())
    return weights


def moml(spec):
    if len(spec["heads"]) == 1:
        return [[1.0]] * DESCENT_STEPS
    loop, weights = Loop(spec, {"inner_step": 1, "inner_lr": 0.1}), []
    for _ in range(DESCENT_STEPS):
        Trainer.bacth_forward_MOML(loop, 0, None, 1, None, None)
        weights.append(loop.weights())
    return weights


def shortest(_self, rows):
    """The shortest vector in the convex hull of unit rows, by non-negative least squares."""
    rows = rows.detach().numpy()
    system = np.vstack([rows.T, np.ones((1, len(rows)))])
    w, _ = nnls(system, np.concatenate([np.zeros(rows.shape[1]), [1.0]]), maxiter=100_000)
    return torch.tensor(w / w.sum())


def forum(spec):
    loop, answers = Loop(spec, {"FORUM_phi": 0.1, "inner_step": 5, "inner_lr": 0.1}), []
    buffer = np.zeros(loop.task_num)
    for step in range(DESCENT_STEPS):
        if loop.task_num == 1:
            answers.append([1.0])
            continue
        buffer = Trainer.bacth_forward_FORUM(loop, 0, None, 1, None, buffer, step // EPOCH_STEPS)
        answers.append(loop.model.flat_gradient())
    return answers


def from_places(out):
    MGDA._find_min_norm_element = shortest
    solve = cp.Problem.solve
    tight = {"tol_gap_abs": 1e-13, "tol_gap_rel": 1e-13, "tol_feas": 1e-13}
    cp.Problem.solve = lambda self: solve(self, solver="CLARABEL", **tight)
    out["models"] = list(models())
    ways = {"famo": famo, "auto-lambda": auto_lambda, "moml": moml, "forum": forum}
    out["descents"] = {name: [way(spec) for spec in out["models"]] for name, way in ways.items()}


def main():
    out = {}
    with contextlib.redirect_stdout(sys.stderr):  # LibMTL prints
        from_losses(out)
        from_rows(out)
        from_places(out)
    json.dump(out, sys.stdout)
    print()


main()
