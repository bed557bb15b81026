"""Writes an encoder as ONNX graphs with pooling and normalisation inside: `plain` as exported, `optimised` fused by
ONNX Runtime's own optimiser for BERT. Prints which graphs there are."""

import json
import os
import sys

import torch
from transformers import AutoModel

INPUTS = ["input_ids", "attention_mask", "token_type_ids"]


class Sentences(torch.nn.Module):
    """Mean of the states of all tokens, brought to length 1."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder

    def forward(self, ids, mask, types):
        states = self.encoder(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state
        weights = mask.unsqueeze(-1).to(states.dtype)
        mean = (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        return torch.nn.functional.normalize(mean, dim=1)


def export(encoder, path):
    ids = torch.randint(1000, 2000, (2, 8))
    example = (ids, torch.ones_like(ids), torch.zeros_like(ids))
    axes = {name: {0: "texts", 1: "tokens"} for name in INPUTS} | {"vectors": {0: "texts"}}
    torch.onnx.export(
        Sentences(encoder).eval(),
        example,
        path,
        input_names=INPUTS,
        output_names=["vectors"],
        dynamic_axes=axes,
        opset_version=17,
        dynamo=False,
    )


def optimise(config, plain, path):
    from onnxruntime.transformers import optimizer

    sizes = {"num_heads": config.num_attention_heads, "hidden_size": config.hidden_size}
    optimizer.optimize_model(plain, model_type="bert", **sizes).save_model_to_file(path)


def main():
    model, folder = sys.argv[1:]
    # The plain form of attention is the one the optimiser knows how to fuse.
    encoder = AutoModel.from_pretrained(model, attn_implementation="eager").eval()
    plain, optimised = (os.path.join(folder, f"{name}.onnx") for name in ["plain", "optimised"])
    export(encoder, plain)
    graphs = ["plain"]
    try:
        optimise(encoder.config, plain, optimised)
        graphs.append("optimised")
    except Exception as error:
        print(f"no optimised graph: {error}", file=sys.stderr)
    print(json.dumps({"graphs": graphs}))


if __name__ == "__main__":
    main()
