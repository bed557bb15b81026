"""Golden values of Rep-MTL, made by a true double backward in PyTorch.

Run: python xtask/parity/rep_mtl.py > crates/polytask-train/tests/data/rep_mtl.json
Made with Python 3.11, torch 2.15.0, numpy 2.4.6; float64 throughout.

A small network: states Z of some samples (a leaf), three heads on them: linear, or with a hidden layer and ReLU.
`class` reads the mean over positions or all of them end to end (cross-entropy), `number` too (mean squared error),
`tags` reads every position (cross-entropy). The last case is fitted first: saliencies of samples then differ by
orders of size, and so do the slopes of the terms. The two terms are
written as the paper prints them, with the C x C matrices that the program under test never builds; PyTorch
differentiates the whole objective through the saliencies.

Each case holds what goes in, the values of both terms, the similarity of saliencies, and the gradient of
  sum_t log(L_t + 1e-8)  (or sum_t L_t)  + tsr * R1 + csa * R2
by Z and by each head.
"""

import json
import sys

import numpy as np
import torch
import torch.nn.functional as F

RNG = np.random.default_rng(13)


def normal(*shape, scale=1.0):
    return torch.tensor(RNG.normal(size=shape) * scale, dtype=torch.float64)


def entropy(sizes):
    sizes = sizes + 1e-8
    shares = sizes / sizes.sum(0)
    return -(shares * torch.log(shares)).sum(0)


def tsr(saliencies, options):
    """Mean entropy over all positions; `saliencies[b][task]` is [n, C]."""
    total, positions = 0.0, 0
    for sample in saliencies:
        rows = list(sample.values())
        if options["channel_mean"] == "absolute":
            sizes = [row.abs().mean(1) for row in rows]
        else:
            sizes = [row.mean(1).abs() for row in rows]
        positions += len(rows[0])
        if len(rows) > 1:
            total = total + entropy(torch.stack(sizes)).sum()
    return total / positions


def unit(matrix):
    return matrix / torch.clamp(torch.linalg.matrix_norm(matrix), min=1e-16)


def affinity(columns):
    """[C, k] -> [C, C], of norm 1."""
    return unit(columns @ columns.T)


def csa(saliencies, options):
    """As printed: anchors are C x T, similarities are inner products of C x C matrices of norm 1."""
    shared = [sample for sample in saliencies if len(sample) > 1]
    if len(shared) < 2:
        return torch.zeros((), dtype=torch.float64)
    anchors = [affinity(torch.stack([row.mean(0) for row in sample.values()], 1)) for sample in shared]
    total = 0.0
    for b, sample in enumerate(shared):
        negatives = [(anchors[b] * anchors[k]).sum() for k in range(len(shared)) if k != b]
        for row in sample.values():
            positive = (anchors[b] * affinity(row.T)).sum()
            others = negatives + ([positive] if options["positive_in_denominator"] else [])
            logits = torch.stack(others) / options["tau"]
            total = total + (torch.logsumexp(logits, 0) - positive / options["tau"]) / len(sample)
    return total / len(saliencies)


def similarity(saliencies):
    means = []
    for sample in saliencies:
        units = [affinity(row.T) for row in sample.values()]
        pairs = [(units[i] * units[j]).sum() for i in range(len(units)) for j in range(i)]
        if pairs:
            means.append(torch.stack(pairs).mean())
    return torch.stack(means).mean()


def apply(head, rows):
    """Affine maps with ReLU between them; `head` is weight, bias, weight, bias, ..."""
    for i in range(0, len(head), 2):
        rows = (rows if i == 0 else F.relu(rows)) @ head[i].T + head[i + 1]
    return rows


def losses(case, states, heads):
    """Losses of the tasks, each the mean over its rows."""
    out = {}
    for name, task in case["tasks"].items():
        rows = [states[b] for b in task["samples"]]
        if name == "tags":
            rows = torch.cat(rows)
        elif case["pooling"] == "flatten":
            rows = torch.stack([row.flatten() for row in rows])
        else:
            rows = torch.stack([row.mean(0) for row in rows])
        outputs = apply(heads[name], rows)
        if name == "number":
            out[name] = F.mse_loss(outputs, torch.tensor(task["target"], dtype=torch.float64).reshape(outputs.shape))
        else:
            out[name] = F.cross_entropy(outputs, torch.tensor(task["target"]))
    return out


def solve(case):
    options = case["options"]
    states = [torch.tensor(z, dtype=torch.float64, requires_grad=True) for z in case["states"]]
    heads = {
        name: [torch.tensor(p, dtype=torch.float64, requires_grad=True) for p in task["head"]]
        for name, task in case["tasks"].items()
    }
    objectives = losses(case, states, heads)
    if options["log_losses"]:
        objectives = {name: torch.log(loss + 1e-8) for name, loss in objectives.items()}
    saliencies = [{} for _ in states]
    for name, objective in objectives.items():
        touched = case["tasks"][name]["samples"]
        grads = torch.autograd.grad(objective, [states[b] for b in touched], create_graph=True)
        for b, grad in zip(touched, grads):
            saliencies[b][name] = grad * len(states)
    first, second = tsr(saliencies, options), csa(saliencies, options)
    total = sum(objectives.values()) + options["tsr"] * first + options["csa"] * second
    parameters = [p for head in heads.values() for p in head]
    grads = torch.autograd.grad(total, states + parameters)
    by_head, rest = {}, list(grads[len(states) :])
    for name in heads:
        by_head[name] = [v for _ in heads[name] for v in rest.pop(0).flatten().tolist()]
    case["tsr"], case["csa"] = first.item(), second.item()
    case["similarity"] = similarity(saliencies).item()
    case["by_states"] = [grad.flatten().tolist() for grad in grads[: len(states)]]
    case["by_head"] = by_head
    return case


def head(outputs, width):
    return [normal(outputs, width, scale=0.5).tolist(), normal(outputs, scale=0.1).tolist()]


def fit(case, steps=80):
    """Trains states and heads on the losses alone."""
    states = [torch.tensor(z, dtype=torch.float64, requires_grad=True) for z in case["states"]]
    heads = {
        name: [torch.tensor(p, dtype=torch.float64, requires_grad=True) for p in task["head"]]
        for name, task in case["tasks"].items()
    }
    optimiser = torch.optim.Adam(states + [p for head in heads.values() for p in head], 0.02)
    for _ in range(steps):
        optimiser.zero_grad()
        sum(losses(case, states, heads).values()).backward()
        optimiser.step()
    case["states"] = [z.tolist() for z in states]
    for name, parameters in heads.items():
        case["tasks"][name]["head"] = [p.tolist() for p in parameters]
    return case


def network(name, width, positions, samples, options, hidden=None, pooling="mean"):
    tasks = {}
    for task, touched in samples.items():
        outputs = {"class": 4, "number": 2, "tags": 3}[task]
        rows = sum(positions[b] for b in touched) if task == "tags" else len(touched)
        if task == "number":
            # As f32, which the program under test keeps targets in.
            target = RNG.normal(size=rows * outputs).astype(np.float32).tolist()
        else:
            target = RNG.integers(0, outputs, rows).tolist()
        d_in = width * positions[0] if pooling == "flatten" and task != "tags" else width
        layers = head(outputs, d_in) if hidden is None else head(hidden, d_in) + head(outputs, hidden)
        tasks[task] = {"samples": touched, "target": target, "head": layers}
    default = {
        "tsr": 0.9, "csa": 0.9, "tau": 0.2, "log_losses": True, "channel_mean": "signed",
        "positive_in_denominator": False,
    }
    states = [normal(n, width).tolist() for n in positions]
    case = {"name": name, "width": width, "states": states, "tasks": tasks, "options": default | options}
    return case | {"pooling": pooling}


def cases():
    four = [0, 1, 2, 3]
    everywhere = {"class": four, "number": four, "tags": four}
    some = {"class": [0, 1, 3], "number": [1, 3, 4], "tags": [0, 1, 2]}
    yield network("every task everywhere", 5, [4] * 4, everywhere, {})
    yield network("more positions than channels", 3, [6] * 4, everywhere, {})
    yield network("entropy alone", 5, [3] * 4, everywhere, {"csa": 0.0})
    yield network("contrast alone", 5, [3] * 4, everywhere, {"tsr": 0.0})
    yield network("plain losses", 5, [3] * 4, everywhere, {"log_losses": False})
    yield network("absolute channel mean", 5, [3] * 4, everywhere, {"channel_mean": "absolute"})
    yield network("positive in the denominator", 5, [3] * 4, everywhere, {"positive_in_denominator": True, "tau": 0.1})
    yield network("one position", 6, [1] * 4, {"class": four, "number": four}, {})
    yield network("partial labels, lengths that differ", 4, [3, 1, 5, 2, 4], some, {})
    yield network("a hidden layer", 5, [3] * 4, everywhere, {}, hidden=6)
    maps = {"class": four, "number": four}
    yield network("a hidden layer on maps", 3, [4] * 4, maps, {}, hidden=6, pooling="flatten")
    eight = list(range(8))
    yield fit(network("fitted, a hidden layer on maps", 3, [4] * 8, {"class": eight, "number": eight}, {}, 6, "flatten"))


if __name__ == "__main__":
    json.dump([solve(case) for case in cases()], sys.stdout)
    sys.stdout.write("\n")
