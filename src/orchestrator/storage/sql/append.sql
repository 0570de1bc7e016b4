-- What one append does. A refused one must leave nothing behind, so all that can refuse it comes first.

-- name: blob_is_here
-- Whether a blob that an append refers to is in the store, whole.
SELECT 1 FROM blob WHERE hash = :hash AND complete;

-- name: advance
-- Move an execution on by one append, if it stands where the append expects it, under this owner's lease.
UPDATE execution
SET position = position + :count, updated_at = :updated_at, steps_total = :steps_total, steps_done = :steps_done,
    steps_failed = :steps_failed, message = :message
WHERE execution_id = :execution_id AND position = :expected AND epoch = :epoch
  AND owner = (SELECT id FROM owner WHERE token = :token)
RETURNING id, status, next_due, priority, concurrency_key;

-- name: reclassify
-- The columns of the summary that are indexed, or rarely change: written only when they did.
UPDATE execution
SET status = :status, next_due = :next_due, priority = :priority, concurrency_key = :concurrency_key
WHERE id = :id;

-- name: standing
-- Where an execution stands, to say why an append to it is refused.
SELECT e.position, e.epoch, o.token
FROM execution AS e LEFT JOIN owner AS o ON o.id = e.owner
WHERE e.execution_id = :execution_id;

-- name: create
-- The row of a new execution, owned by the process that makes it.
INSERT INTO execution (execution_id, pipeline_id, status, created_at, updated_at, steps_total, steps_done,
                       steps_failed, message, next_due, priority, concurrency_key, position, epoch, owner)
VALUES (:execution_id, :pipeline_id, :status, :created_at, :updated_at, :steps_total, :steps_done,
        :steps_failed, :message, :next_due, :priority, :concurrency_key, :count, 1, :owner)
RETURNING id;

-- name: append
-- One row of the journal.
INSERT INTO journal (execution, position, count, body) VALUES (?, ?, ?, ?);

-- name: take_message
-- A message that the append's events stand for leaves the inbox.
DELETE FROM message WHERE id = :id AND execution = :execution;
