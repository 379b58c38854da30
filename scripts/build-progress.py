"""Passes on cargo's output from standard input, with its progress bar as a line every half minute."""

import os
import re
import sys
import time

INTERVAL_SECONDS = 30
PROGRESS = re.compile(rb"^\s*Building \[[=> ]*\] (\d+)/(\d+)")
COMPILING = re.compile(rb"^\s*(Compiling|Fresh|Downloaded|Downloading|Blocking) ")


def lines():
    """Standard input in pieces up to a line feed or carriage return, as soon as they arrive."""
    rest = b""
    while block := os.read(sys.stdin.fileno(), 65536):
        *whole, rest = re.split(rb"[\r\n]", (rest + block).replace(b"\x1b[K", b""))
        yield from whole
    yield rest


def main():
    begun = time.monotonic()
    said = begun
    for line in lines():
        progress = PROGRESS.match(line)
        if progress and time.monotonic() - said >= INTERVAL_SECONDS:
            said = time.monotonic()
            minutes, seconds = divmod(int(said - begun), 60)
            done, total = (int(number) for number in progress.groups())
            print(f"building: {done} of {total} units after {minutes} min {seconds:02} s")
        if line.strip() and not progress and not COMPILING.match(line):
            sys.stdout.buffer.write(line + b"\n")
            sys.stdout.buffer.flush()


main()
