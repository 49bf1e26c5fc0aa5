"""Pictures: a job is started, asked for until it is done, and fetched."""

from __future__ import annotations

import base64

import msgspec

from multitap.capabilities.image import ImageRequest
from multitap.errors import EngineError
from multitap.events import ImageData
from multitap.hookspecs import Backend, hookimpl
from multitap.work import HttpCall, Json, Operation, Out, Sleep, Steps, fetch
from multitap_atlas.calls import explain

PAUSE = 0.05


class Job(msgspec.Struct):
    """What ``POST /draw`` and ``GET /jobs/{id}`` answer."""

    id: str | None = None
    state: str | None = None
    pictures: list[str] | None = None


class AtlasPainter:
    """Stateless; one for each backend."""

    def draw(self, request: ImageRequest, /) -> Operation[ImageData]:
        """Several requests: one starts the job, the others ask for it."""
        asked = {"of": request.prompt, "many": request.n, "size": request.size}
        body = Json({name: value for name, value in asked.items() if value is not None})

        def steps() -> Steps[ImageData]:
            started = yield from fetch(HttpCall(method="POST", path="/draw", body=body))
            job = msgspec.json.decode(started.body, type=Job)
            while job.state != "done":
                if job.state == "failed":
                    raise EngineError("Atlas could not draw it")
                yield Sleep(PAUSE)
                asked_again = yield from fetch(HttpCall(method="GET", path=f"/jobs/{job.id}"))
                job = msgspec.json.decode(asked_again.body, type=Job)
            drawn = [base64.b64decode(picture) for picture in job.pictures or ()]
            yield Out([ImageData(picture, "image/png") for picture in drawn])

        return Operation(steps, explain)


@hookimpl
def multitap_image(backend: Backend) -> AtlasPainter:
    """Pictures over ``POST /draw``."""
    return AtlasPainter()
