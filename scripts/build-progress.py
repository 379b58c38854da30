"""Copies cargo's output from standard input, with its progress bar as a line every half minute.

Cargo writes its bar only when a unit starts or ends, and one unit may take minutes. So the line comes by the clock, from
the last bar.
"""

import os
import re
import select
import sys
import time

INTERVAL_SECONDS = 30
PROGRESS = re.compile(rb"^\s*Building \[[=> ]*\] (\d+)/(\d+)(?:: (.*))?")
COMPILING = re.compile(rb"^\s*(Compiling|Fresh|Downloaded|Downloading|Blocking) ")


def pieces():
    """Standard input in pieces up to a line feed or carriage return; None whenever the interval has passed."""
    rest = b""
    due = time.monotonic() + INTERVAL_SECONDS
    while True:
        ready, _, _ = select.select([sys.stdin], [], [], max(0, due - time.monotonic()))
        if time.monotonic() >= due:
            due += INTERVAL_SECONDS
            yield None
        if not ready:
            continue
        block = os.read(sys.stdin.fileno(), 65536)
        *whole, rest = re.split(rb"[\r\n]", (rest + block).replace(b"\x1b[K", b""))
        yield from whole
        if not block:
            yield rest
            return


def main():
    begun = time.monotonic()
    progress = None
    for piece in pieces():
        if piece is None:
            if progress:
                minutes, seconds = divmod(int(time.monotonic() - begun), 60)
                done, total, units = (part.decode(errors="replace") for part in progress.groups(b""))
                now = f", now {units}" if units else ""
                print(f"building: {done} of {total} units after {minutes} min {seconds:02} s{now}", flush=True)
            continue
        progress = PROGRESS.match(piece) or progress
        if piece.strip() and not PROGRESS.match(piece) and not COMPILING.match(piece):
            sys.stdout.buffer.write(piece + b"\n")
            sys.stdout.buffer.flush()


main()
