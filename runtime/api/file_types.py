"""What a file is, by its first bytes: its name is the client's word alone."""

from __future__ import annotations

_BY_START = (
    (b"\x89PNG\r\n\x1a\n", ".png"),
    (b"\xff\xd8\xff", ".jpg"),
    (b"GIF87a", ".gif"),
    (b"GIF89a", ".gif"),
    (b"BM", ".bmp"),
    (b"II*\x00", ".tif"),
    (b"MM\x00*", ".tif"),
    (b"\x1a\x45\xdf\xa3", ".webm"),
    (b"fLaC", ".flac"),
    (b"ID3", ".mp3"),
    (b"\xff\xfb", ".mp3"),
    (b"OggS", ".ogg"),
)
_RIFF = {b"WEBP": ".webp", b"WAVE": ".wav"}
_BRANDS = {b"avif": ".avif", b"avis": ".avif", b"qt  ": ".mov"}
_LONGEST_HEADER = 100_000_000


def suffix_by_content(data: bytes) -> str | None:
    """The suffix of a picture, sound, video or latent; None for anything else."""
    for start, suffix in _BY_START:
        if data.startswith(start):
            return suffix
    if data[:4] == b"RIFF":
        return _RIFF.get(data[8:12])
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], ".mp4")
    return ".latent" if _is_safetensors(data) else None


def _is_safetensors(data: bytes) -> bool:
    length = int.from_bytes(data[:8], "little")
    return (
        2 <= length <= min(len(data) - 8, _LONGEST_HEADER)
        and data[8:9] == b"{"
        and b'"latent_tensor"' in data[: 8 + length]
    )
