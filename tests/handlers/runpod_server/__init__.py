"""A RunPod endpoint on loopback: what its workers talk to, and what its clients talk to.

    with RunPodServer() as server:
        subprocess.Popen([...], env={**os.environ, **server.worker_environment("worker-1")})
        runpod.endpoint_url_base = server.url
        runpod.Endpoint(server.endpoint_id, api_key=server.api_key).run_sync({...})

`endpoint.py` has the jobs and their states, `worker_routes.py` and `client_routes.py` the two HTTP sides, `server.py`
the thread that serves them. Formats and limits are those of runpod-python 1.12 (what it sends and expects) and of
RunPod's documentation of its endpoint operations.
"""

from .endpoint import Endpoint, Job, Ping
from .server import RunPodServer

__all__ = ["Endpoint", "Job", "Ping", "RunPodServer"]
