"""The websockets of this process, and what they are told: each client of its prompts, all of a tenant of its queue."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from runtime.api.parts import ApiParts
from runtime.comfyui_api.connection import Connection
from runtime.comfyui_api.ending import Message
from runtime.comfyui_api.narration import Narration
from runtime.comfyui_api.prompts import Prompt, Prompts, class_types
from runtime.comfyui_api.websocket_images import frame
from runtime.errors import ServerlessError
from runtime.jobs.record import JobKey, JobRecord

LOOK_EVERY_S = 2.0
"""How soon a prompt is followed here that came to another instance."""

_log = logging.getLogger(__name__)


class Feed:
    """For the event loop's thread. A tenant's prompts are followed while any of its clients is connected here."""

    def __init__(self, parts: ApiParts, prompts: Prompts, *, look_every_s: float = LOOK_EVERY_S) -> None:
        self._parts = parts
        self._prompts = prompts
        self._look_every_s = look_every_s
        self._connections: dict[str, dict[str, Connection]] = {}
        self._following: dict[JobKey, asyncio.Task[None]] = {}
        self._looking: dict[str, asyncio.Task[None]] = {}

    async def serve(self, connection: Connection, server_features: Mapping[str, Any]) -> None:
        """Tell the connection what concerns it until it is closed. A later one of the same client takes its place."""
        tenant, client_id = connection.tenant, connection.client_id
        of_tenant = self._connections.setdefault(tenant, {})
        of_tenant[client_id] = connection
        try:
            connection.tell("status", {"status": await self._status(tenant), "sid": client_id})
            if tenant not in self._looking:
                self._looking[tenant] = asyncio.create_task(self._look(tenant))
            await connection.serve(server_features)
        finally:
            if of_tenant.get(client_id) is connection:
                del of_tenant[client_id]
            if not of_tenant and self._connections.get(tenant) is of_tenant:
                del self._connections[tenant]
                if (looking := self._looking.pop(tenant, None)) is not None:
                    looking.cancel()

    async def queued(self, tenant: str, prompt_id: str) -> None:
        """A prompt was queued here."""
        try:
            await self._adopt(tenant, [prompt_id], and_ended=True)
        except ServerlessError as exc:  # it is queued all the same, and the next look finds it
            _log.warning("prompt %s is not followed yet: %s", prompt_id, exc.message)

    async def changed(self, tenant: str) -> None:
        """The tenant's queue was changed here."""
        if tenant in self._connections:
            await self._tell_status(tenant)

    def following(self, tenant: str) -> list[str]:
        """The prompts that are followed here."""
        return [key.job_id for key in self._following if key.tenant == tenant]

    async def _look(self, tenant: str) -> None:
        """Find prompts that came to another instance, or before their client was connected."""
        while True:
            try:
                await self._adopt(tenant, await asyncio.to_thread(self._prompts.unfinished_ids, tenant))
            except ServerlessError as exc:
                _log.warning("the prompts of a connected client could not be looked for: %s", exc.message)
            await asyncio.sleep(self._look_every_s)

    async def _adopt(self, tenant: str, ids: Iterable[str], *, and_ended: bool = False) -> None:
        """Follow the prompts that are not followed yet; a list of those unfinished may lag behind their end."""
        if tenant not in self._connections:
            return
        before = len(self._following)
        for key in (JobKey(tenant, id) for id in ids):
            if key in self._following:
                continue
            prompt = await asyncio.to_thread(self._prompts.find, *key)
            is_wanted = prompt is not None and (and_ended or not prompt.record.status.is_terminal)
            if prompt is not None and is_wanted and key not in self._following:
                self._following[key] = asyncio.create_task(self._follow(key, prompt))
        if len(self._following) != before:
            await self._tell_status(tenant)

    async def _follow(self, key: JobKey, prompt: Prompt) -> None:
        try:
            queued = await asyncio.to_thread(self._prompts.queued, key.tenant, prompt)
            await self._narrate(key, prompt, Narration(key.job_id, class_types(queued[2]), self._parts.clock.wall))
        except ServerlessError as exc:  # its client still has the history to look at
            _log.warning("prompt %s could not be followed: %s", key.job_id, exc.message)
        finally:
            self._following.pop(key, None)

    async def _narrate(self, key: JobKey, prompt: Prompt, narration: Narration) -> None:
        record = prompt.record
        async for event in self._parts.events.events(key):
            if event.name == "status":
                record = await asyncio.to_thread(self._record, key, record)
                if record.status.is_terminal:
                    continue  # and the events end by themselves
                self._tell(key.tenant, prompt.client_id, narration.begins(record))
                if record.progress is not None:
                    self._tell(key.tenant, prompt.client_id, narration.progresses(record.progress.to_wire()))
            elif event.name == "progress":
                self._tell(key.tenant, prompt.client_id, narration.progresses(event.data))
            elif event.name == "preview":
                self._show(key.tenant, prompt.client_id, narration, base64.b64decode(event.data["data"]))
        await self._send_pictures(key, prompt, record, narration)
        messages = await asyncio.to_thread(narration.ends, record, self._prompts.read_text)
        self._tell(key.tenant, prompt.client_id, messages)
        self._following.pop(key, None)
        await self._tell_status(key.tenant, but=key.job_id)
        self._tell(key.tenant, prompt.client_id, [narration.after_end()])

    def _record(self, key: JobKey, before: JobRecord) -> JobRecord:
        return self._parts.jobs.get(*key) or before

    def _tell(self, tenant: str, client_id: str | None, messages: Iterable[Message]) -> None:
        connection = self._connection(tenant, client_id)
        if connection is not None:
            for kind, data in messages:
                connection.tell(kind, data)

    async def _send_pictures(self, key: JobKey, prompt: Prompt, record: JobRecord, narration: Narration) -> None:
        """The pictures of nodes that send theirs to the client, each node told of as the one that runs."""
        pictures = await asyncio.to_thread(lambda: [*self._prompts.pictures_sent(prompt, record)])
        for node_id, picture in pictures:
            self._tell(key.tenant, prompt.client_id, [*narration.begins(record), *narration.runs(node_id)])
            connection = self._connection(key.tenant, prompt.client_id)
            if connection is not None:
                connection.show(frame(picture), may_drop=False)

    def _connection(self, tenant: str, client_id: str | None) -> Connection | None:
        return self._connections.get(tenant, {}).get(client_id or "")

    def _show(self, tenant: str, client_id: str | None, narration: Narration, picture: bytes) -> None:
        connection = self._connection(tenant, client_id)
        if connection is not None:
            with_metadata = connection.features.get("supports_preview_metadata") is True
            shown = narration.preview(picture, with_metadata=with_metadata)
            if shown is not None:
                connection.show(shown)

    async def _tell_status(self, tenant: str, *, but: str | None = None) -> None:
        status = await self._status(tenant, but=but)
        for connection in self._connections.get(tenant, {}).values():
            connection.tell("status", {"status": status})

    async def _status(self, tenant: str, *, but: str | None = None) -> dict[str, Any]:
        """How many prompts wait or run, `but` not among them: the list may lag behind its end."""
        listed = await asyncio.to_thread(self._prompts.unfinished_ids, tenant)
        remaining = {*listed, *self.following(tenant)} - {but}
        return {"exec_info": {"queue_remaining": len(remaining)}}
