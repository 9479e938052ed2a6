"""What ComfyUI's own API is made of."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.api.parts import ApiParts
from runtime.comfyui_api.client_files import ClientFiles
from runtime.comfyui_api.feed import Feed
from runtime.comfyui_api.files_named import FilesNamed
from runtime.comfyui_api.prompts import Prompts
from runtime.comfyui_api.user_files import UserFiles, UserSettings


@dataclass(frozen=True, kw_only=True)
class ComfyParts:
    """`api`: the parts that it shares with the HTTP API."""

    api: ApiParts
    prompts: Prompts
    files: ClientFiles
    feed: Feed
    user_files: UserFiles
    settings: UserSettings

    @classmethod
    def over(cls, api: ApiParts) -> ComfyParts:
        """The parts upon those of the HTTP API."""
        files = ClientFiles(api.documents, api.artifacts)
        prompts = Prompts(api, FilesNamed(files, api.executions, api.artifacts))
        return cls(
            api=api,
            prompts=prompts,
            files=files,
            feed=Feed(api, prompts),
            user_files=UserFiles(api.artifacts),
            settings=UserSettings(api.documents),
        )
