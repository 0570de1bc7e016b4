"""The contract of a store: inherit it, say how the store is made, and pytest collects every clause.

    class TestMyStore(LastingStoreContract):
        def make_store(self, folder: Path, clock: Clock) -> Store:
            return MyStore(folder / "journal", clock)

`StoreContract` is for every store. `LastingStoreContract` adds what a store owes whose contents outlive the process: a
second call of `make_store` with the same folder must open the same journals, while the first is open as well as after.

The clauses know nothing of how a store works, and make no other calls than those of the protocol. Needs pytest.
"""

from __future__ import annotations

from orchestrator.testing.store_contract.blobs import BlobClauses
from orchestrator.testing.store_contract.given import Given
from orchestrator.testing.store_contract.inbox import InboxClauses
from orchestrator.testing.store_contract.journal import JournalClauses
from orchestrator.testing.store_contract.lasting import LastingClauses
from orchestrator.testing.store_contract.leases import LeaseClauses
from orchestrator.testing.store_contract.listing import ListingClauses
from orchestrator.testing.store_contract.notes import NoteClauses
from orchestrator.testing.store_contract.queue import QueueClauses
from orchestrator.testing.store_contract.takeover import TakeOverClauses
from orchestrator.testing.store_contract.turns import TurnClauses
from orchestrator.testing.store_contract.usage import UsageClauses
from orchestrator.testing.store_contract.waking import WakingClauses

__all__ = ["Given", "LastingStoreContract", "StoreContract"]


class StoreContract(
    JournalClauses,
    QueueClauses,
    LeaseClauses,
    TakeOverClauses,
    TurnClauses,
    WakingClauses,
    ListingClauses,
    BlobClauses,
    InboxClauses,
    NoteClauses,
    UsageClauses,
):
    """What every store owes."""


class LastingStoreContract(StoreContract, LastingClauses):
    """What a store owes whose contents outlive the process."""
