"""Write docs/configuration.md from the settings themselves: `python -m scripts.configuration_page`."""

from __future__ import annotations

from pathlib import Path

from runtime.settings import variables

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "configuration.md"


def page() -> str:
    """The page: one row a setting."""
    rows = [f"| {_names(names)} | {_default(default)} | {help} |" for names, help, default in variables()]
    return "\n".join(
        [
            "# Configuration",
            "",
            "Every setting is an environment variable and has a default; one that is empty counts as not set. They",
            "are read and checked once, before a GPU is touched: the process does not start with one that is wrong,",
            "and the message names each of them.",
            "",
            "| variable | default | what it is |",
            "| --- | --- | --- |",
            *rows,
            "",
        ]
    )


def _names(names: str) -> str:
    return ", ".join(f"`{name}`" for name in names.split(" or "))


def _default(default: object) -> str:
    if default is None or default == ():
        return "not set"
    if isinstance(default, Path):
        slash = "" if default.suffix else "/"
        return f"`{default.relative_to(ROOT)}{slash}` beside the code"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
