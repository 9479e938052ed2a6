from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from runtime.artifacts.local import FolderArtifactStore
from runtime.artifacts.previews import StoredPreviews, stored_preview
from runtime.engines.previews import encode_preview
from runtime.jobs.record import JobKey

KEY = JobKey("acme", "job")


def test_the_last_preview_is_found_while_the_job_runs_and_gone_at_its_end(folder: FolderArtifactStore) -> None:
    first, last = (encode_preview(Image.new("RGB", size)) for size in ((8, 8), (32, 16)))
    with ThreadPoolExecutor(1) as uploads:
        previews = StoredPreviews(folder, uploads, KEY)
        for preview in (first, last):
            previews.show(preview)
            uploads.submit(int).result()  # behind the upload
        assert stored_preview(folder, KEY) == last
        previews.end()
    assert stored_preview(folder, KEY) is None


def test_a_job_without_previews_writes_nothing(folder: FolderArtifactStore) -> None:
    with ThreadPoolExecutor(1) as uploads:
        StoredPreviews(folder, uploads, KEY).end()
    assert list(folder.list("previews/")) == []
