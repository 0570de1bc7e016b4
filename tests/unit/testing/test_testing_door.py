"""The front door of the test kit: lazy, and true to what it lists."""

from __future__ import annotations

import pytest
from tests.unit.test_front_door import loaded_by

from orchestrator import testing


def test_the_import_loads_nothing_heavy() -> None:
    assert loaded_by("import orchestrator.testing") == loaded_by("pass")
    code = "from orchestrator.testing import *; import sys; assert 'pytest' not in sys.modules"
    assert "asyncio" in loaded_by(code)  # the probe sees what is there


@pytest.mark.parametrize("name", testing.__all__)
def test_every_name_is_there_and_documented(name: str) -> None:
    thing = getattr(testing, name)
    assert name == "REAL" or (thing.__doc__ or "").strip()


def test_the_list_is_the_table() -> None:
    assert set(testing.__all__) == set(testing._HOMES)
    with pytest.raises(AttributeError, match="nobody"):
        _ = testing.nobody  # type: ignore[attr-defined]
