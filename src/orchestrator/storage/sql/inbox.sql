-- Messages from outside.

-- name: post
-- A new message; no row where nothing has that id.
INSERT INTO message (execution, at, kind, payload)
SELECT id, :now, :kind, :payload FROM execution WHERE execution_id = :execution_id
RETURNING id;

-- name: wake
-- An execution that waits and that nobody has is due now, where a message came that its last owner did not know of.
UPDATE execution SET next_due = :now
WHERE execution_id = :execution_id AND owner IS NULL AND next_due > :now
  AND EXISTS (SELECT 1 FROM message WHERE message.execution = execution.id AND message.id > :seen);

-- name: inbox
-- The messages that no event stands for yet, oldest first.
SELECT m.id, m.at, m.kind, m.payload
FROM message AS m JOIN execution AS e ON e.id = m.execution
WHERE e.execution_id = :execution_id
ORDER BY m.id;

-- name: posted_since
-- Whose inbox got a message after this one that no event stands for yet, oldest first.
SELECT m.id, e.execution_id
FROM message AS m CROSS JOIN execution AS e ON e.id = m.execution
WHERE m.id > :after
ORDER BY m.id;
