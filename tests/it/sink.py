# Copyright (c) 2026 dovecot-antispam authors, see the included COPYING file
"""A small SMTP server that keeps what it gets, for as long as it is used with
"with"."""

import asyncio
import threading
from dataclasses import dataclass

# By the local part of a recipient; all others are accepted.
REPLIES = {
    'nosuch': '550 5.1.1 There is no such user here',
    'busy': '451 4.3.0 Try again later',
}
# Nothing is answered to a mail to this one.
SILENT = 'silent'


@dataclass
class Mail:
    sender: str
    recipients: list
    # Without SMTP's dots, the lines ended as they were sent.
    message: bytes


class Sink:
    def __init__(self):
        self.mails = []
        self.errors = []

    def __enter__(self):
        self.loop = asyncio.new_event_loop()
        self.server = self.loop.run_until_complete(
            asyncio.start_server(self._serve, '127.0.0.1', 0))
        self.port = self.server.sockets[0].getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_forever,
                                       daemon=True)
        self.thread.start()
        return self

    def __exit__(self, kind, value, traceback):
        asyncio.run_coroutine_threadsafe(self._stop(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    async def _stop(self):
        self.server.close()
        tasks = [task for task in asyncio.all_tasks()
                 if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def take(self):
        """All mails since the last take()."""
        found, self.mails = self.mails, []
        return found

    async def _serve(self, reader, writer):
        try:
            await self._session(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        except Exception as error:  # the test shall see it
            self.errors.append(error)
        finally:
            writer.close()

    async def _session(self, reader, writer):
        mail = Mail('', [], b'')

        async def say(text):
            writer.write(text.encode() + b'\r\n')
            await writer.drain()

        await say('220 sink.example.org ESMTP')
        while line := (await reader.readline()).decode(errors='replace'):
            verb = line.split()[0].upper() if line.split() else ''
            if verb == 'DATA' and mail.recipients:
                await say('354 Go on')
                mail.message = await read_message(reader)
                self.mails.append(mail)
                mail = Mail('', [], b'')
                await say('250 2.0.0 Kept')
            elif verb == 'RCPT':
                address = line[line.index('<') + 1:line.index('>')]
                name = address.split('@')[0]
                if name == SILENT:
                    await reader.read()
                    return
                if name not in REPLIES:
                    mail.recipients.append(address)
                await say(REPLIES.get(name, '250 2.1.5 Yes'))
            elif verb == 'QUIT':
                await say('221 2.0.0 Bye')
                return
            elif verb in ('EHLO', 'HELO', 'MAIL', 'RSET', 'NOOP'):
                if verb == 'MAIL':
                    mail.sender = line[line.index('<') + 1:line.index('>')]
                await say('250 2.0.0 Yes')
            else:
                await say('503 5.5.1 Not now')


async def read_message(reader):
    message = b''
    while True:
        line = await reader.readuntil(b'\n')
        if line == b'.\r\n':
            return message
        message += line[1:] if line.startswith(b'.') else line
