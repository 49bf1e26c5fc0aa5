"""Recordings: read, taken apart, replayed."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import plain_reader
import pytest

from multitap.testing import CEILING, Recording, Server, repeat, when
from multitap.work import Head, HttpReply

NAMES = plain_reader.names("*")
HEAD = b"HTTP/1.1 200 OK\r\n"


def recording(*reads, ended="response complete, connection left open", **facts):
    return Recording(scenario="one", request=b"GET", reads=reads, ended=ended, **facts)


def replayed(script):
    with Server(script) as server, socket.create_connection(("127.0.0.1", server.port)) as client:
        client.settimeout(CEILING)
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        data = b""
        while piece := client.recv(65536):
            data += piece
        server.wait_until(lambda: server.connections[0].closed)
    return data, server.connections[0].happened


@pytest.mark.parametrize("name", NAMES)
def test_it_reads_what_the_plain_reader_reads(name):
    found = Recording.load(plain_reader.RECORDINGS / name)
    status, headers, body = plain_reader.answer(name)
    assert (found.status, found.headers, found.body) == (status, headers, body)
    assert found.head == Head(status, headers)
    assert found.reply == HttpReply(status, headers, body)
    assert found.scenario == Path(name).stem
    assert found.request.startswith((b"POST /", b"GET /", b"PUT /", b"DELETE /"))


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "one.json"
    answer = {"ended": "server closed the connection", "reads": [{"t_ms": 1, "b64": "/w=="}]}
    facts = {"scenario": "one", "request": {"text": "é"}, "response": answer}
    path.write_text(json.dumps(facts))
    found = Recording.load(path)
    assert (found.reads, found.request, found.note) == ((b"\xff",), "é".encode(), "")


def test_a_body_that_broke_off_is_what_there_is_of_it():
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n9\r\nwor"
    assert recording(chunked).body == b"hellowor"
    assert recording(HEAD + b"content-length: 9\r\n\r\nhel", b"lo").body == b"hello"
    assert recording(HEAD + b"\r\nhello").body == b"hello"


def test_informational_answers_are_passed_over():
    found = recording(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nA: 1\r\n\r\n")
    assert (found.status, found.headers, found.body) == (204, {"a": "1"}, b"")


def test_without_an_answer_there_is_no_status():
    found = recording(ended="server closed the connection")
    assert (found.response, found.reads) == (b"", ())
    with pytest.raises(ValueError, match="one has no answer: server closed the connection"):
        _ = found.status


def test_an_end_that_is_not_known_is_an_error():
    with pytest.raises(ValueError, match="ended"):
        recording(ended="somehow")


@pytest.mark.parametrize("cuts", [None, [], [1, 3], list(range(1, 8))], ids=repr)
def test_it_is_replayed_at_any_cuts(cuts):
    found = recording(b"abc", b"defgh")
    assert replayed(found.script(cuts))[0] == b"abcdefgh"


def test_it_is_replayed_at_the_recorded_cuts():
    words = repr(recording(b"abc", b"d", b"efgh").answer())
    assert "drip(b'abcdefgh', cuts=[3, 4])" in words


@pytest.mark.parametrize(
    ("ended", "happened"),
    [
        ("response complete, connection left open", ("request", "client closed", "server closed")),
        ("server closed the connection", ("request", "server closed")),
        ("client closed: abort", ("request", "client closed", "server closed")),
    ],
)
def test_it_ends_as_it_ended(ended, happened):
    assert replayed(recording(b"abc", ended=ended).script()) == (b"abc", happened)


def test_it_is_reset_as_it_was_reset():
    script = recording(ended="server reset the connection").script()
    with Server(script) as server, socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b"GET / HTTP/1.1\r\n\r\n")
        server.wait_until(lambda: server.connections and server.connections[0].closed)
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    assert server.connections[0].happened == ("request", "server reset")


def test_recordings_answer_by_path_on_one_connection():
    found = recording(HEAD + b"content-length: 0\r\n\r\n")
    data, happened = replayed(repeat(when({"/": found.answer()})))
    assert data == found.response
    assert happened[0] == "request"


def test_it_shows_what_it_is():
    assert repr(recording(b"abc")) == (
        "<Recording one, 3 bytes, response complete, connection left open>"
    )
