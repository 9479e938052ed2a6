"""Kubernetes as a target of the deploy command: the manifests of `infra/k8s`, by kubectl."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import yaml

from infra.deploy.config import DeployConfig
from infra.deploy.errors import DeployError
from infra.deploy.manifests import Document, kubernetes_documents
from infra.deploy.stack_variables import stack_variables
from infra.deploy.target import Plan, Say, Step
from infra.deploy.tool import Tool

_KUBECTL = "https://kubernetes.io/docs/tasks/tools/"
_DATA = ("Namespace", "PersistentVolumeClaim")
_MENDS = {
    "connection to the server": "No cluster answers: `kubectl config get-contexts` lists them; kubernetes.context of "
    "deploy.yaml chooses one",
    "no matches for kind": "KEDA is not in the cluster: docs/kubernetes.md says how it comes there",
}
_WAIT = "600s"
_SHOWN = "scaledobject,deployment,horizontalpodautoscaler,cronjob,persistentvolumeclaim,pod"


class KubernetesTarget:
    """A `Target`: everything lies in the namespace of the deployment's full name."""

    def __init__(self, config: DeployConfig) -> None:
        self._config = config
        self._kubectl = Tool("kubectl", page=_KUBECTL, mends=_MENDS)
        self._context = ("--context", config.kubernetes.context) if config.kubernetes.context else ()
        self._namespace = config.full_name

    def plan(self, *, offline: bool = False) -> Plan:
        documents = self._documents(offline=offline)
        there = set() if offline else self._there(documents)
        changed = self._changed(documents) if there else {_place(document) for document in documents}
        steps = tuple(_step(document, there, changed) for document in documents)
        title = f"namespace {self._namespace}: {f'{len(there)} of {len(documents)} are there' if there else 'new'}"
        calls = ("kubectl apply", "kubectl rollout status") if any(step.action != "keep" for step in steps) else ()
        return Plan(title=title, steps=steps, calls=calls)

    def apply(self, say: Say) -> None:
        self._need_secret_key()
        documents = self._documents()
        for line in self._run("apply", "-f", "-", given=_text(documents)).splitlines():
            say(line)
        self._kubectl.show(*self._context, "rollout", "status", "deployment/api", *self._here, "--timeout", _WAIT)
        say(f"\nthe API is there: kubectl port-forward {' '.join(self._here)} service/api 8000:80")
        say("models: docs/kubernetes.md has the job that syncs the volume")

    def status(self) -> Iterator[str]:
        self._require()
        yield from self._run("get", _SHOWN, *self._here, "-o", "wide").splitlines()

    def logs(self, *, follow: bool) -> Iterator[str]:
        self._require()
        words = ["logs", *self._here, "-l", "app.kubernetes.io/component in (worker, api)", "--prefix", "--tail=200"]
        yield from self._kubectl.lines(*self._context, *words, "--max-log-requests=50", *(["-f"] if follow else []))

    def doomed(self, *, delete_data: bool) -> str:
        self._require()
        fate = "its volume of models is DELETED" if delete_data else "its volume of models stays"
        return f"what runs in namespace {self._namespace}; {fate}, and so does the stack on AWS (`deploy destroy aws`)"

    def destroy(self, *, delete_data: bool) -> None:
        documents = self._documents(offline=True)
        doomed = documents if delete_data else [one for one in documents if one["kind"] not in _DATA]
        configs = ("configmap", "-l", "app.kubernetes.io/name=comfyui-serverless")
        self._run("delete", "--ignore-not-found", "-f", "-", given=_text(doomed))
        if not delete_data:  # the settings of earlier deployments too, whose names end in other hashes
            self._run("delete", *configs, *self._here)

    @property
    def _here(self) -> tuple[str, str]:
        return ("--namespace", self._namespace)

    def _documents(self, *, offline: bool = False) -> list[Document]:
        return kubernetes_documents(self._config, stack_variables(self._config, offline=offline), self._kubectl)

    def _there(self, documents: list[Document]) -> set[str]:
        found = self._run("get", "--ignore-not-found", "-f", "-", "-o", "json", given=_text(documents))
        items = json.loads(found) if found.strip() else {}
        return {_place(item) for item in items.get("items", [items] if items else [])}

    def _changed(self, documents: list[Document]) -> set[str]:
        """What applying would change, drift included: kubectl asks the cluster itself, which exits with 1 for some."""
        said = self._run("diff", "-f", "-", given=_text(documents), may_exit=(0, 1))
        named = re.findall(r"^diff .*/([^/\s]+)$", said, re.MULTILINE)  # GROUP.VERSION.KIND.NAMESPACE.NAME
        return {place for document in documents for place in [_place(document)] if _is_named(place, named)}

    def _require(self) -> None:
        if not self._run("get", "namespace", self._namespace, "--ignore-not-found", "-o", "name").strip():
            raise DeployError(f"there is no namespace {self._namespace}: `comfyui-serverless deploy k8s` makes it")

    def _need_secret_key(self) -> None:
        if "SECRET_KEY" not in self._config.secrets:
            raise DeployError(
                "secrets.SECRET_KEY is not set, and the API asks for tokens: `kubectl create namespace "
                f"{self._namespace}; kubectl create secret generic comfyui {' '.join(self._here)} "
                "--from-literal=SECRET_KEY=$(openssl rand -hex 32)`, and put `secrets: {SECRET_KEY: comfyui}` into "
                "deploy.yaml"
            )

    def _run(self, *words: str, given: str | None = None, may_exit: tuple[int, ...] = (0,)) -> str:
        return self._kubectl.run(*self._context, *words, given=given, may_exit=may_exit)


def _text(documents: list[Document]) -> str:
    return yaml.safe_dump_all(documents, sort_keys=False)


def _place(document: Document) -> str:
    return f"{document['kind']}.{document['metadata'].get('namespace', '')}.{document['metadata']['name']}"


def _is_named(place: str, named: list[str]) -> bool:
    return any(name.endswith(f".{place}") for name in named)


def _step(document: Document, there: set[str], changed: set[str]) -> Step:
    place = _place(document)
    name, kind = document["metadata"]["name"], document["kind"]
    if place not in there:
        return Step(action="create", name=name, kind=kind)
    return Step(action="update" if place in changed else "keep", name=name, kind=kind)
