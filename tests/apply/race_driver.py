"""Sixteen processes race for one lease, round after round; prints how often each number of winners came up.

The winner keeps the lease until all others have lost, writes one entry under it, and gives it back.
"""

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

from reconciler.errors import Locked
from reconciler.model import Draft, EntryKind
from reconciler.state.holder import this_process
from reconciler.state.open import open_state
from reconciler.timestamp import stamp

RACERS = 16
WON, LOST = 0, 1


def main() -> None:
    """Race as often as the first argument says, in the current folder, for the state that the second names."""
    winners: Counter[int] = Counter()
    for _ in range(int(sys.argv[1])):
        start, over = os.pipe(), os.pipe()
        racers = [_racer(start, over) for _ in range(RACERS)]
        os.close(start[1])
        lost: set[int] = set()
        while len(lost) < RACERS - 1:
            racer, status = os.wait()
            assert os.waitstatus_to_exitcode(status) == LOST, "nobody may win and leave before the others have lost"
            lost.add(racer)
        os.close(over[1])
        codes = [os.waitstatus_to_exitcode(os.waitpid(racer, 0)[1]) for racer in racers if racer not in lost]
        winners[codes.count(WON)] += 1
        os.close(start[0])
        os.close(over[0])
    sys.stdout.write(json.dumps(winners))


def _racer(start: tuple[int, int], over: tuple[int, int]) -> int:
    """Waits for `start` to be closed, tries once, and if it wins waits for `over` to be closed."""
    child = os.fork()
    if child:
        return child
    os.close(start[1])
    os.close(over[1])
    os.read(start[0], 1)
    state = open_state(sys.argv[2], Path.cwd())
    try:
        lease = state.acquire(this_process(os.environ), ttl=60)
    except Locked:
        os._exit(LOST)
    os.read(over[0], 1)
    state.append(lease, [Draft(EntryKind.RUN, stamp(time.time()), str(os.getpid()))])
    state.release(lease)
    os._exit(WON)


if __name__ == "__main__":
    main()
