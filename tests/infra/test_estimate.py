from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from infra.deploy.command import main
from infra.deploy.config import DeployConfig
from infra.deploy.estimate import Price, prices, read_prices
from infra.deploy.gpus import GPUS


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_bill_is_of_whole_seconds_where_the_platform_bills_so() -> None:
    whole = Price(platform="a", gpu="l4", second=0.5, round_up_s=1)
    exact = Price(platform="b", gpu="l4", second=0.5, round_up_s=0)
    assert (whole.of(2.3), exact.of(2.3)) == (1.5, 1.15)


def test_every_price_is_of_a_gpu_that_its_platform_has_and_says_whence_and_when() -> None:
    for platform, entry in read_prices().items():
        assert entry["source"].startswith("https://")
        assert isinstance(entry["date"], datetime.date)
        assert entry["seen"]
        assert all(getattr(GPUS[gpu], platform) is not None for gpu in entry["gpus"])
        assert all(0 < price < 0.01 for price in entry["gpus"].values())


def test_the_gpus_of_the_file_are_priced_in_its_order() -> None:
    config = DeployConfig.model_validate({"gpus": ["l4", "l40s"]})
    found = [price.gpu for price in prices(config, read_prices()) if price.platform == "runpod"]
    assert found == ["l4", "l40s"]


def test_the_costs_are_of_a_picture_and_of_an_idle_hour(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "deploy.yaml").write_text("gpus: [l4]\nworkers: {idle_timeout_s: 10}\n")
    assert main(["estimate", "--seconds", "4.2"]) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("runpod     l4")]
    assert row.split() == ["runpod", "l4", "0.00095$", "0.00285$", "0.68$"]


def test_without_a_measurement_it_says_how_to_come_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STORAGE_BASE_PATH", str(tmp_path))
    workflow = Path(__file__).resolve().parents[2] / "examples" / "text_to_image.json"
    assert main(["estimate", str(workflow)]) == 1
    assert "or say --seconds" in capsys.readouterr().err
    assert main(["estimate"]) == 1
    assert "name a workflow.json that has run" in capsys.readouterr().err
