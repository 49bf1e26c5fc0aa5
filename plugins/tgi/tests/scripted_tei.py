"""A scripted server that answers as Text Embeddings Inference (TEI) does, by rules.

It says and refuses what the router of TEI 1.9.3 does: of one model, for texts of so many tokens (a
token is a word, and one stands at either end), and so many texts at once.
"""

from __future__ import annotations

from multitap.testing import Server, json, repeat, respond, when

MODEL = "acme/tiny-bert"
LONGEST, MOST = 12, 4  # tokens of a text, and texts of a request
WIDTH = 6
KINDS = {
    "embedding": {"embedding": {"pooling": "cls"}},
    "reranker": {"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}},
    "classifier": {"classifier": {"id2label": {"0": "a", "1": "b"}, "label2id": {"a": 0, "b": 1}}},
}


class ScriptedTei(Server):
    """Listens on a port of its own; a context manager.

    Args:
        kind: What its model is made for: ``embedding``, ``reranker`` or ``classifier``.
        key: The key that it demands.
        payload: Bytes that a request may have.
    """

    def __init__(self, kind="embedding", key=None, payload=2_000_000):
        self.kind = kind
        self.key = key
        self.payload = payload
        routes = {"POST /embed": self.embed, "POST /rerank": self.rerank}
        routes |= {"POST /tokenize": tokenize, "GET /info": lambda _: json(self.info)}
        guarded = {route: self.guarded(script) for route, script in routes.items()}
        health = {"GET /health": respond()}
        super().__init__(repeat(when({**guarded, **health}, otherwise=respond(404))))

    def guarded(self, script):
        def step(connection):
            asked = connection.request
            if self.key and asked.headers.get("authorization") != f"Bearer {self.key}":
                return respond(401)
            if len(asked.body) > self.payload:
                return respond(413, {}, "Failed to buffer the request body: length limit exceeded")
            return script(connection)

        return step

    @property
    def info(self):
        limits = {"max_input_length": LONGEST, "max_client_batch_size": MOST}
        names = {"model_id": MODEL, "model_sha": "abc", "served_model_name": MODEL}
        return {**names, "model_type": KINDS[self.kind], **limits, "version": "1.9.3"}

    def embed(self, connection):
        asked = connection.request.json()
        texts, width = asked["inputs"], asked.get("dimensions") or WIDTH
        if refusal := refused(texts):
            return refusal
        if self.kind != "embedding":
            return refuse("Backend error: Model is not an embedding model", "Backend", 424)
        if width > WIDTH:
            words = "`dimensions` should be smaller than the maximum embedding dimension."
            return refuse(f"Input validation error: {words}", "Validation", 422)
        return json([vector_of(text)[:width] for text in texts], 200, counted(texts))

    def rerank(self, connection):
        asked = connection.request.json()
        texts = asked["texts"]
        if self.kind != "reranker":
            return refuse("Backend error: model is not a re-ranker model", "Backend", 424)
        if refusal := refused(texts):
            return refusal
        rows = [{"index": i, "score": score(asked["query"], t)} for i, t in enumerate(texts)]
        rows.sort(key=lambda row: -row["score"])
        return json(rows, 200, counted(f"{asked['query']} {text}" for text in texts))


def refused(texts):
    if len(texts) > MOST:
        message = f"batch size {len(texts)} > maximum allowed batch size {MOST}"
        return refuse(message, "Validation", 422)
    for text in texts:
        if tokens(text) > LONGEST:
            words = f"`inputs` must have less than {LONGEST} tokens. Given: {tokens(text)}"
            return refuse(f"Input validation error: {words}", "Validation", 422)
    return None


def refuse(message, kind, status):
    return json({"error": message, "error_type": kind}, status)


def tokens(text):
    return len(text.split()) + 2


def counted(texts):
    return {"x-compute-type": "gpu+optimized", "x-compute-tokens": str(sum(map(tokens, texts)))}


def vector_of(text):
    """Numbers that say which text it is."""
    data = text.encode()[:WIDTH].ljust(WIDTH, b"\1")
    return [byte / 256 for byte in data]


def score(query, text):
    wanted = set(query.split())
    return len(wanted & set(text.split())) / len(wanted)


def tokenize(connection):
    """Each word is a token; what stands at either end has no place in the text."""
    text, at = connection.request.json()["inputs"], 0
    rows = [{"id": 101, "text": "[CLS]", "special": True, "start": None, "stop": None}]
    for number, word in enumerate(text.split(" ")):
        size = len(word.encode()) + (number > 0)
        rows.append({"id": number, "text": word, "special": False, "start": at, "stop": at + size})
        at += size
    end = {"id": 102, "text": "[SEP]", "special": True, "start": None, "stop": None}
    return json([[*rows, end]])
