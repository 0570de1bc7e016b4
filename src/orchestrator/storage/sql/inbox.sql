-- Messages from outside.

-- name: post
-- A new message; no row where nothing has that id.
INSERT INTO message (execution, at, kind, payload)
SELECT id, :now, :kind, :payload FROM execution WHERE execution_id = :execution_id
RETURNING id;

-- name: inbox
-- The messages that no event stands for yet, oldest first.
SELECT m.id, m.at, m.kind, m.payload
FROM message AS m JOIN execution AS e ON e.id = m.execution
WHERE e.execution_id = :execution_id
ORDER BY m.id;
