"""A running job's last preview picture, where whoever watches the job from another process finds it."""

from __future__ import annotations

import io
import logging
from concurrent.futures import Executor, Future

from runtime.artifacts.naming import preview_key
from runtime.artifacts.store import ArtifactStore
from runtime.errors import ServerlessError
from runtime.jobs.record import JobKey
from runtime.progress import Preview

_log = logging.getLogger(__name__)


class StoredPreviews:
    """The previews of one attempt: one object, overwritten, and gone at the end. What comes too fast is left out."""

    def __init__(self, store: ArtifactStore, uploads: Executor, key: JobKey) -> None:
        self._store = store
        self._uploads = uploads
        self._key = preview_key(user=key.tenant, job_id=key.job_id)
        self._last: Future[None] | None = None

    def show(self, preview: Preview) -> None:
        """Put the picture in the place of the one before. Returns at once."""
        if self._last is None or self._last.done():
            self._last = self._uploads.submit(self._put, preview)

    def end(self) -> None:
        """Remove the last one, in the background, once it lies there."""
        if self._last is not None:
            last = self._last
            self._uploads.submit(self._remove, last)

    def _put(self, preview: Preview) -> None:
        try:
            self._store.put(self._key, preview.data, "image/jpeg")
        except ServerlessError as exc:  # a job does without its previews
            _log.warning("a preview was left out: %s", exc.message)

    def _remove(self, last: Future[None]) -> None:
        last.result()
        try:
            self._store.delete(self._key)
        except ServerlessError as exc:
            _log.warning("a preview is still there: %s", exc.message)


def stored_preview(store: ArtifactStore, key: JobKey) -> Preview | None:
    """The last preview of a job that runs; None for one that shows none."""
    data = store.get(preview_key(user=key.tenant, job_id=key.job_id))
    if data is None:
        return None
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        return Preview(data=data, width=image.width, height=image.height)
