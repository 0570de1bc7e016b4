"""Power loss, simulated: what SQLite does to its files is recorded, and any moment of it can become a disk.

    python -m orchestrator.testing.power_loss --cuts 2000 --seed 7

Pipelines run on a store whose file layer (`vfs`) writes down every write, sync, creation and deletion on a *tape*, and
a witness puts there what the store acknowledged, in the order in which it happened. A *power cut* is a place on that
tape. `disk` plays the tape up to there and draws what a disk might hold after the machine went dark; `check` opens that
as a store, and finds every acknowledged record there, or the promise of `durability="disk"` broken.

So one run is cut at every place where anything happened, several ways each, without a process being killed. It is the
idea of ALICE (Pillai et al., OSDI 2014) and of dm-log-writes, at the level of SQLite's own calls.

What the model assumes of a disk, and no more:

- What a file held at its last sync is there. Nothing else is certain.
- Of what was written since, each sector (512 or 4096 bytes) holds what it held at *some* moment since that sync, each
  sector at a moment of its own: writes are reordered, dropped, half done.
- A sector may be torn: the beginning of a later content, the rest of an earlier one; or the bytes that were being
  written are garbage. Bytes of it that nobody wrote survive, as SQLite assumes of a *powersafe overwrite*; without
  that assumption (and with SQLite told so) the whole sector may be garbage, what was synced before included.
- A file's size is that of some moment since its sync. Where it grew and nothing was written are zeros or garbage.
- A file that was made or deleted is so on the disk once its folder was synced; until then either may be the case, for
  each file by itself. SQLite syncs the folder with the first sync of a log or rollback journal that it made, as its
  Unix layer does; the store's own syncs of the folder and the log go past SQLite and are not seen: the model is
  stricter there than the disk.
- The `-shm` file, which is memory, is gone.

What is not modelled: a disk that changes sectors which nobody wrote, or that reports a sync it did not do. The second
is what a planted fault of the tests does, and is found. The files themselves are written and never synced.
"""
