"""Cloud Run as a target of the deploy command: the service of `infra/cloudrun`, by gcloud."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from infra.deploy.config import DeployConfig
from infra.deploy.errors import DeployError
from infra.deploy.gpus import names_on
from infra.deploy.stack_variables import stack_variables
from infra.deploy.target import Plan, Say, Step
from infra.deploy.tool import Tool

SERVICE = Path(__file__).resolve().parents[1] / "cloudrun" / "service.yaml"

_GCLOUD = "https://cloud.google.com/sdk/docs/install"
_MENDS = {"[project]": "Set cloudrun.project in deploy.yaml, or `gcloud config set project PROJECT`"}
_NEEDED = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "SECRET_KEY")


class CloudRunTarget:
    """A `Target`."""

    def __init__(self, config: DeployConfig) -> None:
        self._config = config
        self._gcloud = Tool("gcloud", page=_GCLOUD, mends=_MENDS)
        self._name = config.full_name

    def plan(self, *, offline: bool = False) -> Plan:
        wanted = self._wanted(offline=offline)
        there = None if offline else self._there()
        where = tuple(differences(wanted, there)) if there is not None else ()
        action: Any = "create" if there is None else "update" if where else "keep"
        return Plan(
            title=f"service {self._name} in {self._region}: {'new' if there is None else 'there'}",
            steps=(Step(action=action, name=self._name, kind="Service", where=where),),
            calls=() if action == "keep" else ("gcloud run services replace",),
        )

    def apply(self, say: Say) -> None:
        self._need_secrets()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "service.yaml"
            file.write_text(yaml.safe_dump(self._wanted(), sort_keys=False), encoding="utf-8")
            self._gcloud.show("run", "services", "replace", str(file), *self._where, "--quiet")
        say(f"the API is at {self._present()['status'].get('url', 'no address yet')}")

    def status(self) -> Iterator[str]:
        status = self._present()["status"]
        yield f"address {status.get('url')}, revision {status.get('latestReadyRevisionName')}"
        for condition in status.get("conditions", []):
            yield f"{condition['type']}: {condition['status']} {condition.get('message', '')}".rstrip()

    def logs(self, *, follow: bool) -> Iterator[str]:
        self._present()
        words = ("beta", "run", "services", "logs", "tail") if follow else ("run", "services", "logs", "read")
        yield from self._gcloud.lines(*words, self._name, *self._where, *(() if follow else ("--limit", "200")))

    def doomed(self, *, delete_data: bool) -> str:
        self._present()
        return f"service {self._name}; its bucket of models is not this command's and stays"

    def destroy(self, *, delete_data: bool) -> None:
        self._gcloud.run("run", "services", "delete", self._name, *self._where, "--quiet")

    @property
    def _region(self) -> str:
        if self._config.region is None:
            raise DeployError("region is not set in deploy.yaml: one with GPUs, as in `region: europe-west4`")
        return self._config.region

    @property
    def _where(self) -> tuple[str, ...]:
        project = self._config.cloudrun.project
        return ("--region", self._region, *(("--project", project) if project else ()))

    def _there(self) -> dict[str, Any] | None:
        name = f"metadata.name={self._name}"
        found = json.loads(self._gcloud.run("run", "services", "list", *self._where, "--filter", name, "--format=json"))
        return found[0] if found else None

    def _present(self) -> dict[str, Any]:
        there = self._there()
        if there is None:
            raise DeployError(f"there is no service {self._name}: `comfyui-serverless deploy cloudrun` makes it")
        return there

    def _wanted(self, *, offline: bool = False) -> dict[str, Any]:
        config = self._config
        if config.cloudrun.models_bucket is None:
            raise DeployError(
                "cloudrun.models_bucket is not set in deploy.yaml: `gcloud storage buckets create` makes one"
            )
        service: dict[str, Any] = yaml.safe_load(SERVICE.read_text(encoding="utf-8"))
        service["metadata"]["name"] = self._name
        template = service["spec"]["template"]
        template["metadata"]["annotations"] |= {
            "autoscaling.knative.dev/minScale": str(config.workers.min),
            "autoscaling.knative.dev/maxScale": str(config.workers.max),
        }
        pod = template["spec"]
        pod["nodeSelector"]["run.googleapis.com/accelerator"] = names_on("cloudrun", config.gpus)[0]
        pod["volumes"][0]["csi"]["volumeAttributes"]["bucketName"] = config.cloudrun.models_bucket
        variables = {"ENVIRONMENT": "production", **stack_variables(config, offline=offline), **config.env}
        container = pod["containers"][0]
        container["image"] = config.image_on("Cloud Run")
        container["env"] = [{"name": name, "value": value} for name, value in sorted(variables.items())] + [
            {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": "latest"}}}
            for name, secret in sorted(config.secrets.items())
        ]
        return service

    def _need_secrets(self) -> None:
        for name in _NEEDED:
            if name not in self._config.secrets:
                raise DeployError(
                    f"secrets.{name} is not set: `gcloud secrets create NAME --data-file=-` keeps it "
                    f"(https://console.cloud.google.com/security/secret-manager); `secrets: {{{name}: NAME}}` names it"
                )


def differences(wanted: Any, there: Any, place: str = "") -> Iterator[str]:
    """The places where `there` has not what is wanted; what it has beside that is the platform's own."""
    if isinstance(wanted, Mapping) and isinstance(there, Mapping):
        for key, value in wanted.items():
            yield from differences(value, there.get(key), f"{place}.{key}" if place else str(key))
    elif isinstance(wanted, list) and isinstance(there, list) and len(wanted) == len(there):
        for number, (one, other) in enumerate(zip(wanted, there, strict=True)):
            yield from differences(one, other, f"{place}.{number}")
    elif wanted != there:
        yield place
