"""A server that speaks the part of Modal's protocol that a deployment asks of it, by the messages of modal_proto.

The modal package's own client speaks to it: a call whose name, fields or order another release changes fails here.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

from google.protobuf.empty_pb2 import Empty
from grpclib import GRPCError, Status
from grpclib.server import Server
from modal._serialization import deserialize, serialize
from modal_proto import api_pb2
from modal_proto.api_grpc import ModalClientBase

TOKEN = ("ak-here", "as-here")

Run = Callable[[str, Any], Any]


class ModalPlatform:
    """What an account has by name; `run` answers a function's call by its tag, for the arguments' first."""

    def __init__(self, run: Run) -> None:
        self.apps: dict[str, dict[str, str]] = {}
        self.volumes: set[str] = set()
        self.secrets: dict[str, set[str]] = {}
        self.logs: list[str] = []
        self.calls: list[str] = []
        self._run = run
        self._results: dict[str, bytes] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server, port = asyncio.run_coroutine_threadsafe(self._serve(), self._loop).result()
        self.url = f"http://127.0.0.1:{port}"

    def close(self) -> None:
        async def ended() -> None:
            self._server.close()
            await self._server.wait_closed()

        asyncio.run_coroutine_threadsafe(ended(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> tuple[Server, int]:
        server = Server([_servicer(self)])
        await server.start("127.0.0.1", 0)
        return server, server._server.sockets[0].getsockname()[1]

    def client_hello(self, _: Any) -> Any:
        return api_pb2.ClientHelloResponse()

    def app_get_or_create(self, asked: Any) -> Any:
        if asked.app_name not in self.apps:
            raise GRPCError(Status.NOT_FOUND, f"App '{asked.app_name}' not found")
        return api_pb2.AppGetOrCreateResponse(app_id=f"ap-{asked.app_name}")

    def app_get_tags(self, asked: Any) -> Any:
        return api_pb2.AppGetTagsResponse(tags=self.apps[asked.app_id.removeprefix("ap-")])

    def app_stop(self, asked: Any) -> Any:
        del self.apps[asked.app_id.removeprefix("ap-")]
        return Empty()

    def app_fetch_logs(self, asked: Any) -> Any:
        items = [api_pb2.TaskLogs(data=f"{line}\n", timestamp=1.0 + place) for place, line in enumerate(self.logs)]
        return api_pb2.AppFetchLogsResponse(batches=[api_pb2.TaskLogsBatch(items=items)])

    def volume_get_or_create(self, asked: Any) -> Any:
        if asked.deployment_name not in self.volumes:
            raise GRPCError(Status.NOT_FOUND, f"Volume '{asked.deployment_name}' not found")
        return api_pb2.VolumeGetOrCreateResponse(volume_id=f"vo-{asked.deployment_name}")

    def volume_delete(self, asked: Any) -> Any:
        self.volumes.remove(asked.volume_id.removeprefix("vo-"))
        return Empty()

    def secret_get_or_create(self, asked: Any) -> Any:
        if asked.deployment_name not in self.secrets:
            raise GRPCError(Status.NOT_FOUND, f"Secret '{asked.deployment_name}' not found")
        if missing := set(asked.required_keys) - self.secrets[asked.deployment_name]:
            raise GRPCError(Status.FAILED_PRECONDITION, f"Secret is missing key(s): {', '.join(sorted(missing))}")
        return api_pb2.SecretGetOrCreateResponse(secret_id=f"st-{asked.deployment_name}")

    def function_get(self, asked: Any) -> Any:
        if asked.app_name not in self.apps:
            raise GRPCError(Status.NOT_FOUND, f"App '{asked.app_name}' not found")
        about = api_pb2.FunctionHandleMetadata(
            function_name=asked.object_tag, function_type=api_pb2.Function.FUNCTION_TYPE_FUNCTION
        )
        if asked.object_tag == "web":
            about.web_url = f"https://you--{asked.app_name}-web.modal.run"
        if asked.object_tag.endswith(".*"):
            about.method_handle_metadata["run"].use_method_name = "run"
            about.method_handle_metadata["run"].function_name = f"{asked.object_tag[:-2]}.run"
            about.method_handle_metadata["run"].function_type = api_pb2.Function.FUNCTION_TYPE_FUNCTION
        for one in (about, *about.method_handle_metadata.values()):
            one.supported_input_formats.append(api_pb2.DATA_FORMAT_PICKLE)
        only = api_pb2.FunctionData.RankedFunction(rank=0, function=api_pb2.Function())
        data = api_pb2.FunctionData(ranked_functions=[only])
        found = f"fu-{asked.object_tag}"
        return api_pb2.FunctionGetResponse(function_id=found, handle_metadata=about, function=data)

    def class_get(self, asked: Any) -> Any:
        return api_pb2.ClassGetResponse(class_id=f"cs-{asked.object_tag}")

    def function_map(self, asked: Any) -> Any:
        given = asked.pipelined_inputs[0].input
        (arguments, _), name = deserialize(given.args, None), asked.function_id.removeprefix("fu-")
        call = f"fc-{len(self._results)}"
        self._results[call] = serialize(self._run(name.replace("*", given.method_name), *arguments))
        taken = api_pb2.FunctionPutInputsResponseItem(input_id="in-1", idx=0, input_jwt="jwt")
        return api_pb2.FunctionMapResponse(function_call_id=call, pipelined_inputs=[taken])

    def function_get_outputs(self, asked: Any) -> Any:
        success = api_pb2.GenericResult.GENERIC_STATUS_SUCCESS
        result = api_pb2.GenericResult(status=success, data=self._results[asked.function_call_id])
        item = api_pb2.FunctionGetOutputsItem(result=result, data_format=api_pb2.DATA_FORMAT_PICKLE)
        return api_pb2.FunctionGetOutputsResponse(outputs=[item])


_HEARD = {
    "ClientHello": ModalPlatform.client_hello,
    "AppGetOrCreate": ModalPlatform.app_get_or_create,
    "AppGetTags": ModalPlatform.app_get_tags,
    "AppStop": ModalPlatform.app_stop,
    "AppFetchLogs": ModalPlatform.app_fetch_logs,
    "VolumeGetOrCreate": ModalPlatform.volume_get_or_create,
    "VolumeDelete": ModalPlatform.volume_delete,
    "SecretGetOrCreate": ModalPlatform.secret_get_or_create,
    "ClassGet": ModalPlatform.class_get,
    "FunctionGet": ModalPlatform.function_get,
    "FunctionMap": ModalPlatform.function_map,
    "FunctionGetOutputs": ModalPlatform.function_get_outputs,
}


def _servicer(platform: ModalPlatform) -> ModalClientBase:
    """What grpclib serves: each call by the platform's method, every other one refused by name."""

    def heard(name: str) -> Any:
        async def answer(_: Any, stream: Any) -> None:
            asked = await stream.recv_message()
            given = (stream.metadata.get("x-modal-token-id"), stream.metadata.get("x-modal-token-secret"))
            if given != TOKEN:
                raise GRPCError(Status.UNAUTHENTICATED, "Token ID or secret is wrong")
            if name not in _HEARD:
                raise GRPCError(Status.UNIMPLEMENTED, f"{name} is not spoken here")
            platform.calls.append(name)
            await stream.send_message(_HEARD[name](platform, asked))

        return answer

    made: Any = type(
        "Servicer", (ModalClientBase,), {name: heard(name) for name in ModalClientBase.__abstractmethods__}
    )
    servicer: ModalClientBase = made()
    return servicer
