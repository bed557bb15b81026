"""Reference values of crates/polytask-nn/tests/data/sharing.json: mixtures and masks of the architectures.

    python xtask/parity/sharing.py LIBMTL > crates/polytask-nn/tests/data/sharing.json

LIBMTL is a checkout of LibMTL (github.com/median-research-group/LibMTL, commit 4336804). MMoE, CGC and DSelect-k are
LibMTL's own classes, over experts that return fixed leaves, with its mistakes in DSelect-k put right: the smooth step
gets the gamma that is set, and each task's selector is penalised, one model per task. Stitches, masks (LibMTL's
attention layer without batch norm) and routes (PyTorch's gumbel_softmax with its noise made known) are PyTorch's.
Everything in float64; gradients are those of sum(g * output).
"""

import functools
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
from LibMTL.architecture.DSelect_k import DSelect_k  # noqa: E402
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


def selectors():
    for experts, k, gamma in [(4, 2, 1.0), (3, 2, 1.0), (5, 3, 2.5), (2, 1, 0.5)]:
        model = build(DSelect_k, [experts], num_nonzeros=k, kgamma=gamma)
        model._smooth_step_fun = functools.partial(model._smooth_step_fun, gamma=gamma)
        z, w = model._z_logits["t"], model._w_logits["t"]
        for parameter in [*z.parameters(), *w.parameters()]:
            parameter.data.normal_(0, 0.2 * gamma)
        yield mixture(model, [z.weight, z.bias, w.weight, w.bias], model.experts_shared, k=k, gamma=gamma)


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
