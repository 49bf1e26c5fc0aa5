"""The recorder: everything goes through as it is, everything but keys is kept."""

from __future__ import annotations

import json
from http.client import HTTPConnection, IncompleteRead

import pytest

from multitap.testing import (
    CEILING,
    Recording,
    Server,
    ndjson,
    repeat,
    request,
    reset,
    respond,
    send,
)
from multitap.testing import json as json_answer
from multitap.testing.recorder import Recorder

KEY = "hush-canary-123"
LINES = [{"text": "Hel"}, {"text": "lo"}, {"done": True}]
NO_LENGTH = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nhello"


def asked(recorder, path="/chat", body=b'{"n": 1}', **headers):
    """Status and body, as another client sees them."""
    client = HTTPConnection("127.0.0.1", recorder.port, timeout=CEILING)
    try:
        client.request("POST", path, body, headers)
        answer = client.getresponse()
        return answer.status, answer.read()
    finally:
        client.close()


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (json_answer({"a": 1}), b'{"a": 1}'),
        (json_answer({"error": "no"}, 404), b'{"error": "no"}'),
        (ndjson(LINES), b"".join(json.dumps(line).encode() + b"\n" for line in LINES)),
        (respond(204), b""),
        ([send(NO_LENGTH)], b"hello"),
        ([send("HTTP/1.1 100 Continue\r\n\r\n"), json_answer([])], b"[]"),
    ],
    ids=["length", "refusal", "chunks", "empty", "until it closes", "interim"],
)
def test_an_answer_goes_through_and_is_kept(answer, body):
    with Server([request, answer]) as real, Recorder(real.url) as recorder:
        status, found = asked(recorder)
        recorder.wait_until(lambda: recorder.recordings)
    (kept,) = recorder.recordings
    assert (found, kept.body, kept.status) == (body, body, status)
    assert (kept.scenario, len(kept.times)) == ("/chat", len(kept.reads))


def test_the_real_server_sees_its_own_name_and_the_same_body():
    with Server([request, json_answer([])]) as real, Recorder(real.url + "/v2") as recorder:
        assert recorder.endpoint == recorder.url + "/v2"
        asked(recorder, "/v2/chat?q=1", b'{"a": "\xc3\xa9"}')
    (sent,) = real.requests
    assert (sent.target, sent.body) == ("/v2/chat?q=1", b'{"a": "\xc3\xa9"}')
    assert sent.headers["host"] == f"127.0.0.1:{real.port}"


@pytest.mark.parametrize(
    "header", ["Authorization", "X-Api-Key", "api-key", "Cookie", "X-Acme-Token", "x-goog-api-key"]
)
def test_a_key_is_sent_and_nowhere_kept(header):
    cookie = {"set-cookie": f"session={KEY}"}
    halves = [send(f"HTTP/1.1 401 No\r\ncontent-length: 15\r\n\r\n{KEY[:7]}"), send(KEY[7:])]
    echo = respond(401, cookie, f"wrong: {KEY}") if header == "Cookie" else halves
    with Server([request, echo]) as real, Recorder(real.url) as recorder:
        _, body = asked(recorder, **{header: f"Bearer {KEY}"})
        recorder.wait_until(lambda: recorder.recordings)
    assert KEY in real.requests[0].headers[header.lower()]
    assert KEY in body.decode()
    (kept,) = recorder.recordings
    assert KEY not in json.dumps(kept.to_dict())
    assert len(kept.body) == len(body)


def test_how_the_connection_ended_is_kept():
    answers = [json_answer([]), [send(NO_LENGTH)]]
    ends = []
    for answer in answers:
        with Server([request, answer]) as real, Recorder(real.url) as recorder:
            asked(recorder)
            recorder.wait_until(lambda recorder=recorder: recorder.recordings)
        ends += [each.ended for each in recorder.recordings]
    assert ends == ["response complete, connection left open", "server closed the connection"]


def test_a_recording_is_replayed_as_it_was(tmp_path):
    with Server([request, ndjson(LINES)]) as real, Recorder(real.url) as recorder:
        _, body = asked(recorder)
        recorder.wait_until(lambda: recorder.recordings)
    path = tmp_path / "one.json"
    path.write_text(json.dumps(recorder.recordings[0].to_dict()))
    recording = Recording.load(path)
    assert recording == recorder.recordings[0]
    with Server(repeat(recording.script())) as again:
        assert asked(again)[1] == body


def test_an_answer_that_breaks_off_is_kept_as_far_as_it_came():
    head = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"
    with Server([request, send(head + "hel"), reset]) as real, Recorder(real.url) as recorder:
        with pytest.raises((ConnectionError, IncompleteRead)):
            asked(recorder)
        recorder.wait_until(lambda: recorder.recordings)
    (kept,) = recorder.recordings
    assert kept.body in (b"hel", b"")
    assert kept.ended == "server reset the connection"


def test_a_server_that_is_not_there_is_told():
    with Server() as gone:
        url = gone.url
    with Recorder(url) as recorder:
        assert asked(recorder)[0] == 502
    assert recorder.recordings == []
