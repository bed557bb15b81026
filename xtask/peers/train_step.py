"""One training step of a MiniLM-shaped encoder in PyTorch: forward, backward, fused AdamW, dropout 0.1, f32.

The peer of `polytask bench train-step`: random weights of BERT's shape (30,522 tokens, 6 layers, 384 wide, 12 heads,
1,536 in the middle; 22.7 million parameters, all trained), random tokens of full length, a scalar loss on all states.

    python train_step.py [--batch 32] [--length 64] [--threads 2] [--runs 20] [--warmup 3]

Prints one JSON object. Packages: requirements.txt beside this file.
"""

import argparse
import json

import torch
from transformers import BertConfig, BertModel

from measure import measure, set_threads, summary


def options():
    parser = argparse.ArgumentParser()
    for name, default in [("batch", 32), ("length", 64), ("threads", 2), ("runs", 20), ("warmup", 3)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args()


def encoder():
    """The encoder without pooler (polytask's trunk has none), in training mode."""
    config = BertConfig(
        vocab_size=30522,
        hidden_size=384,
        num_hidden_layers=6,
        num_attention_heads=12,
        intermediate_size=1536,
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
    )
    return BertModel(config, add_pooling_layer=False).train()


def step_of(model, batch, length):
    """A function that makes one whole step on a fixed batch."""
    ids = torch.randint(1000, 30000, (batch, length))
    mask = torch.ones_like(ids)
    target = torch.randn(batch, length, 384)
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.01, fused=True)

    def step():
        optimiser.zero_grad(set_to_none=True)
        states = model(input_ids=ids, attention_mask=mask).last_hidden_state
        (states * target).mean().backward()
        optimiser.step()

    return step


def main():
    chosen = options()
    set_threads(chosen.threads)
    torch.manual_seed(13)
    model = encoder()
    times = measure(step_of(model, chosen.batch, chosen.length), chosen.runs, chosen.warmup)
    shape = {"batch": chosen.batch, "length": chosen.length}
    parameters = sum(parameter.numel() for parameter in model.parameters())
    version = {"name": "train-step", "peer": f"torch {torch.__version__}", "parameters": parameters}
    print(json.dumps(version | shape | summary(times)))


if __name__ == "__main__":
    main()
