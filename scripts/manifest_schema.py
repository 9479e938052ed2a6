"""Write docs/models_manifest.schema.json from the manifest's own classes: `python -m scripts.manifest_schema`."""

from __future__ import annotations

import json
from pathlib import Path

from runtime.models.manifest import json_schema

SCHEMA = Path(__file__).resolve().parents[1] / "docs" / "models_manifest.schema.json"


def schema() -> str:
    """The schema's text."""
    return json.dumps(json_schema(), indent=2) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema(), encoding="utf-8")
