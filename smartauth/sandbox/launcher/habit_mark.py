"""What the habit chosen for a launch did to the app, as a line of the report. Pure."""

from collections.abc import Sequence

from smartauth.sandbox.launcher.habits import HABITS, Habit
from smartauth.sandbox.launcher.report_card import Mark, Verdict
from smartauth.sandbox.launcher.seen import Seen

LEVELS = ("patient/", "user/", "system/")  # with which a scope begins that reaches records


def of_habit(seen: Sequence[Seen], habit: str) -> tuple[Mark, ...]:
    """Return the line on `habit`; there is none where "" was chosen. seen: the requests, oldest first."""
    if habit not in HABITS:
        return ()
    chosen = HABITS[habit]
    verdict, says = (_short_lived if chosen.token_lifetime else _scopes)(seen, chosen)
    return (Mark("habit", f"The habit: {chosen.title}", verdict, says),)


def _scopes(seen: Sequence[Seen], habit: Habit) -> tuple[Verdict, str]:
    asked = [at for at, one in enumerate(seen) if _asks(one)]
    met = [at for at in asked if "gone" in seen[at].facts]
    if not asked:
        return "open", "No request met it yet."
    if not met:
        return "open", "It changed nothing: the app asked for nothing that such an EHR treats in another way."
    later = seen[met[0] :]
    says = f"It took away: {seen[met[-1]].facts['gone']}."
    refused = sum(one.part == "fhir" and one.is_refused and not one.fault for one in later)
    if refused:
        return "look", f"{says} Of what the app read then, {refused} requests were refused."
    tokens = [str(one.facts.get("scopes", "")) for one in later if one.part == "token" and not one.is_refused]
    if tokens and not any(scope.startswith(LEVELS) for scope in tokens[-1].split()):
        return "look", f"{says} Of what the app asked for, nothing that reaches records was left."
    if tokens:
        return "good", f"{says} The app went on with the rest."
    return "open", says


def _short_lived(seen: Sequence[Seen], habit: Habit) -> tuple[Verdict, str]:
    if not any(one.part == "token" and not one.is_refused for one in seen):
        return "open", "No token was issued yet."
    if any(one.facts.get("grant_type") == "refresh_token" and not one.is_refused for one in seen):
        return "good", "The app fetched a new token in time, or when it was told."
    if any(one.rule == "token.expired" for one in seen):
        return "look", "The token ended, and no new one was fetched."
    return "open", f"Wait for {habit.token_lifetime} seconds, and have the app read something more."


def _asks(one: Seen) -> bool:
    is_service = one.facts.get("grant_type") == "client_credentials"
    return is_service or (one.part in ("authorize", "par") and not one.facts.get("pushed"))
