"""Embedding: a job for all texts of a request."""

from multitap.capabilities.embedding import EmbeddingRequest, Embeddings, Vectors
from multitap.errors import ProtocolError
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Operation, Out, Steps
from multitap_kiln.jobs import explain, finished


class KilnEmbedding:
    """Lays the texts out; there are no options."""

    options = ()

    def __init__(self, backend: Backend) -> None:
        self.poll = backend.settings["poll"]

    def embed(self, request: EmbeddingRequest, /) -> Operation[Embeddings]:
        """One job for all texts."""
        body = {"model": request.model, "texts": list(request.texts)}

        def steps() -> Steps[Embeddings]:
            job = yield from finished("/vectors", body, self.poll)
            if job.vectors is None:
                raise ProtocolError("Kiln's job is done, and there are no vectors")
            yield Out([Embeddings(vectors=Vectors.from_rows(job.vectors), usage=job.usage)])

        return Operation(steps, explain)


@hookimpl
def multitap_embedding(backend: Backend) -> KilnEmbedding:
    """Embed with a Kiln."""
    return KilnEmbedding(backend)
