"""A server that speaks the part of RunPod's REST API v2 that a deployment needs, as strictly as its OpenAPI says.

Bodies that `runpod_schema` does not know are 422 by place, what is missing is 404, a volume shrinks never, an idle
time-out beside REQUEST_COUNT is 400. `faults` are met in order, by the calls that they name: a status, or "lost" for
what is done but not answered.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from runpod_schema import problems

KEY = "rp-key"

Refusal = tuple[int, Any]
RunJob = Callable[[str, Any], Mapping[str, Any]]


class RunpodPlatform:
    """Resources by id. `run` answers a job's output."""

    def __init__(self, run: RunJob) -> None:
        self.volumes: dict[str, dict[str, Any]] = {}
        self.endpoints: dict[str, dict[str, Any]] = {}
        self.jobs: dict[str, Mapping[str, Any]] = {}
        self.faults: list[tuple[str, int | str]] = []
        self.calls: list[str] = []
        self._run = run
        self._made = 0
        platform = self

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"null")
                call = f"{self.command} {self.path.partition('?')[0]}"
                fault = platform.fault_of(call)
                status, answer = 0, None
                if isinstance(fault, int):
                    status, answer = fault, {"title": "no", "status": fault, "detail": "a fault"}
                elif self.headers.get("Authorization") != f"Bearer {KEY}":
                    status, answer = 401, {"title": "Unauthorized", "status": 401, "detail": "no key"}
                else:
                    platform.calls.append(call)
                    status, answer = platform.answer(call, body)
                if fault == "lost":
                    self.close_connection = True
                    return
                self.reply(status, answer)

            def do_GET(self) -> None:
                self._serve()

            def do_POST(self) -> None:
                self._serve()

            def do_PATCH(self) -> None:
                self._serve()

            def do_DELETE(self) -> None:
                self._serve()

            def reply(self, status: int, answer: Any) -> None:
                held = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(held) if status != 204 else 0))
                self.end_headers()
                if status != 204:
                    self.wfile.write(held)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()

    @property
    def writes(self) -> list[str]:
        """The calls that changed a resource."""
        return [call for call in self.calls if not call.startswith("GET") and "/jobs/" not in call]

    def fault_of(self, call: str) -> int | str | None:
        for place, (named, fault) in enumerate(self.faults):
            if call.startswith(named):
                del self.faults[place]
                return fault
        return None

    def answer(self, call: str, body: Any) -> Refusal:
        method, path = call.split(" ")
        parts = path.strip("/").split("/")
        if parts[0] == "jobs":
            return self._job(method, parts[2:], body)
        kind = self.volumes if parts[0] == "network-volumes" else self.endpoints
        if len(parts) == 1:
            field = "networkVolumes" if kind is self.volumes else "endpoints"
            return (200, {field: [*kind.values()]}) if method == "GET" else self._create(kind, body)
        if parts[1] not in kind:
            return 404, {"title": "Not Found", "status": 404, "detail": f"no {parts[1]}"}
        if parts[2:] == ["workers"]:
            worker = {"id": "w1", "status": "RUNNING", "gpuCount": 1, "isStale": False}
            return 200, {"workers": [worker], "summary": {}}
        if parts[-1] == "logs":
            return 200, 'id: 1\ndata: {"source": "container", "line": "job started", "ts": "1"}\n\n'
        if method == "DELETE":
            del kind[parts[1]]
            return 204, None
        return self._change(kind, kind[parts[1]], body) if method == "PATCH" else (200, kind[parts[1]])

    def _create(self, kind: dict[str, dict[str, Any]], body: dict[str, Any]) -> Refusal:
        if refusal := self._refused(kind, body, required=True):
            return refusal
        self._made += 1
        found = f"{'vol' if kind is self.volumes else 'ep'}{self._made}"
        kind[found] = {**body, "id": found}
        if kind is self.endpoints:
            jobs = f"{self.url}/jobs/{found}"
            urls = {"run": f"{jobs}/run", "status": f"{jobs}/status/{{job_id}}", "health": f"{jobs}/health"}
            kind[found] |= {"createdAt": f"2026-11-24T00:00:{self._made:02}Z", "requestUrls": urls}
            kind[found]["gpu"] = {**body["gpu"], "allowedCudaVersions": [], "minCudaVersion": None}
        return 201, kind[found]

    def _change(self, kind: dict[str, dict[str, Any]], found: dict[str, Any], body: dict[str, Any]) -> Refusal:
        if refusal := self._refused(kind, body, required=False):
            return refusal
        if kind is self.volumes and body.get("size", found["size"]) < found["size"]:
            return 400, {"title": "Bad Request", "status": 400, "detail": "size may only increase"}
        found |= body
        return 200, found

    def _refused(self, kind: dict[str, dict[str, Any]], body: dict[str, Any], *, required: bool) -> Refusal | None:
        resource = "network-volumes" if kind is self.volumes else "serverless"
        if errors := list(problems(f"{'POST' if required else 'PATCH'} {resource}", body)):
            return 422, {"title": "Unprocessable", "status": 422, "detail": "validation failed", "errors": errors}
        if body.get("scaling", {}).get("type") == "REQUEST_COUNT" and "idleTimeout" in body.get("workers", {}):
            return 400, {"title": "Bad Request", "status": 400, "detail": "idleTimeout does not apply"}
        if any(volume not in self.volumes for volume in body.get("networkVolumes", ())):
            return 404, {"title": "Not Found", "status": 404, "detail": "no such volume"}
        return None

    def _job(self, method: str, parts: list[str], body: Any) -> Refusal:
        if parts[0] == "health":
            return 200, {"jobs": {"inQueue": 0, "completed": len(self.jobs)}, "workers": {}}
        if parts[0] == "run":
            found = f"job{len(self.jobs)}"
            self.jobs[found] = self._run(found, body["input"])
            return 200, {"id": found, "status": "IN_QUEUE"}
        output = self.jobs[parts[1]]
        is_looked_at = output.get("looked_at")
        if not is_looked_at:
            self.jobs[parts[1]] = {**output, "looked_at": True}
            return 200, {"id": parts[1], "status": "IN_PROGRESS"}
        told = {name: value for name, value in output.items() if name != "looked_at"}
        status = "FAILED" if "error" in told else "COMPLETED"
        return 200, {"id": parts[1], "status": status, "output": told}
