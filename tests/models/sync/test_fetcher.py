"""The models of a graph onto the volume, before it is checked."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from moody_server import BODY, SHA256, FileServer

from runtime.build import build
from runtime.cancellation import CancelFlag
from runtime.errors import Cancelled, ModelCorrupt, ModelMissing, ModelUnsafe, ServerlessError
from runtime.fetch.access import WebAccess
from runtime.graph.workflow import Graph, parse_workflow
from runtime.models.fetcher import ModelFetcher, UrlRules
from runtime.models.manifest import Manifest
from runtime.models.sync.syncer import Syncer, hash_file
from runtime.models.sync.users import Users
from runtime.models.sync.volume import USE_LEASE_S, Volume
from runtime.progress import Progress, ignore_progress
from runtime.request import JobRequest
from runtime.settings import Settings

MakeFetcher = Callable[..., ModelFetcher]


def entry(server: FileServer, **changed: Any) -> dict[str, Any]:
    model = {"name": "a.safetensors", "folder": "checkpoints", "sources": [f"{server.url}/a"], "sha256": SHA256}
    return {**model, "size_bytes": len(BODY), **changed}


@pytest.fixture
def make_fetcher(make_syncer: Callable[..., Syncer], volume: Volume) -> Iterator[MakeFetcher]:
    made: list[ModelFetcher] = []

    def make(*models: dict[str, Any], enabled: bool = True, hosts: tuple[str, ...] = ()) -> ModelFetcher:
        manifest = Manifest.model_validate({"models": models})
        fetcher = ModelFetcher(
            manifest.of("here"),
            syncer=make_syncer(),
            url_syncer=make_syncer(),
            users=Users(volume),
            enabled=enabled,
            urls=UrlRules(hosts=hosts, most_bytes=len(BODY)),
            others=manifest.beside("here"),
        )
        made.append(fetcher)
        return fetcher

    yield make
    for fetcher in made:
        fetcher.close()


def graph_of(class_type: str = "CheckpointLoaderSimple", **inputs: Any) -> Graph:
    return parse_workflow({"4": {"class_type": class_type, "inputs": inputs or {"ckpt_name": "a.safetensors"}}})


def ensured(fetcher: ModelFetcher, graph: Graph, flag: CancelFlag | None = None, on_progress: Any = None) -> Graph:
    with fetcher.ensure(graph, flag or CancelFlag(), on_progress or ignore_progress) as found:
        return found


def test_a_model_that_the_manifest_has_and_the_volume_lacks_is_fetched(
    make_fetcher: MakeFetcher, server: FileServer, volume: Volume
) -> None:
    graph = graph_of()
    assert ensured(make_fetcher(entry(server)), graph) is graph
    assert volume.file("checkpoints/a.safetensors").read_bytes() == BODY


def test_it_is_not_fetched_where_the_setting_says_so(make_fetcher: MakeFetcher, server: FileServer) -> None:
    ensured(make_fetcher(entry(server), enabled=False), graph_of())
    assert server.requests == []


@pytest.mark.parametrize("folder", ["diffusion_models", "unet"])
def test_a_file_in_another_folder_of_its_kind_is_as_good(
    make_fetcher: MakeFetcher, server: FileServer, volume: Volume, folder: str
) -> None:
    volume.file(folder).mkdir()
    volume.file(f"{folder}/a.safetensors").write_bytes(BODY)
    ensured(make_fetcher(entry(server, folder="unet")), graph_of("UNETLoader", unet_name="a.safetensors"))
    assert server.requests == []


@pytest.mark.parametrize(
    ("class_type", "name", "folder"),
    [
        ("LoraLoader", "lora_name", "loras"),
        ("VAELoader", "vae_name", "vae"),
        ("CLIPVisionLoader", "clip_name", "clip_vision"),
        ("TripleCLIPLoader", "clip_name3", "clip"),
        ("UpscaleModelLoader", "model_name", "upscale_models"),
        ("ControlNetLoader", "control_net_name", "t2i_adapter"),
        ("AudioEncoderLoader", "audio_encoder_name", "audio_encoders"),
        ("SomebodysOwnLoader", "the_file", "style_models"),
    ],
)
def test_every_loader_finds_its_kind(
    make_fetcher: MakeFetcher, server: FileServer, volume: Volume, class_type: str, name: str, folder: str
) -> None:
    ensured(make_fetcher(entry(server, folder=folder)), graph_of(class_type, **{name: "a.safetensors"}))
    assert volume.size(f"{folder}/a.safetensors") == len(BODY)


def test_a_name_of_another_kind_is_not_meant(make_fetcher: MakeFetcher, server: FileServer) -> None:
    ensured(make_fetcher(entry(server, folder="loras")), graph_of())
    assert server.requests == []


def test_an_embedding_that_a_prompt_names_is_fetched(
    make_fetcher: MakeFetcher, server: FileServer, volume: Volume
) -> None:
    graph = graph_of("CLIPTextEncode", text="a cat, (embedding:a:1.2), embedding:unknown.")
    assert ensured(make_fetcher(entry(server, folder="embeddings")), graph) is graph
    assert volume.size("embeddings/a.safetensors") == len(BODY)


def test_an_alias_becomes_the_files_name_in_the_graph_and_in_its_json(
    make_fetcher: MakeFetcher, server: FileServer
) -> None:
    graph = ensured(make_fetcher(entry(server, aliases=["my model"])), graph_of(ckpt_name="my model"))
    assert graph.nodes["4"].inputs == graph.source["4"]["inputs"] == {"ckpt_name": "a.safetensors"}


def test_an_alias_is_read_in_a_models_place_alone(make_fetcher: MakeFetcher, server: FileServer) -> None:
    graph = graph_of("CLIPTextEncode", text="my model")
    assert ensured(make_fetcher(entry(server, aliases=["my model"])), graph) is graph


def test_a_url_of_an_allowed_host_becomes_a_file_of_its_own(
    make_fetcher: MakeFetcher, server: FileServer, volume: Volume
) -> None:
    graph = graph_of(ckpt_name=f"{server.url}/x/My%20model.safetensors?token=SECRET")
    found = ensured(make_fetcher(hosts=("127.0.0.1",)), graph)
    name = found.source["4"]["inputs"]["ckpt_name"]
    assert name.startswith("from_url/")
    assert name.endswith("_My_model.safetensors")
    assert "SECRET" not in json.dumps(found.source)
    assert volume.file(f"checkpoints/{name}").read_bytes() == BODY


@pytest.mark.parametrize(
    ("path", "hosts", "error", "message"),
    [
        ("a.safetensors", (), ModelMissing, "MODEL_URL_HOSTS allows no host"),
        ("a.safetensors", ("other",), ModelMissing, "MODEL_URL_HOSTS allows other"),
        ("a.ckpt", ("127.0.0.1",), ModelUnsafe, r"\.ckpt file, which may hold code"),
    ],
)
def test_another_url_is_refused_unasked(
    make_fetcher: MakeFetcher,
    server: FileServer,
    path: str,
    hosts: tuple[str, ...],
    error: type[ServerlessError],
    message: str,
) -> None:
    with pytest.raises(error, match=message) as refused:
        ensured(make_fetcher(hosts=hosts), graph_of(ckpt_name=f"{server.url}/{path}"))
    assert refused.value.node_id == "4"
    assert server.requests == []


def test_a_url_of_an_allowed_host_at_a_private_address_is_refused(
    make_syncer: Callable[..., Syncer], server: FileServer, volume: Volume
) -> None:
    fetcher = ModelFetcher(
        Manifest(),
        syncer=make_syncer(),
        url_syncer=make_syncer(web=WebAccess()),
        users=Users(volume),
        urls=UrlRules(hosts=("127.0.0.1",)),
    )
    with pytest.raises(ModelMissing, match="not on the public internet"):
        ensured(fetcher, graph_of(ckpt_name=f"{server.url}/a.safetensors"))
    fetcher.close()
    assert server.requests == []


def test_a_model_is_brought_without_a_graph(make_fetcher: MakeFetcher, server: FileServer, volume: Volume) -> None:
    fetcher = make_fetcher(entry(server))
    fetcher.bring(fetcher.manifest.models[0], CancelFlag())
    assert volume.size("checkpoints/a.safetensors") == len(BODY)


def test_a_url_of_a_file_over_the_limit_is_refused_unread(make_fetcher: MakeFetcher, server: FileServer) -> None:
    server.body = BODY + b"x"
    with pytest.raises(ModelMissing, match=f"expected at most {len(BODY)}"):
        ensured(make_fetcher(hosts=("127.0.0.1",)), graph_of(ckpt_name=f"{server.url}/a.safetensors"))
    assert server.ranged == []


def test_what_cannot_be_fetched_names_the_node_and_the_sources(make_fetcher: MakeFetcher, server: FileServer) -> None:
    server.statuses = [404]
    with pytest.raises(ModelMissing, match=r"CheckpointLoaderSimple \(node 4\): checkpoints/a\.safetensors .* 404"):
        ensured(make_fetcher(entry(server)), graph_of())
    server.body = BODY[::-1]
    with pytest.raises(ModelCorrupt, match=f"expected {SHA256}"):
        ensured(make_fetcher(entry(server)), graph_of())


def test_a_jobs_cancel_ends_its_fetch(make_fetcher: MakeFetcher, server: FileServer, volume: Volume) -> None:
    flag = CancelFlag()
    server.on_body = flag.set
    with pytest.raises(Cancelled):
        ensured(make_fetcher(entry(server)), graph_of(), flag)
    assert volume.size("checkpoints/a.safetensors") is None


def test_a_fetch_is_told_as_steps_of_its_node(make_fetcher: MakeFetcher, server: FileServer) -> None:
    seen: list[Progress] = []
    ensured(make_fetcher(entry(server)), graph_of(), on_progress=seen.append)
    assert {(progress.node_id, progress.class_type) for progress in seen} == {("4", "CheckpointLoaderSimple")}
    assert seen[-1].step <= seen[-1].steps == 2


def test_near_names_of_the_manifest_are_told_beside_the_volumes(make_fetcher: MakeFetcher, server: FileServer) -> None:
    fetcher = make_fetcher(entry(server, name="juggernaut.safetensors"))
    graph = graph_of(ckpt_name="jugernaut.safetensors")
    with (
        pytest.raises(ModelMissing, match=r"manifest has near it: juggernaut\.safetensors"),
        fetcher.ensure(graph, CancelFlag(), ignore_progress),
    ):
        raise ModelMissing("there is no jugernaut.safetensors")


def test_a_model_of_another_deployment_is_told_as_that(make_fetcher: MakeFetcher, server: FileServer) -> None:
    fetcher = make_fetcher(entry(server, deployments=["sdxl"]))
    with (
        pytest.raises(ModelMissing, match=r"manifest has a\.safetensors for sdxl alone \(DEPLOYMENT\)"),
        fetcher.ensure(graph_of(), CancelFlag(), ignore_progress),
    ):
        raise ModelMissing("there is no a.safetensors")


def test_a_model_is_marked_as_in_use_before_it_is_looked_for_and_when_the_job_ends(
    make_fetcher: MakeFetcher, server: FileServer, volume: Volume
) -> None:
    fetcher = make_fetcher(entry(server))
    ensured(fetcher, graph_of())
    record = volume.root / ".volume" / "records" / "checkpoints" / "a.safetensors.json"
    long_ago = volume.now() - 2 * USE_LEASE_S
    os.utime(record, (long_ago, long_ago))
    with fetcher.ensure(graph_of(), CancelFlag(), ignore_progress):
        assert record.stat().st_mtime > long_ago + USE_LEASE_S
        os.utime(record, (long_ago, long_ago))
    assert record.stat().st_mtime > long_ago + USE_LEASE_S


def test_a_job_fetches_the_model_that_it_names_and_runs(mini_models: Path, tmp_path: Path) -> None:
    checkpoint = mini_models / "checkpoints" / "sd1_mini.safetensors"
    model = {
        "name": "fetched.safetensors",
        "folder": "checkpoints",
        "sources": [f"file://{checkpoint}"],
        "sha256": hash_file(checkpoint, lambda: None),
        "aliases": ["the alias"],
    }
    (tmp_path / "manifest.yaml").write_text(json.dumps({"models": [model]}))
    settings = Settings(
        models_path=tmp_path / "models",
        models_manifest=tmp_path / "manifest.yaml",
        data_path=tmp_path / "data",
        device="cpu",
    )
    workflow = json.loads((Path(__file__).parents[3] / "examples" / "text_to_image.json").read_text())
    overrides = {"CheckpointLoaderSimple.ckpt_name": "the alias", "steps": 1, "width": 64, "height": 64}
    worker = build(settings)
    try:
        result = worker.run(JobRequest(workflow=workflow, overrides=overrides))
    finally:
        worker.close()
    assert result.error is None
    assert (settings.models_path / "checkpoints" / "fetched.safetensors").stat().st_size == checkpoint.stat().st_size
