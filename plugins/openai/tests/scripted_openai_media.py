"""The scripted server's sounds, judgements and pictures; its WAV files hold what is said."""

from __future__ import annotations

import base64
import email
import io
import wave
from functools import partial

from multitap.testing import json, respond, send, sse

RATE = 24000
BAD = {"harassment": "idiot", "violence/graphic": "blood"}
JUDGED = (
    *("harassment", "harassment/threatening", "hate", "hate/threatening"),
    *("illicit", "illicit/violent", "self-harm", "self-harm/instructions", "self-harm/intent"),
    *("sexual", "sexual/minors", "violence", "violence/graphic"),
)
PNG = b"\x89PNG\r\n\x1a\n"


def wav_of(text):
    """Real WAV bytes: one sample for each byte of the text."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, RATE, 0, "NONE", "not compressed"))
        sound.writeframes(samples_of(text))
    return file.getvalue()


def samples_of(text):
    return b"".join(bytes((0, byte)) for byte in text.encode())


def text_of_wav(data):
    with wave.open(io.BytesIO(data)) as sound:
        return sound.readframes(sound.getnframes())[1::2].decode()


def form_of(request):
    """The fields of a form, a list for each name; files are their content."""
    head = b"content-type: " + request.headers["content-type"].encode() + b"\r\n\r\n"
    fields = {}
    for part in email.message_from_bytes(head + request.body).get_payload():
        content = part.get_payload(decode=True)
        name = part.get_param("name", header="content-disposition")
        fields.setdefault(name, []).append(content if part.get_filename() else content.decode())
    return fields


def refuse(message, param, code=None):
    kind = "invalid_request_error"
    return json({"error": {"message": message, "type": kind, "param": param, "code": code}}, 400)


def speech(connection, halfway=()):
    asked = connection.request.json()
    if asked["voice"] not in ("alloy", "ash"):
        return refuse(f"Unknown voice {asked['voice']}", "voice")
    wanted = asked.get("response_format", "mp3")
    sound = samples_of(asked["input"]) if wanted == "pcm" else wav_of(asked["input"])
    kind = "audio/mpeg" if wanted == "mp3" else f"audio/{wanted}"
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"
    first, *pieces = [sound[start : start + 100] for start in range(0, len(sound), 100)]
    others = [send(chunk(piece)) for piece in (*pieces, b"")]
    return [send(head), send(chunk(first)), *halfway, *others]


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def transcription(connection, halfway=()):
    form = form_of(connection.request)
    try:
        text = text_of_wav(form["file"][0])
    except (wave.Error, EOFError):
        return refuse("Audio file might be corrupted or unsupported", "file", "invalid_value")
    if form.get("response_format") == ["verbose_json"]:
        return json(verbose(text, form.get("timestamp_granularities[]", ["segment"])))
    words = [word if n == 0 else f" {word}" for n, word in enumerate(text.split())]
    counts = {"input_tokens": 10, "output_tokens": len(words), "total_tokens": 10 + len(words)}
    usage = {"type": "tokens", **counts}
    if form.get("stream") != ["true"]:
        return json({"text": text, "usage": usage})
    first, *others = [{"type": "transcript.text.delta", "delta": word} for word in words]
    done = {"type": "transcript.text.done", "text": text, "usage": usage}
    return sse([first, *halfway, *others, done])


SEGMENT = {"id": 0, "seek": 0, "start": 0.0, "tokens": [1], "temperature": 0.0}
SURE = {"avg_logprob": -0.2, "compression_ratio": 1.1, "no_speech_prob": 0.01}


def verbose(text, granularities):
    found = {"task": "transcribe", "language": "english", "duration": len(text) / 10, "text": text}
    if "segment" in granularities:
        found["segments"] = [{**SEGMENT, **SURE, "end": len(text) / 10, "text": f" {text}"}]
    if "word" in granularities:
        found["words"] = [
            {"word": word, "start": n / 2, "end": (n + 1) / 2}
            for n, word in enumerate(text.split())
        ]
    return found


def translation(connection):
    form = form_of(connection.request)
    text = text_of_wav(form["file"][0]).replace("Guten Tag", "Good day")
    return json(
        verbose(text, ["segment"])
        if form.get("response_format", ["json"]) != ["json"]
        else {"text": text}
    )


def moderation(connection):
    asked = connection.request.json()
    texts = [asked["input"]] if isinstance(asked["input"], str) else asked["input"]
    model = asked.get("model", "omni-moderation-latest")
    return json({"id": "modr-1", "model": model, "results": [judged(text) for text in texts]})


def judged(text):
    found = {name: name in BAD and BAD[name] in text for name in JUDGED}
    return {
        "flagged": any(found.values()),
        "categories": found,
        "category_scores": {name: 0.9 if bad else 0.01 for name, bad in found.items()},
        "category_applied_input_types": {name: ["text"] for name in found},
    }


def generation(connection):
    asked = connection.request.json()
    if any(bad in asked["prompt"] for bad in BAD.values()):
        message = "Your request was rejected by the safety system."
        return refuse(message, None, "moderation_blocked")
    n = asked.get("n", 1)
    if asked.get("response_format") == "b64_json" or asked["model"].startswith("gpt-image"):
        words = len(asked["prompt"].split())
        return json({"created": 1, "data": list(map(picture, range(n))), "usage": cost(words, n)})
    here = f"http://{connection.request.headers['host']}"
    return json({"created": 1, "data": [{"url": f"{here}/files/cat.png"}] * n})


def cost(words, pictures, seen=0):
    read, made = words + 100 * seen, 100 * pictures
    details = {"text_tokens": words, "image_tokens": 100 * seen}
    counts = {"input_tokens": read, "output_tokens": made, "total_tokens": read + made}
    return {**counts, "input_tokens_details": details}


def picture(number):
    return {"b64_json": base64.b64encode(PNG + bytes([number])).decode()}


def edit(connection):
    form = form_of(connection.request)
    sources = form.get("image", []) + form.get("image[]", [])
    (n,), words = form.get("n", ["1"]), len(form["prompt"][0].split())
    data = [picture(len(sources))] * int(n)
    return json({"created": 1, "data": data, "usage": cost(words, int(n), len(sources))})


def routes(halfway=()):
    """The scripts by route; streams play the steps ``halfway`` behind their first piece."""
    return {
        "POST /v1/audio/speech": partial(speech, halfway=halfway),
        "POST /v1/audio/transcriptions": partial(transcription, halfway=halfway),
        "POST /v1/audio/translations": translation,
        "POST /v1/moderations": moderation,
        "POST /v1/images/generations": generation,
        "POST /v1/images/edits": edit,
        "GET /files/cat.png": respond(200, {"content-type": "image/png"}, PNG),
    }
