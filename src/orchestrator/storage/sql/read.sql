-- Journals and listings.

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

-- name: find_one
-- The summary of one execution, if it matches the rest of the query as well.
SELECT * FROM listing
WHERE execution_id = :execution_id
  AND (:pipeline_id IS NULL OR pipeline_id = :pipeline_id)
  AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
  AND (:due_before IS NULL OR next_due <= :due_before)
LIMIT :limit;

-- name: find_due
-- Waiting executions whose time has come. (The `+` here and below: sort the few that match, do not walk all in order.)
SELECT * FROM listing
WHERE next_due <= :due_before
  AND (:pipeline_id IS NULL OR pipeline_id = :pipeline_id)
  AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
ORDER BY +created_at DESC, id DESC
LIMIT :limit;

-- name: find_unfinished
-- Executions that may still go on: few, whatever the history is.
SELECT * FROM listing
WHERE status IN ('pending', 'running', 'paused')
  AND status IN (SELECT value FROM json_each(:statuses))
  AND (:pipeline_id IS NULL OR pipeline_id = :pipeline_id)
ORDER BY +created_at DESC, id DESC
LIMIT :limit;

-- name: find_newest
-- The newest executions: walks back in time until there are enough.
SELECT * FROM listing
WHERE (:pipeline_id IS NULL OR pipeline_id = :pipeline_id)
  AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
ORDER BY created_at DESC, id DESC
LIMIT :limit;

-- name: recent_ids
-- Ids to compare a mistyped one with.
SELECT execution_id FROM execution ORDER BY created_at DESC, id DESC LIMIT 200;

-- name: newest
-- The newest row of the journal.
SELECT max(sequence) FROM journal;
