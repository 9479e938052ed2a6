"""The prompts of every tenant: queued, run, remembered, by ComfyUI's numbers and in its order."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runtime.api.advice import Adviser, NothingTold
from runtime.api.errors import NotFound
from runtime.api.parts import ApiParts
from runtime.comfyui_api.ending import history_entry
from runtime.comfyui_api.errors import PromptRefused
from runtime.comfyui_api.files_named import FilesNamed
from runtime.comfyui_api.submission import USER, Submission
from runtime.comfyui_api.websocket_images import as_posted
from runtime.documents.store import ABSENT, Document
from runtime.errors import InputError, ModelError, ServerlessError
from runtime.graph.check import CheckReport
from runtime.jobs.record import JobRecord, Status, StoredOutput
from runtime.request import JobRequest

LOADING_S = 120.0
"""How long a call waits for a worker that is still loading."""
MOST_WAITING = 200
"""How many of a tenant's unfinished prompts are told of."""

_REMEMBERED_S = 4 * 86_400  # longer than a job waits, runs and is remembered together
_FOREVER = 1 << 40
_PAGE = 100


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """A prompt, and its job as it stands; `sent` has the nodes whose pictures go to the client by its websocket."""

    number: float
    client_id: str | None
    outputs: tuple[str, ...]
    sent: tuple[str, ...]
    record: JobRecord


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A prompt that was queued; `node_errors` of the outputs that are left out."""

    prompt_id: str
    number: float
    node_errors: Mapping[str, Any]


class Prompts:
    """Every call looks among the prompts of the tenant that it names, and nowhere else."""

    def __init__(self, parts: ApiParts, files: FilesNamed) -> None:
        self._parts = parts
        self._files = files

    def submit(self, tenant: str, submission: Submission) -> Accepted:
        """Check the prompt, and queue it. Raises PromptRefused, JobIdTaken where its id names another."""
        request = self._files.brought(tenant, submission.request)
        report = self._checked(tenant, request)
        outputs, node_errors = ((), {}) if report is None else (report.outputs, report.node_errors)
        kept = self._keep(tenant, submission, list(outputs))
        try:
            self._parts.executions.submit(tenant, request)
        except ServerlessError:
            if kept is not None:
                self._parts.documents.delete(_collection(tenant), submission.prompt_id)
            raise
        number = kept.value["number"] if kept is not None else self._known_number(tenant, submission.prompt_id)
        return Accepted(prompt_id=submission.prompt_id, number=number, node_errors=node_errors)

    def find(self, tenant: str, prompt_id: str) -> Prompt | None:
        """The prompt; None where there is none, or it was taken out of the history."""
        known = self._parts.documents.get(_collection(tenant), prompt_id)
        record = self._parts.jobs.get(tenant, prompt_id) if known is not None else None
        if known is None or record is None:
            return None
        value = known.value
        return Prompt(
            number=value["number"],
            client_id=value["client_id"],
            outputs=tuple(value["outputs"]),
            sent=tuple(value.get("sent", ())),
            record=record,
        )

    def unfinished_ids(self, tenant: str) -> list[str]:
        """The prompts that wait or run, at most MOST_WAITING of each. May lag behind by a second."""
        lists = [self._listed(tenant, status) for status in (Status.RUNNING, Status.PENDING)]
        return [id for listed in lists for id in itertools.islice(listed, MOST_WAITING)]

    def unfinished(self, tenant: str, also: Iterable[str] = ()) -> list[Prompt]:
        """The same as they stand now, by number; `also` are looked at too, for the list may lag behind."""
        found = [self.find(tenant, id) for id in dict.fromkeys([*also, *self.unfinished_ids(tenant)])]
        waiting = [prompt for prompt in found if prompt is not None and not prompt.record.status.is_terminal]
        return sorted(waiting, key=lambda prompt: prompt.number)

    def ended(self, tenant: str, most: int | None = None) -> list[Prompt]:
        """The prompts of the history, newest first; at most `most`."""
        found = (self.find(tenant, id) for id in self._listed(tenant, None))
        ended = (prompt for prompt in found if prompt is not None and prompt.record.status.is_terminal)
        return list(itertools.islice(ended, most))

    def history(self, tenant: str, prompt: Prompt) -> dict[str, Any]:
        """The prompt's entry in the history."""
        queued = self.queued(tenant, prompt)
        return history_entry(prompt.record, queued, class_types(queued[2]), self.read_text)

    def queued(self, tenant: str, prompt: Prompt) -> list[Any]:
        """Number, id, graph, extra data and output nodes."""
        text = self._parts.jobs.request_of(tenant, prompt.record.job_id)
        request = json.loads(text) if text is not None else {}
        pnginfo = request.get("extra_pnginfo")
        extra = {"extra_pnginfo": pnginfo} if pnginfo else {}
        if prompt.client_id is not None:
            extra["client_id"] = prompt.client_id
        graph = as_posted(request.get("workflow", {}), prompt.sent)
        return [prompt.number, prompt.record.job_id, graph, extra, list(prompt.outputs)]

    def forget(self, tenant: str, prompt_id: str) -> None:
        """Take the prompt out of the history; its files stay for as long as its job does."""
        self._parts.documents.delete(_collection(tenant), prompt_id)

    def cancel(self, tenant: str, prompt_id: str) -> None:
        """Ask for the end of the prompt's job; nothing happens where there is none."""
        try:
            self._parts.executions.cancel(tenant, prompt_id)
        except NotFound:
            return

    def pictures_sent(self, prompt: Prompt, record: JobRecord) -> Iterator[tuple[str, bytes]]:
        """Node and bytes of each picture that goes to the client by its websocket."""
        for output in record.outputs:
            data = self._parts.artifacts.get(output.key) if output.node_id in prompt.sent else None
            if data is not None:
                yield output.node_id, data

    def read_text(self, output: StoredOutput) -> str | None:
        """What a text output says."""
        data = self._parts.artifacts.get(output.key)
        return None if data is None else data.decode("utf-8", "replace")

    def _checked(self, tenant: str, request: JobRequest) -> CheckReport | None:
        """What is found of the graph; None where no worker has told of its nodes yet, and the job's own will say."""
        try:
            _, report = loaded_adviser(self._parts).check(request, tenant)
            report.raise_if_rejected()
        except NothingTold:
            return None
        except (ModelError, InputError) as exc:
            raise PromptRefused.of(exc) from exc
        except ServerlessError as exc:
            if exc.retryable:
                raise
            raise PromptRefused.of(exc) from exc
        return report

    def _keep(self, tenant: str, submission: Submission, outputs: list[str]) -> Document | None:
        """The prompt's document; None where the id is known already."""
        number = submission.number
        if number is None:
            number = self._next_number(tenant) * (-1 if submission.is_front else 1)
        value = {
            "number": number,
            "client_id": submission.client_id,
            "outputs": outputs,
            "sent": list(submission.sent),
        }
        expires_at = int(self._parts.clock.wall()) + _REMEMBERED_S
        return self._parts.documents.put(
            _collection(tenant), submission.prompt_id, value, over=ABSENT, expires_at=expires_at
        )

    def _next_number(self, tenant: str) -> int:
        counted = self._parts.documents.count(
            "comfyui numbers", tenant, amount=1, at_most=_FOREVER, expires_at=_FOREVER
        )
        return (counted or 1) - 1

    def _known_number(self, tenant: str, prompt_id: str) -> float:
        known = self._parts.documents.get(_collection(tenant), prompt_id)
        return known.value["number"] if known is not None else 0

    def _listed(self, tenant: str, status: Status | None) -> Iterator[str]:
        cursor: str | None = None
        while True:
            page = self._parts.jobs.list_by_user(tenant, USER, cursor=cursor, limit=_PAGE, status=status)
            yield from (job.job_id for job in page.jobs)
            if page.cursor is None:
                return
            cursor = page.cursor


def loaded_adviser(parts: ApiParts) -> Adviser:
    """The worker in this process, waited for while it loads, else what those elsewhere told."""
    if parts.worker is not None:
        return parts.worker.when_built(LOADING_S)
    if parts.told is None:
        raise NotFound("this instance has no worker to ask")
    return parts.told


def class_types(workflow: object) -> dict[str, str]:
    """The class of each node of a graph in API format."""
    if not isinstance(workflow, Mapping):
        return {}
    nodes = ((id, node) for id, node in workflow.items() if isinstance(node, Mapping))
    return {id: node["class_type"] for id, node in nodes if "class_type" in node}


def _collection(tenant: str) -> str:
    return f"comfyui prompts {tenant}"
