"""A mail server that takes its time: ``python -m benchmarks.slow_smtp PORT SECONDS FILE``.

It answers the end of each mail after ``SECONDS``, and writes a line with the time and the ``Message-ID`` into ``FILE``.
While there is a file ``FILE.refusals``, it answers each mail with one of its lines in turn, after the seconds at its
beginning, such as ``2.0 451 4.3.0 try again later``. Such a mail is not written into ``FILE``.
"""

import asyncio
import sys
import time
from pathlib import Path


class Server:
    """Speaks as much of RFC 5321 as a client needs."""

    def __init__(self, seconds: float, file: Path) -> None:
        self.seconds = seconds
        self.refusals = file.with_name(f"{file.name}.refusals")
        self.refused = 0
        self.file = file.open("a", buffering=1)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 slow\r\n")
        while line := await reader.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                writer.write(b"354 go on\r\n")
                writer.write(await self.read_mail(reader))
            elif verb == b"QUIT":
                writer.write(b"221 bye\r\n")
                break
            else:
                writer.write(b"250 fine\r\n")
            await writer.drain()
        writer.close()

    async def read_mail(self, reader: asyncio.StreamReader) -> bytes:
        message_id = "?"
        while (line := await reader.readline()) and line != b".\r\n":
            if line.lower().startswith(b"message-id:"):
                message_id = line.split(b":", 1)[1].strip().decode()
        if self.refusals.exists():
            lines = self.refusals.read_text().splitlines()
            seconds, answer = lines[self.refused % len(lines)].split(maxsplit=1)
            self.refused += 1
            await asyncio.sleep(float(seconds))
            return f"{answer}\r\n".encode()
        arrived = time.time()
        await asyncio.sleep(self.seconds)
        self.file.write(f"{arrived} {message_id}\n")
        return b"250 kept\r\n"


async def main() -> None:
    port, seconds, file = sys.argv[1:]
    server = await asyncio.start_server(Server(float(seconds), Path(file)).talk, "127.0.0.1", int(port), backlog=512)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
