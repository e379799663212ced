"""``python -m tests.hapi``: those properties of the proof that can be asked of a server which only does what it does.

CASES: about how many cases in all.  SEED: where chance begins.  ONLY: part of a property's name.  `make prove-hapi`
builds the server first. Left out, aloud, is what needs the small server's ways of lying or its exchangeable store.
"""

import os
import sys
import time
from types import ModuleType
from typing import Any

from tests.hapi.server import running_hapi
from tests.proxy.proof.environment import prepared

CASES = int(os.environ.get("CASES", "3000"))
SEED = int(os.environ.get("SEED", "1"))
ONLY = os.environ.get("ONLY", "")
PARTS = {"T1": 6, "T4": 3, "T5": 1}  # what each property gets of all cases
PART = 100  # cases after which a property goes on whatever failed, for one failure may hide another
LEFT_OUT = {
    "T2": "needs two stored states, put in each other's place for every case",
    "T3": "needs the stored state set back after every write",
    "T6": "needs to see every request that arrives upstream",
    "T7": "needs to see that nothing arrives upstream",
    "T8": "needs a server that lies",
    "T9": "needs the stored state set back after every write",
}


def main() -> int:
    """Run what can be run; return the exit status."""
    with prepared(), running_hapi() as base_url:
        # Only now is there a configured Django to import models from.
        from tests.hapi.world import hapi_world
        from tests.proxy.proof.__main__ import report, say
        from tests.proxy.proof.catalogue import PROPERTIES
        from tests.proxy.proof.running import Tally

        tally, failed, began = Tally(), [], time.monotonic()
        with hapi_world(base_url, SEED) as world:
            say(f"seed {SEED}, about {CASES} cases; loaded {len(world.shelf.versions)} versions of")
            say(f"{len(world.shelf.state.resources)} resources in {time.monotonic() - began:.0f} s")
            say(f"what HAPI refused to store: {dict(world.refused)}")
            chosen = [one for one in PROPERTIES if ONLY in one.NAME]
            whole = sum(PARTS.get(one.NAME[:2], 0) for one in chosen)
            for one in chosen:
                if why := LEFT_OUT.get(one.NAME[:2]):
                    say(f"NOT PROVEN  {one.NAME}: {why}")
                elif not _holds(one, world, tally, max(CASES * PARTS[one.NAME[:2]] // whole, 1)):
                    failed.append(one.NAME)
        report(tally)
    say(f"failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


def _holds(property_: ModuleType, world: Any, tally: Any, share: int) -> bool:
    from tests.proxy.proof.__main__ import say
    from tests.proxy.proof.running import prove

    began, failed = time.monotonic(), 0
    for start in range(0, share, PART):
        try:
            part = min(PART, share - start)
            prove(property_, world, "faithful", cases=part, first_seed=SEED + start, tally=tally)
        except Exception as error:
            failed += 1
            notes = "\n".join(getattr(error, "__notes__", ()))
            say(f"FAILED  {property_.NAME}: {type(error).__name__}: {error}\n{notes}")
    seconds = time.monotonic() - began
    say(f"{property_.NAME:22} {share:7} cases {seconds:8.1f} s {share / seconds:7.1f} cases/s, {failed} parts failed")
    return failed == 0


if __name__ == "__main__":
    sys.exit(main())
