"""A file that stands in the request itself, as base64 with or without a `data:` prefix (RFC 2397, RFC 4648)."""

from __future__ import annotations

import base64
import re

from runtime.errors import InputRejected
from runtime.fetch.sink import Sink

_SLICE_CHARACTERS = 1 << 20
_MAX_PREFIX = 256
_FOREIGN = re.compile(r"[^A-Za-z0-9+/=]")


def write_base64(text: str, sink: Sink) -> None:
    """Decode `text` into `sink` a slice at a time, so that no second copy of it is held.

    White space is passed over; everything else is strict. Raises InputRejected saying what is wrong.
    """
    start = _payload_start(text)
    sink.expect(_decoded_size(text, start))
    carry = ""
    for at in range(start, len(text), _SLICE_CHARACTERS):
        piece = carry + "".join(text[at : at + _SLICE_CHARACTERS].split())
        # The last group is kept back: it alone may be padded, and more may follow.
        cut = (len(piece) - 1) // 4 * 4 if piece else 0
        sink.write(_decode(piece[:cut], is_last=False))
        carry = piece[cut:]
    sink.write(_decode(carry, is_last=True))


def _payload_start(text: str) -> int:
    head = text[:_MAX_PREFIX]
    indent = len(head) - len(head.lstrip())
    if head[indent : indent + 5].lower() != "data:":
        return 0
    media_type, comma, _ = head.partition(",")
    if not comma or not media_type.lower().endswith(";base64"):
        raise InputRejected("its data: URL is not of the form data:TYPE;base64,...")
    return len(media_type) + 1


def _decoded_size(text: str, start: int) -> int:
    """The bytes that `text` from `start` on stands for, found without decoding it."""
    white = sum(text.count(character, start) for character in " \r\n\t")
    padding = text.count("=", max(start, len(text) - _MAX_PREFIX))
    return max((len(text) - start - white) // 4 * 3 - padding, 0)


def _decode(piece: str, *, is_last: bool) -> bytes:
    try:
        if len(piece) % 4 == 0 and (is_last or "=" not in piece):
            return base64.b64decode(piece, validate=True)
    except ValueError:
        pass  # told apart below
    if foreign := _FOREIGN.search(piece):
        raise InputRejected(f"it holds {foreign[0]!r}, expected base64 or an https://, http:// or s3:// address")
    raise InputRejected("its base64 is cut off or wrongly padded, expected groups of four characters")
