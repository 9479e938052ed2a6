import argparse
import enum

import comfy.options


class LatentPreviewMethod(enum.Enum):
    NoPreviews = "none"
    Latent2RGB = "latent2rgb"


parser = argparse.ArgumentParser()
for option in ("--base-directory", "--front-end-root", "--database-url"):
    parser.add_argument(option, default=None)
for option in ("--disable-auto-launch", "--disable-api-nodes", "--highvram", "--cpu", "--force-fp32"):
    parser.add_argument(option, action="store_true")
parser.add_argument("--use-pytorch-cross-attention", action="store_true")
parser.add_argument("--preview-method", type=LatentPreviewMethod, default=LatentPreviewMethod.NoPreviews)
args = parser.parse_args() if comfy.options.args_parsing else parser.parse_args([])
