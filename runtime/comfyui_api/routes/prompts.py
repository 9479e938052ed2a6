"""Prompts: posted, counted, waited for, looked back at, interrupted."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from runtime.comfyui_api.access import Executor, Parts, Reader
from runtime.comfyui_api.bodies import ids_in, object_in
from runtime.comfyui_api.submission import read_submission
from runtime.jobs.record import Status

router = APIRouter()

_MOST_HISTORY = 10_000


@router.post("/prompt")
async def post_prompt(request: Request, parts: Parts, principal: Executor) -> dict[str, Any]:
    """Queue a prompt."""
    submission = read_submission(await request.body())
    accepted = await run_in_threadpool(parts.prompts.submit, principal.tenant, submission)
    await parts.feed.queued(principal.tenant, accepted.prompt_id)
    return {
        "prompt_id": accepted.prompt_id,
        "number": accepted.number,
        "node_errors": accepted.node_errors,
    }


@router.get("/prompt")
def count(parts: Parts, principal: Reader) -> dict[str, Any]:
    """How many prompts wait or run."""
    return {"exec_info": {"queue_remaining": len(parts.prompts.unfinished(principal.tenant))}}


@router.get("/queue")
def queue(parts: Parts, principal: Reader) -> dict[str, Any]:
    """The prompts that run, and those that wait."""
    told: dict[str, list[Any]] = {"queue_running": [], "queue_pending": []}
    for prompt in parts.prompts.unfinished(principal.tenant):
        place = "queue_running" if prompt.record.status is Status.RUNNING else "queue_pending"
        told[place].append(parts.prompts.queued(principal.tenant, prompt))
    return told


@router.post("/queue")
async def change_queue(request: Request, parts: Parts, principal: Executor) -> Response:
    """Take prompts that wait out of the queue: all by `clear`, or those in `delete`."""
    body = object_in(await request.body())
    await run_in_threadpool(_withdraw, parts, principal.tenant, body)
    await parts.feed.changed(principal.tenant)
    return Response()


@router.get("/history")
def history(
    parts: Parts,
    principal: Reader,
    max_items: Annotated[int, Query(le=_MOST_HISTORY)] = _MOST_HISTORY,
    offset: Annotated[int, Query()] = -1,
) -> dict[str, Any]:
    """The prompts that have ended, oldest first: the last `max_items` of them, or as many from place `offset` on."""
    ended = parts.prompts.ended(principal.tenant, None if offset >= 0 else max(max_items, 0))[::-1]
    chosen = ended[offset : offset + max_items] if offset >= 0 else ended
    return {prompt.record.job_id: parts.prompts.history(principal.tenant, prompt) for prompt in chosen}


@router.get("/history/{prompt_id}")
def history_of(prompt_id: str, parts: Parts, principal: Reader) -> dict[str, Any]:
    """One prompt that has ended; nothing while it has not."""
    prompt = parts.prompts.find(principal.tenant, prompt_id)
    if prompt is None or not prompt.record.status.is_terminal:
        return {}
    return {prompt_id: parts.prompts.history(principal.tenant, prompt)}


@router.post("/history")
async def change_history(request: Request, parts: Parts, principal: Executor) -> Response:
    """Forget prompts that have ended: all by `clear`, or those in `delete`."""
    body = object_in(await request.body())
    await run_in_threadpool(_forget, parts, principal.tenant, body)
    return Response()


@router.post("/interrupt")
async def interrupt(request: Request, parts: Parts, principal: Executor) -> Response:
    """End what runs: the prompt that `prompt_id` names, else every one of the caller's."""
    body = object_in(await request.body())
    await run_in_threadpool(_interrupt, parts, principal.tenant, body.get("prompt_id"))
    return Response()


def _withdraw(parts: Parts, tenant: str, body: dict[str, Any]) -> None:
    chosen = None if body.get("clear") else set(ids_in(body, "delete"))
    for prompt in parts.prompts.unfinished(tenant, also=chosen or ()):
        id = prompt.record.job_id
        if prompt.record.status is Status.PENDING and (chosen is None or id in chosen):
            parts.prompts.cancel(tenant, id)
            parts.prompts.forget(tenant, id)


def _forget(parts: Parts, tenant: str, body: dict[str, Any]) -> None:
    ids = ids_in(body, "delete")
    if body.get("clear"):
        ids = [prompt.record.job_id for prompt in parts.prompts.ended(tenant)]
    for id in ids:
        prompt = parts.prompts.find(tenant, id)
        if prompt is not None and prompt.record.status.is_terminal:
            parts.prompts.forget(tenant, id)


def _interrupt(parts: Parts, tenant: str, prompt_id: object) -> None:
    for prompt in parts.prompts.unfinished(tenant, also=[prompt_id] if isinstance(prompt_id, str) else ()):
        id = prompt.record.job_id
        if prompt.record.status is Status.RUNNING and prompt_id in (None, "", id):
            parts.prompts.cancel(tenant, id)
