"""Built-in types to plain data and back.

What `…_from` is given comes from the data and may be anything. Where Python is lenient (a text is a sequence of texts),
it is refused here; what raises by itself is turned into a DecodeError by the carriers.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from orchestrator.errors import DecodeError

_Clock = TypeVar("_Clock", dt.datetime, dt.time)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Stands for a mapping with keys that the carrier has no word for."""

    items: Iterable[tuple[Any, Any]]


def text(parts: Any) -> str:
    """The parts, which are to be a text."""
    return parts if type(parts) is str else _refuse(parts, "text")


def items(parts: Any) -> list[Any]:
    """The parts, which are to be a list."""
    return parts if type(parts) is list else _refuse(parts, "a list")


def mapping(parts: Any) -> dict[Any, Any]:
    """The parts, which are to be a mapping."""
    return parts if type(parts) is dict else _refuse(parts, "a mapping")


def _refuse(parts: Any, wanted: str) -> Any:
    raise DecodeError(f"a recorded value is damaged: it has a {type(parts).__qualname__} where {wanted} belongs")


def pairs_parts(pairs: Iterable[tuple[Any, Any]]) -> list[list[Any]]:
    """The items of a mapping."""
    return [list(pair) for pair in pairs]


def pairs_from(parts: Any) -> dict[Any, Any]:
    """A mapping from its items."""
    return dict(map(items, items(parts)))


# -- times -------------------------------------------------------------------------------------------------------------


def datetime_parts(value: dt.datetime) -> list[Any]:
    """Text, name of the zone, fold. A ZoneInfo keeps its name, any other zone its offset."""
    zone = _zone_name(value)
    return [(value.replace(tzinfo=None) if zone else value).isoformat(), zone, value.fold]


def datetime_from(parts: Any) -> dt.datetime:
    """A datetime from text, zone and fold."""
    written, zone, fold = items(parts)
    return _in_zone(dt.datetime.fromisoformat(written).replace(fold=fold), zone)


def time_parts(value: dt.time) -> Any:
    """The text; text, zone and fold where that does not say all."""
    zone = _zone_name(value)
    if zone is None and not value.fold:
        return value.isoformat()
    return [(value.replace(tzinfo=None) if zone else value).isoformat(), zone, value.fold]


def time_from(parts: Any) -> dt.time:
    """A time from either form."""
    written, zone, fold = (parts, None, 0) if type(parts) is str else items(parts)
    return _in_zone(dt.time.fromisoformat(written).replace(fold=fold), zone)


def _zone_name(value: dt.datetime | dt.time) -> str | None:
    zone = value.tzinfo
    if zone is None:
        return None
    if type(zone).__module__ == "zoneinfo" and zone.key is not None:  # type: ignore[attr-defined]  # a ZoneInfo
        return zone.key  # type: ignore[attr-defined, no-any-return]
    if value.utcoffset() is None:
        raise TypeError("its time zone has neither a name nor an offset")
    return None


def _in_zone(value: _Clock, zone: str | None) -> _Clock:
    if zone is None:
        return value
    from zoneinfo import ZoneInfo

    return value.replace(tzinfo=ZoneInfo(zone))


def timedelta_from(parts: Any) -> dt.timedelta:
    """A timedelta from days, seconds and microseconds."""
    days, seconds, microseconds = items(parts)
    return dt.timedelta(days, seconds, microseconds)


# -- numbers -----------------------------------------------------------------------------------------------------------


def complex_from(parts: Any) -> complex:
    """A complex number from its two parts."""
    real, imag = items(parts)
    return complex(real, imag)


def range_from(parts: Any) -> range:
    """A range from start, stop and step."""
    start, stop, step = items(parts)
    return range(start, stop, step)


# -- containers --------------------------------------------------------------------------------------------------------

#: What a defaultdict may make its values with. It is called at each missing key, so that the data may not name others.
FACTORIES: dict[str, type] = {kind.__name__: kind for kind in (bool, dict, float, int, list, set, str, tuple)}


def defaultdict_parts(value: defaultdict[Any, Any]) -> list[Any]:
    """The name of its factory, and the items."""
    factory = value.default_factory
    name = None if factory is None else getattr(factory, "__name__", "")
    if name is not None and FACTORIES.get(name) is not factory:
        raise TypeError(f"its factory is none of None, {', '.join(FACTORIES)}")
    return [name, pairs_parts(value.items())]


def defaultdict_from(parts: Any) -> defaultdict[Any, Any]:
    """A defaultdict from its factory's name and its items."""
    factory, pairs = items(parts)
    return defaultdict(None if factory is None else FACTORIES[factory], pairs_from(pairs))


def deque_from(parts: Any) -> deque[Any]:
    """A deque from its items and its greatest length."""
    children, maxlen = items(parts)
    return deque(items(children), maxlen)


def counter_from(parts: Any) -> Counter[Any]:
    """A Counter from its items."""
    return Counter(pairs_from(parts))


def ordered_from(parts: Any) -> OrderedDict[Any, Any]:
    """An OrderedDict from its items."""
    return OrderedDict(pairs_from(parts))
