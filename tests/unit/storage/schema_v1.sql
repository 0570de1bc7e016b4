-- The journal database.
--
-- One file holds the journals of many executions, and several processes may use it at once. Read the tables in this
-- order.
--
-- `execution` has one row per execution: its summary, which listings read; the end of its journal (`position`); and who
-- may write it (`owner`, `epoch`). An append is admitted by a single UPDATE of this row that names position, epoch and
-- owner, so that a second writer, or one whose lease has passed, changes nothing. Inside the database an execution is a
-- small integer; outside it is text.
--
-- `journal` is the truth. One row per append: `count` events from `position` on, in bytes that only the codec reads.
-- `sequence` rises over the whole file in the order of commits, which is what followers of the feed go by. Rows are
-- never changed. Whoever deletes old ones must leave the newest row, since SQLite gives the next row one more than the
-- highest number that is left.
--
-- `owner` has one row per process that has executions, with its heartbeat. Executions point at it, so that a process
-- with ten thousand executions sends one heartbeat. A row goes when nothing points at it.
--
-- `blob` and `blob_part` hold large values, once each, under the sha256 of their bytes, in rows of a megabyte. A blob
-- counts from `complete` on: the parts of a large one come in several transactions, and whoever puts the same blob at
-- the same time, or after a crash, adds the parts that are missing.
--
-- `message` is the inbox: what people and other processes want of an execution, until an event stands for it. Ids are
-- never used twice, because a commit names the messages that it takes.
--
-- `note` holds progress and output, bounded per attempt. `line` counts the lines of an attempt from 1, those that were
-- dropped included; its newest progress has line 0. `dropped` is how many lines are missing just before this one.
--
-- What is left out on purpose: foreign keys (rows are only added by code that has just read the row they point at, and
-- checking would cost each commit a look-up), triggers, and indexes on columns that every append changes (each would
-- cost every commit one more page in the log). Times are seconds since the epoch, UTC.

CREATE TABLE execution (
  id              INTEGER PRIMARY KEY,
  execution_id    TEXT    NOT NULL UNIQUE,
  pipeline_id     TEXT    NOT NULL,
  status          TEXT    NOT NULL,
  created_at      REAL    NOT NULL,
  updated_at      REAL    NOT NULL,
  steps_total     INTEGER NOT NULL,
  steps_done      INTEGER NOT NULL,
  steps_failed    INTEGER NOT NULL,
  message         TEXT    NOT NULL,
  next_due        REAL,
  priority        INTEGER NOT NULL,
  concurrency_key TEXT,
  position        INTEGER NOT NULL CHECK (position > 0),
  epoch           INTEGER NOT NULL CHECK (epoch > 0),
  owner           INTEGER
) STRICT;

CREATE INDEX execution_newest     ON execution (created_at);
CREATE INDEX execution_unfinished ON execution (status)   WHERE status IN ('pending', 'running', 'paused');
CREATE INDEX execution_due        ON execution (next_due) WHERE next_due IS NOT NULL;
CREATE INDEX execution_owner      ON execution (owner)    WHERE owner IS NOT NULL;

CREATE TABLE journal (
  sequence  INTEGER PRIMARY KEY,
  execution INTEGER NOT NULL,
  position  INTEGER NOT NULL CHECK (position > 0),
  count     INTEGER NOT NULL CHECK (count > 0),
  body      BLOB    NOT NULL
) STRICT;

CREATE UNIQUE INDEX journal_position ON journal (execution, position);

CREATE TABLE owner (
  id        INTEGER PRIMARY KEY,
  token     TEXT    NOT NULL UNIQUE,
  host      TEXT    NOT NULL,
  boot_id   TEXT    NOT NULL,
  pid       INTEGER NOT NULL,
  started   INTEGER NOT NULL,
  heartbeat REAL    NOT NULL
) STRICT;

CREATE TABLE blob (
  id       INTEGER PRIMARY KEY,
  hash     BLOB    NOT NULL UNIQUE,
  size     INTEGER NOT NULL,
  complete INTEGER NOT NULL
) STRICT;

CREATE TABLE blob_part (
  blob       INTEGER NOT NULL,
  part       INTEGER NOT NULL,
  compressed INTEGER NOT NULL,
  bytes      BLOB    NOT NULL
) STRICT;

CREATE UNIQUE INDEX blob_part_order ON blob_part (blob, part);

CREATE TABLE message (
  id        INTEGER PRIMARY KEY AUTOINCREMENT,
  execution INTEGER NOT NULL,
  at        REAL    NOT NULL,
  kind      TEXT    NOT NULL,
  payload   BLOB    NOT NULL
) STRICT;

CREATE INDEX message_execution ON message (execution);

CREATE TABLE note (
  sequence  INTEGER PRIMARY KEY,
  execution INTEGER NOT NULL,
  step_key  TEXT    NOT NULL,
  attempt   INTEGER NOT NULL,
  line      INTEGER NOT NULL,
  kind      TEXT    NOT NULL,
  at        REAL    NOT NULL,
  text      TEXT    NOT NULL,
  fraction  REAL,
  dropped   INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX note_line ON note (execution, step_key, attempt, line);

CREATE VIEW listing AS
SELECT e.id, e.execution_id, e.pipeline_id, e.status, e.created_at, e.updated_at, e.steps_total, e.steps_done,
       e.steps_failed, e.message, e.next_due, e.priority, e.concurrency_key,
       o.token, o.host, o.boot_id, o.pid, o.started, o.heartbeat
FROM execution AS e LEFT JOIN owner AS o ON o.id = e.owner;
