"""Modal as a target of the deploy command: a volume, secrets by name, and the app of `handlers/modal_app.py`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from infra.deploy.config import DeployConfig
from infra.deploy.config_digest import digests
from infra.deploy.errors import DeployError
from infra.deploy.gpus import names_on
from infra.deploy.modal_account import Account, ModalAccount
from infra.deploy.smoke import check_smoke, smoke_request
from infra.deploy.target import Action, Plan, Say, Step
from runtime.clock import SystemClock
from runtime.ids import new_job_id

_SECRETS_PAGE = "https://modal.com/secrets"


class ModalTarget:
    """A `Target`. The app carries a digest of each field that it was deployed by, which is how drift is seen."""

    def __init__(self, config: DeployConfig, *, account: Account | None = None) -> None:
        self._config = config
        self._account = account or ModalAccount()
        self._app = config.full_name
        self._volume = f"{config.full_name}-models"

    def plan(self, *, offline: bool = False) -> Plan:
        names_on("modal", self._config.gpus)
        tags = None if offline else self._account.tags(self._app)
        has_volume = not offline and self._account.has_volume(self._volume)
        wanted = self._tags()
        where = tuple(sorted(key for key, value in wanted.items() if tags is not None and tags.get(key) != value))
        action: Action = "create" if tags is None else "update" if where else "keep"
        steps = [Step(action="keep" if has_volume else "create", name=self._volume, kind="volume")]
        steps += [Step(action="keep", name=name, kind="secret") for name in self._secrets()]
        steps += [Step(action=action, name=self._app, kind="app", where=where)]
        return Plan(
            title=f"app {self._app}: {'new' if tags is None else 'there'}",
            steps=tuple(steps),
            calls=() if action == "keep" and has_volume else ("App.deploy", "sync.remote", "Worker.run.remote"),
        )

    def apply(self, say: Say) -> None:
        """The app is deployed in one piece, its volume with it; what comes after is done again until it succeeds."""
        for name, variables in self._secrets().items():
            if problem := self._account.lacks_secret(name, variables):
                raise DeployError(
                    f"secret {name!r} is not usable: {problem}. Make it with {', '.join(variables)} at {_SECRETS_PAGE}"
                )
        if self.plan().changed:
            self._account.deploy(self._config)
            say(f"app {self._app} is deployed")
        status = self._account.sync(self._app)
        if status:
            raise DeployError(f"the models were not all brought to volume {self._volume}: see `deploy logs modal`")
        say(f"volume {self._volume} has the manifest's models")
        job_id = f"smoke-{new_job_id(SystemClock().wall())}"
        say(check_smoke(self._account.run(self._app, smoke_request(job_id))))
        for line in self.status():
            say(line)

    def status(self) -> Iterator[str]:
        self._present()
        if (url := self._account.web_url(self._app)) is not None:
            yield f"API: {url}"
        yield f"from Python: Client(modal={self._app!r})"

    def logs(self, *, follow: bool) -> Iterator[str]:
        self._present()
        return self._account.logs(self._app, follow=follow)

    def doomed(self, *, delete_data: bool) -> str:
        self._present()
        fate = "is DELETED with every model" if delete_data else "stays"
        return f"app {self._app}; volume {self._volume} {fate}"

    def destroy(self, *, delete_data: bool) -> None:
        self._present()
        if self._account.tags(self._app) is not None:
            self._account.stop(self._app)
        if delete_data:
            self._account.delete_volume(self._volume)

    def _present(self) -> None:
        if self._account.tags(self._app) is None and not self._account.has_volume(self._volume):
            raise DeployError(f"there is no app {self._app}: `comfyui-serverless deploy modal` makes it")

    def _tags(self) -> Mapping[str, str]:
        return digests(self._config)

    def _secrets(self) -> dict[str, list[str]]:
        named: defaultdict[str, list[str]] = defaultdict(list)
        for variable, secret in self._config.secrets.items():
            named[secret].append(variable)
        return dict(named)
