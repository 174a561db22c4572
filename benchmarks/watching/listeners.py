"""Fifty pages that are kept up to date, in one process: streams that are read and counted, and nothing else."""

import asyncio
import sys
from contextlib import suppress


async def listen(port: int, cookie: str, heard: list[int]) -> None:
    """Read one stream until the process is ended."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /live HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: {cookie}\r\n\r\n".encode())
    status = await reader.readline()
    if b" 200 " not in status:
        raise SystemExit(f"a stream was refused: {status!r}")
    while data := await reader.read(65536):
        heard[0] += len(data)


async def main(port: int, cookies: list[str]) -> None:
    """Open one stream for each cookie, say so on standard output, and count until standard input is closed."""
    heard = [0]
    streams = [asyncio.create_task(listen(port, cookie, heard)) for cookie in cookies]
    await asyncio.sleep(0.5)
    print("listening", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for stream in streams:
        stream.cancel()
        with suppress(asyncio.CancelledError):
            await stream
    print(heard[0])


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2:]))
