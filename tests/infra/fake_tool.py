"""Stands on PATH in the place of another's command line: it writes down each call and answers as the test has said."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_SCRIPT = """#!{python}
import hashlib, json, pathlib, subprocess, sys
folder = pathlib.Path({folder!r})
words = sys.argv[1:]
answers = json.loads((folder / "answers.json").read_text())
if words[:1] == ["kustomize"]:
    asked = pathlib.Path(words[1], "kustomization.yaml").read_bytes().replace(words[1].encode(), b"")
    kept = pathlib.Path({kept!r}, hashlib.sha256(asked).hexdigest())
    if not kept.exists():
        kept.write_bytes(subprocess.run([{kubectl!r}, *words], check=True, stdout=subprocess.PIPE).stdout)
    sys.stdout.write(kept.read_text())
    sys.exit()
given = "" if sys.stdin.isatty() or "-" not in words else sys.stdin.read()
for word in words:
    if word.endswith((".yaml", ".yml")) and not word.startswith({root!r}):
        with (folder / "files.jsonl").open("a") as files:
            files.write(json.dumps(pathlib.Path(word).read_text()) + "\\n")
with (folder / "calls.jsonl").open("a") as calls:
    calls.write(json.dumps([words, given]) + "\\n")
said, code = next((rest for start, *rest in answers if start in " ".join(words)), ["", 0])
(sys.stderr if code > 1 else sys.stdout).write(said)
sys.exit(code)
"""


@dataclass(frozen=True, kw_only=True)
class FakeTool:
    folder: Path
    answers: list[tuple[str, str, int]]

    def answer(self, start: str, said: str, code: int = 0) -> None:
        """To the first call whose words hold `start`: print `said` and exit with `code`. The newest answer wins."""
        self.answers.insert(0, (start, said, code))
        (self.folder / "answers.json").write_text(json.dumps(self.answers))

    @property
    def calls(self) -> list[str]:
        return [" ".join(words) for words, _ in self._calls()]

    @property
    def given(self) -> list[str]:
        """What the calls had on their standard input."""
        return [text for _, text in self._calls() if text]

    @property
    def files(self) -> list[str]:
        """What stood in the files that the calls named, the project's own apart."""
        path = self.folder / "files.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def _calls(self) -> list[tuple[list[str], str]]:
        path = self.folder / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def make_fake_tool(name: str, folder: Path, *, kept: Path) -> FakeTool:
    """An executable `name` in `folder`/bin. `kubectl kustomize` is kubectl's own, whose answers are kept in `kept`."""
    bin_folder, state = folder / "bin", folder / f"{name}.state"
    kept.mkdir(exist_ok=True)
    state.mkdir()
    bin_folder.mkdir(exist_ok=True)
    (state / "answers.json").write_text("[]")
    kubectl = str(Path(sys.executable).with_name("kubectl"))
    (bin_folder / name).write_text(
        _SCRIPT.format(python=sys.executable, folder=str(state), kubectl=kubectl, kept=str(kept), root=str(_ROOT))
    )
    os.chmod(bin_folder / name, 0o755)
    return FakeTool(folder=state, answers=[])
