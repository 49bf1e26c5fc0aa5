"""Images over ``/v1/images/generations``, and changed ones over ``/v1/images/edits``."""

from __future__ import annotations

import attrs

from multitap.capabilities.image import ImageOutput, ImageRequest
from multitap.dialects.openai.images import ImageGenerations
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Operation
from multitap_openai.errors import explain
from multitap_openai.server import Server

__all__ = ("OpenAIImage", "multitap_image")


@attrs.frozen
class OpenAIImage:
    """Draws with the models of one server."""

    server: Server

    def draw(self, request: ImageRequest, /) -> Operation[ImageOutput]:
        """All pictures in one request, as base64; newer models of OpenAI know nothing else."""
        refuses = self.server.rules == "openai" and not request.model.startswith("dall-e")
        images = ImageGenerations(
            self.server.backend,
            path=self.server.path("/images"),
            explain=explain,
            headers=self.server.headers,
            response_format=None if refuses else "b64_json",
        )
        return images.draw(request)


@hookimpl
def multitap_image(backend: Backend) -> OpenAIImage:
    """Draw with OpenAI, or a server that speaks its API."""
    return OpenAIImage(Server.of(backend))
