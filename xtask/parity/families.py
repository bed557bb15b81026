"""One tiny model of each encoder and decoder family with its hidden states, from transformers.

Run:  python xtask/parity/families.py crates/polytask-nn/tests/data/families
Made with transformers 5.24.0, torch 2.15.0, safetensors 0.8.0 (Python 3.11).

Writes one folder per family: config.json and model.safetensors (float32) as save_pretrained writes them, and expected.json
with `versions`, `sequences` (token ids) and `states` (the body's last hidden state of each sequence, row after row). Each
sequence runs alone, without padding, with eager attention. Weights are random and away from their defaults, read back
from the written file; the states are computed in float64 (casts to float32 inside the models are not made, except those
of whole numbers, so that the buckets of relative positions are the models' own) and rounded to seven significant digits.
"""

import json
import pathlib
import sys

import torch
import transformers
from torch.overrides import TorchFunctionMode

torch.set_num_threads(1)
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

LENGTHS = [1, 2, 7, 20]
SIZES = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4}
FORWARD = {"intermediate_size": 24, "max_position_embeddings": 40}
ENCODER = {**SIZES, **FORWARD, "pad_token_id": 0}
ROBERTA = {**ENCODER, "max_position_embeddings": 42, "pad_token_id": 1, "type_vocab_size": 1, "layer_norm_eps": 1e-5}
DECODER = {**SIZES, **FORWARD, "num_key_value_heads": 2, "pad_token_id": 0}
MODERNBERT = {
    **ENCODER, "num_hidden_layers": 4, "local_attention": 6, "global_attn_every_n_layers": 2, "global_rope_theta": 80000.0,
    "local_rope_theta": 100.0, "bos_token_id": 1, "cls_token_id": 1, "eos_token_id": 2, "sep_token_id": 2,
}
T5 = {
    "vocab_size": 50, "d_model": 16, "d_kv": 6, "d_ff": 24, "num_layers": 2, "num_decoder_layers": 1, "num_heads": 4,
    "is_encoder_decoder": False, "use_cache": False,
}


def theta(value, **more):
    return {"rope_parameters": {"rope_type": "default", "rope_theta": value, **more}}


LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 100.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
NO_POOLER = {"add_pooling_layer": False}

# Folder, class, arguments of the configuration, arguments of the model, further lengths of sequences.
FAMILIES = [
    ("bert", "BertModel", ENCODER, NO_POOLER, []),
    ("bert-relu", "BertModel", {**ENCODER, "hidden_act": "relu", "type_vocab_size": 2}, NO_POOLER, []),
    ("roberta", "RobertaModel", ROBERTA, NO_POOLER, []),
    ("xlm-roberta", "XLMRobertaModel", ROBERTA, NO_POOLER, []),
    ("camembert", "CamembertModel", ROBERTA, NO_POOLER, []),
    ("distilbert", "DistilBertModel", {
        "vocab_size": 50, "dim": 16, "n_layers": 2, "n_heads": 4, "hidden_dim": 24, "max_position_embeddings": 40,
        "pad_token_id": 0,
    }, {}, []),
    ("mpnet", "MPNetModel", {
        **ENCODER, "max_position_embeddings": 144, "pad_token_id": 1, "relative_attention_num_buckets": 32,
        "layer_norm_eps": 1e-5,
    }, NO_POOLER, [40, 140]),
    ("electra", "ElectraModel", {**ENCODER, "embedding_size": 16}, {}, []),
    ("electra-small", "ElectraModel", {**ENCODER, "embedding_size": 8}, {}, []),
    ("modernbert", "ModernBertModel", MODERNBERT, {}, []),
    ("modernbert-bias", "ModernBertModel", {
        **MODERNBERT, "attention_bias": True, "mlp_bias": True, "norm_bias": True,
    }, {}, []),
    ("nomic_bert", "NomicBertModel", {**ENCODER, **theta(2000.0)}, {}, []),
    ("eurobert", "EuroBertModel", {
        **DECODER, "bos_token_id": 1, "eos_token_id": 2, "mask_token_id": 2, **theta(250000.0),
    }, {}, []),
    ("llama", "LlamaModel", {**DECODER, "rms_norm_eps": 1e-5, **theta(20000.0)}, {}, []),
    ("llama-bias", "LlamaModel", {
        **DECODER, "rms_norm_eps": 1e-5, "attention_bias": True, "mlp_bias": True, **theta(10000.0),
    }, {}, []),
    ("llama3-rope", "LlamaModel", {**DECODER, "rms_norm_eps": 1e-5, "head_dim": 8, "rope_parameters": LLAMA3}, {}, []),
    ("mistral", "MistralModel", {**DECODER, "rms_norm_eps": 1e-5, "sliding_window": 6, **theta(30000.0)}, {}, []),
    ("qwen2", "Qwen2Model", {**DECODER, **theta(1000000.0)}, {}, []),
    ("qwen3", "Qwen3Model", {**DECODER, "head_dim": 8, **theta(1000000.0)}, {}, []),
    ("t5", "T5EncoderModel", {**T5, "feed_forward_proj": "relu"}, {}, [40, 140]),
    ("t5-gated", "T5EncoderModel", {
        **T5, "feed_forward_proj": "gated-gelu", "relative_attention_num_buckets": 8, "relative_attention_max_distance": 15,
    }, {}, [40]),
    ("albert", "AlbertModel", {**ENCODER, "embedding_size": 8, "num_hidden_layers": 3, "hidden_dropout_prob": 0.1},
     NO_POOLER, []),
    ("albert-groups", "AlbertModel", {
        **ENCODER, "embedding_size": 16, "num_hidden_layers": 4, "num_hidden_groups": 2, "hidden_act": "gelu",
    }, NO_POOLER, []),
    ("clip_text_model", "CLIPTextModel", {**ENCODER, "bos_token_id": 1, "eos_token_id": 2, "layer_norm_eps": 1e-5}, {}, []),
]


class Wide(TorchFunctionMode):
    """Leaves float64 tensors as they are where a model would make them float32."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if args and isinstance(args[0], torch.Tensor) and args[0].dtype == torch.float64:
            if func is torch.Tensor.float:
                return args[0]
            args = tuple(torch.float64 if value is torch.float32 else value for value in args)
            if kwargs.get("dtype") is torch.float32:
                kwargs["dtype"] = torch.float64
        return func(*args, **kwargs)


def randomise(model, norm_centre):
    """Fills every parameter: matrices and tables, biases, weights of norms."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape)
            if parameter.dim() > 1:
                parameter.copy_(0.3 * noise)
            elif name.endswith("bias"):
                parameter.copy_(0.1 * noise)
            else:
                parameter.copy_(norm_centre + 0.2 * noise)


def states(model, ids):
    ids = torch.tensor([ids])
    body = model.get_encoder() if model.config.is_encoder_decoder else model
    with torch.no_grad(), Wide():
        found = body(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    assert found.dtype == torch.float64 and found.isfinite().all()
    return [float(f"{value:.7g}") for value in found.flatten().tolist()]


def write(root, seed, name, cls, config, model_arguments, lengths):
    folder = root / name
    cls = getattr(transformers, cls)
    torch.manual_seed(seed)
    model = cls(cls.config_class(**config), **model_arguments)
    # Gemma's norms multiply by one plus the weight.
    randomise(model, 1.0)
    model.save_pretrained(folder)
    model = cls.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32, **model_arguments).double().eval()

    generator = torch.Generator().manual_seed(5)
    sequences = [torch.randint(3, 50, [length], generator=generator).tolist() for length in LENGTHS + lengths]
    versions = {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__}
    with open(folder / "expected.json", "w", encoding="ascii") as out:
        fields = [f'"versions": {json.dumps(versions)}']
        for key, rows in [("sequences", sequences), ("states", [states(model, ids) for ids in sequences])]:
            fields.append(f'"{key}": [\n' + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]")
        out.write("{\n" + ",\n".join(fields) + "\n}\n")


def main():
    for seed, family in enumerate(FAMILIES):
        write(pathlib.Path(sys.argv[1]), seed, *family)


if __name__ == "__main__":
    main()
