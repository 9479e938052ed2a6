"""Write runtime/diffusion/data/clip_merges.bin from CLIP's published vocabulary.

The source is `bpe_simple_vocab_16e6.txt.gz` (openai/CLIP; also in the wheel of open_clip_torch): a header line, then
one merge a line, best first. CLIP uses the first 48,894. Token numbers follow from the file alone: 256 bytes, 256
bytes that end a word, then one token a merge. The result holds each merge as the numbers of its two halves, two
little-endian uint16.

    python scripts/clip_vocabulary.py bpe_simple_vocab_16e6.txt.gz
"""

from __future__ import annotations

import gzip
import struct
import sys
from pathlib import Path

MERGES = 48_894
TARGET = Path(__file__).parents[1] / "runtime" / "diffusion" / "data" / "clip_merges.bin"


def byte_characters() -> list[str]:
    """The characters that stand for the 256 bytes in the source, in the order of their tokens."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(256 - len(printable))]


def pack(lines: list[str]) -> bytes:
    characters = byte_characters()
    names = characters + [f"{character}</w>" for character in characters] + [line.replace(" ", "") for line in lines]
    tokens = {name: token for token, name in enumerate(names)}
    return b"".join(struct.pack("<HH", *(tokens[half] for half in line.split(" "))) for line in lines)


if __name__ == "__main__":
    text = gzip.decompress(Path(sys.argv[1]).read_bytes()).decode("utf-8")
    TARGET.write_bytes(pack(text.split("\n")[1 : 1 + MERGES]))
    print(f"{TARGET}: {TARGET.stat().st_size:,} bytes")
