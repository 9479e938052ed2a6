import threading
from enum import Enum

import torch
from comfy.cli_args import args


class VRAMState(Enum):
    DISABLED = 0
    NORMAL_VRAM = 3
    HIGH_VRAM = 4


class InterruptProcessingException(Exception):
    pass


def get_torch_device():
    return torch.device("cpu") if args.cpu else torch.device(torch.cuda.current_device())


def get_total_memory(dev=None, torch_total_too=False):
    device = dev or get_torch_device()
    return 8 << 30 if device.type == "cpu" else torch.cuda.mem_get_info(device)[1]


total_vram = get_total_memory() / (1024 * 1024)
vram_state = VRAMState.DISABLED if args.cpu else VRAMState.HIGH_VRAM if args.highvram else VRAMState.NORMAL_VRAM
OOM_EXCEPTION = torch.OutOfMemoryError
EXTRA_RESERVED_VRAM = 400 * 1024 * 1024
current_loaded_models = []
interrupt_processing = False
interrupt_processing_mutex = threading.RLock()


def text_encoder_device():
    return get_torch_device()


def vae_device():
    return get_torch_device()


def interrupt_current_processing(value=True):
    global interrupt_processing
    with interrupt_processing_mutex:
        interrupt_processing = value


def throw_exception_if_processing_interrupted():
    global interrupt_processing
    with interrupt_processing_mutex:
        if interrupt_processing:
            interrupt_processing = False
            raise InterruptProcessingException


def unload_all_models():
    current_loaded_models.clear()


def cleanup_models_gc():
    pass


def soft_empty_cache(force=False):
    pass
