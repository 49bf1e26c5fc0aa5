"""Chat: a job for each text, with progress while it is fired."""

from multitap.capabilities.chat import ChatRequest, only_text
from multitap.errors import NotSupported, ProtocolError
from multitap.events import Event, Loading, Stop, Text, UsageReport
from multitap.hookspecs import Backend, hookimpl
from multitap.work import Operation, Out, Steps
from multitap_kiln.jobs import Job, explain, finished

NAMES = {"max_tokens": "limit", "seed": "seed"}


def progress(job: Job) -> Out[Event]:
    """How far a job is."""
    total = None if job.percent is None else 100
    return Out([Loading(job.state or "", completed=job.percent, total=total)])


class KilnChat:
    """Fires one text; ``options`` are those that reach it."""

    options = frozenset(NAMES)

    def __init__(self, backend: Backend) -> None:
        self.poll = backend.settings["poll"]

    def chat(self, request: ChatRequest, /) -> Operation[Event]:
        """One job; what was not asked for is not sent."""
        if len(request.messages) > 1:
            raise NotSupported("A Kiln takes one message, and no conversation")
        asked = {NAMES[n]: getattr(request, n) for n in request.asked() if n in NAMES}
        body = {
            "model": request.model,
            "text": only_text(request.messages[0]),
            "options": {**request.extra, **asked},
        }

        def steps() -> Steps[Event]:
            job = yield from finished("/jobs", body, self.poll, progress)
            if job.text is None:
                raise ProtocolError("Kiln's job is done, and there is no text")
            yield Out(
                [
                    *([Text(job.text)] if job.text else []),
                    UsageReport(job.usage),
                    Stop("max_tokens" if job.why == "limit" else "complete"),
                ]
            )

        return Operation(steps, explain)


@hookimpl
def multitap_chat(backend: Backend) -> KilnChat:
    """Chat with a Kiln."""
    return KilnChat(backend)
