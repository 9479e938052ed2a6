"""What a file is, by how it begins: for telling somebody what they saved under a model's name."""

from __future__ import annotations

PICKLE = "a Python pickle, which could run code when it is loaded"

_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer: the model itself was not fetched (git lfs pull)"),
    (b"<", "a web page, not a model: the download was refused or needed a login"),
    (b"PK\x03\x04", PICKLE),
    (b"\x80\x02", PICKLE),
    (b"\x80\x03", PICKLE),
    (b"\x80\x04", PICKLE),
    (b"\x80\x05", PICKLE),
    (b"GGUF", "a GGUF file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"{", "a JSON file"),
    (b"\x1f\x8b", "a gzip archive"),
)


def signature(start: bytes) -> str | None:
    """What a file is that begins with `start` (32 bytes suffice), as the end of "it is ..."; None if unknown."""
    text = start.lstrip(b"\xef\xbb\xbf \r\n\t")
    return next((meaning for beginning, meaning in _STARTS if text.startswith(beginning)), None)
