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

    @property
    def is_pipeline(self) -> bool:
        """Whether it is a whole pipeline."""
        return self._what == "pipeline"

    #: Each field by its name: its place among them, its key in a file, its default.
    _keys: ClassVar[Mapping[str, tuple[int, str, Any]]] = {}
    #: Fields that keep a value equal to their default.
    _kept: ClassVar[frozenset[str]] = frozenset()
    #: Fields that may hold other pipelines, which `canonical` of a whole pipeline puts in their place.
    _as_given: ClassVar[frozenset[str]] = frozenset()

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
        return self.written()

    def written(self) -> Any:
        """What was set and is not the default, by the keys of a file; other pipelines as they were given."""
        plain, keys = {}, self._keys
        for name in sorted(self.model_fields_set, key=keys.__getitem__):  # few of many
            _, key, default = keys[name]
            value = getattr(self, name)
            if name in self._kept or (value is not None and value != default):
                plain[key] = value if name in self._as_given else _plain(value)
        return plain

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        cls._keys = {
            # (A default that is a list is written as a tuple, which is not copied for each instance.)
            name: (
                place,
                info.serialization_alias or name,
                list(info.default) if type(info.default) is tuple else info.default,
            )
            for place, (name, info) in enumerate(cls.model_fields.items())
        }


def _plain(value: Any) -> Any:
    if isinstance(value, Model):
        return value.written()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
