"""A storm of seeded faults and cancellations, and the ledger in which both sides have to agree.

Each question has an id, which stands in its prompt. The server answers by the id alone: with a good
answer or a fault that the seed and the id choose, so that a run can be repeated. What the server
saw is compared with what became of each call: nothing lost, nothing doubled, nothing left behind.
"""

from __future__ import annotations

import asyncio
import random
import re
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from fault_answers import REFERENCE, TEXT, good_answer, registry
from fault_asking import config

from multitap.errors import BackendError
from multitap.runtime import AsyncRuntime, Runtime
from multitap.testing import CEILING, Server, faults, repeat, request, send

ID = re.compile(rb"call-(\d+)\.")
CALM = {"max_in_flight": 64, "timeouts": {"first_byte": 30, "idle": 30}}
SLOW = {"max_in_flight": 64, "timeouts": {"first_byte": 0.2, "idle": 0.2, "head": 0.2, "total": 2}}
FAULTS = (
    (faults.closes_unanswered, {}),
    (faults.resets_unanswered, {}),
    (faults.resets_in_answer, {}),
    (faults.cut_off, {}),
    (faults.closes_without_end, {}),
    (faults.ends_without_end, {}),
    (faults.short_body, {}),
    (faults.cut_json, {}),
    (faults.bad_utf8, {}),
    (faults.nan_literal, {}),
    (faults.error_at_once, {}),
    (faults.error_midway, {}),
    (faults.bad_chunk_size, {}),
    (faults.two_lengths, {}),
    (faults.dead_kept_connection, {}),
    (faults.redirects, {}),
    (faults.refuses, {"status": 400}),
    (faults.refuses, {"status": 500}),
)

SILENCE = (
    (faults.no_first_byte, {}),
    (faults.silent_after_head, {}),
    (faults.silent, {}),
    (faults.dripped_head, {}),
    (faults.dripped_body, {}),
    (faults.pings_only, {}),
    (faults.half_closes, {}),
)
"""What ends by a clock alone; a storm of it has short ones, and fewer calls."""


class StormServer(Server):
    """Answers each question as the seed and its id say.

    Attributes:
        seen: How often each id was asked.
    """

    def __init__(self, seed, broken=0.5, scripts=FAULTS):
        self.seed, self.broken, self.scripts = seed, broken, scripts
        self.seen = Counter()
        super().__init__(repeat(request, self._answer))

    def _answer(self, connection):
        asked = connection.requests.pop()
        number, streamed = int(ID.search(asked.body)[1]), b'"stream":true' in asked.body
        self.seen[number] += 1
        chance = random.Random(f"{self.seed} {number} {self.seen[number]}")
        good = good_answer(REFERENCE, streamed)
        if chance.random() >= self.broken:
            return send(good.raw)
        script, options = chance.choice(self.scripts)
        return script(good, **options)


def is_streamed(number):
    return number % 2 == 0


# ---- the ledger ----------------------------------------------------------------------------------


class Ledger:
    """What became of each call: how it ended, and how often the server may have been asked.

    That is exactly as often as there were attempts, but for those that had no answer at all.
    """

    def __init__(self):
        self.ends = {}
        self.tries = {}
        self.twice = []

    def answered(self, number, answer):
        self._note(number, "answered" if answer.text == TEXT else f"said {answer.text!r}", answer)

    def failed(self, number, error):
        self._note(number, type(error).__name__, error)

    def _note(self, number, how, of):
        if number in self.ends:
            self.twice.append(number)
        self.ends[number] = how
        lost = [each for each in of.attempts if may_be_lost(each.error)]
        sent = [each for each in of.attempts if may_be_sent(each.error)]
        self.tries[number] = range(len(sent) - len(lost), len(sent) + 1)

    def faults(self, calls, seen):
        """What does not add up; nothing, where all is well."""
        lost = sorted(set(range(calls)) - set(self.ends))
        other = {n: (self.tries[n], seen[n]) for n in self.ends if seen[n] not in self.tries[n]}
        strange = {n: how for n, how in self.ends.items() if how.startswith("said")}
        found = {"lost": lost, "doubled": self.twice, "attempts": other, "strange": strange}
        return {name: what for name, what in found.items() if what}


def may_be_sent(error):
    """Did the attempt get as far as a connection?"""
    return error is None or error.phase not in ("queue", "connect")


def may_be_lost(error):
    """May a request have met a kept connection that the server was just closing?"""
    return error is not None and (error.kind, error.phase) == ("connection_lost", "wait")


# ---- both worlds ---------------------------------------------------------------------------------


def storm(seed, calls, at_once=32, scripts=FAULTS, section=CALM):
    """A storm in threads: the ledger and the server, which both have ended."""
    ledger = Ledger()
    with StormServer(seed, scripts=scripts) as server:
        with Runtime(config(REFERENCE, server.url, **section), registry=registry(REFERENCE)) as rt:

            def one(number):
                prompt = f"call-{number}."
                try:
                    if is_streamed(number):
                        with rt.stream(prompt) as events:
                            for _ in events:
                                pass
                        answer = events.answer
                    else:
                        answer = rt.chat(prompt)
                except BackendError as error:
                    ledger.failed(number, error)
                else:
                    ledger.answered(number, answer)

            with ThreadPoolExecutor(at_once) as pool:
                list(pool.map(one, range(calls)))
        server.wait_until(lambda: all_closed(server))
    return ledger, server


def storm_on_a_loop(seed, calls, at_once=64, scripts=FAULTS, section=CALM):
    """The same in tasks; and how many tasks were left."""
    ledger = Ledger()

    async def run(server):
        places = asyncio.Semaphore(at_once)
        given = config(REFERENCE, server.url, **section)
        async with AsyncRuntime(given, registry=registry(REFERENCE)) as rt:

            async def one(number):
                async with places:
                    try:
                        answer = await asked(rt, number)
                    except BackendError as error:
                        ledger.failed(number, error)
                    else:
                        ledger.answered(number, answer)

            await asyncio.gather(*map(one, range(calls)))
        await settled()
        return len(asyncio.all_tasks()) - 1

    with StormServer(seed, scripts=scripts) as server:
        left = asyncio.run(run(server))
        server.wait_until(lambda: all_closed(server))
    return ledger, server, left


async def asked(rt, number):
    prompt = f"call-{number}."
    if not is_streamed(number):
        return await rt.chat(prompt)
    async with rt.stream(prompt) as events:
        async for _ in events:
            pass
    return events.answer


async def settled():
    """What was cancelled or closed comes to its end."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        await asyncio.wait(others, timeout=CEILING)


def all_closed(server):
    known = list(server.connections)
    return all(each.closed or each.closed_by_client.is_set() for each in known)


# ---- churn ---------------------------------------------------------------------------------------


def churn(seed, calls, at_once=16):
    """Streams that other threads close at random moments; then how many of 1000 calls succeed."""
    chance = random.Random(seed)
    with StormServer(seed, broken=0.0) as server:
        with Runtime(config(REFERENCE, server.url), registry=registry(REFERENCE)) as rt:

            def one(number):
                with rt.stream(f"call-{number}.") as events:
                    closer = threading.Timer(delays[number], events.close)
                    closer.start()
                    for _ in events:
                        pass
                    closer.cancel()
                    closer.join(CEILING)

            delays = [chance.random() * 0.01 for _ in range(calls)]
            with ThreadPoolExecutor(at_once) as pool:
                list(pool.map(one, range(calls)))
                after = range(calls, calls + 1000)
                texts = list(pool.map(lambda n: rt.chat(f"call-{n}.").text, after))
        server.wait_until(lambda: all_closed(server))
    return texts.count(TEXT)


def churn_on_a_loop(seed, calls, at_once=16):
    """Tasks that are cancelled after a random number of turns of the loop; then the same."""
    chance = random.Random(seed)

    async def cancelled(rt, number, turns):
        task = asyncio.create_task(asked(rt, number))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return task.cancelled()

    async def run(server):
        places = asyncio.Semaphore(at_once)
        given = config(REFERENCE, server.url)
        async with AsyncRuntime(given, registry=registry(REFERENCE)) as rt:

            async def placed(step, *args):
                async with places:
                    return await step(*args)

            turns = [chance.randrange(8) for _ in range(calls)]
            ends = await asyncio.gather(*(placed(cancelled, rt, n, turns[n]) for n in range(calls)))
            after = range(calls, calls + 1000)
            answers = await asyncio.gather(*(placed(asked, rt, n) for n in after))
        await settled()
        return sum(ends), [answer.text for answer in answers].count(TEXT)

    with StormServer(seed, broken=0.0) as server:
        ended = asyncio.run(run(server))
        server.wait_until(lambda: all_closed(server))
    return ended
