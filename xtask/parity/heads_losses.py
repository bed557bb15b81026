"""Reference values of heads, losses, pooling and AdamW from PyTorch and sentence-transformers.

Run:  python xtask/parity/heads_losses.py > crates/polytask-nn/src/golden.json
Made with torch 2.15.0 and sentence-transformers 6.2.0 (Python 3.11), all but AdamW in float64.
"""

import json
import math
import sys

import torch
import torch.nn.functional as F
from sentence_transformers.sentence_transformer import losses as st
from sentence_transformers.sentence_transformer.modules.pooling import Pooling

torch.set_default_dtype(torch.float64)


def wave(n, phase, scale=1.0):
    """n values without pattern, written into the file so that no reader needs the formula."""
    return [scale * math.sin(1.7 * i + phase) + 0.3 * math.cos(5.1 * i * i + phase) for i in range(n)]


def leaf(values, *shape):
    return torch.tensor(values).reshape(*shape).requires_grad_()


def case(loss, choice, shape, values, target, output, **more):
    """Loss and its gradient with respect to the outputs."""
    (grad,) = torch.autograd.grad(loss, output)
    return dict(choice=choice, shape=shape, output=values, target=target, loss=loss.item(), grad=grad.flatten().tolist(), **more)


def cross_entropy():
    values, labels = wave(20, 0.3, 2.0), [0, 3, 2, 3, 1]
    for smoothing, weights in [(0.0, None), (0.1, None), (0.0, [0.5, 2.0, 1.0, 3.0]), (0.2, [0.5, 2.0, 1.0, 3.0])]:
        x = leaf(values, 5, 4)
        loss = F.cross_entropy(x, torch.tensor(labels), label_smoothing=smoothing, weight=weights and torch.tensor(weights))
        choice = {"name": "cross-entropy", "label_smoothing": smoothing}
        if weights:
            choice["class_weights"] = {f"l{i}": w for i, w in enumerate(weights)}
        yield case(loss, choice, [5, 4], values, labels, x)
    x = leaf([1e4 if i % 4 == 1 else -1e4 for i in range(8)], 2, 4)
    loss = F.cross_entropy(x, torch.tensor([1, 0]))
    yield case(loss, {"name": "cross-entropy"}, [2, 4], x.flatten().tolist(), [1, 0], x)


def bce():
    values = wave(12, 1.1, 3.0) + [0.0, 0.0, 1e4, -1e4, 1e4, -1e4]
    target = [float(i % 3 == 0) for i in range(12)] + [0.0, 1.0, 0.0, 0.0, 1.0, 1.0]
    for pos_weight in [1.0, 2.5]:
        x = leaf(values, 6, 3)
        loss = F.binary_cross_entropy_with_logits(x, torch.tensor(target).reshape(6, 3), pos_weight=torch.full((3,), pos_weight))
        yield case(loss, {"name": "bce", "pos_weight": pos_weight}, [6, 3], values, target, x)


def numbers():
    values, target = wave(6, 0.7, 2.0), wave(6, 2.2)
    for choice, loss in [
        ({"name": "huber", "delta": 1.0}, lambda x, y: F.huber_loss(x, y, delta=1.0)),
        ({"name": "huber", "delta": 0.4}, lambda x, y: F.huber_loss(x, y, delta=0.4)),
        ({"name": "mse"}, F.mse_loss),
    ]:
        x = leaf(values, 6, 1)
        # Targets are stored as f32.
        y = torch.tensor(target, dtype=torch.float32).double().reshape(6, 1)
        yield case(loss(x, y), choice, [6, 1], values, y.flatten().tolist(), x)


def vectors(n, width, phase):
    return wave(n * width, phase)


def pairs():
    """Cosine losses, gradient with respect to both vectors of each pair."""
    n, width = 6, 5
    values = vectors(2 * n, width, 0.4)
    scores = [0.0, 0.5, 0.5, 1.0, 0.25, 0.75]
    for choice, make in [
        ({"name": "cosent"}, lambda: st.CoSENTLoss(None)),
        ({"name": "cosent", "scale": 5.0}, lambda: st.CoSENTLoss(None, scale=5.0)),
        ({"name": "cosine-mse"}, lambda: st.CosineSimilarityLoss(None)),
    ]:
        z = leaf(values, 2 * n, width)
        loss = make().compute_loss_from_embeddings([z[:n], z[n:]], torch.tensor(scores))
        yield case(loss, choice, [2 * n, width], values, scores, z)


def retrieval():
    """InfoNCE with n positives and n hard negatives as columns."""
    n, width = 4, 5
    values = vectors(3 * n, width, 0.9)
    for symmetric, temperature in [(False, 0.05), (False, 0.2), (True, 0.05)]:
        directions = ("query_to_doc", "doc_to_query") if symmetric else ("query_to_doc",)
        make = st.MultipleNegativesRankingLoss(None, scale=1 / temperature, directions=directions, partition_mode="per_direction")
        z = leaf(values, 3 * n, width)
        loss = make.compute_loss_from_embeddings([z[:n], z[n : 2 * n], z[2 * n :]], None)
        choice = {"name": "info-nce", "temperature": temperature, "symmetric": symmetric}
        yield case(loss, choice, [3 * n, width], values, list(range(n)), z)


def pooling():
    lengths, width = [3, 1, 5], 4
    values = wave(sum(lengths) * width, 0.2)
    padded, mask, at = torch.zeros(3, 5, width), torch.zeros(3, 5, dtype=torch.long), 0
    for s, n in enumerate(lengths):
        padded[s, :n] = torch.tensor(values[at : at + n * width]).reshape(n, width)
        mask[s, :n], at = 1, at + n * width
    for mode in [[m] for m in Pooling.POOLING_MODES] + [["cls", "mean", "lasttoken"]]:
        out = Pooling(width, tuple(mode))({"token_embeddings": padded, "attention_mask": mask})
        yield dict(modes=mode, lengths=lengths, states=values, pooled=out["sentence_embedding"].flatten().tolist())


def adamw():
    torch.set_default_dtype(torch.float32)
    weight = torch.nn.Parameter(torch.tensor(wave(12, 0.6)))
    bias = torch.nn.Parameter(torch.tensor(wave(4, 1.6)))
    start = weight.tolist() + bias.tolist()
    groups = [dict(params=[weight], weight_decay=0.1), dict(params=[bias], weight_decay=0.0)]
    optimiser = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.98), eps=1e-6)
    grads, values = [], []
    for step in range(5):
        grad = torch.tensor(wave(16, 3.0 + step, 10.0 ** (step - 2)))
        weight.grad, bias.grad = grad[:12].clone(), grad[12:].clone()
        optimiser.step()
        grads.append(grad.tolist())
        values.append(weight.tolist() + bias.tolist())
    return dict(start=start, grads=grads, values=values, lr=0.01, betas=[0.9, 0.98], eps=1e-6, weight_decay=0.1)


golden = dict(
    outputs=[*cross_entropy(), *bce(), *numbers()],
    pairs=list(pairs()),
    retrieval=list(retrieval()),
    pooling=list(pooling()),
    adamw=adamw(),
)
lines = (
    f'"{key}": [\n' + ",\n".join(map(json.dumps, value)) + "\n]" if isinstance(value, list) else f'"{key}": {json.dumps(value)}'
    for key, value in golden.items()
)
sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")
