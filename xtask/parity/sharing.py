"""Reference values of crates/polytask-nn/tests/data/sharing.json: mixtures and masks of the architectures.

    python xtask/parity/sharing.py LIBMTL > crates/polytask-nn/tests/data/sharing.json

LIBMTL is a checkout of LibMTL (github.com/median-research-group/LibMTL, commit 4336804). MMoE and CGC are LibMTL's
own classes, over experts that return fixed leaves. DSelect-k is written from its paper: LibMTL's selectors give all
experts the same weight where their number is a power of two. Stitches, masks (LibMTL's attention layer without batch
norm) and routes (PyTorch's gumbel_softmax with its noise made known) are PyTorch's.
Everything in float64; gradients are those of sum(g * output).
"""

import math
import json
import sys
import types

import torch
from torch import nn
from torch.nn import functional as F

# The package's own start imports its trainer and all that needs; the architectures need none of it.
package = types.ModuleType("LibMTL")
package.__path__ = [f"{sys.argv[1]}/LibMTL"]
sys.modules["LibMTL"] = package
from LibMTL.architecture.CGC import CGC  # noqa: E402
from LibMTL.architecture.MMoE import MMoE  # noqa: E402

torch.set_default_dtype(torch.float64)
torch.manual_seed(4)
BATCH, WIDTH = 3, 5


class Leaf(nn.Module):
    """An expert whose output is a parameter."""

    def __init__(self):
        super().__init__()
        self.value = nn.Parameter(torch.randn(BATCH, WIDTH))

    def forward(self, _inputs):
        return self.value


def flat(tensors):
    return torch.cat([t.reshape(-1) for t in tensors]).tolist()


def build(cls, num_experts, **kwargs):
    decoders = nn.ModuleDict({"t": nn.Identity()})
    model = cls(["t"], Leaf, decoders, False, False, torch.device("cpu"),
                img_size=[WIDTH], num_experts=num_experts, **kwargs)
    return model.train()


def mixture(model, weights, experts, **more):
    """Output and gradients of a mixture; `weights` are its own parameters in our order."""
    seen = torch.randn(BATCH, WIDTH, requires_grad=True)
    g = torch.randn(BATCH, WIDTH)
    out = model(seen)["t"]
    # Where a smooth step is flat the entropy's slope is infinite and the step's is zero: autograd gives NaN for 0.
    penalty = [torch.zeros_like(w) if w.grad is None else w.grad.nan_to_num(0.0) for w in weights]
    leaves = [*weights, *[e.value for e in experts], seen]
    grads = torch.autograd.grad((g * out).sum(), leaves)
    n = len(weights)
    return {
        "values": flat(weights),
        "seen": seen.tolist(),
        "inputs": [e.value.tolist() for e in experts],
        "g": g.tolist(),
        "output": out.tolist(),
        "d_values": flat(grads[:n]),
        "d_inputs": [d.tolist() for d in grads[n:-1]],
        "d_seen": grads[-1].tolist(),
        "d_penalty": flat(penalty),
        **more,
    }


def gates():
    mmoe = build(MMoE, [3])
    linear = mmoe.gate_specific["t"][0]
    yield mixture(mmoe, [linear.weight, linear.bias], mmoe.experts_shared)
    cgc = build(CGC, [2, 1])
    linear = cgc.gate_specific["t"][0]
    yield mixture(cgc, [linear.weight, linear.bias], [*cgc.experts_shared, *cgc.experts_specific["t"]])


def smooth_step(t, gamma):
    """Hazimeh et al. 2021, equation 3."""
    inner = -2 / gamma**3 * t**3 + 3 / (2 * gamma) * t + 0.5
    return torch.where(t <= -gamma / 2, torch.zeros_like(t), torch.where(t >= gamma / 2, torch.ones_like(t), inner))


def selectors():
    """Written from the paper: LibMTL's selectors give every expert of a power of two the same weight."""
    for n, k, gamma in [(4, 2, 1.0), (3, 2, 1.0), (5, 3, 2.5), (2, 1, 0.5)]:
        bits = math.ceil(math.log2(n))
        shapes = [(k * bits, WIDTH), (k * bits,), (k, WIDTH), (k,)]
        weights = [(0.2 * gamma * torch.randn(shape)).requires_grad_() for shape in shapes]
        seen, g = torch.randn(BATCH, WIDTH, requires_grad=True), torch.randn(BATCH, WIDTH)
        inputs = torch.randn(n, BATCH, WIDTH, requires_grad=True)
        step = smooth_step(seen @ weights[0].T + weights[1], gamma).reshape(BATCH, k, 1, bits)
        code = torch.tensor([[(e >> (bits - 1 - b)) & 1 for b in range(bits)] for e in range(n)], dtype=torch.bool)
        r = torch.where(code, step, 1 - step).prod(-1)
        share = torch.softmax(seen @ weights[2].T + weights[3], -1)
        out = torch.einsum("bj,bje,ebw->bw", share, r, inputs)
        penalty = -1e-6 * (r * torch.log(r + 1e-6)).sum()
        if n & (n - 1):
            penalty = penalty + (1 / r.sum(-1)).sum()
        d_penalty = torch.autograd.grad(penalty, weights, retain_graph=True, allow_unused=True)
        d_penalty = [torch.zeros_like(w) if d is None else d for d, w in zip(d_penalty, weights)]
        *d_values, d_inputs, d_seen = torch.autograd.grad((g * out).sum(), [*weights, inputs, seen])
        yield {
            "values": flat(weights), "seen": seen.tolist(), "inputs": inputs.tolist(), "g": g.tolist(),
            "output": out.tolist(), "d_values": flat(d_values), "d_inputs": d_inputs.tolist(),
            "d_seen": d_seen.tolist(), "d_penalty": flat(d_penalty), "k": k, "gamma": gamma,
        }


def stitches():
    unit = torch.randn(3, requires_grad=True)
    states = torch.randn(3, BATCH, WIDTH, requires_grad=True)
    g = torch.randn(BATCH, WIDTH)
    out = sum(unit[j] * states[j] for j in range(3))
    d_unit, d_states = torch.autograd.grad((g * out).sum(), [unit, states])
    yield {
        "values": unit.tolist(), "inputs": states.tolist(), "g": g.tolist(), "output": out.tolist(),
        "d_values": d_unit.tolist(), "d_inputs": d_states.tolist(),
    }


def routes():
    for temperature in [0.05, 0.5, 2.0]:
        logits = torch.randn(4, requires_grad=True)
        weigh = torch.randn(4)
        torch.manual_seed(11)
        noise = -torch.empty_like(logits).exponential_().log()
        torch.manual_seed(11)
        alpha = F.gumbel_softmax(logits, tau=temperature, hard=True, dim=-1)
        soft = F.softmax((logits + noise) / temperature, dim=-1)
        assert alpha.argmax() == soft.argmax()
        (d_logits,) = torch.autograd.grad((weigh * alpha).sum(), [logits])
        yield {
            "logits": logits.tolist(), "noise": noise.tolist(), "temperature": temperature,
            "weights": alpha.tolist(), "soft": soft.tolist(), "d_weights": weigh.tolist(),
            "d_logits": d_logits.tolist(),
        }


def masks():
    for n_seen, middle in [(1, 2), (2, 3)]:
        layer = nn.Sequential(nn.Conv2d(n_seen * WIDTH, middle, 1), nn.ReLU(), nn.Conv2d(middle, WIDTH, 1), nn.Sigmoid())
        reads = torch.randn(n_seen, BATCH, WIDTH, requires_grad=True)
        p = torch.randn(BATCH, WIDTH, requires_grad=True)
        g = torch.randn(BATCH, WIDTH)
        seen = torch.cat(list(reads), dim=1)[:, :, None, None]
        out = (layer(seen) * p[:, :, None, None])[:, :, 0, 0]
        weights = list(layer.parameters())
        grads = torch.autograd.grad((g * out).sum(), [*weights, reads, p])
        yield {
            "values": flat(weights), "middle": middle, "reads": reads.tolist(), "input": p.tolist(),
            "g": g.tolist(), "output": out.tolist(), "d_values": flat(grads[:-2]),
            "d_reads": grads[-2].tolist(), "d_input": grads[-1].tolist(),
        }


json.dump({"gates": list(gates()), "selectors": list(selectors()), "stitches": list(stitches()),
           "routes": list(routes()), "masks": list(masks())}, sys.stdout, separators=(",", ":"))
print()
