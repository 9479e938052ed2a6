from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from boto3.session import Session
from moto import mock_aws

sys.path.insert(0, str(Path(__file__).parent))  # for fake_tool and runpod_platform, which are no tests

from fake_tool import FakeTool, make_fake_tool

REGION = "eu-west-1"


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """An account with nothing in it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with mock_aws():
        yield Session(region_name=REGION)


@pytest.fixture
def fake_tool(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], FakeTool]:
    """`fake_tool("kubectl")` stands on PATH from then on."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return lambda name: make_fake_tool(name, tmp_path, kept=tmp_path_factory.getbasetemp() / "kustomized")
