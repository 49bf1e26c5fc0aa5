"""Pictures over ``POST /v1/images/generations``, and changed ones over ``/v1/images/edits``.

Pictures are asked for as base64. A server that gives a link to itself in place of one is asked for
what is there; links to elsewhere are not followed.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any
from urllib.parse import urlsplit

import attrs
import msgspec

from multitap.capabilities.image import ImageOutput, ImageRequest
from multitap.dialects.asking import read_json
from multitap.dialects.openai.errors import explain_openai, openai_error
from multitap.dialects.openai.media import image_data
from multitap.dialects.openai.response_chunks import ResponseUsage, read_response_usage
from multitap.errors import NotSupported, ProtocolError
from multitap.events import ImageData, UsageReport
from multitap.signatures import HEAD, type_of
from multitap.work import (
    Backend,
    Explain,
    HttpCall,
    HttpReply,
    Json,
    Multipart,
    Operation,
    Out,
    Steps,
    fetch,
)

__all__ = ("ImageGenerations",)


_UNKNOWN = "application/octet-stream"


class Row(msgspec.Struct, gc=False):
    """One picture."""

    b64_json: str | None = None
    url: str | None = None
    revised_prompt: str | None = None


class Reply(msgspec.Struct, gc=False):
    """What the server answers."""

    data: list[Row] | None = None
    usage: ResponseUsage | None = None
    error: Any = None


@attrs.frozen
class ImageGenerations:
    """Makes and changes pictures with the models of one server.

    Args:
        backend: The configured instance.
        path: What ``/generations`` and ``/edits`` follow, after the endpoint.
        explain: Turns a refusal into an error.
        headers: Sent with each request.
        response_format: How pictures are asked for; ``None``: it is not said.
    """

    backend: Backend
    path: str = "/v1/images"
    explain: Explain = explain_openai
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    response_format: str | None = "b64_json"

    def draw(self, request: ImageRequest, /) -> Operation[ImageOutput]:
        """All pictures in one request, and one more for each that is a link."""
        call = self._edit(request) if request.sources else self._generation(request)

        def steps() -> Steps[ImageOutput]:
            reply = read_json(Reply, (yield from fetch(call)))
            if reply.error:  # there are servers that refuse with status 200
                raise openai_error(reply.error)
            for row in reply.data or ():
                yield Out([(yield from self._picture(row))])
            if reply.usage is not None:
                yield Out([UsageReport(read_response_usage(reply.usage))])

        return Operation(steps, self.explain)

    def _generation(self, request: ImageRequest) -> HttpCall:
        body = Json(self._fields(request))
        path = f"{self.path}/generations"
        return HttpCall(method="POST", path=path, headers=self.headers, body=body)

    def _edit(self, request: ImageRequest) -> HttpCall:
        fields = {name: str(value) for name, value in self._fields(request).items()}
        several = len(request.sources) > 1
        files = {"image[]": request.sources} if several else {"image": request.sources[0]}
        body = Multipart(fields, files)
        path = f"{self.path}/edits"
        return HttpCall(method="POST", path=path, headers=self.headers, body=body)

    def _fields(self, request: ImageRequest) -> dict[str, Any]:
        wanted = {
            "model": request.model,
            "prompt": request.prompt,
            "n": request.n,
            "size": request.size,
            "quality": request.quality,
            "response_format": self.response_format,
        }
        return {name: value for name, value in wanted.items() if value is not None}

    def _picture(self, row: Row) -> Generator[HttpCall, HttpReply, ImageData]:
        if row.b64_json:
            picture = image_data(row.b64_json, _UNKNOWN, 0)
        elif row.url and row.url.startswith("data:"):
            picture = image_data(row.url.partition(",")[2], _UNKNOWN, 0)
        elif row.url:
            picture = _fetched((yield from fetch(self._link(row.url))))
        else:
            raise ProtocolError("The server made a picture and did not send it", phase="parse")
        options = {"revised_prompt": row.revised_prompt} if row.revised_prompt else None
        kind = type_of(picture.data[:HEAD]) or picture.mime_type
        return attrs.evolve(picture, mime_type=kind, provider_options=options)

    def _link(self, url: str) -> HttpCall:
        path = url.removeprefix(self.backend.endpoint) if self.backend.endpoint else url
        if not path.startswith("/"):
            raise NotSupported(
                f"The server made a picture and gave only a link to {urlsplit(url).hostname}",
                hint="Links are not followed elsewhere; have it answer with b64_json.",
                kind="link_only",
            )
        return HttpCall(method="GET", path=path)


def _fetched(reply: HttpReply) -> ImageData:
    """What stands at a link, if it is a picture."""
    said = reply.headers.get("content-type", "").partition(";")[0].strip().lower()
    kind = type_of(reply.body[:HEAD]) or said
    if not reply.body or not kind.startswith("image/"):
        message = f"The server's link leads to {kind or 'nothing'}, not to a picture"
        raise ProtocolError(message, phase="parse")
    return ImageData(reply.body, kind)
