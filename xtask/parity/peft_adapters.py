"""Adapters of the PEFT library: golden values for reading them, and a check of those that polytask wrote.

Made with peft 0.21, transformers 5.24, torch 2.15 on the CPU:

    python peft_adapters.py crates/polytask-nn/tests/data        # writes adapters/<name>/ beside families/<name>/
    python peft_adapters.py --check MODEL ENCODER                # a run's `model` folder and the encoder it started from

The first form puts random LoRA adapters and soft prompts beside models of `families.py` and writes their folders with the
states that PEFT computes (those of a prompt's own rows left out). PEFT has no bottleneck adapters: those are put into BERT
by hooks, as the paper draws them, and written in the layout of polytask. The second form loads `MODEL/adapter` beside the encoder with PEFT and holds its states against those of
the merged weights that polytask wrote.
"""

import json
import pathlib
import sys

import torch
from peft import LoraConfig, PeftModel, PromptTuningConfig, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModel

torch.set_num_threads(1)

ADAPTERS = {
    "bert": dict(target_modules=["query", "value"], r=3, lora_alpha=6),
    "qwen3": dict(target_modules=["q_proj", "down_proj"], r=2, lora_alpha=8, use_rslora=True),
    "modernbert": dict(target_modules="all-linear", r=2, lora_alpha=4),
}
PROMPTS = {"prompt-bert": ("bert", 3), "prompt-qwen3": ("qwen3", 2)}


def states(model, sequence):
    ids = torch.tensor([sequence])
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]


def make(data):
    for name, settings in ADAPTERS.items():
        base = data / "families" / name
        torch.manual_seed(len(name))
        model = AutoModel.from_pretrained(base, attn_implementation="eager").eval()
        model = get_peft_model(model, LoraConfig(lora_dropout=0.0, bias="none", **settings)).eval()
        for key, value in model.named_parameters():
            if "lora_" in key:
                torch.nn.init.normal_(value, std=0.3)
        folder = data / "adapters" / name
        model.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)
        config = json.loads((folder / "adapter_config.json").read_text())
        config["base_model_name_or_path"] = f"../../families/{name}"
        (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
        sequences = json.loads((base / "expected.json").read_text())["sequences"]
        model = model.double()
        found = [[float(f"{v:.7g}") for v in states(model, s).flatten().tolist()] for s in sequences]
        (folder / "expected.json").write_text(json.dumps({"sequences": sequences, "states": found}) + "\n")


def write_states(folder, model, sequences, skipped):
    model = model.double()
    found = [[float(f"{v:.7g}") for v in states(model, s)[skipped:].flatten().tolist()] for s in sequences]
    (folder / "expected.json").write_text(json.dumps({"sequences": sequences, "states": found}) + "\n")


def make_prompts(data):
    for name, (base, rows) in PROMPTS.items():
        torch.manual_seed(rows)
        model = AutoModel.from_pretrained(data / "families" / base, attn_implementation="eager").eval()
        config = PromptTuningConfig(task_type="FEATURE_EXTRACTION", num_virtual_tokens=rows)
        model = get_peft_model(model, config).eval()
        torch.nn.init.normal_(model.prompt_encoder["default"].embedding.weight, std=0.5)
        folder = data / "adapters" / name
        model.save_pretrained(folder)
        (folder / "README.md").unlink(missing_ok=True)
        config = json.loads((folder / "adapter_config.json").read_text())
        config["base_model_name_or_path"] = f"../../families/{base}"
        (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
        sequences = json.loads((data / "families" / base / "expected.json").read_text())["sequences"]
        write_states(folder, model, sequences, rows)


def make_bottleneck(data):
    torch.manual_seed(1)
    base = data / "families" / "bert"
    model = AutoModel.from_pretrained(base, attn_implementation="eager").eval()
    d, width, tensors = model.config.hidden_size, 5, {}
    for i, layer in enumerate(model.encoder.layer):
        for half, dense in enumerate([layer.attention.output.dense, layer.output.dense]):
            down, up = torch.nn.Linear(d, width), torch.nn.Linear(width, d)
            for part, linear in [("down", down), ("up", up)]:
                torch.nn.init.normal_(linear.weight, std=0.5)
                for key, value in linear.named_parameters():
                    tensors[f"layer.{i}.bottleneck{half}.{part}.{key}"] = value.detach().clone()
            # Registered so that they become float64 with the rest.
            dense.add_module("adapter", torch.nn.Sequential(down, torch.nn.GELU(), up))
            dense.register_forward_hook(lambda module, _, output: output + module.adapter(output))
    folder = data / "adapters" / "bottleneck-bert"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text((base / "config.json").read_text())
    choice = {"name": "bottleneck", "width": width}
    (folder / "adapters.json").write_text(json.dumps({"choice": choice, "base": "bert"}) + "\n")
    own = {key: value for key, value in model.state_dict().items() if ".adapter." not in key and "position_ids" not in key}
    save_file({**own, **tensors}, folder / "adapted.safetensors")
    write_states(folder, model, json.loads((base / "expected.json").read_text())["sequences"], 0)


def check(model, encoder):
    merged = AutoModel.from_pretrained(model).eval()
    adapted = PeftModel.from_pretrained(AutoModel.from_pretrained(encoder), pathlib.Path(model) / "adapter").eval()
    sequence = [101, 2054, 2003, 2026, 5703, 1029, 102]
    worst = (states(merged, sequence) - states(adapted, sequence)).abs().max().item()
    plain = (states(merged, sequence) - states(AutoModel.from_pretrained(encoder).eval(), sequence)).abs().max().item()
    print(f"largest difference {worst:.2e}; from the encoder without adapters {plain:.2e}")
    assert worst < 1e-5 < plain, "PEFT reads other adapters than polytask wrote"


if sys.argv[1] == "--check":
    check(*sys.argv[2:4])
else:
    for kind in [make, make_prompts, make_bottleneck]:
        kind(pathlib.Path(sys.argv[1]))
