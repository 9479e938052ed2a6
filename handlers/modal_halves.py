"""A worker in the two halves that a memory snapshot parts, by its container's environment."""

from __future__ import annotations

import functools
import os

from infra.deploy.modal_parts import GPU_SNAPSHOT_VARIABLE
from runtime.fitness import telling
from runtime.gpu_thread import AFTER_GRACE_S, GpuThread
from runtime.settings import Settings
from runtime.snapshot import Snapshot
from runtime.telemetry.metrics import Recorder
from runtime.worker import Worker


def prepared() -> Snapshot:
    """Engines and models in RAM, and on the GPU where the snapshot that is taken of them holds its memory too."""
    snapshot, settings = Snapshot(), Settings.from_env(os.environ)
    snapshot.prepare(settings)
    if GPU_SNAPSHOT_VARIABLE in os.environ:
        snapshot.place(settings)
    return snapshot


def attached(snapshot: Snapshot) -> GpuThread:
    """The worker of this container, by its own environment; it is built while the first request comes in."""
    settings = Settings.from_env(os.environ)

    def build(recorder: Recorder) -> Worker:
        return snapshot.attach(settings, delivery="base64", recorder=recorder)

    return GpuThread(functools.partial(telling, settings, build), grace_s=settings.cancel_grace_s + AFTER_GRACE_S)
