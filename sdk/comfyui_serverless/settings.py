"""Where a client's deployment is, and by which key it is spoken to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from comfyui_serverless.backends import RUNPOD_URL, Backend, HttpBackend, RunPodBackend
from comfyui_serverless.errors import ClientError
from comfyui_serverless.modal import ModalBackend

URL, TOKEN = "COMFYUI_SERVERLESS_URL", "COMFYUI_SERVERLESS_TOKEN"
ENDPOINT, KEY = "RUNPOD_ENDPOINT_ID", "RUNPOD_API_KEY"
APP = "COMFYUI_SERVERLESS_MODAL_APP"


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A backend and its key."""

    backend: Backend
    token: str | None = field(default=None, repr=False)


def deployment_of(
    url: str | None, runpod: str | None, token: str | None, env: Mapping[str, str], *, modal: str | None = None
) -> Deployment:
    """The deployment that is named: our HTTP API at `url`, the RunPod endpoint `runpod`, or the Modal app `modal`.

    Raises ClientError.
    """
    if len([named for named in (url, runpod, modal) if named]) > 1:
        raise ClientError("a client speaks to one deployment: give one of url, runpod and modal")
    if modal:
        return Deployment(backend=ModalBackend(app=modal))
    if runpod:
        key = token or env.get(KEY)
        if not key:
            raise ClientError(f"{KEY} is not set: RunPod's keys are made at https://console.runpod.io/user/settings")
        return Deployment(backend=RunPodBackend(base_url=f"{RUNPOD_URL}/{runpod}"), token=key)
    if not url:
        raise ClientError("no deployment is named: expected a url, runpod=ENDPOINT_ID or modal=APP")
    if not url.startswith(("http://", "https://")):
        raise ClientError(f"url is {url!r}; expected http://HOST or https://HOST")
    return Deployment(backend=HttpBackend(base_url=url.rstrip("/")), token=token or env.get(TOKEN))


def deployment_from_env(env: Mapping[str, str]) -> Deployment:
    """The deployment of COMFYUI_SERVERLESS_URL, else RUNPOD_ENDPOINT_ID, else COMFYUI_SERVERLESS_MODAL_APP.

    Raises ClientError where none is set.
    """
    if url := env.get(URL):
        return deployment_of(url, None, None, env)
    if endpoint := env.get(ENDPOINT):
        return deployment_of(None, endpoint, None, env)
    if app := env.get(APP):
        return deployment_of(None, None, None, env, modal=app)
    raise ClientError(
        f"which deployment is meant? set {URL} (http://127.0.0.1:8000 for `serve` on this machine), {ENDPOINT} or {APP}"
    )
