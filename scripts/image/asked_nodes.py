"""Says which custom nodes the manifest asks for, a line each: so that they are installed again when these lines change,
and not with every change of the manifest or of what reads it.

    python -m scripts.image.asked_nodes models_manifest.yaml >nodes.txt
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from runtime.errors import ServerlessError
from runtime.models.manifest_file import load_manifest


def asked_nodes(manifest: Path) -> list[str]:
    """`URL COMMIT` of each. Raises ServerlessError for a manifest that is wrong."""
    return [f"{node.url} {node.commit}" for node in load_manifest(manifest).custom_nodes]


def main(words: Sequence[str] | None = None) -> int:
    """Print them. Answers 1 for a manifest that is wrong."""
    (manifest,) = sys.argv[1:] if words is None else words
    try:
        lines = asked_nodes(Path(manifest))
    except ServerlessError as exc:
        print(f"custom nodes: {exc}", file=sys.stderr)
        return 1
    print("".join(f"{line}\n" for line in lines), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
