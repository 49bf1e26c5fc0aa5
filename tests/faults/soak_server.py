"""A server for long runs, in a process of its own: ``python soak_server.py PACE BROKEN``.

It prints its port and then answers chats in OpenAI's dialect: ``max_tokens`` tokens, one every
``PACE`` seconds; a share ``BROKEN`` of the answers is refused, cut or reset. It ends when its input
does.
"""

import asyncio
import json
import random
import re
import socket
import struct
import sys
import threading

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ntransfer-encoding: chunked\r\n\r\n"
REFUSAL = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 2\r\n\r\n{}"
LENGTH = re.compile(rb"(?i)content-length: (\d+)")


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(**choice):
    value = {"id": "1", "model": "tiny", "choices": [{"index": 0, **choice}]}
    return chunk(b"data: " + json.dumps(value).encode() + b"\n\n")


TOKEN = event(delta={"content": "word "})
END = event(delta={}, finish_reason="stop") + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


def whole(tokens):
    message = {"role": "assistant", "content": "word " * tokens}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = json.dumps({"id": "1", "model": "tiny", "choices": [choice]}).encode()
    return HEAD % b"application/json" + chunk(body) + b"0\r\n\r\n"


async def stream(writer, tokens, pace):
    writer.write(HEAD % b"text/event-stream")
    for _ in range(tokens):
        if writer.is_closing():
            return
        writer.write(TOKEN)
        await asyncio.sleep(pace)
    writer.write(END)
    await writer.drain()


async def answer(writer, asked, pace, broken):
    tokens = asked.get("max_tokens") or 5
    fault = random.choice(["refuse", "cut", "reset"]) if random.random() < broken else None
    if fault == "refuse":
        writer.write(REFUSAL)
    elif fault is not None:
        await stream_a_part(writer, tokens, pace, reset=fault == "reset")
    elif asked.get("stream"):
        await stream(writer, tokens, pace)
    else:
        writer.write(whole(tokens))


async def stream_a_part(writer, tokens, pace, *, reset):
    writer.write(HEAD % b"text/event-stream" + TOKEN)
    await asyncio.sleep(pace * tokens / 2)
    if reset:
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.close()


async def serve(reader, writer, pace, broken):
    try:
        while not writer.is_closing():
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(int(LENGTH.search(head)[1]))
            await answer(writer, json.loads(body), pace, broken)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main(pace, broken):
    server = await asyncio.start_server(
        lambda reader, writer: serve(reader, writer, pace, broken), "127.0.0.1", 0, backlog=4096
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    loop, ended = asyncio.get_running_loop(), asyncio.Event()

    def until_the_end_of_input():
        sys.stdin.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=until_the_end_of_input, daemon=True).start()
    await ended.wait()


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), float(sys.argv[2])))
