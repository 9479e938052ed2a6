"""One machine with Docker as a target of the deploy command: the profile `server` of `infra/compose`."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from infra.deploy.config import DeployConfig
from infra.deploy.errors import DeployError
from infra.deploy.target import Plan, Say, Step
from infra.deploy.tool import Tool

FOLDER = Path(__file__).resolve().parents[1] / "compose"

_DOCKER = "https://docs.docker.com/engine/install/"
_MENDS = {
    "--project-name": "Docker is here without Compose: https://docs.docker.com/compose/install/",
    "Cannot connect to the Docker daemon": "Start Docker: `sudo systemctl start docker`",
}
_PROFILE = "server"


class ComposeTarget:
    """A `Target`: the secrets are in `infra/compose/.env`, or in the variables of whoever deploys."""

    def __init__(self, config: DeployConfig) -> None:
        self._config = config
        self._docker = Tool("docker", page=_DOCKER, mends=_MENDS)

    def plan(self, *, offline: bool = False) -> Plan:
        there = {} if offline else self._there()
        wanted = self._services() if offline else self._hashes()
        steps = tuple(
            Step(
                action="create" if name not in there else "keep" if there[name] == hash else "update",
                name=name,
                kind="service",
            )
            for name, hash in sorted(wanted.items())
        )
        calls = ("docker compose up",) if any(step.action != "keep" for step in steps) else ()
        return Plan(title=f"compose project {self._project}: {'there' if there else 'new'}", steps=steps, calls=calls)

    def apply(self, say: Say) -> None:
        self._need_secret_key()
        build = () if self._config.image else ("--build",)
        with self._files() as files:
            scale = ("--scale", f"worker={max(1, self._config.workers.min)}")
            self._docker.show(*files, "up", "--detach", "--remove-orphans", *build, *scale)
        say("the API is at https://localhost, or where DOMAIN and HTTPS_PORT say: docs/compose.md has what comes next")

    def status(self) -> Iterator[str]:
        self._require()
        yield from self._compose("ps", "--all").splitlines()

    def logs(self, *, follow: bool) -> Iterator[str]:
        self._require()
        with self._files() as files:
            yield from self._docker.lines(*files, "logs", "--tail", "200", *(("--follow",) if follow else ()))

    def doomed(self, *, delete_data: bool) -> str:
        self._require()
        fate = "its volume with jobs, accounts and pictures " + ("is DELETED" if delete_data else "stays")
        return f"compose project {self._project}; {fate}; the models are not touched"

    def destroy(self, *, delete_data: bool) -> None:
        self._compose("down", "--remove-orphans", *(("--volumes",) if delete_data else ()))

    @property
    def _project(self) -> str:
        return self._config.full_name

    @contextmanager
    def _files(self) -> Iterator[tuple[str, ...]]:
        """The words of `docker compose` before its verb, for as long as the file of what deploy.yaml adds is there."""
        with tempfile.TemporaryDirectory() as folder:
            added = Path(folder) / "added.yaml"
            added.write_text(yaml.safe_dump(self._added()), encoding="utf-8")
            own = self._config.compose
            more = {"gpu.yaml": own.gpu, "comfyui-api.yaml": own.comfyui_api}
            names = ["compose.yaml", *(name for name, is_wanted in more.items() if is_wanted)]
            files = [word for name in names for word in ("--file", str(FOLDER / name))]
            yield ("compose", "--project-name", self._project, *files, "--file", str(added), "--profile", _PROFILE)

    def _added(self) -> dict[str, Any]:
        image = {"image": self._config.image} if self._config.image else {}
        ours = [name for name in self._services() if name != "nginx"]
        variables = dict(self._config.env)
        return {"services": {name: {**image, "environment": variables} for name in ours}}

    def _services(self) -> dict[str, str]:
        document = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
        return {name: "" for name, service in document["services"].items() if _PROFILE in service["profiles"]}

    def _hashes(self) -> dict[str, str]:
        """What Compose makes of each service's definition: it is made anew when this is another."""
        lines = self._compose("config", "--hash", "*").splitlines()
        return dict(line.split(maxsplit=1) for line in lines if line.strip())

    def _there(self) -> dict[str, str]:
        containers = [
            json.loads(line) for line in self._compose("ps", "--all", "--format", "json").splitlines() if line
        ]
        return {one["Service"]: _label(one["Labels"], "com.docker.compose.config-hash") for one in containers}

    def _require(self) -> None:
        if not self._there():
            raise DeployError(f"there is no project {self._project}: `comfyui-serverless deploy compose` makes it")

    def _need_secret_key(self) -> None:
        file = FOLDER / ".env"
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        if not os.environ.get("SECRET_KEY") and not any(line.startswith("SECRET_KEY=") for line in lines):
            raise DeployError(f'SECRET_KEY is not set: `echo "SECRET_KEY=$(openssl rand -hex 32)" >>{file}` sets it')

    def _compose(self, *words: str) -> str:
        with self._files() as files:
            return self._docker.run(*files, *words)


def _label(labels: str, name: str) -> str:
    return next((label.partition("=")[2] for label in labels.split(",") if label.startswith(f"{name}=")), "")
