"""The configuration page is what the settings say."""

from __future__ import annotations

from scripts.configuration_page import PAGE, page


def test_the_page_is_what_the_settings_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m scripts.configuration_page"
