"""A job's files by ComfyUI's names, (filename, subfolder, type), as clients find them in answers and ask `/view` for.

Two jobs may each have made a `ComfyUI_00001_.png`: the sub-folder begins with the job's id, so that the three together
name one file of one job, on every instance alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from runtime.errors import InvalidRequest
from runtime.file_names import shown, split_annotation
from runtime.jobs.record import JobRecord, StoredOutput

Folder = Literal["input", "output", "temp"]
FOLDERS: tuple[Folder, ...] = get_args(Folder)


@dataclass(frozen=True, kw_only=True)
class FileName:
    """A file as a client names it."""

    filename: str
    subfolder: str = ""
    folder: Folder = "output"

    @classmethod
    def parse(cls, filename: str, subfolder: str = "", folder: str = "output") -> FileName:
        """The name in three parts; a filename may be annotated, `a.png [temp]`, and then says the folder.

        Raises InvalidRequest for a folder that there is none of.
        """
        plain, annotated = split_annotation(filename)
        for known in FOLDERS:
            if known == (annotated or folder):
                return cls(filename=plain, subfolder=subfolder.strip("/"), folder=known)
        raise InvalidRequest(f"type is {folder[:100]!r}; expected {', '.join(FOLDERS)}")

    @classmethod
    def of_path(cls, path: str, folder: Folder) -> FileName:
        """The file that an input of a node names, sub-folder and all."""
        subfolder, _, filename = path.rpartition("/")
        return cls(filename=filename, subfolder=subfolder, folder=folder)

    @property
    def path(self) -> str:
        """Sub-folder and filename."""
        return f"{self.subfolder}/{self.filename}" if self.subfolder else self.filename

    @property
    def job_id(self) -> str:
        """The job that the file would be of."""
        return self.subfolder.partition("/")[0]

    def to_wire(self) -> Mapping[str, str]:
        """The name as answers have it."""
        return {"filename": self.filename, "subfolder": self.subfolder, "type": self.folder}

    def __str__(self) -> str:
        return f"{shown(self.path)} [{self.folder}]"


def name_of(job_id: str, output: StoredOutput) -> FileName:
    """What a job's file is called here."""
    subfolder = f"{job_id}/{output.subfolder}" if output.subfolder else job_id
    return FileName(filename=output.filename, subfolder=subfolder, folder="temp" if output.temporary else "output")


def find_output(record: JobRecord, name: FileName) -> StoredOutput | None:
    """The job's file of that name."""
    return next((output for output in record.outputs if name_of(record.job_id, output) == name), None)
