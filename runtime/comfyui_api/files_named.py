"""The files that a prompt names, given to its job: clients upload first, and name the file in a node's input."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from runtime.api.errors import NotFound
from runtime.api.executions import Executions
from runtime.artifacts.store import ArtifactStore
from runtime.comfyui_api.client_files import ClientFiles
from runtime.comfyui_api.names import FOLDERS, FileName, find_output
from runtime.errors import InvalidRequest
from runtime.fetch.uploads import SCHEME
from runtime.file_names import split_annotation
from runtime.models.folders import SUFFIXES
from runtime.request import InputFile, JobRequest

_FILE = re.compile(r"[^\0\n\\]{0,900}\.[A-Za-z0-9]{1,8}(?: \[(?:input|output|temp)\])?")
_MOST_NAMES = 500


class FilesNamed:
    """Brings to a request what of its tenant's uploads and earlier outputs its graph names."""

    def __init__(self, files: ClientFiles, executions: Executions, artifacts: ArtifactStore) -> None:
        self._files = files
        self._executions = executions
        self._artifacts = artifacts

    def brought(self, tenant: str, request: JobRequest) -> JobRequest:
        """The request with its files, and with the names that those have in the job.

        What is not there stays as it is: the check of the graph names it. Raises InvalidRequest for too many.
        """
        if not isinstance(request.workflow, Mapping):
            return request
        named = dict.fromkeys(value for _, _, value in _texts(request.workflow) if _is_file(value))
        if len(named) > _MOST_NAMES:
            raise InvalidRequest(f"the prompt names {len(named)} files; expected at most {_MOST_NAMES}")
        found = {value: file for value in named if (file := self._file(tenant, value)) is not None}
        images = {file.name: file.model_dump() for file in found.values()}
        data = {**request.model_dump(), "images": list(images.values()), "workflow": _renamed(request, found)}
        brought, _ = JobRequest.parse({**data, "comfy_org_api_key": request.comfy_org_api_key})
        return brought

    def _file(self, tenant: str, value: str) -> InputFile | None:
        """The file that an input's value names, as the request of a job has it."""
        path, annotated = split_annotation(value)
        folder = next(known for known in FOLDERS if known == (annotated or "input"))
        name = FileName.of_path(path, folder)
        file_id = self._files.find(tenant, name)
        if file_id is not None and folder == "input":
            return InputFile(name=path, image=f"{SCHEME}:{file_id}")
        if file_id is None and folder != "input":
            file_id = self._kept_output(tenant, name)
        return None if file_id is None else InputFile(name=file_id, image=f"{SCHEME}:{file_id}")

    def _kept_output(self, tenant: str, name: FileName) -> str | None:
        """The id of an upload with the bytes of an earlier job's output."""
        try:
            output = find_output(self._executions.find(tenant, name.job_id), name)
        except NotFound:
            return None
        data = None if output is None else self._artifacts.get(output.key)
        if output is None or data is None:
            return None
        return self._files.keep(tenant, data)


def _texts(workflow: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Node, input and value of every text."""
    for id, node in workflow.items():
        for name, value in node.get("inputs", {}).items():
            if isinstance(value, str):
                yield id, name, value


def _is_file(value: str) -> bool:
    return _FILE.fullmatch(value) is not None and not value.lower().endswith(SUFFIXES)


def _renamed(request: JobRequest, found: Mapping[str, InputFile]) -> Any:
    """The workflow, with the job's own names in place of those that are annotated with another folder."""
    workflow: Any = request.workflow
    changed = {value: file.name for value, file in found.items() if file.name != split_annotation(value)[0]}
    if not changed:
        return workflow
    places = [(id, name, changed[value]) for id, name, value in _texts(workflow) if value in changed]
    renamed = dict(workflow)
    for id, name, value in places:
        node = renamed[id]
        renamed[id] = {**node, "inputs": {**node["inputs"], name: value}}
    return renamed
