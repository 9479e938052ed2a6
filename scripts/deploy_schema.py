"""Write docs/deploy.schema.json from the configuration's own classes: `python -m scripts.deploy_schema`."""

from __future__ import annotations

import json
from pathlib import Path

from infra.deploy.config import DeployConfig

SCHEMA = Path(__file__).resolve().parents[1] / "docs" / "deploy.schema.json"


def schema() -> str:
    """The schema's text; editors check and complete `deploy.yaml` by it."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps({**dialect, **DeployConfig.model_json_schema()}, indent=2) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema(), encoding="utf-8")
