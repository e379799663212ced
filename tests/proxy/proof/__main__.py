"""``python -m tests.proxy.proof``: the long run. Prints what was asked how often, and which rules were noticed missing.

CASES: about how many cases in all.  SEED: where chance begins.  ONLY: part of a property's name.  RULES=0: leave the
mutation check out.
"""

import os
import sys
import time
from collections import Counter
from types import ModuleType

from tests.proxy.proof.environment import emptied, prepared

CASES = int(os.environ.get("CASES", "100000"))
SEED = int(os.environ.get("SEED", "1"))
ONLY = os.environ.get("ONLY", "")
RULES = os.environ.get("RULES", "1") != "0"
# What each property gets of all cases; the slow ones less, the first of all most.
PARTS = {"T1": 36, "T2": 6, "T3": 6, "T4": 8, "T5": 10, "T6": 12, "T7": 6, "T8": 12, "T9": 4}
PART = 5_000  # cases for which one world is used


def main() -> int:
    """Run everything; return the exit status."""
    with prepared():
        # Only now is there a configured Django to import models from.
        from tests.proxy.proof.catalogue import PROPERTIES
        from tests.proxy.proof.running import Tally

        tally, failed = Tally(), []
        say(f"seed {SEED}, about {CASES} cases")
        chosen = [one for one in PROPERTIES if ONLY in one.NAME]
        whole = sum(PARTS[one.NAME[:2]] for one in chosen)
        for one in chosen:
            failed += run(one, CASES * PARTS[one.NAME[:2]] // max(whole, 1), tally)
        report(tally)
        unnoticed = check_rules() if RULES else 0
    say(f"failed: {', '.join(failed) or 'none'}; rules not noticed: {unnoticed if RULES else 'not looked for'}")
    return 1 if failed else 0


def run(property_: ModuleType, cases: int, tally: object) -> list[str]:
    """Run one property in all its modes. Returns the names of what failed."""
    from tests.proxy.proof.catalogue import lacks
    from tests.proxy.proof.running import prove
    from tests.proxy.proof.world import running_world

    failed = []
    for mode in property_.PROVEN_IN:
        share, began, done = max(cases // len(property_.PROVEN_IN), 1), time.monotonic(), 0
        try:
            while done < share:
                part = min(PART, share - done)
                with running_world(SEED + done // PART) as world:
                    if lacking := lacks(property_, world):
                        say(f"NOT PROVEN  {property_.NAME}: {lacking}")
                        break
                    prove(property_, world, mode, cases=part, first_seed=SEED + done, tally=tally)  # type: ignore[arg-type]
                done += part
                emptied()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            failed.append(f"{property_.NAME} {mode}")
            notes = "\n".join(getattr(error, "__notes__", ()))
            say(f"FAILED  {property_.NAME} {mode}: {type(error).__name__}: {error}\n{notes}")
        emptied()
        seconds = time.monotonic() - began
        say(f"{property_.NAME:22} {mode:9} {done:7} cases {seconds:8.1f} s {done / seconds:7.1f} cases/s")
    return failed


def report(tally: object) -> None:
    """Print what was counted."""
    cases: Counter[tuple[str, str, str]] = tally.cases  # type: ignore[attr-defined]
    outcomes: Counter[tuple[str, str, str]] = tally.outcomes  # type: ignore[attr-defined]
    say("\ncases by property, mode and interaction")
    for (name, mode, interaction), count in sorted(cases.items()):
        say(f"  {name:22} {mode:9} {interaction:32} {count:8}")
    say("\nwhat the answers were")
    for (name, mode, outcome), count in sorted(outcomes.items()):
        say(f"  {name:22} {mode:9} {outcome:32} {count:8}")
    say(f"\ncases judged: {sum(cases.values())}")


def check_rules() -> int:
    """Take each rule away and see who notices. Returns how many nobody noticed."""
    from tests.proxy.proof.mutation import table

    say("\nrules taken away, one at a time")
    unnoticed = 0
    for row in table(SEED):
        unnoticed += not row.noticed_after
        say(str(row))
        emptied()
    return unnoticed


def say(text: str) -> None:
    """Print at once, whoever reads."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
