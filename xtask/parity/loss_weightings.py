"""Golden values of the loss weightings and the bilevel methods.

Run: python xtask/parity/loss_weightings.py LIBMTL > crates/polytask-train/tests/data/loss_weightings.json
LIBMTL is the folder of LibMTL's source (commit 4336804). Made with Python 3.11, torch 2.15.0, numpy 2.4.6.

From losses (weights = gradient of the loss each method minimises, by autograd in f64):
- dwa, stch, gls, rlw: LibMTL's own classes. GLS reports weights that are not its gradient; the gradient is taken.
- si, imtl-l: the published losses, scales learned by torch.optim.Adam (LibMTL has IMTL only as a whole).
Where a loss is exactly 0 LibMTL divides by 0; losses and epoch means then count as 1e-20, as the headers say.
"""

import contextlib
import json
import sys
import types

import numpy as np
import torch

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)
sys.path.insert(0, sys.argv[1])
sys.modules["torch_geometric"] = types.ModuleType("torch_geometric")  # LibMTL uses it for one data set only
from LibMTL.weighting.DWA import DWA  # noqa: E402
from LibMTL.weighting.GLS import GLS  # noqa: E402
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


def main():
    out = {}
    with contextlib.redirect_stdout(sys.stderr):  # LibMTL prints
        from_losses(out)
    json.dump(out, sys.stdout)
    print()


main()
