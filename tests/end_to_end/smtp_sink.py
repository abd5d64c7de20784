#!/usr/bin/python3
"""An SMTP server that keeps what it is given: one JSON line a letter, appended to a file BEFORE it answers 250.

It is a process of its own, so that killing the client tells the truth about what was on the wire. Lines of the file:
    {"from": "<..> args", "to": ["<..> args"], "data": "latin-1 text of the letter"}
    {"cut_after_dot": true}     a client went away without a word after our 250: it may send that letter again
The first line on stdout is the port it listens on.
"""
import argparse
import asyncio
import json
import os

options = argparse.ArgumentParser()
options.add_argument("--spool", required=True)
options.add_argument("--no-smtputf8", action="store_true")
options = options.parse_args()
spool = os.open(options.spool, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
EXTENSIONS = ["sink.test", "SIZE 1000000", "8BITMIME", "PIPELINING", "ENHANCEDSTATUSCODES"] + (["SMTPUTF8"] * (not options.no_smtputf8))


def record(entry):
    os.write(spool, (json.dumps(entry) + "\n").encode())


async def session(reader, writer):
    def say(line):
        writer.write(line.encode() + b"\r\n")

    sender, recipients, just_delivered = None, [], False
    try:
        say("220 sink.test ESMTP")
        while line := await reader.readline():
            just_delivered = False
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            verb = text.split(" ")[0].split(":")[0].upper()
            if verb == "EHLO":
                for extension in EXTENSIONS[:-1]: say("250-" + extension)
                say("250 " + EXTENSIONS[-1])
            elif verb == "HELO": say("250 sink.test")
            elif verb == "MAIL": sender, recipients = text[10:].strip(), []; say("250 2.1.0 Ok")
            elif verb == "RCPT": recipients.append(text[8:].strip()); say("250 2.1.5 Ok")
            elif verb == "DATA" and recipients:
                say("354 Go on")
                await writer.drain()
                data = await reader.readuntil(b"\r\n.\r\n")
                data = data[:-3].replace(b"\r\n..", b"\r\n.")
                record({"from": sender, "to": recipients, "data": data.decode("latin-1")})
                sender, recipients, just_delivered = None, [], True
                say("250 2.0.0 Kept")
            elif verb in ("RSET", "NOOP"): say("250 2.0.0 Ok")
            elif verb == "QUIT": say("221 2.0.0 Bye"); break
            else: say("503 5.5.1 Not now")
            await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    if just_delivered:
        record({"cut_after_dot": True})
    writer.close()


async def main():
    server = await asyncio.start_server(session, "127.0.0.1", 0, limit=2_000_000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
