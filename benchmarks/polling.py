"""Many open pages that poll, in a process that does little else: what it spends is missing to the server beside it.

A line of JSON comes in: `port`, `every` (seconds between two polls of a page) and `pages`, each a path and the ETag of
its last answer. “ready” goes out once all have polled; with the next line that comes in it ends, and what was
answered in between goes out as JSON.
"""

import asyncio
import json
import sys
import time
from collections import Counter


class Page(asyncio.Protocol):
    """An open page with a connection that it keeps. It asks when it is due, whatever its last answer took."""

    statuses: Counter = Counter()
    milliseconds: list[float] = []

    def __init__(self, path: str, etag: str, every: float):
        self.path, self.etag, self.every = path, etag, every
        self.heard = b""

    def connection_made(self, transport):
        self.transport = transport

    def connection_lost(self, error):
        self.statuses["broken"] += 1

    def ask(self, due: float):
        self.due = due
        condition = f"If-None-Match: {self.etag}\r\n" if self.etag else ""
        self.transport.write(f"GET {self.path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{condition}\r\n".encode())

    def data_received(self, data):
        self.heard += data
        head, end, body = self.heard.partition(b"\r\n\r\n")
        if not end:
            return
        status = int(head[9:12])
        if status != 304:
            headers = dict(line.split(": ", 1) for line in head.decode().lower().split("\r\n")[1:])
            if len(body) < int(headers["content-length"]):
                return
            self.etag = headers.get("etag", "")
        self.heard = b""
        self.statuses[status] += 1
        loop = asyncio.get_running_loop()
        self.milliseconds.append(1000 * (loop.time() - self.due))
        loop.call_at(self.due + self.every, self.ask, self.due + self.every)


async def main():
    loop = asyncio.get_running_loop()
    said = json.loads(sys.stdin.readline())
    every = said["every"]
    began, pages = loop.time(), []
    for place, (path, etag) in enumerate(said["pages"]):
        first = began + every * place / len(said["pages"])
        await asyncio.sleep(first - loop.time())
        page = Page(path, etag, every)
        await loop.create_connection(lambda page=page: page, "127.0.0.1", said["port"])
        page.ask(first)
        pages.append(page)
    await asyncio.sleep(every)
    Page.statuses.clear()
    Page.milliseconds.clear()
    began, spent = loop.time(), time.process_time()
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.readline)
    told = {
        "statuses": Page.statuses,
        "seconds": loop.time() - began,
        "milliseconds": Page.milliseconds,
        "cpu": time.process_time() - spent,
        "etags": [page.etag for page in pages],
    }
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
