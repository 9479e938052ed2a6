"""A network volume to measure loaders on: a folder behind FUSE, with latency for each request and a limited rate.

    python -m scripts.bench.slow_volume FOLDER MOUNTPOINT [--latency-ms 5] [--rate-gb 1]

It speaks the kernel's own protocol (linux:include/uapi/linux/fuse.h) and is read-only. `fusermount3` mounts it, so that
no root is needed. It prints `ready` once it is mounted and serves until its standard input ends.
"""

from __future__ import annotations

import argparse
import errno
import os
import shutil
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

_THREADS = 96
_BUFFER_BYTES = 256 * 1024
_MAX_PAGES = 256  # a megabyte a request, the most that the kernel asks for
_ASYNC_READ, _ASYNC_DIO, _PARALLEL_DIROPS, _MAX_PAGES_SET = 1 << 0, 1 << 15, 1 << 18, 1 << 22
_LOOKUP, _FORGET, _GETATTR, _OPEN, _READ, _STATFS, _RELEASE = 1, 2, 3, 14, 15, 17, 18
_FLUSH, _INIT, _OPENDIR, _RELEASEDIR, _INTERRUPT, _BATCH_FORGET = 25, 26, 27, 29, 36, 42
_IN, _OUT = struct.Struct("<IIQQIIIHH"), struct.Struct("<IiQ")
_ATTR = struct.Struct("<6Q10I")


def why_not() -> str | None:
    """What this machine lacks for it; None where it can be mounted."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "there is no /dev/fuse that this user may open"
    return None if shutil.which("fusermount3") else "fusermount3 (Debian: fuse3) is not installed"


class Link:
    """A connection of `rate` bytes a second, on which each request takes `latency_s` beside."""

    def __init__(self, latency_s: float, rate: float) -> None:
        self._latency_s = latency_s
        self._rate = rate
        self._free_at = 0.0
        self._lock = threading.Lock()

    def wait(self, asked_at: float, size_bytes: int) -> None:
        """Return when `size_bytes` that were asked for at `asked_at` would be here."""
        with self._lock:
            self._free_at = max(self._free_at, asked_at) + size_bytes / self._rate
            due = max(asked_at + self._latency_s, self._free_at)
        time.sleep(max(0.0, due - time.perf_counter()))


class Volume:
    """The files of one folder, by their place in it."""

    def __init__(self, folder: Path, link: Link) -> None:
        self._folder = folder
        self._link = link
        self._paths = [folder, *sorted(path for path in folder.iterdir() if path.is_file())]
        self._files = {node: os.open(path, os.O_RDONLY) for node, path in enumerate(self._paths, start=1) if node > 1}

    def answer(self, opcode: int, node: int, body: memoryview) -> bytes | None:
        """What a request is answered with; None for one that wants no answer. Raises OSError."""
        if opcode in (_FORGET, _BATCH_FORGET, _INTERRUPT):
            return None
        if opcode == _INIT:
            flags = _ASYNC_READ | _ASYNC_DIO | _PARALLEL_DIROPS | _MAX_PAGES_SET
            _, _, readahead, _ = struct.unpack_from("<4I", body)
            limits = struct.pack("<2H2I2H8I", _THREADS, _THREADS, 4096, 1, _MAX_PAGES, 0, *[0] * 8)
            return struct.pack("<4I", 7, 31, readahead, flags) + limits
        if opcode == _LOOKUP:
            found = self._node(bytes(body[:-1]).decode())
            return struct.pack("<4Q2I", found, 0, 3600, 3600, 0, 0) + self._attributes(found)
        if opcode == _GETATTR:
            return struct.pack("<QII", 3600, 0, 0) + self._attributes(node)
        if opcode in (_OPEN, _OPENDIR):
            return struct.pack("<QII", 0, 0, 0)  # without FOPEN_KEEP_CACHE: each opening finds the page cache empty
        if opcode == _READ:
            return self._read(node, body)
        if opcode in (_RELEASE, _RELEASEDIR, _FLUSH):
            return b""
        if opcode == _STATFS:
            return bytes(80)
        raise OSError(errno.ENOSYS, "not served")

    def _node(self, name: str) -> int:
        for node, path in enumerate(self._paths, start=1):
            if node > 1 and path.name == name:
                return node
        raise OSError(errno.ENOENT, name)

    def _attributes(self, node: int) -> bytes:
        status = self._paths[node - 1].stat()
        times = (int(status.st_mtime),) * 3
        mode = status.st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH)
        rest = (mode, 1, os.getuid(), os.getgid(), 0, 4096, 0)
        return _ATTR.pack(node, status.st_size, status.st_size // 512 + 1, *times, 0, 0, 0, *rest)

    def _read(self, node: int, body: memoryview) -> bytes:
        asked_at = time.perf_counter()
        _, offset, size = struct.unpack_from("<2QI", body)
        data = os.pread(self._files[node], size, offset)
        self._link.wait(asked_at, len(data))
        return data


def serve(device: int, volume: Volume) -> None:
    """Answer requests until the volume is unmounted."""
    buffer = bytearray(_BUFFER_BYTES)
    while True:
        try:
            size = os.readv(device, [buffer])
        except OSError as exc:
            if exc.errno in (errno.ENODEV, errno.EBADF):
                return
            if exc.errno in (errno.EINTR, errno.ENOENT, errno.EAGAIN):
                continue
            raise
        _, opcode, unique, node, *_ = _IN.unpack_from(buffer)
        try:
            data, error = volume.answer(opcode, node, memoryview(buffer)[_IN.size : size]), 0
        except OSError as exc:
            data, error = b"", -(exc.errno or errno.EIO)
        if data is not None:
            _reply(device, unique, error, data)


def _reply(device: int, unique: int, error: int, data: bytes) -> None:
    try:
        os.writev(device, [_OUT.pack(_OUT.size + len(data), error, unique), data])
    except OSError as exc:
        if exc.errno not in (errno.ENOENT, errno.ENODEV):  # whoever asked has gone
            raise


def mount(mountpoint: Path) -> int:
    """The device that serves what is mounted at `mountpoint`, from fusermount3 by way of a socket."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    env = {**os.environ, "_FUSE_COMMFD": str(theirs.fileno())}
    command = ["fusermount3", "-o", "ro,nosuid,nodev,fsname=slow", "--", str(mountpoint)]
    subprocess.run(command, env=env, pass_fds=[theirs.fileno()], check=True)
    _, (device, *_), _, _ = socket.recv_fds(ours, 1, 1)
    return device


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(description="A slow volume.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("mountpoint", type=Path)
    parser.add_argument("--latency-ms", type=float, default=5)
    parser.add_argument("--rate-gb", type=float, default=1)
    arguments = parser.parse_args()
    volume = Volume(arguments.folder, Link(arguments.latency_ms / 1000, arguments.rate_gb * 1e9))
    device = mount(arguments.mountpoint)
    for _ in range(_THREADS):
        threading.Thread(target=serve, args=(device, volume), daemon=True).start()
    print("ready", flush=True)
    sys.stdin.read()
    subprocess.run(["fusermount3", "-u", "-z", str(arguments.mountpoint)], check=True)


if __name__ == "__main__":
    main()
