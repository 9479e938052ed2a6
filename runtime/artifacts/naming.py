"""The names of a job's outputs: ComfyUI's prefixes and counters, and where they lie in the store."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from itertools import accumulate

from runtime.errors import InvalidRequest
from runtime.file_names import shown

_UNSAFE = re.compile(r"[^\w.+=@()% -]")
_UNSAFE_ID = re.compile(r"[^\w.+=@()% -]", re.ASCII)
_LONGEST_SUFFIX = 16
_LONGEST_BYTES = 100  # of a name's part: with node, index and counter it stays within a file system's 255


class OutputNames:
    """Counts the files of one job by their prefix, as ComfyUI does in a folder: `ComfyUI_00001_.png`."""

    def __init__(self, started: time.struct_time) -> None:
        self._started = started
        self._counts: dict[str, int] = {}

    def next(self, prefix: str, suffix: str, *, width: int = 0, height: int = 0, index: int = 0) -> str:
        """The next name, with the sub-folder that the prefix may hold: `portraits/cat_00001_.png`.

        `index` is the output's place among its node's, from 0: `%batch_num%` stands for it. Raises InvalidRequest for a
        prefix that leads out of the output folder.
        """
        stem = clean_prefix(self._filled(prefix, width, height))
        number = self._counts[stem] = self._counts.get(stem, 0) + 1
        return f"{stem.replace('%batch_num%', str(index))}_{number:05}_{suffix}"

    def _filled(self, prefix: str, width: int, height: int) -> str:
        now = self._started
        values: Mapping[str, str] = {
            "width": str(width),
            "height": str(height),
            "year": str(now.tm_year),
            "month": f"{now.tm_mon:02}",
            "day": f"{now.tm_mday:02}",
            "hour": f"{now.tm_hour:02}",
            "minute": f"{now.tm_min:02}",
            "second": f"{now.tm_sec:02}",
        }
        return re.sub(r"%(\w+)%", lambda found: values.get(found[1], found[0]), prefix)


def clean_prefix(prefix: str) -> str:
    """The prefix in letters, digits and a few signs. Raises InvalidRequest where it leads out of its folder."""
    segments = prefix.replace("\\", "/").split("/")
    if prefix[:1] in ("/", "\\") or _climbs(segments):
        raise InvalidRequest(
            f"filename_prefix {shown(prefix)} leads out of the output folder, expected a name or sub/name"
        )
    parts = [_UNSAFE.sub("_", part) for part in segments]
    kept = [part for part in parts if part.strip(". ")]
    return "/".join(map(_cut, kept[-8:])) or "ComfyUI"


def clean_name(name: str) -> str:
    """A file's own name, sub-folder and all, in the same characters; its suffix stays however long it is."""
    stem, dot, suffix = name.rpartition(".")
    return f"{clean_prefix(stem)}{dot}{_UNSAFE.sub('_', suffix)[:_LONGEST_SUFFIX]}" if stem else clean_prefix(name)


def _cut(part: str) -> str:
    return part.encode()[:_LONGEST_BYTES].decode(errors="ignore")


def _climbs(segments: Sequence[str]) -> bool:
    depths = accumulate({"..": -1, ".": 0, "": 0}.get(segment, 1) for segment in segments)
    return any(depth < 0 for depth in depths)


def outputs_of(*, user: str, job_id: str) -> str:
    """Where all attempts at a job put their outputs."""
    return f"outputs/{user}/{job_id}/"


def preview_key(*, user: str, job_id: str) -> str:
    """Where a running job's last preview lies, each in place of the one before."""
    return f"previews/{user}/{job_id}.jpg"


def output_folder(*, user: str, job_id: str, token: int) -> str:
    """Where an attempt puts its outputs."""
    return f"{outputs_of(user=user, job_id=job_id)}{token}/"


def output_key(*, user: str, job_id: str, token: int, node_id: str, index: int, name: str) -> str:
    """Where an attempt puts an output: `outputs/USER/JOB/TOKEN/NODE_INDEX_FILENAME`."""
    filename = f"{_plain(node_id)}_{index}_{name.rpartition('/')[2]}"
    return output_folder(user=user, job_id=job_id, token=token) + filename


def _plain(node_id: str) -> str:
    """The node id in plain characters; what had to be changed carries a hash, so that two ids stay two."""
    kept = _UNSAFE_ID.sub("-", node_id)[:_LONGEST_BYTES]
    if kept == node_id:
        return kept
    digest = hashlib.sha256(node_id.encode(errors="surrogatepass")).hexdigest()
    return f"{kept[:60]}-{digest[:12]}"
