"""The policy of a pull, with a clock of its own; and pulls through both runtimes, over sockets."""

from __future__ import annotations

import hashlib
import inspect
import json
import random
import time

import letters
import pytest

from multitap.capabilities.catalog import Model
from multitap.capabilities.lifecycle import Progress, Slot
from multitap.errors import (
    ConfigError,
    DeadlineExceeded,
    LocalError,
    ModelNotFound,
    NotSupported,
    ProtocolError,
    ProviderDown,
    Timeout,
    TruncatedStream,
)
from multitap.events import Failed
from multitap.hookspecs import hookimpl
from multitap.policy.pull import LONGEST_SILENCE, STALL, Pull
from multitap.testing import (
    WORLDS,
    Gate,
    Server,
    client_closed,
    close,
    hold,
    ndjson,
    repeat,
    request,
    reset,
    respond,
    send,
)
from multitap.work import (
    Digest,
    Exchange,
    File,
    HttpCall,
    Json,
    LocalExchange,
    Operation,
    Out,
    fetch,
)

DOWN = ProviderDown("It is gone")


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def pull(clock):
    return Pull(clock, draw=lambda: 1.0)


def layer(done, total=1000, digest="sha256:a"):
    return Progress(status=f"pulling {digest}", digest=digest, total=total, completed=done)


def wait(pull, clock, seconds, *items):
    """Wait for the server, which then says this."""
    pull.idle()
    clock.now += seconds
    return pull.feed(items)


def ends(items):
    return [item.error.kind for item in items if isinstance(item, Failed)]


# ---- the policy ----------------------------------------------------------------------------------


def test_five_fruitless_tries_with_growing_waits(pull):
    assert [pull.delay(DOWN, n, None) for n in range(1, 6)] == [1, 2, 4, 8, None]


def test_the_wait_never_exceeds_half_a_minute(clock):
    pull = Pull(clock, draw=lambda: 0.5)
    assert pull.delay(DOWN, 1, None) == 0.5
    pull = Pull(clock, draw=lambda: 1.0)
    assert pull.delay(ProviderDown("Busy", retry_after=20.0), 1, None) == 22.0


def test_a_new_byte_starts_the_count_again(pull, clock):
    for number in range(1, 20):
        pull.attempt()
        wait(pull, clock, 1, layer(number))
        assert pull.delay(DOWN, number, None) == 1
    pull.attempt()
    wait(pull, clock, 1, layer(19))  # which came before
    assert [pull.delay(DOWN, n, None) for n in range(1, 6)] == [1, 2, 4, 8, None]


def test_bytes_that_came_before_are_not_new(pull, clock):
    wait(pull, clock, 1, layer(500))
    assert pull.delay(DOWN, 1, None) == 1
    delays = []
    for number in range(2, 7):
        pull.attempt()
        wait(pull, clock, 1, layer(100), layer(400))
        delays.append(pull.delay(DOWN, number, None))
    assert delays == [1, 2, 4, 8, None]


def test_what_trying_again_does_not_cure_ends_the_pull(pull):
    assert pull.delay(ModelNotFound("No such model"), 1, None) is None


def test_no_wait_reaches_beyond_the_deadline(pull, clock):
    assert pull.delay(DOWN, 1, clock.now + 0.5) is None


def test_the_same_line_again_and_again_is_a_stall(pull, clock):
    seen = [ends(wait(pull, clock, 1, layer(5))) for _ in range(31)]
    assert seen == [[]] * 30 + [["pull_stalled"]]


def test_a_line_that_grows_is_none(pull, clock):
    assert [ends(wait(pull, clock, 20, layer(n))) for n in range(10)] == [[]] * 10


def test_two_layers_in_turns_do_not_hide_a_stall(pull, clock):
    both = [layer(5), layer(7, digest="sha256:b")]
    seen = [ends(wait(pull, clock, 10, *both)) for _ in range(4)]
    assert seen == [[], [], [], ["pull_stalled"]]


def test_bytes_that_are_fetched_again_move(pull, clock):
    wait(pull, clock, 1, layer(900))
    assert [ends(wait(pull, clock, 20, layer(n))) for n in (100, 200, 300)] == [[]] * 3


def test_a_slow_reader_is_no_stall(pull, clock):
    wait(pull, clock, 1, layer(5))
    clock.now += 1000  # between two reads
    assert ends(wait(pull, clock, 1, layer(5))) == []
    assert pull.idle() == STALL - 1


def test_silence_while_bytes_are_under_way_is_a_stall(pull, clock):
    wait(pull, clock, 1, layer(5))
    assert pull.idle() == STALL
    silence = Timeout("Nothing moved", kind="stall_timeout", phase="stream")
    assert ends(pull.feed([Failed(silence)])) == ["pull_stalled"]


def test_verifying_may_take_its_time(pull, clock):
    wait(pull, clock, 1, layer(5), Progress(status="verifying sha256 digest"))
    assert pull.idle() == LONGEST_SILENCE
    assert ends(wait(pull, clock, 500, Progress(status="success"))) == []


def test_other_failures_stay_what_they_are(pull):
    over = DeadlineExceeded("Over", kind="stall_timeout")
    assert pull.feed([Failed(over)])[0].error is over


def test_what_it_remembers_is_bounded(pull, clock):
    wait(pull, clock, 1, *(layer(1, digest=str(n)) for n in range(5000)))
    assert max(len(pull._most), len(pull._seen)) <= 1024


def test_a_stall_says_how_long_and_what_to_do(pull, clock):
    wait(pull, clock, 1, layer(5))
    (_, failed) = wait(pull, clock, 30, layer(5))
    error = failed.error
    assert (type(error), error.kind, error.phase) == (Timeout, "pull_stalled", "stream")
    assert error.message == "The pull stalled: nothing new for 30 s"
    assert error.hint == "Pull it again: it goes on where it stopped."


def test_silence_of_another_kind_has_ten_minutes(pull, clock):
    steps = [ends(wait(pull, clock, 300, Progress(status="verifying"))) for _ in range(3)]
    assert steps == [[], [], ["pull_stalled"]]
    (failed,) = wait(Pull(clock), clock, LONGEST_SILENCE)
    assert failed.error.message == "The pull stalled: nothing new for 600 s"


def test_what_follows_a_failure_is_left_out(pull):
    failed = Failed(ProviderDown("It is gone"))
    assert pull.feed([layer(1), failed, layer(2)]) == [layer(1), failed]


def test_a_silence_that_is_told_before_the_first_byte_is_none_of_the_pull(pull):
    first = Timeout("No answer", kind="first_byte_timeout", phase="wait")
    assert pull.feed([Failed(first)])[0].error is first


def test_a_layer_that_is_whole_leaves_time_for_the_next_step(pull, clock):
    wait(pull, clock, 1, layer(999))
    assert pull.idle() == STALL
    wait(pull, clock, 1, layer(1000))
    assert pull.idle() == LONGEST_SILENCE


def test_a_line_without_numbers_is_new_once(pull, clock):
    line = Progress(status="pulling manifest")
    assert [ends(wait(pull, clock, 599, line)) for _ in range(3)] == [[], [], ["pull_stalled"]]


def test_a_new_attempt_waits_from_its_own_beginning(pull, clock):
    wait(pull, clock, 29, layer(5))
    clock.now += 1000
    assert pull.attempt() == (pull,)
    assert pull.idle() == LONGEST_SILENCE
    assert ends(wait(pull, clock, 29, layer(5))) == []
    assert ends(wait(pull, clock, 29, layer(5))) == []


def test_a_read_counts_from_when_it_was_asked_for(pull, clock):
    wait(pull, clock, 1, layer(5))
    clock.now += 20
    assert pull.feed([layer(5)]) == [layer(5)]
    clock.now += 10
    assert ends(pull.feed([layer(5)])) == ["pull_stalled"]


def test_of_many_layers_the_first_are_still_known_afterwards(pull, clock):
    wait(pull, clock, 1, *(layer(1, digest=str(n)) for n in range(1024)))
    assert pull.delay(DOWN, 1, None) == 1
    pull.attempt()
    wait(pull, clock, 1, layer(1, digest="new"), layer(1, digest="0"))
    assert pull.delay(DOWN, 2, None) == 1.0
    assert pull.delay(DOWN, 3, None) == 2.0
    pull.attempt()
    wait(pull, clock, 1, layer(2, digest="0"))
    assert pull.delay(DOWN, 4, None) == 1.0


def test_a_wait_may_end_just_before_the_deadline(pull, clock):
    assert pull.delay(DOWN, 1, clock.now + 1.0) is None
    assert Pull(clock, draw=lambda: 1.0).delay(DOWN, 1, clock.now + 1.01) == 1.0


def test_while_it_waits_it_says_why_and_how_long(pull):
    assert pull.retrying(ProviderDown("It is gone. "), 1.25) == [
        Progress(status="It is gone; trying again in 1.2 s")
    ]
    assert (pull.finish(), pull.succeeded()) == ((), None)


def test_by_default_a_pull_has_the_real_clock_and_chance():
    parameters = inspect.signature(Pull).parameters
    assert parameters["clock"].default is time.monotonic
    assert parameters["draw"].default is random.random
    assert (STALL, LONGEST_SILENCE) == (30.0, 600.0)


def test_progress_as_json():
    assert layer(0).to_dict() == {
        "status": "pulling sha256:a",
        "completed": 0,
        "total": 1000,
        "digest": "sha256:a",
    }
    assert Progress(status="success").to_dict() == {"status": "success"}


# ---- through the runtimes ------------------------------------------------------------------------

SUCCESS = {"status": "success"}


def layer_line(done):
    return {"status": "a", "digest": "d", "total": 9, "completed": done}


class Lines:
    """Ends well with a line that says ``success``."""

    def __init__(self):
        self.rest, self.done = b"", False

    def feed(self, data):
        *lines, self.rest = (self.rest + data).split(b"\n")
        return [self.item(json.loads(line)) for line in lines]

    def item(self, facts):
        if "error" in facts:
            return Failed(ProtocolError(facts["error"]))
        self.done = self.done or facts["status"] == "success"
        return Progress(**facts)

    def finish(self):
        return [] if self.done else [Failed(TruncatedStream("It ended before its end"))]


def no_model(reply):
    return ModelNotFound("No such model") if reply.status == 404 else ProviderDown("It broke")


class Store:
    @hookimpl
    def multitap_lifecycle(self, backend):
        return self

    @hookimpl
    def multitap_catalog(self, backend):
        return self

    def models(self):
        return self.at_once([Model(id="tiny"), Model(id="large")])

    def running(self):
        return self.at_once([Model(id="tiny", loaded=True)])

    def slots(self, model):
        return self.at_once([Slot(id=0, tokens=5)])

    def at_once(self, results):
        return LocalExchange(lambda emit: emit(results) and None)

    def pull(self, model):
        return self.post("/pull", Json({"model": model}))

    def load(self, model):
        return self.post("/load", Json({"model": model}))

    def unload(self, model):
        return self.post("/unload", Json({"model": model}))

    def copy(self, source, destination):
        return self.post("/copy", Json([source, destination]))

    def delete(self, model):
        call = HttpCall(method="DELETE", path="/delete", body=Json(model))
        return Exchange(call=call, decoder=lambda head: Lines(), explain=no_model)

    def create(self, request):
        return self.post("/create", File("a", next(iter(request.files.values()))))

    def post(self, path, body):
        call = HttpCall(method="POST", path=path, body=body)
        return Exchange(call=call, decoder=lambda head: Lines(), explain=no_model)


class Plain:
    """No more than a plugin must have."""

    @hookimpl
    def multitap_lifecycle(self, backend):
        return self

    def pull(self, model):
        raise NotSupported("Nothing to pull from")

    load = unload = pull


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("multitap.runtime.management.Pull", lambda: Pull(draw=lambda: 0.0))


@pytest.fixture(params=WORLDS, ids=["sync", "async"])
def world(request):
    opened = []

    def make(url="http://127.0.0.1:9", **section):
        sections = {"acme": {"endpoint": url, **section}, "plain": {}}
        registry = letters.registry(acme=Store(), plain=Plain())
        opened.append(request.param({"defaults": {"model": "acme:tiny"}, **sections}, registry))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def steps_of(world_, *args, **options):
    return world_.items("pull_stream", *args, **options)


def answer(*items):
    """One request, answered with these lines and steps."""
    return [request, ndjson(items)]


def test_a_pull_is_done_when_it_returns(world):
    with Server(answer({"status": "pulling manifest"}, SUCCESS)) as server:
        assert world(server.url).call("pull", "acme:new") is None
    assert server.requests[0].path == "/pull"
    assert server.requests[0].json() == {"model": "new"}


def test_its_progress_comes_while_it_runs(world):
    seen_first = Gate()
    script = answer(layer_line(1), hold(seen_first), SUCCESS)
    with Server(script) as server:
        seen, _ = steps_of(
            world(server.url), "acme:new", after=lambda seen, stream: seen_first.set() or True
        )
    assert seen == [
        Progress(status="a", digest="d", total=9, completed=1),
        Progress(status="success"),
    ]


@pytest.mark.parametrize("cut", [close, reset], ids=["close", "reset"])
def test_a_pull_that_breaks_goes_on(world, cut):
    broken = [answer(layer_line(done), cut) for done in range(1, 8)]
    with Server(*broken, answer(layer_line(9), SUCCESS)) as server:
        seen, stream = steps_of(world(server.url), "acme:new")
    bytes_seen = [step.completed for step in seen if step.digest]
    assert (bytes_seen, seen[-1].status) == ([1, 2, 3, 4, 5, 6, 7, 9], "success")
    told = [step.status for step in seen if "trying again" in step.status]
    assert len(told) == 7
    assert len(stream.outcome.attempts) == 8


def test_a_pull_that_brings_nothing_ends_after_five_tries(world):
    with Server(answer(layer_line(0), close)) as server, pytest.raises(TruncatedStream) as caught:
        world(server.url).call("pull", "acme:new")
    assert len(caught.value.attempts) == len(server.requests) == 5


@pytest.mark.parametrize("carrier", ["direct", "httpx"])
def test_a_server_that_falls_silent_stalls_the_pull(world, monkeypatch, carrier):
    monkeypatch.setattr("multitap.policy.pull.STALL", 0.05)
    script = answer(layer_line(0), client_closed)
    with Server(script) as server, pytest.raises(Timeout) as caught:
        world(server.url, carrier=carrier).call("pull", "acme:new")
    assert (caught.value.kind, caught.value.backend) == ("pull_stalled", "acme")
    assert len(server.requests) == 5


def test_a_server_that_only_repeats_itself_stalls_the_pull(world, monkeypatch):
    monkeypatch.setattr("multitap.policy.pull.STALL", 0.05)
    text = json.dumps(layer_line(1)).encode() + b"\n"
    again = repeat(send(b"%x\r\n%s\r\n" % (len(text), text)))
    with Server(answer(again)) as server, pytest.raises(Timeout) as caught:
        world(server.url).call("pull", "acme:new")
    assert caught.value.kind == "pull_stalled"
    assert len(server.requests) == 6  # the first one brought a byte


def test_an_error_inside_is_not_tried_again(world):
    script = answer(layer_line(0), {"error": "no such thing"}, client_closed)
    with Server(script) as server, pytest.raises(ProtocolError):
        world(server.url).call("pull", "acme:new")
    assert len(server.requests) == 1


def test_a_server_that_is_not_there(world):
    with pytest.raises(ProviderDown) as caught:
        world("http://127.0.0.1:1").call("pull", "acme:new")
    assert len(caught.value.attempts) == 5


def test_leaving_cancels_the_pull(world):
    with Server(answer(layer_line(0), client_closed)) as server:
        seen, stream = steps_of(world(server.url), "acme:new", after=lambda seen, stream: False)
        server.wait_until(lambda: server.connections[0].closed)
    assert (len(seen), stream.outcome.stopped) == (1, "cancelled")


def test_the_deadline_of_a_pull_is_the_one_that_was_asked_for(world):
    script = answer(layer_line(0), client_closed)
    with Server(script) as server, pytest.raises(DeadlineExceeded):
        world(server.url).call("pull", "acme:new", timeout=0.05)
    with Server(answer(SUCCESS)) as server:
        world(server.url, timeout_ms=1).call("pull", "acme:new")


def test_a_copy_stays_at_its_backend(world):
    with Server([*answer(SUCCESS), *answer(SUCCESS)]) as server:
        here = world(server.url)
        here.call("copy", "acme:tiny", "tiny:backup")
        here.call("copy", "acme:tiny", "acme:second")
    bodies = [sent.json() for sent in server.requests]
    assert bodies == [["tiny", "tiny:backup"], ["tiny", "second"]]


@pytest.mark.parametrize("destination", ["plain:second", ""])
def test_a_copy_cannot_go_elsewhere(world, destination):
    with pytest.raises(ConfigError, match="no name of a model at acme"):
        world().call("copy", "acme:tiny", destination)


def test_a_deleted_model_is_gone(world):
    with Server(answer(SUCCESS)) as server:
        world(server.url).call("delete", "acme:tiny")
    assert server.requests[0].method == "DELETE"


def test_a_model_is_created_of_files(world, tmp_path):
    (tmp_path / "a.gguf").write_bytes(b"weights")
    with Server(answer(SUCCESS)) as server:
        files = {"a.gguf": str(tmp_path / "a.gguf")}
        world(server.url).call("create", "acme:mine", files=files, system="Be brief.")
    assert server.requests[0].body == b"weights"


def test_the_models_that_run(world):
    here = world()
    assert [m.ref for m in here.call("running")] == ["acme:tiny"]
    assert [m.ref for m in here.call("running", "acme")] == ["acme:tiny"]


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("running", ["plain"]),
        ("copy", ["plain:a", "b"]),
        ("delete", ["plain:a"]),
        ("create", ["plain:a"]),
        ("slots", ["plain:a"]),
    ],
)
def test_a_verb_that_the_plugin_lacks(world, verb, arguments):
    with pytest.raises(NotSupported, match=f"has no {verb!r}") as caught:
        world().call(verb, *arguments)
    assert caught.value.backend == "plain"
    assert "acme" in caught.value.hint


@pytest.mark.parametrize(
    ("verb", "given", "options", "shown"),
    [
        ("pull", [5], {}, "model is 5"),
        ("copy", ["acme:tiny", None], {}, "None is no name"),
        ("create", ["acme:mine"], {"files": ["a.gguf"]}, "files is ['a.gguf']"),
        ("create", ["acme:mine"], {"parameters": "hot"}, "parameters is 'hot'"),
        ("erase_slot", [-1], {}, "slot is -1"),
        ("erase_slot", [True], {}, "slot is True"),
        ("save_slot", ["0", "a.bin"], {}, "slot is '0'"),
        ("save_slot", [0, ""], {}, "name is ''"),
        ("restore_slot", [0, None], {}, "name is None"),
    ],
)
def test_what_is_no_such_thing_is_refused_before_anything_is_sent(
    world, verb, given, options, shown
):
    with pytest.raises(ConfigError) as caught:
        world().call(verb, *given, **options)
    assert shown in caught.value.message
    assert caught.value.hint


def test_the_slots_of_a_model(world):
    assert world().call("slots", "acme:tiny") == [Slot(id=0, tokens=5)]


def test_one_model_is_described_by_way_of_the_list(world):
    assert world().call("describe", "acme:large").ref == "acme:large"
    with pytest.raises(ModelNotFound, match="'none'") as caught:
        world().call("describe", "acme:none")
    assert (caught.value.backend, caught.value.model) == ("acme", "none")


class Hashed:
    """Sends the hash of a file in place of the file."""

    def __init__(self, path):
        self.path = path

    @hookimpl
    def multitap_lifecycle(self, backend):
        return self

    def pull(self, model):
        def steps():
            digest = yield Digest(self.path)
            yield from fetch(HttpCall(method="POST", path="/" + digest))
            yield Out([Progress(status=digest)])

        return Operation(steps, no_model)

    load = unload = pull


@pytest.mark.parametrize("content", [b"", b"weights" * 1_000_000])
@pytest.mark.parametrize("kind", WORLDS, ids=["sync", "async"])
def test_a_step_may_be_the_hash_of_a_file(kind, tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with Server([request, respond()]) as server:
        registry = letters.registry(acme=Hashed(tmp_path / "a"))
        here = kind({"acme": {"endpoint": server.url}}, registry)
        seen, _ = here.items("pull_stream", "acme:new")
        here.close()
    digest = hashlib.sha256(content).hexdigest()
    assert [step.status for step in seen] == [digest]
    assert server.requests[0].path == "/" + digest


@pytest.mark.parametrize("kind", WORLDS, ids=["sync", "async"])
def test_the_hash_of_a_file_that_is_not_there(kind, tmp_path):
    here = kind({"acme": {}}, letters.registry(acme=Hashed(tmp_path / "nowhere")))
    with pytest.raises(LocalError, match="Cannot read"):
        here.call("pull", "acme:new")
    here.close()
