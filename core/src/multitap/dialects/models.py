"""Names of models: does the one that answers mean the one that was asked?"""

from __future__ import annotations

from multitap.events import Notice

__all__ = ("other_model",)


def other_model(answered: object, asked: str, server: str) -> Notice | None:
    """A warning where a server names another model as the one that answers.

    A name that says more is the same model: the publisher before it (``acme/m`` for ``m``), and a
    tag or the number of an instance behind it (``m:latest``, ``m@q4_k_m``, ``m:2``).

    Args:
        answered: The name in the answer; what is no name says nothing.
        asked: The name in the request.
        server: What to call the server.

    >>> other_model("tiny:latest", "tiny", "Ollama")
    >>> other_model("huge", "tiny", "vLLM").message
    'vLLM names huge as the model that answered; tiny was asked for.'
    """
    if not isinstance(answered, str) or not answered or not asked or _same(answered, asked):
        return None
    message = f"{server} names {answered} as the model that answered; {asked} was asked for."
    return Notice("other_model", message, "model", provider_options={"model": answered})


def _same(answered: str, asked: str) -> bool:
    shorter, longer = sorted((answered.lower(), asked.lower()), key=len)
    return (
        shorter == longer
        or longer.endswith(f"/{shorter}")
        or longer.startswith((f"{shorter}:", f"{shorter}@"))
    )
