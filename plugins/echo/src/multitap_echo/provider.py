"""Provider: every endpoint and every key is good, unless ``refuse`` says otherwise."""

from __future__ import annotations

from importlib.metadata import version

from multitap.capabilities.provider import Validation
from multitap.hookspecs import Backend, hookimpl
from multitap.work import LocalExchange
from multitap_echo.failures import failure
from multitap_echo.local import local


class EchoProvider:
    """There is no server to ask; a refusal can be had, to try out what is done about one."""

    def __init__(self, backend: Backend) -> None:
        self._refusal: str | None = backend.settings.get("refuse")

    def validate(self, model: str | None, /) -> LocalExchange[Validation]:
        """Name the plugin and its one model, or fail as the section says."""
        if self._refusal:
            raise failure(self._refusal)
        return local(lambda: [_found()])


def _found() -> Validation:
    return Validation(server=f"multitap-echo {version('multitap-echo')}", models=1)


@hookimpl
def multitap_provider(backend: Backend) -> EchoProvider:
    """Accept every key."""
    return EchoProvider(backend)
