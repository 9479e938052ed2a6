"""The command lines of others: kubectl, docker, gcloud."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType

from infra.deploy.errors import DeployError

_SAID = 5
_KUBECTLS_OWN_LOG = re.compile(r"[IWE]\d{4} \d\d:")


class Tool:
    """An executable on PATH; `page` is where one gets it, `mends` what to do by words of what it says when it fails.

    Raises DeployError where it is missing or fails.
    """

    def __init__(self, name: str, *, page: str, mends: Mapping[str, str] = MappingProxyType({})) -> None:
        self._name = name
        self._page = page
        self._mends = mends

    def run(self, *words: str, given: str | None = None, may_exit: tuple[int, ...] = (0,)) -> str:
        """What it prints, asked `words` with `given` on its standard input."""
        done = self._done(*words, given=given)
        if done.returncode not in may_exit:
            self._fail(words, done.returncode, done.stderr or done.stdout)
        return done.stdout

    def works(self, *words: str) -> bool:
        """Whether it exits with 0."""
        return self._done(*words).returncode == 0

    def lines(self, *words: str) -> Iterator[str]:
        """What it prints, line by line as it comes; it ends with the iteration."""
        with self._missing_is_named():
            process = subprocess.Popen([self._name, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            for line in process.stdout or ():
                yield line.rstrip("\n")
            _, said = process.communicate()
            if process.returncode:
                self._fail(words, process.returncode, said)
        finally:
            process.kill()
            process.communicate()

    def show(self, *words: str, given: str | None = None) -> None:
        """Let it print to this process's own output, for what takes minutes."""
        with self._missing_is_named():
            code = subprocess.run([self._name, *words], input=given, text=True).returncode
        if code:
            raise DeployError(f"`{self._name} {' '.join(words[:3])} ...` exited with {code}: what it said stands above")

    def _done(self, *words: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        with self._missing_is_named():
            return subprocess.run([self._name, *words], input=given, capture_output=True, text=True)

    def _fail(self, words: Sequence[str], code: int, said: str) -> None:
        lines = [line for line in said.splitlines() if line.strip() and not _KUBECTLS_OWN_LOG.match(line)][-_SAID:]
        mend = "".join(f". {mend}" for words, mend in self._mends.items() if words in said)
        raise DeployError(
            f"`{self._name} {' '.join(words[:3])} ...` exited with {code}: {' '.join(lines) or 'no word'}{mend}"
        )

    @contextmanager
    def _missing_is_named(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as exc:
            raise DeployError(f"{self._name} is not on PATH: {self._page} has it") from exc
