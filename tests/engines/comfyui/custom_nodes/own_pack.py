"""Custom nodes for the tests, written as for ComfyUI."""

import threading
from typing import ClassVar

import folder_paths


class WriteFiles:
    """Reports files of every kind, in a sub-folder of the output."""

    RETURN_TYPES = ()
    FUNCTION = "write"
    OUTPUT_NODE = True
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"key": ("STRING", {}), "names": ("STRING", {})}}

    def write(self, key, names):
        from pathlib import Path

        folder = Path(folder_paths.get_output_directory()) / "made"
        folder.mkdir(exist_ok=True)
        entries = []
        for name in names.split(","):
            (folder / name).write_bytes(name.encode())
            entries.append({"filename": name, "subfolder": "made", "type": "output"})
        return {"ui": {key: entries}}


class Fail:
    """Raises what it is told to."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "fail"
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "message": ("STRING", {})}}

    def fail(self, image, message):
        raise ValueError(message)


class Wait:
    """Runs until the test lets it go, or for ever in steps that report progress."""

    entered = threading.Event()
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "wait"
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "count": ("INT", {"default": 10, "min": 1, "max": 10**9})}}

    def wait(self, image, count):
        import comfy.utils

        bar = comfy.utils.ProgressBar(count)
        Wait.entered.set()
        for _ in range(count):
            bar.update(1)
        return (image,)


class Sample:
    """Walks through steps as a sampler does, at a latent that is red."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "sample"
    OUTPUT_NODE = True
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"steps": ("INT", {"default": 3, "min": 1, "max": 10**9})}}

    def sample(self, steps):
        from types import SimpleNamespace

        import latent_preview
        import torch

        red = torch.tensor([1.0, -1.0, -1.0, 0.0]).reshape(1, 4, 1, 1).expand(1, 4, 6, 8)
        format = SimpleNamespace(
            taesd_decoder_name=None,
            latent_channels=4,
            latent_rgb_factors=[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]],
            latent_rgb_factors_bias=None,
        )
        model = SimpleNamespace(load_device=torch.device("cpu"), model=SimpleNamespace(latent_format=format))
        callback = latent_preview.prepare_callback(model, steps)
        for step in range(steps):
            callback(step, red, red, steps)
        return ({"samples": red},)


class OutOfMemory:
    """Finds no memory the first `times` that it is called."""

    calls = 0
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "allocate"
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "times": ("INT", {"default": 1}), "run": ("STRING", {})}}

    def allocate(self, image, times, run):
        import torch

        OutOfMemory.calls += 1
        if OutOfMemory.calls <= times:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 80.00 GiB.")
        return (image,)


class Count:
    """Counts how often it runs, for each `name`."""

    runs: ClassVar = {}
    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "count"
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), "name": ("STRING", {})}}

    def count(self, image, name):
        Count.runs[name] = Count.runs.get(name, 0) + 1
        return (image,)


class ReadFile:
    """Shows the text of an input file, and says nothing of when that changes."""

    RETURN_TYPES = ("STRING",)
    FUNCTION = "read"
    OUTPUT_NODE = True
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"name": ("STRING", {})}}

    def read(self, name):
        from pathlib import Path

        text = (Path(folder_paths.get_input_directory()) / name).read_text()
        return {"ui": {"text": [text]}, "result": (text,)}


class ReadQuietly(ReadFile):
    """The same, as a node that is no output."""

    OUTPUT_NODE = False

    def read(self, name):
        return super().read(name)["result"]


class ReadModel:
    """Shows the first bytes of a model, and keeps them by the model's path as ComfyUI's LoRA loader does."""

    RETURN_TYPES = ("STRING",)
    FUNCTION = "read"
    CATEGORY = "test"

    def __init__(self):
        self.kept = {}

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"name": (folder_paths.get_filename_list("checkpoints"),)}}

    def read(self, name):
        path = folder_paths.get_full_path("checkpoints", name)
        if path not in self.kept:
            with open(path, "rb") as file:
                self.kept[path] = file.read(20).decode()
        return (self.kept[path],)


class ShowText:
    """Shows a text."""

    RETURN_TYPES = ()
    FUNCTION = "show"
    OUTPUT_NODE = True
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {"forceInput": True})}}

    def show(self, text):
        return {"ui": {"text": [text]}}


class Remembering:
    """Writes into the folder that it found when it was made."""

    RETURN_TYPES = ()
    FUNCTION = "write"
    OUTPUT_NODE = True
    CATEGORY = "test"

    def __init__(self):
        self.folder = folder_paths.get_output_directory()

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {})}}

    def write(self, text):
        from pathlib import Path

        assert list(Path(self.folder).iterdir()) == [], "another job's files are here"
        (Path(self.folder) / "note.txt").write_text(text)
        return {"ui": {"files": [{"filename": "note.txt", "subfolder": "", "type": "output"}]}}


class SaveByExpansion:
    """Stands for a SaveImage."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "expand"
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",)}}

    def expand(self, image):
        from comfy_execution.graph_utils import GraphBuilder

        graph = GraphBuilder()
        graph.node("SaveImage", images=image, filename_prefix="inner")
        return {"expand": graph.finalize(), "result": (image,)}


class Block:
    """Stops whatever it feeds, and says why."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "block"
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",)}}

    def block(self, image):
        from comfy_execution.graph import ExecutionBlocker

        return (ExecutionBlocker("the gate is shut"),)


class AnyType(str):
    """A type that every other one fits."""

    def __ne__(self, other):
        return False


class Capture:
    """Keeps what reaches it."""

    kept: ClassVar = {}
    RETURN_TYPES = ()
    FUNCTION = "keep"
    OUTPUT_NODE = True
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"value": (AnyType("*"), {}), "label": ("STRING", {})}}

    def keep(self, value, label):
        Capture.kept[label] = value
        return ()


NODE_CLASS_MAPPINGS = {
    "TestCapture": Capture,
    "TestWriteFiles": WriteFiles,
    "TestFail": Fail,
    "TestWait": Wait,
    "TestOutOfMemory": OutOfMemory,
    "TestSample": Sample,
    "TestCount": Count,
    "TestReadFile": ReadFile,
    "TestReadModel": ReadModel,
    "TestReadQuietly": ReadQuietly,
    "TestShowText": ShowText,
    "TestRemembering": Remembering,
    "TestSaveByExpansion": SaveByExpansion,
    "TestBlock": Block,
}
