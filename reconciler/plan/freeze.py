"""Times in which nothing is applied. Pure: the moment is given."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from reconciler.model import GuardCheck
from reconciler.policy import Freeze


def frozen(windows: Sequence[Freeze], moment: datetime, *, changes: int) -> GuardCheck:
    """The rule `freeze`: no change at all, at this moment, inside any of the windows. What is empty always passes."""
    shut = [window for window in windows if within(window, moment)]
    if shut and changes:
        said = "; ".join(window.label + (f": {window.reason}" if window.reason else "") for window in shut)
        return GuardCheck(
            "freeze",
            passed=False,
            message=f"nothing is to be applied now, in the freeze window {said}",
            override="apply once it is over, change guard.freeze in a reviewed change, or: --allow freeze",
        )
    if not windows:
        return GuardCheck("freeze", passed=True, message="no freeze window")
    return GuardCheck("freeze", passed=True, message="nothing to freeze" if shut else "outside every freeze window")


def within(window: Freeze, moment: datetime) -> bool:
    """Whether the clocks on the wall in the window's zone are inside it; `moment` is aware.

    Times that a change of clocks skips are in no window, those that it repeats are inside both times.
    """
    local = moment.astimezone(window.zone)
    now = local.hour * 60 + local.minute
    today, yesterday = local.weekday(), (local - timedelta(days=1)).weekday()
    if window.start < window.end:
        return today in window.days and window.start <= now < window.end
    return (today in window.days and now >= window.start) or (yesterday in window.days and now < window.end)
