from __future__ import annotations

from pathlib import Path

from runtime.models.ram import free_ram_bytes

GIB = 1 << 30


def _machine(folder: Path, *, limit: str | None = None, used: int = 0, cached: int = 0) -> dict[str, Path]:
    """Where a machine of 10 GiB, 8 of them available, tells of its memory, and a container of its own."""
    (folder / "meminfo").write_text(f"MemTotal: {10 * GIB >> 10} kB\nMemAvailable: {8 * GIB >> 10} kB\n")
    if limit is not None:
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text(f"{used}\n")
        (folder / "memory.stat").write_text(f"anon 1\ninactive_file {cached}\n")
    return {"proc": folder, "cgroup": folder}


def test_a_tenth_of_the_machine_is_left_alone(tmp_path: Path) -> None:
    assert free_ram_bytes(**_machine(tmp_path)) == 7 * GIB


def test_a_container_without_a_limit_has_what_the_machine_has(tmp_path: Path) -> None:
    assert free_ram_bytes(**_machine(tmp_path, limit="max")) == 7 * GIB


def test_a_containers_limit_counts_and_its_file_cache_does_not(tmp_path: Path) -> None:
    place = _machine(tmp_path, limit=str(4 * GIB), used=3 * GIB, cached=2 * GIB)
    assert free_ram_bytes(**place) == 3 * GIB - 4 * GIB // 10


def test_there_is_never_less_than_nothing(tmp_path: Path) -> None:
    assert free_ram_bytes(**_machine(tmp_path, limit=str(GIB), used=GIB)) == 0


def test_this_machine_has_some() -> None:
    assert free_ram_bytes() > 0
