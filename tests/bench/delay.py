#!/usr/bin/python3
"""A distance: passes connections on to PORT, and holds back all that comes from there for MS milliseconds.

The first line on stdout is the port it listens on. What is held back overtakes nothing, and does not hold back what follows.
"""
import asyncio
import sys
import time

port, delay = int(sys.argv[1]), float(sys.argv[2]) / 1000


async def pass_on(reader, writer, later):
    """Ends when one side does."""
    queue = asyncio.Queue()

    async def read():
        while octets := await reader.read(65536): queue.put_nowait((time.monotonic() + later, octets))
        queue.put_nowait((0, b""))

    async def write():
        while True:
            due, octets = await queue.get()
            if not octets: return
            if (wait := due - time.monotonic()) > 0: await asyncio.sleep(wait)
            writer.write(octets)
            await writer.drain()
    try:
        await asyncio.gather(read(), write())
    except ConnectionError:
        pass
    writer.close()


async def connected(reader, writer):
    there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.gather(pass_on(reader, there_writer, 0), pass_on(there_reader, writer, delay))


async def main():
    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
