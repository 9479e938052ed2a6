"""RunPod as a target of the deploy command: a network volume, and an endpoint with its workers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infra.deploy.config import DeployConfig
from infra.deploy.errors import DeployError
from infra.deploy.runpod_api import RunpodApi
from infra.deploy.runpod_jobs import RunpodJobs
from infra.deploy.runpod_plan import differences, endpoint_body, patch_of, volume_body
from infra.deploy.smoke import check_smoke, smoke_request
from infra.deploy.target import Action, Plan, Say, Step
from runtime.clock import SystemClock
from runtime.ids import new_job_id

_VOLUMES, _ENDPOINTS = "/network-volumes", "/serverless"
_NOT_YET = "the volume's id"


@dataclass(frozen=True, kw_only=True)
class _There:
    """What RunPod has of this deployment; `extra` are endpoints that an answer which was lost led to."""

    volume: Mapping[str, Any] | None = None
    endpoint: Mapping[str, Any] | None = None
    extra: tuple[Mapping[str, Any], ...] = ()


class RunpodTarget:
    """A `Target`."""

    def __init__(self, config: DeployConfig, *, api: RunpodApi | None = None) -> None:
        self._config = config
        self._api = api or RunpodApi()

    def plan(self, *, offline: bool = False) -> Plan:
        there = _There() if offline else self._look()
        steps = [self._volume_step(there), self._endpoint_step(there)]
        steps += [Step(action="delete", name=extra["name"], kind=f"endpoint {extra['id']}") for extra in there.extra]
        return Plan(
            title=f"endpoint {self._config.full_name}: {'there, ' + there.endpoint['id'] if there.endpoint else 'new'}",
            steps=tuple(steps),
            calls=tuple(_calls(steps, there)),
        )

    def apply(self, say: Say) -> None:
        """Volume, then endpoint, then models, then the smoke job: each finds what an earlier run did of it."""
        self.plan()  # which refuses what cannot be, before anything is made
        volume_id = self._apply_volume(self._look(), say)
        self._apply_endpoint(self._look(), volume_id, say)
        endpoint = self._present().endpoint or {}
        jobs = RunpodJobs(self._api, endpoint["requestUrls"])
        synced = jobs.run({"sync_models": True}, say)
        if synced.get("status") != "completed":
            raise DeployError(f"the models were not all brought to the volume: {synced}; see `deploy logs runpod`")
        say("the volume has the manifest's models")
        say(check_smoke(jobs.run(smoke_request(f"smoke-{new_job_id(SystemClock().wall())}"), say)))
        for line in self._needed(endpoint):
            say(line)

    def status(self) -> Iterator[str]:
        endpoint = self._present().endpoint
        if endpoint is None:
            yield "the endpoint is not there: `deploy runpod` makes it"
            return
        workers = self._api.call("GET", f"{_ENDPOINTS}/{endpoint['id']}/workers")["workers"]
        for worker in workers:
            yield f"worker {worker['id']}: {worker['status']}{', of an older version' if worker['isStale'] else ''}"
        jobs = self._api.call("GET", endpoint["requestUrls"]["health"])["jobs"]
        yield f"jobs: {', '.join(f'{count} {name}' for name, count in jobs.items())}"
        yield from self._needed(endpoint)

    def logs(self, *, follow: bool) -> Iterator[str]:
        endpoint = self._present().endpoint
        workers = self._api.call("GET", f"{_ENDPOINTS}/{endpoint['id']}/workers")["workers"] if endpoint else []
        if not workers:
            raise DeployError("no worker runs now, and RunPod keeps logs of those that run: send a job first")
        for worker in workers:
            path = f"{_ENDPOINTS}/{(endpoint or {})['id']}/workers/{worker['id']}/logs"
            yield from (f"{worker['id']} {line}" for line in self._api.log_lines(path, follow=follow))

    def doomed(self, *, delete_data: bool) -> str:
        there = self._present()
        fate = "is DELETED with every model" if delete_data else "stays, and is paid for"
        volume = f"; volume {there.volume['name']} {fate}" if there.volume else ""
        return f"endpoint {self._config.full_name}{volume}"

    def destroy(self, *, delete_data: bool) -> None:
        there = self._present()
        for endpoint in ([there.endpoint] if there.endpoint else []) + list(there.extra):
            self._api.call("DELETE", f"{_ENDPOINTS}/{endpoint['id']}")
        if delete_data and there.volume:
            self._api.call("DELETE", f"{_VOLUMES}/{there.volume['id']}")

    def _look(self) -> _There:
        name = self._config.full_name
        volumes = [found for found in self._api.list(_VOLUMES, "networkVolumes") if found["name"] == f"{name}-models"]
        if len(volumes) > 1:
            ids = " and ".join(volume["id"] for volume in volumes)
            raise DeployError(f"volumes {ids} are both called {name}-models: delete the one without the models")
        endpoints = [found for found in self._api.list(_ENDPOINTS, "endpoints") if found["name"] == name]
        endpoints.sort(key=lambda found: str(found["createdAt"]))
        return _There(
            volume=volumes[0] if volumes else None,
            endpoint=endpoints[0] if endpoints else None,
            extra=tuple(endpoints[1:]),
        )

    def _present(self) -> _There:
        there = self._look()
        if there.volume is None and there.endpoint is None:
            name = self._config.full_name
            raise DeployError(f"there is no endpoint {name}: `comfyui-serverless deploy runpod` makes it")
        return there

    def _volume_step(self, there: _There) -> Step:
        wanted, volume = volume_body(self._config), there.volume
        if volume is None:
            return Step(action="create", name=wanted["name"], kind="network volume")
        if volume["dataCenter"] != wanted["dataCenter"]:
            raise DeployError(
                f"volume {volume['id']} lies in {volume['dataCenter']}, and region is {wanted['dataCenter']}: a volume "
                "does not move. Set region back, or take the deployment down with --delete-data"
            )
        if volume["size"] > wanted["size"]:
            raise DeployError(
                f"volume {volume['id']} has {volume['size']} GB, and volume.size_gb is {wanted['size']}: it only grows"
            )
        where = tuple(differences(volume, wanted))
        return Step(action="update" if where else "keep", name=wanted["name"], kind="network volume", where=where)

    def _endpoint_step(self, there: _There) -> Step:
        volume_id = there.volume["id"] if there.volume else _NOT_YET
        wanted, endpoint = endpoint_body(self._config, volume_id), there.endpoint
        if endpoint is None:
            return Step(action="create", name=wanted["name"], kind="serverless endpoint")
        where = tuple(differences(endpoint, wanted))
        if "type" in where:
            raise DeployError(
                f"endpoint {endpoint['id']} is of type {endpoint['type']}, which does not change: delete it, or give "
                "the deployment another name"
            )
        action: Action = "update" if where else "keep"
        return Step(action=action, name=wanted["name"], kind="serverless endpoint", where=where)

    def _apply_volume(self, there: _There, say: Say) -> str:
        step, wanted = self._volume_step(there), volume_body(self._config)
        if there.volume is None:
            made = self._api.call("POST", _VOLUMES, wanted)
            say(f"volume {made['id']} is made, {made['size']} GB in {made['dataCenter']}")
            return str(made["id"])
        if step.action == "update":
            self._api.call("PATCH", f"{_VOLUMES}/{there.volume['id']}", {"size": wanted["size"]})
            say(f"volume {there.volume['id']} has {wanted['size']} GB now")
        return str(there.volume["id"])

    def _apply_endpoint(self, there: _There, volume_id: str, say: Say) -> None:
        step, wanted = self._endpoint_step(there), endpoint_body(self._config, volume_id)
        if there.endpoint is None:
            say(f"endpoint {self._api.call('POST', _ENDPOINTS, wanted)['id']} is made")
        elif step.action == "update":
            self._api.call("PATCH", f"{_ENDPOINTS}/{there.endpoint['id']}", patch_of(wanted, step.where))
            say(f"endpoint {there.endpoint['id']} is changed: {', '.join(step.where)}")
        for extra in there.extra:
            self._api.call("DELETE", f"{_ENDPOINTS}/{extra['id']}")
            say(f"endpoint {extra['id']}, which an earlier run left behind, is deleted")

    def _needed(self, endpoint: Mapping[str, Any]) -> Iterator[str]:
        """What a client needs, in a form that a shell and an .env file take."""
        yield f"\n# what a client needs, beside RUNPOD_API_KEY\nRUNPOD_ENDPOINT_ID={endpoint['id']}"


def _calls(steps: list[Step], there: _There) -> Iterator[str]:
    paths = (_VOLUMES, (there.volume or {}).get("id")), (_ENDPOINTS, (there.endpoint or {}).get("id"))
    for step, (path, found) in zip(steps[:2], paths, strict=True):
        if step.action != "keep":
            yield f"POST {path}" if step.action == "create" else f"PATCH {path}/{found}"
    yield from (f"DELETE {_ENDPOINTS}/{found['id']}" for found in there.extra)
    yield "run sync_models"
    yield "run smoke job"
