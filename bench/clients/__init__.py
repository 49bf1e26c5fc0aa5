"""One file for each client, used as its own README shows; the first line says where that stands.

Each has a class ``Sync``, a class ``Async``, or both. They are made with the backend's origin, such
as ``http://127.0.0.1:8000``, and have what the scenarios ask of them:

* ``stream(model, tell)``: gives every text of a streamed answer to ``tell`` as it comes;
* ``chat(model)``: the text of an answer that is not streamed;
* ``embed(model, texts)``: one float32 array of numpy.

A client's name is its file's, and for ``Async`` the loop: ``openai``, ``openai, uvloop``.
"""

PROMPT = "Why is the sky blue?"
MESSAGES = [{"role": "user", "content": PROMPT}]
KEY = "sk-bench"
SECONDS = 60.0
USAGE = {"include_usage": True}
