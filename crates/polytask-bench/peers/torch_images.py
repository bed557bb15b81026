"""One training step of an image network in PyTorch: forward, backward, fused AdamW, batch norms in training mode.

The peer of `polytask bench conv-step`: the same networks from the same weights on the same images. polytask keeps
channels innermost, so weights and states change places here.
"""

import collections

import numpy
import torch
from torch import nn
from torch.nn import functional

from common import measure, read_job, report, summary


class LeNet(nn.Module):
    """Convolutions 9 and 5 wide, each with pooling and ReLU; then an affine map to a vector, where there is one."""

    def __init__(self, side, has_vector):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 10, 9), nn.Conv2d(10, 20, 5)
        places = ((side - 8) // 2 - 4) // 2
        self.fc = nn.Linear(20 * places * places, 50) if has_vector else None

    def forward(self, x):
        x = functional.relu(functional.max_pool2d(self.conv1(x), 2))
        x = functional.relu(functional.max_pool2d(self.conv2(x), 2))
        return x if self.fc is None else functional.relu(self.fc(x.flatten(1)))

    def blocks(self):
        return [[part] for part in (self.conv1, self.conv2, self.fc) if part is not None]


class ChannelNorm(nn.Module):
    """A layer norm over channels."""

    def __init__(self, channels):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        x = functional.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias)
        return x.permute(0, 3, 1, 2)


class ConvNet(nn.Module):
    """Stages of convolution, layer norm and ReLU, pooling between them."""

    def __init__(self, _side, _has_vector):
        super().__init__()
        widths = [1, 32, 64, 128]
        pairs = zip(widths, widths[1:], strict=False)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairs)
        self.norms = nn.ModuleList(ChannelNorm(width) for width in widths[1:])

    def forward(self, x):
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = functional.relu(norm(conv(functional.max_pool2d(x, 2) if i else x)))
        return x

    def blocks(self):
        return [[conv, norm] for conv, norm in zip(self.convs, self.norms, strict=True)]


class Residual(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, below, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(below, width, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.short = None
        if stride != 1 or below != width:
            self.short = nn.Sequential(nn.Conv2d(below, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        self.norm2 = nn.BatchNorm2d(width)

    def forward(self, x):
        y = self.norm2(self.conv2(functional.relu(self.norm1(self.conv1(x)))))
        return functional.relu(y + (x if self.short is None else self.short(x)))

    def parts(self):
        return [self.conv1, self.norm1, self.conv2, *(self.short or []), self.norm2]


class ResNet18(nn.Module):
    """The stem of small images, then four stages of two residual blocks."""

    def __init__(self, _side, _has_vector):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64)
        below, stages = 64, []
        for stage, width in enumerate([64, 128, 256, 512]):
            stages += [Residual(below, width, 2 if stage else 1), Residual(width, width, 1)]
            below = width
        self.stages = nn.Sequential(*stages)

    def forward(self, x):
        return self.stages(functional.relu(self.norm(self.conv(x))))

    def blocks(self):
        return [[self.conv, self.norm]] + [stage.parts() for stage in self.stages]


NETS = {"convnet": ConvNet, "lenet": LeNet, "lenet-maps": LeNet, "resnet18": ResNet18}


def values(path, *shape):
    return torch.from_numpy(numpy.fromfile(path, "<f4").reshape(*shape))


class Weights:
    """polytask's parameters, taken one tensor after another."""

    def __init__(self, path):
        self.values, self.at = values(path, -1), 0

    def take(self, *shape):
        n = int(numpy.prod(shape))
        self.at += n
        return self.values[self.at - n : self.at].reshape(*shape)

    def fill(self, part):
        with torch.no_grad():
            if isinstance(part, nn.Conv2d):
                out, below, height, width = part.weight.shape
                part.weight.copy_(self.take(out, height, width, below).permute(0, 3, 1, 2))
            elif isinstance(part, nn.Linear):
                out, n = part.weight.shape
                side = int((n // 20) ** 0.5)
                part.weight.copy_(self.take(out, side, side, 20).permute(0, 3, 1, 2).flatten(1))
            else:
                part.weight.copy_(self.take(*part.weight.shape))
            if part.bias is not None:
                part.bias.copy_(self.take(*part.bias.shape))
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.copy_(self.take(*part.running_mean.shape))
                part.running_var.copy_(self.take(*part.running_var.shape))


def block_norms(model):
    squares = collections.Counter()
    for block, parts in enumerate(model.blocks()):
        for parameter in (p for part in parts for p in part.parameters()):
            squares[f"layer.{block}"] += parameter.grad.double().square().sum().item()
    return {block: square**0.5 for block, square in squares.items()}


def main():
    job = read_job()
    torch.set_num_threads(job["threads"])
    torch.set_num_interop_threads(1)
    side, batch = job["side"], job["batch"]
    model = NETS[job["net"]](side, job["net"] == "lenet").train()
    weights = Weights(job["weights"])
    for part in (part for parts in model.blocks() for part in parts):
        weights.fill(part)
    images = values(job["images"], batch, 1, side, side)
    if job["memory"] == "channels-last":
        model, images = (thing.to(memory_format=torch.channels_last) for thing in (model, images))
    run = torch.compile(model) if job.get("compile") else model
    with torch.no_grad():
        shape = model(images).shape
    rows = [shape[0], *shape[2:], shape[1]]
    target = values(job["target"], *rows)
    target = (target / target.numel()).permute(0, 3, 1, 2) if len(shape) == 4 else target / target.numel()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.01, fused=True)

    def backward():
        optimiser.zero_grad(set_to_none=True)
        states = run(images)
        (states * target).sum().backward()
        return states.detach()

    def step():
        backward()
        optimiser.step()

    versions = {"torch": torch.__version__}
    if "prove" in job:
        states = backward()
        states = states.permute(0, 2, 3, 1) if states.dim() == 4 else states
        states.contiguous().numpy().astype("<f4").tofile(job["prove"])
        report(job, versions, norms=block_norms(model))
    else:
        report(job, versions, **summary(measure(step, job["runs"], job["warmup"])))


if __name__ == "__main__":
    main()
