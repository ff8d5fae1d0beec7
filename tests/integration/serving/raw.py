"""The PostgreSQL protocol message by message: what drivers send that Python's does not, and what none should.

Owns: the messages. Does not own: expectations.
"""

import socket
import struct

NAMES = b"user\0any\0database\0siltstone\0\0"
START = struct.pack("!ii", 8 + len(NAMES), 196608) + NAMES


class Client:
    """A connection that is logged in without a password."""

    def __init__(self, host, port):
        self.socket = socket.create_connection((host, port), timeout=60)
        self.file = self.socket.makefile("rb")
        self.socket.sendall(START)
        self.until(b"Z")

    def send(self, *messages):
        self.socket.sendall(b"".join(kind + struct.pack("!i", 4 + len(body)) + body for kind, body in messages))

    def until(self, *kinds):
        """The kinds of messages up to one of these, with the text of an error."""
        seen, text = [], b""
        while True:
            kind = self.file.read(1)
            if not kind:
                return seen, text
            body = self.file.read(struct.unpack("!i", self.file.read(4))[0] - 4)
            seen.append(kind)
            text += body if kind == b"E" else b""
            if kind in kinds:
                return seen, text


def sent(host, port, kind, size):
    """The bytes of one long message behind the start that the server takes, and its answers."""
    with socket.create_connection((host, port), timeout=60) as client:
        taken = 0
        try:
            client.sendall(START + kind + struct.pack("!i", size))
            while taken < size:
                taken += client.send(b"x" * min(65536, size - taken))
        except OSError:
            pass
        answer = b""
        try:
            while part := client.recv(65536):
                answer += part
        except OSError:
            pass
        return taken, answer
