"""The websocket on which clients follow their prompts."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from fastapi import APIRouter, WebSocket
from fastapi.concurrency import run_in_threadpool

from runtime.api.principal import Scope
from runtime.comfyui_api.access import caller
from runtime.comfyui_api.connection import Connection
from runtime.comfyui_api.routes.system import server_features
from runtime.errors import ServerlessError

if TYPE_CHECKING:
    from runtime.comfyui_api.parts import ComfyParts

router = APIRouter()

_LONGEST_ID = 200
_POLICY_VIOLATED = 1008


@router.websocket("/ws")
async def socket(websocket: WebSocket) -> None:
    """What becomes of the prompts that were posted with this `clientId`, and how long the caller's queue is."""
    parts: ComfyParts = websocket.app.state.comfyui
    try:
        principal = await run_in_threadpool(caller, parts, websocket, Scope.READ)
        parts.api.streams.refuse_more(principal.tenant)
    except ServerlessError:
        await websocket.close(_POLICY_VIOLATED)  # before it is accepted, which a server answers by 403
        return
    client_id = websocket.query_params.get("clientId", "")[:_LONGEST_ID] or uuid.uuid4().hex
    await websocket.accept()
    with parts.api.streams.held(principal.tenant):
        await parts.feed.serve(Connection(websocket, principal.tenant, client_id), server_features(parts.api))
