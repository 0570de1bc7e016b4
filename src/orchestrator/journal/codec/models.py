"""pydantic models, built without a validator: fields, names of the set ones, private attributes, extra fields.

`model_construct` is not used: it fills fields by their aliases, which may be the names of others, and runs
`model_post_init`.
"""

from __future__ import annotations

import copy
from typing import Any

from orchestrator.errors import DecodeError
from orchestrator.journal.codec.names import NAMES
from orchestrator.journal.codec.objects import is_dataclass, missing
from orchestrator.journal.codec.parts import items, mapping


def is_pydantic(kind: type) -> bool:
    """Whether it is a pydantic model; a pydantic dataclass is a dataclass."""
    return hasattr(kind, "__pydantic_fields__") and not is_dataclass(kind)


def pydantic_parts(model: Any) -> list[Any]:
    """Class, fields, names of the fields that were set; private attributes and extra fields where there are any."""
    kind = type(model)
    try:
        fields = {name: model.__dict__[name] for name in kind.__pydantic_fields__}
    except KeyError as exc:
        raise TypeError(f"its field {exc} was never set") from exc
    parts = [*NAMES.name_of(kind), fields, sorted(model.__pydantic_fields_set__)]
    private, extra = _set_only(model.__pydantic_private__), model.__pydantic_extra__
    return [*parts, private, extra] if private or extra else parts


def pydantic_from(parts: Any) -> Any:
    """A model with these fields; neither its validators nor `model_post_init` run."""
    module, qualname, recorded, fields_set, *rest = items(parts)
    private, extra = rest or ({}, None)
    kind: Any = NAMES.find(module, qualname)
    if not is_pydantic(kind):
        raise DecodeError(f"{module}.{qualname} is no pydantic model any more")
    known = {**mapping(recorded), **mapping(extra or {})}
    fields: dict[str, Any] = {}
    for name, field in kind.__pydantic_fields__.items():
        if name in known:
            fields[name] = known.pop(name)
        elif field.is_required():
            raise missing(module, qualname, name)
        else:
            fields[name] = field.get_default(call_default_factory=True, validated_data=fields)
    model = object.__new__(kind)
    object.__setattr__(model, "__dict__", fields)
    object.__setattr__(model, "__pydantic_fields_set__", set(items(fields_set)))
    if not kind.__pydantic_root_model__:  # which has neither
        object.__setattr__(model, "__pydantic_extra__", _extra(kind, known, extra))
        object.__setattr__(model, "__pydantic_private__", _private(kind, mapping(private), fields))
    return model


def _extra(kind: Any, left: dict[str, Any], extra: dict[str, Any] | None) -> dict[str, Any] | None:
    """What is no field: all of it where the class allows any, else what the model itself had been allowed."""
    if kind.model_config.get("extra") == "allow":
        return left
    return {name: child for name, child in left.items() if name in extra} if extra else None


def _private(kind: Any, recorded: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any] | None:
    """The private attributes that the class has: as recorded, else their defaults."""
    if not kind.__private_attributes__:
        return None
    found = dict(fields)  # a default may be made of the fields and of the private attributes before it
    for name, attribute in kind.__private_attributes__.items():
        found[name] = recorded[name] if name in recorded else _private_default(attribute, found)
    return _set_only({name: found[name] for name in kind.__private_attributes__})


def _private_default(attribute: Any, known: dict[str, Any]) -> Any:
    factory = attribute.default_factory
    if factory is None:
        return copy.deepcopy(attribute.default)
    return factory(known) if getattr(attribute, "default_factory_takes_validated_data", False) else factory()


def _set_only(private: dict[str, Any] | None) -> dict[str, Any]:
    """Private attributes without those that have no value."""
    from pydantic_core import PydanticUndefined

    return {name: child for name, child in (private or {}).items() if child is not PydanticUndefined}
