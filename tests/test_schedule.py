"""Hours in which messages may go out, on days like any other and on those on which clocks are set."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messaging.schedule import Hours

BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = {"days": [0, 1, 2, 3, 4], "from": "09:00", "to": "17:00"}
NIGHT = {"days": [4, 5], "from": "22:00", "to": "02:00"}


@pytest.mark.parametrize(
    ("hours", "asked", "opens"),
    [
        (OFFICE, "2026-06-03 12:00", "2026-06-03 12:00"),
        (OFFICE, "2026-06-03 08:59", "2026-06-03 09:00"),
        (OFFICE, "2026-06-03 17:00", "2026-06-04 09:00"),
        (OFFICE, "2026-06-05 18:00", "2026-06-08 09:00"),
        (NIGHT, "2026-06-05 23:00", "2026-06-05 23:00"),
        (NIGHT, "2026-06-06 01:59", "2026-06-06 01:59"),
        (NIGHT, "2026-06-06 02:00", "2026-06-06 22:00"),
        (NIGHT, "2026-06-07 02:00", "2026-06-12 22:00"),
        ({"days": [6], "from": "00:00", "to": "00:00"}, "2026-06-06 12:00", "2026-06-07 00:00"),
        # Clocks skip 02:00 to 03:00 on the 29th of March.
        ({"days": list(range(7)), "from": "02:15", "to": "02:45"}, "2026-03-29 00:00", "2026-03-30 02:15"),
        ({"days": list(range(7)), "from": "02:15", "to": "04:00"}, "2026-03-29 00:00", "2026-03-29 03:00"),
        ({"days": [6], "from": "02:15", "to": "02:45"}, "2026-03-28 12:00", "2026-04-05 02:15"),
    ],
)
def test_the_earliest_moment_is_found(hours, asked, opens):
    asked, opens = (datetime.fromisoformat(moment).replace(tzinfo=BERLIN) for moment in (asked, opens))
    assert Hours.from_json(hours).opening(asked, BERLIN) == opens


def test_an_hour_that_clocks_show_twice_is_open_twice():
    hours = Hours.from_json({"days": [6], "from": "02:00", "to": "02:30"})
    first = datetime(2026, 10, 25, 2, 0, tzinfo=BERLIN)
    again = datetime(2026, 10, 25, 2, 0, fold=1, tzinfo=BERLIN)
    assert hours.opening(first - timedelta(hours=1), BERLIN).timestamp() == first.timestamp()
    assert hours.opening(first + timedelta(minutes=40), BERLIN).timestamp() == again.timestamp()


@given(
    st.sets(st.integers(0, 6), min_size=1),
    st.times(),
    st.times(),
    st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1)),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
)
def test_nothing_goes_out_when_it_is_closed_nor_later_than_it_could(days, begin, end, moment, zone):
    zone, moment = ZoneInfo(zone), moment.replace(tzinfo=UTC)
    hours = Hours(frozenset(days), begin.replace(second=0, microsecond=0), end.replace(second=0, microsecond=0))
    opening = hours.opening(moment, zone)
    assert opening >= moment
    assert hours.is_open(opening.astimezone(zone))
    between = moment
    while between < opening:
        assert not hours.is_open(between.astimezone(zone))
        between += max((opening - moment) / 50, timedelta(seconds=1))


@pytest.mark.parametrize(
    ("hours", "spoken"),
    [
        (OFFICE, "Mon to Fri from 09:00 to 17:00"),
        (NIGHT, "Fri, Sat from 22:00 to 02:00"),
        ({"days": list(range(7)), "from": "08:00", "to": "20:00"}, "every day from 08:00 to 20:00"),
        ({"days": [5, 6], "from": "00:00", "to": "00:00"}, "on Sat, Sun"),
    ],
)
def test_hours_speak(hours, spoken):
    assert str(Hours.from_json(hours)) == spoken
    assert Hours.from_json(hours).as_json() == hours


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"days": [], "from": "09:00", "to": "10:00"},
        {"days": [7], "from": "09:00", "to": "10:00"},
        {"days": [1], "from": "9", "to": "10:00"},
        {"days": 3, "from": "09:00", "to": "10:00"},
    ],
)
def test_what_is_none_is_refused(wrong):
    with pytest.raises(ValueError):
        Hours.from_json(wrong)


def test_a_moment_of_the_day_is_in_no_time_zone():
    assert Hours(frozenset({0}), time(9), time(17)).as_json() == {"days": [0], "from": "09:00", "to": "17:00"}
