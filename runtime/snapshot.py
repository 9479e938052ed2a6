"""A worker in two halves, for platforms that keep a process's memory and start others from it.

The first half, `prepare`, does what every worker does alike: it imports torch and the engines and loads models into the
CPU's memory. Nothing in it is a worker's own, or could not be copied: it makes no call to CUDA and holds no thread,
socket, open file, credential, lease or name. The second half, `attach`, makes a worker of it where a GPU is. Where a
snapshot may hold a GPU's memory as well, `place` stands between them: models are then on the GPU when a worker starts.
"""

from __future__ import annotations

import logging
import os
import random
from typing import TYPE_CHECKING

from runtime.gpu_allocator import choose_allocator
from runtime.settings import Settings
from runtime.telemetry.metrics import NOBODY, Recorder

if TYPE_CHECKING:
    from runtime.engines.choice import Engines
    from runtime.worker import Worker

_log = logging.getLogger(__name__)


class Snapshot:
    """What a memory snapshot holds of a worker."""

    def __init__(self) -> None:
        self._engines: Engines | None = None
        self._is_placed = False

    def prepare(self, settings: Settings) -> None:
        """Load engines, and the models that the manifest marks for either tier, into RAM.

        A marked model that the volume lacks is left for `attach`: nothing is fetched here. To be called before torch or
        numpy is imported.
        """
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy's own threads start when it is imported
        choose_allocator(settings)
        import torch

        from runtime.build import build_engines
        from runtime.models.sync.assembly import build_manifest

        torch.set_num_threads(1)  # more would start torch's own threads, which no snapshot can hold
        engines = build_engines(settings, deferred=True)
        engines.prepare()
        native = engines.get("native")
        for model in build_manifest(settings).of(settings.deployment).models:
            if model.preload is not None and (settings.models_path / model.path).is_file():
                native.warm(model.kind, model.name, tier="ram")
        self._engines = engines

    def place(self, settings: Settings) -> None:
        """Move what was prepared onto the GPU, for a platform whose snapshots hold a GPU's memory too.

        `attach` does so where this was not called. Raises UnfitDevice.
        """
        from runtime.fitness import check_device

        if self._engines is None:
            raise RuntimeError("a snapshot is attached that was never prepared")
        check_device(settings.device)
        self._engines.attach()
        self._is_placed = True

    def attach(self, settings: Settings, *, delivery: str | None = None, recorder: Recorder = NOBODY) -> Worker:
        """A worker that is ready for its first job, with a name, random numbers and clients of its own.

        `settings` are read anew: the environment of the process that took the snapshot is not this one's. Raises
        UnfitDevice, SettingsInvalid.
        """
        import torch

        from runtime.build import build
        from runtime.cpu_threads import thread_count

        if not self._is_placed:
            self.place(settings)
        _reseed()
        torch.set_num_threads(thread_count())
        worker = build(settings, delivery=delivery, engines=self._engines, recorder=recorder)
        worker.prepare()
        return worker


def _reseed() -> None:
    """Draw new seeds: those of the snapshot are the same in every process that starts from it."""
    import numpy
    import torch

    random.seed()
    numpy.random.seed()
    torch.seed()
