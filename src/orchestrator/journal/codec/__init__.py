"""Values to bytes or JSON and back: typed, safe, equal values to equal forms.

One table (`table`) says which types are carried: how each comes apart into plain data, and how it is put together from
it. Two carriers speak it: `packed` (MessagePack, what the journal holds) and `tree` (plain data for `json.dumps`). A
value comes back equal and of an equal type (a bytearray as bytes).

Reading never runs code of the data's choosing: a class is looked up among those given to `register_type` and those of
modules that are imported already, never imported, and objects are built without calling their class.

A value may hold references to *blobs*, large parts that are kept apart: see `journal.blobs`.
"""

from orchestrator.journal.codec.names import program_name
from orchestrator.journal.codec.packed import IMMUTABLE, Encoded, Ref, decode, pack, unpack
from orchestrator.journal.codec.register import register_type
from orchestrator.journal.codec.tree import from_json, to_json

__all__ = [
    "IMMUTABLE",
    "Encoded",
    "Ref",
    "decode",
    "from_json",
    "pack",
    "program_name",
    "register_type",
    "to_json",
    "unpack",
]
