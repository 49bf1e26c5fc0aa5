"""What tests over sockets share: a question to a scripted server, and how that server answers."""

import random

from multitap.errors import BackendError
from multitap.testing import client_closed, request

THREE_CUTS = 3


def asking(config, registry):
    """A function that asks a server once: what comes of the call, or the error.

    Args:
        config: Makes ``llm.toml`` of an address, and of what the section says besides.
        registry: Makes the registry in which the plugin is found.
    """

    def ask(world, server, *prompt, call="stream", section=None, **options):
        with world(config(server.url, **(section or {})), registry()) as here:
            if call == "stream":
                return here.stream(*(prompt or ("hi",)), **options)
            return here.call(call, *(prompt or ("hi",)), **options)

    return ask


def answer_of(ask, world, server, **options):
    """The answer to a streamed question, and its events; of a failure what came, and ``None``."""
    try:
        events, stream = ask(world, server, **options)
    except BackendError as error:
        return error.partial, None
    return stream.answer, [event.to_dict() for event in events]


def three_cuts(name, recorded):
    """Where a recorded answer is cut: always the same places for a name."""
    return sorted(random.Random(name).sample(range(1, len(recorded.raw)), THREE_CUTS))


def script(*answers):
    """One connection that gives these answers, one a request."""
    return [*(step for answer in answers for step in (request, answer)), client_closed]


def abort(recorded):
    """Where the recording's client hung up, the server does."""
    return [request, lambda connection: connection.send(recorded.raw)]
