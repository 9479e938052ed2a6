"""Where a client's deployment is, and by which key it is spoken to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from comfyui_serverless.backends import RUNPOD_URL, Backend, HttpBackend, RunPodBackend
from comfyui_serverless.errors import ClientError

URL, TOKEN = "COMFYUI_SERVERLESS_URL", "COMFYUI_SERVERLESS_TOKEN"
ENDPOINT, KEY = "RUNPOD_ENDPOINT_ID", "RUNPOD_API_KEY"


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A backend and its key."""

    backend: Backend
    token: str | None = field(default=None, repr=False)


def deployment_of(url: str | None, runpod: str | None, token: str | None, env: Mapping[str, str]) -> Deployment:
    """The deployment that is named: our HTTP API at `url`, or the RunPod endpoint `runpod`. Raises ClientError."""
    if url and runpod:
        raise ClientError("a client speaks to one deployment: give url or runpod, not both")
    if runpod:
        key = token or env.get(KEY)
        if not key:
            raise ClientError(f"{KEY} is not set: RunPod's keys are made at https://console.runpod.io/user/settings")
        return Deployment(backend=RunPodBackend(base_url=f"{RUNPOD_URL}/{runpod}"), token=key)
    if not url:
        raise ClientError("no deployment is named: expected a url, or runpod=ENDPOINT_ID")
    if not url.startswith(("http://", "https://")):
        raise ClientError(f"url is {url!r}; expected http://HOST or https://HOST")
    return Deployment(backend=HttpBackend(base_url=url.rstrip("/")), token=token or env.get(TOKEN))


def deployment_from_env(env: Mapping[str, str]) -> Deployment:
    """The deployment of COMFYUI_SERVERLESS_URL, else of RUNPOD_ENDPOINT_ID. Raises ClientError where neither is set."""
    url, endpoint = env.get(URL), env.get(ENDPOINT)
    if not url and not endpoint:
        raise ClientError(f"neither {URL} nor {ENDPOINT} is set: which deployment is meant?")
    return deployment_of(url or None, None if url else endpoint, None, env)
