"""What PyTorch's training peers share: the encoder, and a batch of sequences in padded groups with their targets.

A task's loss is the mean of states times a fixed target over the task's own tokens; polytask writes sequences and
targets, so that both sides compute the same numbers.
"""

import json
import re

import numpy
import torch
from transformers import AutoConfig, AutoModel


def set_threads(n):
    """Bounds every pool of PyTorch; must come before the first parallel operation."""
    torch.set_num_threads(n)
    torch.set_num_interop_threads(1)


def start(job):
    """Threads, random numbers and the job's parts: the encoder, its width, all sequences, and the tasks."""
    set_threads(job["threads"])
    torch.manual_seed(13)
    model = encoder(job)
    width = model.config.hidden_size
    return model, width, *read(job, width)


# What the configurations of families call their dropout.
DROPOUTS = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "attention_dropout",
    "embedding_dropout",
    "mlp_dropout",
    "dropout_rate",
    "dropout",
)


def encoder(job):
    """The encoder without pooler (polytask's trunk has none), in training mode, without dropout when proving."""
    dropout = 0.0 if "prove" in job else 0.1
    config = AutoConfig.from_pretrained(job["model"])
    for name in DROPOUTS:
        if hasattr(config, name):
            setattr(config, name, dropout)
    model = AutoModel.from_pretrained(job["model"], config=config, attn_implementation=job["attention"])
    if getattr(model, "pooler", None) is not None:
        model.pooler = None
    if "adapter" in job:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, job["adapter"], is_trainable=True)
    return model.train()


class Task:
    """A task's sequences and its target for each, already divided by the number of values."""

    def __init__(self, index, sequences, targets):
        self.index, self.sequences, self.targets = index, sequences, targets

    def part(self, sequences):
        """The task on some of its sequences."""
        return Task(self.index, sequences, self.targets)


def read(job, width):
    """All sequences, and the tasks."""
    with open(job["sequences"], encoding="utf-8") as file:
        batch = json.load(file)
    sequences, values, tasks, start = batch["sequences"], numpy.fromfile(job["targets"], "<f4"), [], 0
    for task in batch["tasks"]:
        rows = sum(len(sequences[s]) for s in task["sequences"])
        targets = {}
        for s in task["sequences"]:
            end = start + len(sequences[s]) * width
            targets[s] = torch.from_numpy(values[start:end].reshape(-1, width) / (rows * width))
            start = end
        tasks.append(Task(len(tasks), task["sequences"], targets))
    return sequences, tasks


class Group:
    """Sequences padded to the longest of them, and the tasks that read them."""

    def __init__(self, sequences, members, tasks):
        self.members, self.tasks = members, tasks
        longest = max(len(sequences[s]) for s in members)
        self.ids = torch.zeros((len(members), longest), dtype=torch.long)
        mask = torch.zeros_like(self.ids)
        for row, s in enumerate(members):
            self.ids[row, : len(sequences[s])] = torch.tensor(sequences[s])
            mask[row, : len(sequences[s])] = 1
        self.mask = None if mask.all() else mask

    def states(self, model):
        return model(input_ids=self.ids, attention_mask=self.mask).last_hidden_state

    def rows_of(self, task):
        """The rows a task reads: a slice where they lie together."""
        rows = [self.members.index(s) for s in task.sequences]
        together = rows == list(range(rows[0], rows[0] + len(rows)))
        return slice(rows[0], rows[-1] + 1) if together else torch.tensor(rows)

    def target(self, task, width):
        """A task's target on its rows, 0 at padding."""
        target = torch.zeros((len(task.sequences), self.ids.shape[1], width))
        for row, s in enumerate(task.sequences):
            target[row, : len(task.targets[s])] = task.targets[s]
        return target

    def whole_target(self, width):
        """The sum of all tasks' targets on all rows."""
        total = torch.zeros((*self.ids.shape, width))
        for task in self.tasks:
            total[self.rows_of(task)] += self.target(task, width)
        return total


def groups(layout, sequences, tasks):
    """Everything in one group (`joint`), a group per task (`per-task`), or two per task, its shorter sequences and its
    longer ones (`by-length`): queries are not padded to the length of passages."""
    if layout == "joint":
        return [Group(sequences, list(range(len(sequences))), tasks)]
    if layout == "per-task":
        return [Group(sequences, task.sequences, [task]) for task in tasks]
    parts = [task.part(half) for task in tasks for half in halves(task.sequences, sequences) if half]
    return [Group(sequences, part.sequences, [part]) for part in parts]


def halves(members, sequences):
    """The shorter half and the longer half."""
    ordered = sorted(members, key=lambda s: len(sequences[s]))
    return ordered[: len(ordered) // 2], ordered[len(ordered) // 2 :]


def keep_states(path, sequences, groups, model):
    """Writes the states of all tokens, sequence by sequence, without padding."""
    found = {}
    with torch.no_grad():
        for group in groups:
            for s, states in zip(group.members, group.states(model)):
                found[s] = states[: len(sequences[s])]
    torch.cat([found[s] for s in range(len(sequences))]).numpy().astype("<f4").tofile(path)


def block_of(name, n_layers):
    """The name polytask gives the group of parameters this one lies in; the network's last norm is the top layer's."""
    if "lora_" in name:
        return f"adapter.{block_of(name.replace('lora_', '').removeprefix('base_model.model.'), n_layers)}"
    if re.search(r"word_embeddings|tok_embeddings|embed_tokens|^shared", name):
        return "words"
    if layer := re.search(r"(?:^|\.)(?:layer|layers|block)\.(\d+)\.", name):
        return f"layer.{layer[1]}"
    return f"layer.{n_layers - 1}" if re.search(r"final|^norm", name) else "embeddings"
