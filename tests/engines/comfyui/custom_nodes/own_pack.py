"""Custom nodes for the tests, written as for ComfyUI."""

import threading

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
        return {"required": {"image": ("IMAGE",), "steps": ("INT", {"default": 10, "min": 1, "max": 10**9})}}

    def wait(self, image, steps):
        import comfy.utils

        bar = comfy.utils.ProgressBar(steps)
        Wait.entered.set()
        for _ in range(steps):
            bar.update(1)
        return (image,)


NODE_CLASS_MAPPINGS = {"TestWriteFiles": WriteFiles, "TestFail": Fail, "TestWait": Wait}
