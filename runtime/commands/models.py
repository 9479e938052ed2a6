"""`comfyui-serverless models`: the manifest's models on the volume."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from runtime.build import bucket_access
from runtime.cancellation import CancelFlag
from runtime.commands import models_report
from runtime.commands.transfer_view import TransferView, open_view, size
from runtime.errors import Cancelled, InvalidRequest, ModelMissing, ServerlessError, SettingsInvalid
from runtime.models.fetcher import wanted_of
from runtime.models.folders import KINDS
from runtime.models.manifest import Manifest, ManifestModel
from runtime.models.manifest_entry import append_entry, source_of_url, with_entry
from runtime.models.manifest_file import read_manifest
from runtime.models.manifest_source import Source
from runtime.models.sync.assembly import build_manifest, build_syncer
from runtime.models.sync.inventory import inventory
from runtime.models.sync.syncer import Syncer, Wanted
from runtime.models.sync.volume import USE_LEASE_S
from runtime.near_names import near_names
from runtime.settings import Settings

_STATUS_OF_CTRL_C = 130


def main(words: Sequence[str]) -> int:
    """Run one of the verbs. Answers 0 where all is well, 1 where something is wrong or failed, 2 for bad arguments."""
    arguments = _parser().parse_args(list(words))
    logging.basicConfig(level="ERROR", format="%(levelname)s: %(message)s")
    try:
        settings = _settings(arguments)
        status: int = arguments.verb(_Session(settings), arguments)
    except Cancelled:
        print("comfyui-serverless models: stopped; the same command goes on where this one ended", file=sys.stderr)
        return _STATUS_OF_CTRL_C
    except ServerlessError as exc:
        print(f"comfyui-serverless models: {exc.message}", file=sys.stderr)
        return 2 if isinstance(exc, SettingsInvalid | InvalidRequest) else 1
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="comfyui-serverless models", description="Models on the volume.")
    parser.add_argument("--models", type=Path, metavar="DIR", help="the models folder (MODELS_PATH)")
    parser.add_argument("--manifest", type=Path, metavar="FILE", help="the manifest (MODELS_MANIFEST)")
    parser.add_argument("--deployment", metavar="NAME", help="whose models (DEPLOYMENT)")
    verbs = parser.add_subparsers(required=True, metavar="sync | ls | check | rm | add")
    sync = verbs.add_parser("sync", help="fetch what the volume lacks")
    sync.add_argument("names", nargs="*", metavar="NAME", help="these alone, of whatever deployment")
    sync.add_argument("--jobs", type=int, default=2, metavar="N", help="models fetched side by side (2)")
    sync.set_defaults(verb=_sync)
    ls = verbs.add_parser("ls", help="what is on the volume and in the manifest")
    ls.add_argument("--json", action="store_true", help="one object a line")
    ls.set_defaults(verb=_ls)
    check = verbs.add_parser("check", help="validate the manifest")
    check.add_argument("--volume", action="store_true", help="and the size and hash of every file on the volume")
    check.set_defaults(verb=_check)
    rm = verbs.add_parser("rm", help="remove models from the volume")
    rm.add_argument("names", nargs="+", metavar="NAME", help="a name or a path such as loras/a.safetensors")
    rm.add_argument("--force", action="store_true", help="also one that is pinned or in use")
    rm.set_defaults(verb=_rm)
    add = verbs.add_parser("add", help="fetch a model and write it into the manifest")
    add.add_argument("url", help="https://, hf://, s3://, civitai:// or file://")
    add.add_argument("--folder", help="checkpoints, loras, ...; by default what the URL's own path says")
    add.add_argument("--name", help="the file's name; by default the source's own")
    add.add_argument("--licence", help="what the manifest shall say of its licence")
    add.set_defaults(verb=_add)
    return parser


def _settings(arguments: argparse.Namespace) -> Settings:
    given = {
        "models_path": arguments.models,
        "models_manifest": arguments.manifest,
        "deployment": arguments.deployment,
    }
    settings = Settings.load()
    return settings.model_copy(update={name: value for name, value in given.items() if value is not None})


class _Session:
    """What the verbs share: the manifest, the volume, and a Ctrl-C that ends every transfer at once."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.flag = CancelFlag()

    def manifest(self) -> Manifest:
        return build_manifest(self.settings)

    def syncer(self, manifest: Manifest) -> Syncer:
        self.settings.models_path.mkdir(parents=True, exist_ok=True)
        return build_syncer(self.settings, manifest, bucket_access(self.settings, self.settings.bucket))

    def fetch(self, syncer: Syncer, wanted: Wanted, view: TransferView) -> bool:
        return syncer.fetch(wanted, check=self.flag.check, wait=self.wait, watch=view.watch)

    @contextmanager
    def interruptible(self) -> Iterator[TransferView]:
        previous = signal.signal(signal.SIGINT, lambda *_: self.flag.set())
        try:
            with open_view(sys.stderr) as view:
                yield view
        finally:
            signal.signal(signal.SIGINT, previous)

    def wait(self, seconds: float) -> None:
        """Wait, and raise Cancelled after Ctrl-C."""
        self.flag.check()
        time.sleep(seconds)


def _sync(session: _Session, arguments: argparse.Namespace) -> int:
    manifest = session.manifest()
    models = _chosen(manifest, arguments.names, session.settings.deployment)
    syncer = session.syncer(manifest)

    def bring(model: ManifestModel) -> bool:
        try:
            wanted = wanted_of(model)
            if syncer.verify(wanted, session.flag.check):
                view.say(f"{model.path}: there")
            else:
                fetched = session.fetch(syncer, wanted, view)
                view.say(f"{model.path}: {'fetched' if fetched else 'there, fetched by another worker'}")
        except Cancelled:
            raise
        except ServerlessError as exc:
            view.say(f"{model.path}: {exc.code}: {exc.message}")
            return False
        return True

    with session.interruptible() as view, ThreadPoolExecutor(max(1, arguments.jobs)) as pool:
        done = list(pool.map(bring, models))
    return 0 if all(done) else 1


def _chosen(manifest: Manifest, names: Sequence[str], deployment: str) -> Sequence[ManifestModel]:
    if names:
        return [model for name in names for model in _called(manifest, name)]
    models = manifest.of(deployment).models
    if not models:
        others = sorted({name for model in manifest.models for name in model.deployments})
        known = f"; it has models for {', '.join(others)}" if others else ""
        print(f"the manifest has no model for the deployment {deployment!r} (DEPLOYMENT){known}", file=sys.stderr)
    return models


def _called(manifest: Manifest, name: str) -> list[ManifestModel]:
    found = [model for model in manifest.models if name in (*model.names, model.path)]
    if not found:
        near = near_names(name, [known for model in manifest.models for known in model.names])
        hint = f"; near names: {', '.join(near)}" if near else ""
        raise InvalidRequest(f"the manifest has no model {name!r}{hint}")
    return found


def _ls(session: _Session, arguments: argparse.Namespace) -> int:
    manifest = session.manifest()
    syncer = session.syncer(manifest)
    items = list(inventory(manifest.of(session.settings.deployment), syncer.volume))
    for line in models_report.json_lines(items) if arguments.json else models_report.table(items, time.time()):
        print(line)
    return 0


def _check(session: _Session, arguments: argparse.Namespace) -> int:
    path = session.settings.models_manifest
    try:
        manifest, problems = read_manifest(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsInvalid(f"{path} cannot be read: {exc}") from exc
    for problem in problems:
        print(f"{path}:{problem.line}: {problem.key}: {problem.message}")
    if manifest is None:
        return 1
    print(f"{path}: {len(manifest.models)} models, {len(manifest.custom_nodes)} custom nodes: right")
    return _check_volume(session, manifest) if arguments.volume else 0


def _check_volume(session: _Session, manifest: Manifest) -> int:
    syncer = session.syncer(manifest)
    wrong = 0
    with session.interruptible() as view:
        for model in manifest.of(session.settings.deployment).models:
            found = syncer.volume.size(model.path)
            if found is None:
                view.say(f"{model.path}: absent")
            elif model.size_bytes not in (None, found):
                wrong += 1
                view.say(f"{model.path}: has {found} bytes; expected {model.size_bytes}")
            elif (digest := syncer.rehash(wanted_of(model), session.flag.check)) != model.sha256:
                wrong += 1
                view.say(f"{model.path}: has SHA-256 {digest}; expected {model.sha256}")
            else:
                view.say(f"{model.path}: right")
    return 1 if wrong else 0


def _rm(session: _Session, arguments: argparse.Namespace) -> int:
    manifest = session.manifest()
    volume = session.syncer(manifest).volume
    pinned = {model.path for model in manifest.models if model.pinned}
    for name in arguments.names:
        path = _path_on_volume(manifest, volume.size, name)
        used_at = volume.used_at(path)
        in_use = used_at is not None and volume.now() - used_at < USE_LEASE_S
        if not arguments.force and (path in pinned or in_use):
            why = "is pinned" if path in pinned else "was in use within the last 15 minutes"
            raise InvalidRequest(f"{path} {why}; --force removes it all the same")
        with volume.lock(path).hold(session.wait):
            freed = volume.size(path) or 0
            volume.remove(path)
        print(f"{path}: removed, {size(freed)}")
    return 0


def _path_on_volume(manifest: Manifest, size_of: Callable[[str], int | None], name: str) -> str:
    known = [model.path for model in manifest.models if name in (*model.names, model.path)]
    folders = {folder for names in KINDS.values() for folder in names} | set(manifest.extra_folders)
    if name.partition("/")[0] in folders and ".." not in name.split("/"):
        known.append(name)
    there = sorted({path for path in known or [f"{folder}/{name}" for folder in folders] if size_of(path) is not None})
    if len(there) == 1:
        return there[0]
    if there:
        raise InvalidRequest(f"{name!r} is {' and '.join(there)}; say which")
    raise ModelMissing(f"the volume has no model {name!r}")


def _add(session: _Session, arguments: argparse.Namespace) -> int:
    path = session.settings.models_manifest
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    manifest, problems = read_manifest(text)
    if manifest is None:
        raise SettingsInvalid(f"{path}: {problems[0]}")
    source = source_of_url(arguments.url)
    syncer = session.syncer(manifest)
    folder = arguments.folder or _folder_of(source)
    name = arguments.name or syncer.file_name(Source.parse(source), session.flag.check)
    draft = _entry(name, folder, source, "0" * 64, None, arguments.licence)
    with_entry(text, draft)  # refuses what the manifest could not hold, before anything is fetched
    with session.interruptible() as view:
        session.fetch(syncer, Wanted(path=draft.path, sources=[source]), view)
        sha256, size_bytes = syncer.identify(draft.path, session.flag.check)
    append_entry(path, _entry(name, folder, source, sha256, size_bytes, arguments.licence))
    print(f"{draft.path}: {size(size_bytes)}, SHA-256 {sha256}; added to {path}")
    return 0


def _entry(
    name: str, folder: str, source: str, sha256: str, size_bytes: int | None, licence: str | None
) -> ManifestModel:
    from pydantic import ValidationError

    try:
        return ManifestModel(
            name=name, folder=folder, sources=(source,), sha256=sha256, size_bytes=size_bytes, licence=licence
        )
    except ValidationError as exc:
        first = exc.errors()[0]
        key = ".".join(map(str, first["loc"])) or "name"
        raise InvalidRequest(f"{key}: {first['msg'].removeprefix('Value error, ')}; give --name or --folder") from exc


def _folder_of(source: str) -> str:
    """The last part of the source's path that is the name of a models folder."""
    folders = {folder for names in KINDS.values() for folder in names}
    parts = [part for part in source.partition("?")[0].split("/") if part in folders]
    if not parts:
        raise InvalidRequest(f"{Source.parse(source)} says nothing of a folder; give --folder checkpoints, loras, ...")
    return parts[-1]
