-- Journals, and what a store asks about itself.

-- name: journal_end
-- Where a journal ends now: a reader goes no further, so that it needs no open transaction.
SELECT id, position FROM execution WHERE execution_id = :execution_id;

-- name: journal_page
-- The next appends of a journal, beginning with the one that holds event `after + 1`.
SELECT sequence, position, count, body
FROM journal
WHERE execution = :execution AND position <= :last
  AND position >= coalesce((SELECT max(position) FROM journal WHERE execution = :execution AND position <= :after + 1), 1)
ORDER BY position
LIMIT :limit;

-- name: feed
-- What was committed after a sequence, over all executions.
SELECT j.sequence, e.execution_id, j.position, j.count, j.body
FROM journal AS j JOIN execution AS e ON e.id = j.execution
WHERE j.sequence > :after
ORDER BY j.sequence
LIMIT :limit;

-- name: recent_ids
-- Ids to compare a mistyped one with.
SELECT execution_id FROM execution ORDER BY created_at DESC, id DESC LIMIT 200;

-- name: newest
-- The newest row of the journal.
SELECT max(sequence) FROM journal;
