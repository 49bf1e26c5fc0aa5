"""The scripted server's sounds, judgements and pictures; its WAV files hold what is said."""

from __future__ import annotations

import base64
import email
import io
import wave

from multitap.testing import json, respond, send, sse

RATE = 24000
BAD = {"harassment": "idiot", "violence/graphic": "blood"}
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


def speech(connection):
    asked = connection.request.json()
    if asked["voice"] not in ("alloy", "ash"):
        error = {"message": f"Unknown voice {asked['voice']}", "param": "voice", "code": None}
        return json({"error": error}, 400)
    wanted = asked["response_format"]
    sound = samples_of(asked["input"]) if wanted == "pcm" else wav_of(asked["input"])
    kind = "audio/mpeg" if wanted == "mp3" else f"audio/{wanted}"
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked\r\n\r\n"
    pieces = [sound[start : start + 100] for start in range(0, len(sound), 100)]
    return [send(head), *(send(chunk(piece)) for piece in (*pieces, b""))]


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def transcription(connection):
    form = form_of(connection.request)
    text = text_of_wav(form["file"][0])
    if form["response_format"] == ["verbose_json"]:
        return json(verbose(text, form.get("timestamp_granularities[]", ["segment"])))
    words = [word if n == 0 else f" {word}" for n, word in enumerate(text.split())]
    usage = {"type": "tokens", "input_tokens": 10, "output_tokens": len(words)}
    if form.get("stream") != ["true"]:
        return json({"text": text, "usage": usage})
    deltas = [{"type": "transcript.text.delta", "delta": word} for word in words]
    return sse([*deltas, {"type": "transcript.text.done", "text": text, "usage": usage}])


def verbose(text, granularities):
    found = {"task": "transcribe", "language": "english", "duration": len(text) / 10, "text": text}
    if "segment" in granularities:
        found["segments"] = [{"id": 0, "start": 0.0, "end": len(text) / 10, "text": f" {text}"}]
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
        verbose(text, ["segment"]) if form["response_format"] != ["json"] else {"text": text}
    )


def moderation(connection):
    asked = connection.request.json()
    found = [{name: bad in text for name, bad in BAD.items()} for text in asked["input"]]
    results = [
        {
            "flagged": any(categories.values()),
            "categories": categories,
            "category_scores": {name: 0.9 if bad else 0.01 for name, bad in categories.items()},
        }
        for categories in found
    ]
    return json({"id": "modr-1", "model": asked["model"], "results": results})


def generation(connection):
    asked = connection.request.json()
    usage = {"input_tokens": len(asked["prompt"].split()), "output_tokens": 100 * asked["n"]}
    if asked.get("response_format") == "b64_json" or asked["model"].startswith("gpt-image"):
        data = [picture(number) for number in range(asked["n"])]
        return json({"created": 1, "data": data, "usage": usage})
    here = f"http://{connection.request.headers['host']}"
    return json({"created": 1, "data": [{"url": f"{here}/files/cat.png"}] * asked["n"]})


def picture(number):
    return {"b64_json": base64.b64encode(PNG + bytes([number])).decode()}


def edit(connection):
    form = form_of(connection.request)
    sources = form.get("image", []) + form.get("image[]", [])
    return json({"created": 1, "data": [picture(len(sources))] * int(form["n"][0])})


ROUTES = {
    "POST /v1/audio/speech": speech,
    "POST /v1/audio/transcriptions": transcription,
    "POST /v1/audio/translations": translation,
    "POST /v1/moderations": moderation,
    "POST /v1/images/generations": generation,
    "POST /v1/images/edits": edit,
    "GET /files/cat.png": respond(200, {"content-type": "image/png"}, PNG),
}
