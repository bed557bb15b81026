"""One tiny model of each family of image encoders with its hidden states, from transformers.

Run:  python xtask/parity/image_families.py crates/polytask-nn/tests/data/families
Made with transformers 5.24.0, torch 2.15.0, safetensors 0.8.0 (Python 3.11).

Writes one folder per model, beside those of `families.py` and in their form: config.json, model.safetensors,
preprocessor_config.json, and expected.json, whose `sequences` are the bytes of images (channel by channel, row by row) and
whose `states` are the last hidden state of each image (of CLIP with the norm that it has for the first row), computed in float64. Images have the size that
preprocessor_config.json says; where that is not the one of config.json, positions are interpolated.
"""

import json
import pathlib
import sys

import torch
import transformers

from families import Wide, randomise

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "patch_size": 4}
VIT = {**SIZES, "intermediate_size": 24, "image_size": 12}
DINO = {**SIZES, "mlp_ratio": 2, "image_size": 20}
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]

# Folder, class, arguments of the configuration, side of the images, arguments of the model.
FAMILIES = [
    ("vit", "ViTModel", VIT, 12, {"add_pooling_layer": False}),
    ("vit-plain", "ViTModel", {**VIT, "qkv_bias": False, "num_channels": 1, "hidden_act": "relu"}, 12, {}),
    ("dinov2", "Dinov2Model", DINO, 12, {}),
    ("dinov2-gated", "Dinov2Model", {**DINO, "use_swiglu_ffn": True, "image_size": 12}, 12, {}),
    ("dinov2-registers", "Dinov2WithRegistersModel", {**DINO, "num_register_tokens": 3}, 12, {}),
    ("clip_vision_model", "CLIPVisionModel", VIT, 12, {}),
]


def states_of(model, found):
    """The last hidden states; CLIP norms the first of them, ours all."""
    norm = getattr(getattr(model, "vision_model", model), "post_layernorm", None)
    return found if norm is None else norm(found)


def write(root, seed, name, cls, config, side, model_arguments):
    folder = root / name
    cls = getattr(transformers, cls)
    torch.manual_seed(seed)
    model = cls(cls.config_class(**config), **model_arguments)
    randomise(model, 1.0)
    model.save_pretrained(folder)
    model = cls.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32, **model_arguments).double().eval()
    channels = model.config.num_channels
    mean, std = (MEAN, STD) if channels == 3 else ([0.5], [0.25])
    preprocessor = {
        "do_normalize": True, "do_rescale": True, "do_resize": True, "image_mean": mean, "image_std": std, "resample": 2,
        "rescale_factor": 1 / 255, "size": {"height": side, "width": side},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor, indent=2) + "\n", encoding="ascii")
    generator = torch.Generator().manual_seed(5)
    images = torch.randint(0, 256, [4, channels, side, side], generator=generator)
    shift = lambda values: torch.tensor(values, dtype=torch.float64)[None, :, None, None]
    with torch.no_grad(), Wide():
        found = model(pixel_values=(images.double() / 255 - shift(mean)) / shift(std)).last_hidden_state
        found = states_of(model, found)
    assert found.dtype == torch.float64 and found.isfinite().all()
    rounded = [[float(f"{value:.7g}") for value in states.flatten().tolist()] for states in found]
    versions = {"torch": torch.__version__.split("+")[0], "transformers": transformers.__version__}
    with open(folder / "expected.json", "w", encoding="ascii") as out:
        fields = [f'"versions": {json.dumps(versions)}']
        for key, rows in [("sequences", images.flatten(1).tolist()), ("states", rounded)]:
            fields.append(f'"{key}": [\n' + ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows) + "\n]")
        out.write("{\n" + ",\n".join(fields) + "\n}\n")


if __name__ == "__main__":
    for number, family in enumerate(FAMILIES):
        write(pathlib.Path(sys.argv[1]), number, *family)
