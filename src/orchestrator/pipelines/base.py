"""What the classes of the model have in common: frozen, no unknown keys, errors in our words, a canonical form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from orchestrator.pipelines.invalid import findings_of
from orchestrator.pipelines.positions import Finding, report


class Model(BaseModel):
    """Frozen, without unknown keys, with PipelineFileError in place of pydantic's error."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True, validate_by_alias=True)

    #: What an instance is called in an error that has no file.
    _what: ClassVar[str] = "pipeline"
    #: Each field: its name, its key in a file, its default.
    _keys: ClassVar[tuple[tuple[str, str, Any], ...]] = ()
    #: Fields that keep a value equal to their default.
    _kept: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, **data: Any) -> None:
        try:
            super().__init__(**data)
        except ValidationError as error:
            raise report(findings_of(error, type(self)), self._label(data), None) from None
        if found := list(self._rules()):
            raise report(found, self._label(data), None)

    # Tells pydantic that this is no other way to build: it may fill nested models without calling it.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    def _rules(self) -> Iterable[Finding]:
        """What is wrong between the fields; told at once to who builds it in Python, by `checks` of a file."""
        return ()

    @classmethod
    def _label(cls, data: Mapping[str, Any]) -> str:
        name = data.get("id") or data.get("pipeline")
        return f"<{cls._what} {name}>" if name else f"<{cls._what}>"

    def canonical(self) -> Any:
        """Plain data: keys as in a file, what was set and is not the default."""
        plain, were_set = {}, self.model_fields_set
        for name, key, default in self._keys:
            if name in were_set:
                value = getattr(self, name)
                if name in self._kept or (value is not None and value != default):
                    plain[key] = _plain(value)
        return plain

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        cls._keys = tuple(
            (name, info.serialization_alias or name, info.default) for name, info in cls.model_fields.items()
        )


def _plain(value: Any) -> Any:
    if isinstance(value, Model):
        return value.canonical()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
