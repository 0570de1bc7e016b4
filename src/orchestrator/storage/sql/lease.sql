-- Who has what.

-- name: keep_owner
-- The row of a living process, made where it is missing.
INSERT INTO owner (token, host, boot_id, pid, started, heartbeat)
VALUES (:token, :host, :boot_id, :pid, :started, :now)
ON CONFLICT (token) DO UPDATE SET heartbeat = excluded.heartbeat
RETURNING id;

-- name: heartbeat
-- A process says that it lives, for all that it has.
UPDATE owner SET heartbeat = :now WHERE token = :token;

-- name: holder
-- An execution, its concurrency key, and who has it; the owner's columns are null where nobody has.
SELECT e.id, e.concurrency_key, o.token, o.host, o.boot_id, o.pid, o.started, o.heartbeat
FROM execution AS e LEFT JOIN owner AS o ON o.id = e.owner
WHERE e.execution_id = :execution_id;

-- name: owners
-- All that have something, and when each was last heard of: one row per process.
SELECT id, token, host, boot_id, pid, started, heartbeat FROM owner;

-- name: take
-- Give an execution to an owner; from here on commits under the old epoch are refused.
UPDATE execution SET owner = :owner, epoch = epoch + 1 WHERE id = :id RETURNING epoch;

-- name: give_back
-- Nobody has it now, unless the lease had passed already.
UPDATE execution SET owner = NULL
WHERE execution_id = :execution_id AND epoch = :epoch AND owner = (SELECT id FROM owner WHERE token = :token);

-- name: forget_owner
-- A process that nothing points at any more.
DELETE FROM owner
WHERE token = :token AND NOT EXISTS (SELECT 1 FROM execution WHERE execution.owner = owner.id);
