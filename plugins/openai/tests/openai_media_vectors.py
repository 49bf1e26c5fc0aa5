"""Sounds, judgements and pictures by hand, as the documentation of OpenAI's API has them."""

from __future__ import annotations

import base64
import hashlib

from openai_vectors import by_hand, no, sse
from scripted_openai_media import PNG, wav_of

from multitap.testing.kit import Ask

WAV = wav_of("Guten Tag")
TIMED = {
    "task": "transcribe",
    "language": "german",
    "duration": 1.5,
    "text": "Guten Tag. Wie geht's?",
    "segments": [
        {"id": 0, "start": 0.0, "end": 0.75, "text": " Guten Tag."},
        {"id": 1, "start": 0.75, "end": 1.5, "text": " Wie geht's?"},
    ],
}
HEARD_USAGE = {"type": "tokens", "input_tokens": 14, "output_tokens": 3, "total_tokens": 17}
PIECES = (
    {"type": "transcript.text.delta", "delta": "Guten"},
    {"type": "transcript.text.delta", "delta": " Tag"},
    {"type": "transcript.text.done", "text": "Guten Tag", "usage": HEARD_USAGE},
)
COUNTED = {"usage": {name: HEARD_USAGE[name] for name in HEARD_USAGE if name != "type"}}
HEAR, HEAR_PIECES = Ask("transcribe", (WAV,)), Ask("transcribe_stream", (WAV,))
HEAR_TIMES = Ask("transcribe", (WAV,), {"timestamps": "segment"})
HEARD = (
    by_hand(
        *("heard", HEAR, "audio/transcriptions", {"text": "Guten Tag", "usage": HEARD_USAGE}),
        {"text": "Guten Tag", **COUNTED},
    ),
    by_hand(
        *("heard_times", HEAR_TIMES, "audio/transcriptions", TIMED),
        {
            "text": TIMED["text"],
            "language": "german",
            "duration": 1.5,
            "segments": [[0.0, 0.75, "Guten Tag."], [0.75, 1.5, "Wie geht's?"]],
        },
    ),
    by_hand(
        *("heard_pieces", HEAR_PIECES, "audio/transcriptions", sse(PIECES)),
        {"text": "Guten Tag", **COUNTED},
        kind="text/event-stream",
    ),
    no(400, "BadRequest", "Audio file might be corrupted", ask=HEAR, path="audio/transcriptions"),
)

PCM = bytes(range(240))
SPEAK = Ask("speak", ("Guten Tag",))
SPOKEN = (
    by_hand(
        *("spoken", SPEAK, "audio/speech", WAV),
        {"bytes": len(WAV), "sha256": hashlib.sha256(WAV).hexdigest(), "mime_type": "audio/wav"},
        kind="audio/wav",
    ),
    by_hand(
        *("spoken_pieces", Ask("speak_stream", ("Guten Tag",), {"format": "pcm"})),
        *("audio/speech", PCM),
        {"bytes": 240, "mime_type": "audio/pcm", "sample_rate": 24000},
        kind="audio/pcm",
    ),
    no(400, "BadRequest", "Unknown voice", ask=SPEAK, path="audio/speech"),
)

JUDGE = Ask("moderate", (["rain", "you idiot"],))
FRIENDLY = {"harassment": False, "violence/graphic": False, "illicit": None}
HARASSING = {"harassment": True, "violence/graphic": False}
JUDGED = (
    by_hand(
        *("judged", JUDGE, "moderations"),
        {
            "id": "modr-1",
            "model": "omni-moderation-latest",
            "results": [
                {"flagged": False, "categories": FRIENDLY, "category_scores": {"harassment": 0.01}},
                {"flagged": True, "categories": HARASSING, "category_scores": {"harassment": 0.9}},
            ],
        },
        {"count": 2, "flagged": [False, True], "categories": [[], ["harassment"]]},
    ),
    no(429, "RateLimited", "Slow down", ask=JUDGE, path="moderations"),
)

DRAW = Ask("draw", ("a cat",))
DRAWN_USAGE = {"input_tokens": 2, "output_tokens": 100, "total_tokens": 102}
DRAWN = (
    by_hand(
        *("drawn", DRAW, "images/generations"),
        {
            "created": 1,
            "data": [{"b64_json": base64.b64encode(PNG).decode()}],
            "usage": DRAWN_USAGE,
        },
        {
            "count": 1,
            "sha256": [hashlib.sha256(PNG).hexdigest()],
            "mime_types": ["image/png"],
        },
    ),
    no(
        *(400, "ContentFiltered", "Rejected by the safety system", "moderation_blocked"),
        ask=DRAW,
        path="images/generations",
    ),
)
