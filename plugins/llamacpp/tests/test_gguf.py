import struct
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multitap.errors import ProtocolError
from multitap_llamacpp.gguf import parse_header, read_header

MODELS = Path(__file__).with_name("models")
TINY = MODELS / "tiny-embed.gguf"
OPENING = TINY.read_bytes()[:30_000]
SIZE = TINY.stat().st_size


def text(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack("<Q", len(data)) + data


def fact(key, code, value):
    return text(key) + struct.pack("<I", code) + value


def tensor(name="w", shape=(4,), code=0, offset=0, dimensions=None):
    count = len(shape) if dimensions is None else dimensions
    sizes = struct.pack(f"<{len(shape)}Q", *shape)
    return text(name) + struct.pack("<I", count) + sizes + struct.pack("<IQ", code, offset)


def gguf(facts=(), tensors=(), *, keys=None, count=None, version=3, magic=b"GGUF", data=64):
    """A file of these pieces; counts may lie."""
    head = magic + struct.pack(
        "<IQQ",
        version,
        *(len(tensors) if count is None else count, len(facts) if keys is None else keys),
    )
    body = head + b"".join(facts) + b"".join(tensors)
    return body + bytes(-len(body) % 32) + bytes(data)


def parse(data):
    return parse_header(BytesIO(data), len(data), "model.gguf")


ARCHITECTURE = fact("general.architecture", 8, text("llama"))


def test_a_models_own_facts_are_read():
    header = read_header(MODELS / "tiny-llama.gguf")
    assert header.architecture == "llama"
    assert header.own("context_length") == 2048
    assert header.lengths["tokenizer.ggml.tokens"] == 768
    assert "enable_thinking" in header.text("tokenizer.chat_template")
    assert len(header.tensors) == 38


def test_every_type_of_value_is_read():
    numbers = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q"}
    facts = [fact(f"k{code}", code, struct.pack("<" + x, 1)) for code, x in numbers.items()]
    nested = struct.pack("<IQ", 9, 1) + struct.pack("<IQ", 4, 2) + struct.pack("<II", 1, 2)
    names = struct.pack("<IQ", 8, 2) + text("a") + text("bc")
    header = parse(gguf([*facts, fact("nested", 9, nested), fact("names", 9, names)]))
    assert [1] * len(numbers) == list(header.facts.values())
    assert header.lengths == {"nested": 1, "names": 2}


def test_a_vocabulary_longer_than_one_piece_is_passed_over():
    words = struct.pack("<IQ", 8, 150_000) + text("0123456") * 150_000
    header = parse(gguf([fact("tokens", 9, words), ARCHITECTURE]))
    assert (header.architecture, header.lengths) == ("llama", {"tokens": 150_000})


@pytest.mark.parametrize(
    ("data", "reason"),
    {
        "empty": (b"", "ends within its header"),
        "other file": (b"PK\x03\x04" + bytes(60), "does not begin with GGUF"),
        "version 1": (gguf(version=1), "version is 1"),
        "version 0": (gguf(version=0), "version is 0"),
        "version 4": (gguf(version=4), "version is 4"),
        "big-endian": (gguf(version=0x03000000), "big-endian"),
        "too many keys": (gguf(keys=2**40), "number of its keys"),
        "too many tensors": (gguf(count=2**63), "number of its tensors"),
        "more keys than there are": (gguf([ARCHITECTURE], keys=9), "sound"),
        "more tensors than there are": (gguf(count=9), "dimensions"),
        "long key": (gguf([struct.pack("<Q", 2**62)]), "length of a text"),
        "long text": (gguf([text("k") + struct.pack("<IQ", 8, 2**40)]), "length of a text"),
        "text beyond the end": (gguf([text("k") + struct.pack("<IQ", 8, 4096)]), "ends within"),
        "unknown value": (gguf([fact("k", 99, b"")]), "unknown type 99"),
        "key twice": (gguf([ARCHITECTURE, ARCHITECTURE]), "comes twice"),
        "list beyond the end": (gguf([fact("k", 9, struct.pack("<IQ", 4, 2**60))]), "longer than"),
        "texts beyond the end": (gguf([fact("k", 9, struct.pack("<IQ", 8, 2**60))]), "longer than"),
        "long text in a list": (
            gguf([fact("k", 9, struct.pack("<IQQ", 8, 1, 2**40))]),
            "longer than 16 MiB",
        ),
        "text in a list beyond the end": (
            gguf([fact("k", 9, struct.pack("<IQQ", 8, 1, 10**6))]),
            "beyond its end",
        ),
        "lists too deep": (
            gguf([fact("k", 9, struct.pack("<IQIQIQ", 9, 1, 9, 1, 4, 0))]),
            "values of the type 9",
        ),
        "list of unknown": (gguf([fact("k", 9, struct.pack("<IQ", 77, 1))]), "of the type 77"),
        "alignment 0": (gguf([fact("general.alignment", 4, bytes(4))]), "alignment"),
        "alignment 3": (gguf([fact("general.alignment", 4, b"\3\0\0\0")]), "alignment"),
        "alignment as text": (gguf([fact("general.alignment", 8, text("32"))]), "alignment"),
        "alignment too large": (gguf([fact("general.alignment", 4, b"\0\0\2\0")]), "alignment"),
        "no dimensions": (gguf([], [tensor(shape=())]), "0 dimensions"),
        "five dimensions": (gguf([], [tensor(shape=(1,) * 5)]), "5 dimensions"),
        "dimension 0": (gguf([], [tensor(shape=(4, 0))]), "dimension of 0"),
        "huge product": (gguf([], [tensor(shape=(2**62, 2**62))]), "beyond its end"),
        "unknown tensor type": (gguf([], [tensor(code=4)]), "unknown type 4"),
        "half a block": (gguf([], [tensor(shape=(31,), code=2)]), "multiple of 32"),
        "offset not aligned": (gguf([], [tensor(offset=8)]), "not aligned"),
        "offset beyond the end": (gguf([], [tensor(offset=2**50)]), "beyond its end"),
        "overlap": (gguf([], [tensor("a", (16,)), tensor("b", (4,), offset=32)]), "overlaps"),
        "name twice": (gguf([], [tensor("a"), tensor("a", offset=32)]), "one name"),
        "long tensor name": (gguf([], [tensor("a" * 300)]), "length of a text"),
        "weights missing": (gguf([], [tensor(shape=(64,))], data=0), "beyond its end"),
    }.values(),
)
def test_a_file_that_lies_is_refused_with_the_reason(data, reason):
    with pytest.raises(ProtocolError, match=reason) as caught:
        parse(data)
    assert caught.value.kind == "model_file_invalid"
    assert "Download the file again" in str(caught.value)


@pytest.mark.parametrize("length", [0, 1, 3, 4, 7, 23, 24, 25, 100, 1000, 9_000, 20_000, SIZE - 1])
def test_a_truncated_model_is_refused(length):
    with pytest.raises(ProtocolError):
        parse(TINY.read_bytes()[:length])


@given(
    changes=st.lists(st.tuples(st.integers(0, len(OPENING) - 1), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, len(OPENING)) | st.none(),
)
def test_damage_is_a_protocol_error_or_harmless(changes, cut):
    data = bytearray(OPENING)
    for place, value in changes:
        data[place] = value
    _parses_or_refuses(bytes(data[:cut]), SIZE)


@given(
    st.lists(st.sampled_from([0, 1, 3, 4, 8, 9, 32, 2**31, 2**32 - 1]), max_size=30).map(
        lambda words: b"GGUF" + struct.pack(f"<I{len(words)}I", 3, *words)
    )
)
def test_hostile_numbers_are_a_protocol_error_or_harmless(data):
    _parses_or_refuses(data, len(data))


@given(st.binary(max_size=300))
def test_noise_is_a_protocol_error(data):
    _parses_or_refuses(b"GGUF\3\0\0\0" + data, 8 + len(data))


def _parses_or_refuses(data, size):
    try:
        parse_header(BytesIO(data), size, "model.gguf")
    except ProtocolError as error:
        assert error.kind == "model_file_invalid"  # noqa: PT017


def test_a_file_is_read_again_once_it_has_changed(tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(gguf([ARCHITECTURE]))
    assert read_header(path).architecture == "llama"
    path.write_bytes(gguf([fact("general.architecture", 8, text("bert-x"))]))
    assert read_header(path).architecture == "bert-x"
