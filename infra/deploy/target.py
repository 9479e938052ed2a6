"""What a platform is to the deploy command: planned, made, shown, read and taken down."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

Action = Literal["create", "update", "delete", "keep"]
Say = Callable[[str], None]

_SIGNS: dict[Action, str] = {"create": "+", "update": "~", "delete": "-", "keep": " "}


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a deployment does to one thing. `where` names what changes of it, never a secret's value."""

    action: Action
    name: str
    kind: str
    where: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f" ({', '.join(self.where)})" if self.where else ""
        return f"  {_SIGNS[self.action]} {self.name:20} {self.kind}{where}"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What would be done, in order. `title` says what to, and how it stands; `calls` are those that would change it."""

    title: str
    steps: tuple[Step, ...]
    calls: tuple[str, ...] = ()

    @property
    def changed(self) -> tuple[Step, ...]:
        """The steps that do anything."""
        return tuple(step for step in self.steps if step.action != "keep")

    @property
    def count(self) -> str:
        """How many steps of each action there are, in words."""
        actions = [step.action for step in self.steps]
        return ", ".join(f"{actions.count(action)} to {action}" for action in _SIGNS)

    def __str__(self) -> str:
        return "\n".join([self.title, *map(str, self.steps)])


class Target(Protocol):
    """One deployment on one platform. Every call may raise DeployError, which says what to do next.

    Nothing is connected to before a call. What is made carries the deployment's full name, so that environments are
    apart and what is there is found again, however far an earlier run came.
    """

    def plan(self, *, offline: bool = False) -> Plan:
        """What `apply` would do, and so how what is there differs from the file. Touches nothing.

        `offline`: as if nothing were there, without asking the platform or needing credentials.
        """

    def apply(self, say: Say) -> None:
        """Make it, or change it to what it shall be; `say` is told each thing that was done, and what comes next.

        What an earlier run left half made is finished or undone. What is as it shall be stays untouched.
        """

    def status(self) -> Iterable[str]:
        """Lines on how it stands, beside its drift. Raises DeployError where nothing is there."""

    def logs(self, *, follow: bool) -> Iterable[str]:
        """The newest lines of its workers' logs, oldest first; with `follow` for ever."""

    def doomed(self, *, delete_data: bool) -> str:
        """What `destroy` takes away and what stays, to be asked about. Raises DeployError where nothing is there."""

    def destroy(self, *, delete_data: bool) -> None:
        """Take it down. What holds jobs, pictures or models stays unless `delete_data`."""
