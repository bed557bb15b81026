"""Steps of conflict methods in PyTorch with TorchJD: forward, heads, task gradients, the aggregation, fused AdamW.

The peer of `polytask bench conflict`: the same network and heads from the same weights, the same rows and labels.
Full gradients go through one of TorchJD's engines: `autojac` keeps the Jacobian, `autogram` finds its Gramian alone
and weighs the losses (methods that are no function of the Gramian stay with `autojac`). At the representation each
task's gradient is taken there, and the aggregated one sent back through the trunk once.
"""

import collections
from importlib.metadata import version

import numpy
import torch
from torch import nn
from torch.nn import functional
from torchjd import aggregation, autogram, autojac
from transformers import BertModel

from common import measure, read_job, report, summary
from torch_batch import block_of, set_threads

CLASSES = 10

UPGRAD = {"method": "upgrad", "gradients": "full"}

AGGREGATORS = {
    "mean": lambda n: aggregation.Mean(),
    "mgda": lambda n: aggregation.MGDA(),
    "pcgrad": lambda n: aggregation.PCGrad(),
    "cagrad": lambda n: aggregation.CAGrad(c=0.4),
    "nash-mtl": lambda n: aggregation.NashMTL(n_tasks=n),
    "upgrad": lambda n: aggregation.UPGrad(),
    "aligned-mtl": lambda n: aggregation.AlignedMTL(),
}

WEIGHTINGS = {
    "mean": aggregation.MeanWeighting,
    "mgda": aggregation.MGDAWeighting,
    "pcgrad": aggregation.PCGradWeighting,
    "cagrad": lambda: aggregation.CAGradWeighting(c=0.4),
    "upgrad": aggregation.UPGradWeighting,
    "aligned-mtl": aggregation.AlignedMTLWeighting,
}


def floats(path):
    return torch.from_numpy(numpy.fromfile(path, "<f4"))


class Mlp(nn.Sequential):
    """Affine maps with ReLU, filled with polytask's weights."""

    def __init__(self, job):
        values, widths, at, layers = floats(job["weights"]), [256, 512, 512, 512], 0, []
        for below, width in zip(widths, widths[1:]):
            layer = nn.Linear(below, width)
            with torch.no_grad():
                for parameter in (layer.weight, layer.bias):
                    parameter.copy_(values[at : at + parameter.numel()].view_as(parameter))
                    at += parameter.numel()
            layers += [layer, nn.ReLU()]
        super().__init__(*layers)
        self.images = floats(job["images"]).view(-1, widths[0])

    def features(self):
        return self(self.images)

    def block_of(self, name):
        return f"layer.{int(name.split('.')[0]) // 2}"


class Encoder(nn.Module):
    """BERT without pooler and dropout, its states averaged over tokens."""

    def __init__(self, job):
        super().__init__()
        options = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "add_pooling_layer": False}
        self.bert = BertModel.from_pretrained(job["model"], **options)
        sequences = job["sequences"]
        shape = (len(sequences), max(map(len, sequences)))
        self.ids, self.mask = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
        for row, sequence in enumerate(sequences):
            self.ids[row, : len(sequence)] = torch.tensor(sequence)
            self.mask[row, : len(sequence)] = 1

    def features(self):
        states = self.bert(input_ids=self.ids, attention_mask=self.mask).last_hidden_state
        mask = self.mask[:, :, None].float()
        return (states * mask).sum(1) / mask.sum(1)

    def block_of(self, name):
        return block_of(name.removeprefix("bert."), self.bert.config.num_hidden_layers)


def heads_of(job, width):
    """A linear head per task."""
    values = floats(job["heads"]).view(job["tasks"], -1)
    heads = nn.ModuleList(nn.Linear(width, CLASSES) for _ in range(job["tasks"]))
    with torch.no_grad():
        for head, of_head in zip(heads, values, strict=True):
            head.weight.copy_(of_head[: width * CLASSES].view_as(head.weight))
            head.bias.copy_(of_head[width * CLASSES :])
    return heads


class Work:
    def __init__(self, job):
        self.job, self.twin, self.hooked = job, None, None
        self.trunk = (Mlp if job["trunk"] == "mlp" else Encoder)(job).train()
        with torch.no_grad():
            width = self.trunk.features().shape[1]
        self.heads, self.labels = heads_of(job, width), torch.tensor(job["labels"])
        self.shared, self.own = list(self.trunk.parameters()), list(self.heads.parameters())
        self.optimiser = torch.optim.AdamW([*self.shared, *self.own], lr=1e-5, weight_decay=0.01, fused=True)
        self.engine = job["engine"]
        self.n = job["tasks"]

    def losses(self, features):
        return [functional.cross_entropy(head(features), y) for head, y in zip(self.heads, self.labels)]

    def side(self, mix):
        """The network that takes a mix's steps: `autogram` hooks into all passes of a network, so it has one of its
        own."""
        if mix["gradients"] != "full" or self.engine != "autogram" or mix["method"] not in WEIGHTINGS:
            return self
        if self.twin is None:
            self.twin = Work(self.job)
            self.twin.hooked = autogram.Engine(self.twin.trunk, batch_dim=None)
        return self.twin

    def step(self, mix):
        """A whole step."""
        side = self.side(mix)
        gradients = side.gradients_of(mix)

        def run():
            side.optimiser.zero_grad(set_to_none=True)
            gradients()
            side.optimiser.step()

        return run

    def plain(self):
        sum(self.losses(self.trunk.features())).backward()

    def jacobian(self, method):
        """The Jacobian kept, then aggregated."""
        aggregator = AGGREGATORS[method](self.n)

        def gradients():
            features = self.trunk.features()
            autojac.mtl_backward(self.losses(features), features=features)
            autojac.jac_to_grad(self.shared, aggregator)

        return gradients

    def gramian(self, method):
        """The Gramian alone, then one backward of the weighted losses; heads get their own gradients."""
        weighting, engine = WEIGHTINGS[method](), self.hooked

        def gradients():
            losses = torch.stack(self.losses(self.trunk.features()))
            weights = weighting(engine.compute_gramian(losses))
            own = torch.autograd.grad(losses.sum(), self.own, retain_graph=True)
            losses.backward(weights, inputs=self.shared)
            for parameter, gradient in zip(self.own, own):
                parameter.grad = gradient

        return gradients

    def representation(self, method):
        """Gradients of the losses at the features, aggregated, sent back once."""
        aggregator = AGGREGATORS[method](self.n)

        def gradients():
            features = self.trunk.features()
            at = features.detach().requires_grad_()
            rows = []
            for head, loss in zip(self.heads, self.losses(at)):
                row, *own = torch.autograd.grad(loss, [at, *head.parameters()])
                rows.append(row.flatten())
                for parameter, gradient in zip(head.parameters(), own):
                    parameter.grad = gradient
            features.backward(aggregator(torch.stack(rows)).view_as(features))

        return gradients

    def gradients_of(self, mix):
        if mix["method"] == "plain":
            return self.plain
        if mix["gradients"] == "representation":
            return self.representation(mix["method"])
        return (self.gramian if self.hooked else self.jacobian)(mix["method"])

    def products(self):
        """Inner products of the tasks' gradients of the trunk, by the engine of the job."""
        features = self.trunk.features()
        if self.hooked:
            return self.hooked.compute_gramian(torch.stack(self.losses(features)))
        autojac.mtl_backward(self.losses(features), features=features)
        # A sum over millions of products needs more than float32 keeps.
        products = torch.zeros(self.n, self.n, dtype=torch.float64)
        for parameter in self.shared:
            rows = parameter.jac.flatten(1).double()
            products += rows @ rows.T
            del parameter.jac
        return products

    def norms(self):
        """Norm of each block of UPGrad's update."""
        self.optimiser.zero_grad(set_to_none=True)
        self.gradients_of(UPGRAD)()
        squares = collections.Counter()
        for name, parameter in self.trunk.named_parameters():
            squares[self.trunk.block_of(name)] += parameter.grad.double().square().sum().item()
        return {block: square**0.5 for block, square in squares.items()}


def main():
    job = read_job()
    set_threads(job["threads"])
    torch.manual_seed(13)
    work = Work(job)
    versions = {"torch": torch.__version__, "torchjd": version("torchjd")}
    if "prove" in job:
        with torch.no_grad():
            work.trunk.features().numpy().astype("<f4").tofile(job["prove"])
        side = work.side(UPGRAD)
        gramian = side.products().reshape(-1).tolist()
        report(job, versions, gramian=gramian, norms=side.norms())
        return
    mixes = []
    for mix in job["mixes"]:
        times = measure(work.step(mix), job["runs"], job["warmup"])
        mixes.append({"mix": mix["mix"]} | summary(times))
    report(job, versions, mixes=mixes)


if __name__ == "__main__":
    main()
