"""One training step of an encoder in PyTorch: forward, backward, fused AdamW, all weights or LoRA's, dropout 0.1.

The peer of `polytask bench train-step` (equal lengths) and `polytask bench mixed-step` (real lengths, padded: `layout`
says whether all tasks share one padded batch, each has its own, or each has one of short and one of long sequences).
"""

import collections

import torch

import torch_batch
from common import measure, read_job, report, summary


def step_of(model, groups):
    """A function that makes one whole step."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=1e-5, weight_decay=0.01, fused=True)

    def step():
        optimiser.zero_grad(set_to_none=True)
        backward(model, groups)
        optimiser.step()

    return step


def backward(model, groups):
    """Adds the gradients of all groups."""
    for group, target in groups:
        (group.states(model) * target).sum().backward()


def block_norms(model):
    squares, layers = collections.Counter(), model.config.num_hidden_layers
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        squares[torch_batch.block_of(name, layers)] += parameter.grad.double().square().sum().item()
    return {block: square**0.5 for block, square in squares.items()}


def main():
    job = read_job()
    model, width, sequences, tasks = torch_batch.start(job)
    plain = torch_batch.groups(job["layout"], sequences, tasks)
    # Tasks that share a group share its backward.
    groups = [(group, group.whole_target(width)) for group in plain]
    del tasks
    run = torch.compile(model) if job.get("compile") else model
    versions = {"torch": torch.__version__}
    if "prove" in job:
        torch_batch.keep_states(job["prove"], sequences, plain, run)
        backward(run, groups)
        report(job, versions, norms=block_norms(model))
    else:
        report(job, versions, **summary(measure(step_of(run, groups), job["runs"], job["warmup"])))


if __name__ == "__main__":
    main()
