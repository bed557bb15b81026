"""Inner products of the gradients of several tasks in PyTorch, each gradient kept apart by a backward of its own.

The peer of `polytask bench gramian`; `layout` says whether the tasks share one padded forward, have one each, or two.
"""

import torch

import torch_batch
from common import measure, read_job, report, summary


def gradients_of(model, groups, width):
    """A function that gives every task's gradients, one list of parameters' gradients after the other."""
    parameters = list(model.parameters())
    parts = lambda group: [(task.index, group.rows_of(task), group.target(task, width)) for task in group.tasks]
    wanted = [parts(group) for group in groups]

    def of_group(group, targets):
        states = group.states(model)
        for i, (task, rows, target) in enumerate(targets):
            again = i + 1 < len(targets)
            yield task, torch.autograd.grad((states[rows] * target).sum(), parameters, retain_graph=again)

    def all_groups():
        total = {}
        for group, targets in zip(groups, wanted):
            for task, found in of_group(group, targets):
                known = total.get(task)
                total[task] = found if known is None else [a.add_(b) for a, b in zip(known, found)]
        return [total[task] for task in sorted(total)]

    return all_groups


def products(gradients):
    """Inner products of all pairs."""
    total = torch.zeros((len(gradients), len(gradients)))
    for of_parameter in zip(*gradients):
        for i, a in enumerate(of_parameter):
            for j, b in enumerate(of_parameter[: i + 1]):
                total[i, j] += torch.dot(a.reshape(-1), b.reshape(-1))
    return total + total.tril(-1).T


def main():
    job = read_job()
    model, width, sequences, tasks = torch_batch.start(job)
    groups = torch_batch.groups(job["layout"], sequences, tasks)
    gradients, versions = gradients_of(model, groups, width), {"torch": torch.__version__}
    if "prove" in job:
        torch_batch.keep_states(job["prove"], sequences, groups, model)
        report(job, versions, gramian=products(gradients()).reshape(-1).tolist())
    else:
        step = lambda: products(gradients())
        report(job, versions, **summary(measure(step, job["runs"], job["warmup"])))


if __name__ == "__main__":
    main()
