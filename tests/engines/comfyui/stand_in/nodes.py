import importlib.util
import logging
import os
import sys
import traceback

import comfy.model_management
import folder_paths
import numpy as np
import torch
from PIL import Image

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "comfy"))


def before_node_execution():
    comfy.model_management.throw_exception_if_processing_interrupted()


def interrupt_processing(value=True):
    comfy.model_management.interrupt_current_processing(value)


class EmptyImage:
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "generate"

    @classmethod
    def INPUT_TYPES(cls):
        number = ("INT", {"default": 1, "min": 0, "max": 0xFFFFFF})
        return {"required": dict.fromkeys(("width", "height", "batch_size", "color"), number)}

    def generate(self, width, height, batch_size, color):
        levels = torch.tensor([color >> 16, color >> 8 & 255, color & 255]) / 255
        return (levels.expand(batch_size, height, width, 3).clone(),)


class ImageInvert:
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "invert"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",)}}

    def invert(self, image):
        return (1.0 - image,)


class LoadImage:
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "load_image"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("STRING", {})}}

    def load_image(self, image):
        with Image.open(os.path.join(folder_paths.get_input_directory(), image)) as picture:
            return (torch.from_numpy(np.array(picture.convert("RGB")))[None].float() / 255.0,)


class CheckpointLoaderSimple:
    RETURN_TYPES = ("MODEL",)
    FUNCTION = "load_checkpoint"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"ckpt_name": (folder_paths.get_filename_list("checkpoints"), {})}}

    def load_checkpoint(self, ckpt_name):
        path = os.path.join(folder_paths.get_folder_paths("checkpoints")[0], ckpt_name)
        return (comfy.utils.load_torch_file(path),)


class PreviewAny:
    RETURN_TYPES = ()
    FUNCTION = "main"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"source": ("*", {})}}

    def main(self, source):
        return {"ui": {"text": (str(source),)}}


class SaveImage:
    RETURN_TYPES = ()
    FUNCTION = "save_images"
    OUTPUT_NODE = True

    def __init__(self):
        self.type = "output"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"images": ("IMAGE",), "filename_prefix": ("STRING", {"default": "ComfyUI"})}}

    def save_images(self, images, filename_prefix="ComfyUI", prompt=None, extra_pnginfo=None):
        raise NotImplementedError("the engine saves pictures itself")


class PreviewImage(SaveImage):
    def __init__(self):
        self.type = "temp"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"images": ("IMAGE",)}}


CLASSES = (EmptyImage, ImageInvert, LoadImage, CheckpointLoaderSimple, PreviewAny, SaveImage, PreviewImage)
NODE_CLASS_MAPPINGS = {cls.__name__: cls for cls in CLASSES}


async def load_custom_node(module_path, ignore=frozenset(), module_parent="custom_nodes"):
    file = os.path.join(module_path, "__init__.py") if os.path.isdir(module_path) else module_path
    try:
        spec = importlib.util.spec_from_file_location(module_path.replace(".", "_x_"), file)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        NODE_CLASS_MAPPINGS.update(module.NODE_CLASS_MAPPINGS)
    except Exception as exc:
        logging.warning(traceback.format_exc())
        logging.warning("Cannot import %s module for custom nodes: %s", module_path, exc)
        return False
    return True


async def init_extra_nodes(init_custom_nodes=True, init_api_nodes=True):
    for folder in folder_paths.get_folder_paths("custom_nodes"):
        for name in sorted(os.listdir(folder)):
            if name.endswith(".py") or os.path.isfile(os.path.join(folder, name, "__init__.py")):
                await load_custom_node(os.path.join(folder, name))
