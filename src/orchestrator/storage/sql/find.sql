-- Listings. Each gives candidates in the order in which they are wanted; what else a query asks of them is asked where
-- they are read, which stops when there are enough. So each reads little more than it gives.
--
-- A row of the view `listing` has no owner's number, by which the small indexes are chosen: hence the joins. The `+`:
-- sort the few that match, do not walk all in order.

-- name: find_one
-- The summary of one execution.
SELECT * FROM listing WHERE execution_id = :execution_id;

-- name: find_due
-- Executions that wait and whose time has come, the soonest first.
SELECT * FROM listing WHERE next_due <= :due_before ORDER BY next_due, id;

-- name: find_waiting
-- The same, where nobody has them: none of those that are being woken is read.
SELECT l.*
FROM execution AS e CROSS JOIN listing AS l ON l.id = e.id
WHERE e.owner IS NULL AND e.next_due <= :due_before
ORDER BY e.next_due, e.id;

-- name: next_due
-- When the first of those that wait is due.
SELECT next_due FROM execution
WHERE status = 'paused' AND owner IS NULL AND next_due IS NOT NULL
ORDER BY next_due LIMIT 1;

-- name: find_queue
-- Pending executions that nobody has, of one concurrency key or of none, the oldest first.
SELECT l.*
FROM execution AS e CROSS JOIN listing AS l ON l.id = e.id
WHERE e.status = 'pending' AND e.owner IS NULL AND e.concurrency_key IS :concurrency_key
ORDER BY e.created_at, e.id;

-- name: queue_head
-- The first of the queue of a concurrency key.
SELECT * FROM listing
WHERE id = (SELECT id FROM execution
            WHERE status = 'pending' AND owner IS NULL AND concurrency_key = :concurrency_key
            ORDER BY created_at, id LIMIT 1);

-- name: find_begun
-- Executions of a concurrency key that have begun or that somebody has, the oldest first.
SELECT l.*
FROM execution AS e CROSS JOIN listing AS l ON l.id = e.id
WHERE e.concurrency_key = :concurrency_key AND (e.status IN ('running', 'paused') OR e.owner IS NOT NULL)
ORDER BY e.created_at, e.id;

-- name: find_heads
-- The first of each queue that has a key, where none of that key is under way. (Steps from key to key in the index.)
WITH RECURSIVE queue (key) AS (
  SELECT min(concurrency_key) FROM execution WHERE status = 'pending' AND owner IS NULL AND concurrency_key >= ''
  UNION ALL
  SELECT (SELECT min(e.concurrency_key) FROM execution AS e
          WHERE e.status = 'pending' AND e.owner IS NULL AND e.concurrency_key > queue.key)
  FROM queue
  WHERE queue.key IS NOT NULL
)
SELECT l.*
FROM queue CROSS JOIN listing AS l
  ON l.id = (SELECT e.id FROM execution AS e
             WHERE e.status = 'pending' AND e.owner IS NULL AND e.concurrency_key = queue.key
             ORDER BY e.created_at, e.id LIMIT 1)
WHERE NOT EXISTS (SELECT 1 FROM execution AS e
                  WHERE e.concurrency_key = queue.key AND (e.status IN ('running', 'paused') OR e.owner IS NOT NULL)
                    AND e.status IN ('pending', 'running', 'paused'))
ORDER BY +l.created_at, l.id;

-- name: find_owned
-- What these owners have.
SELECT l.*
FROM execution AS e CROSS JOIN listing AS l ON l.id = e.id
WHERE e.owner IN (SELECT value FROM json_each(:owners))
ORDER BY +l.created_at DESC, l.id DESC;

-- name: find_unfinished
-- Executions that may still go on: few, whatever the history is. (One status after the other, else all three are read.)
SELECT l.*
FROM json_each(:statuses) AS wanted CROSS JOIN listing AS l ON l.status = wanted.value
WHERE l.status IN ('pending', 'running', 'paused')
ORDER BY +l.created_at DESC, l.id DESC;

-- name: find_newest
-- The newest executions: walks back in time for as long as it is asked to.
SELECT * FROM listing
WHERE (:pipeline_id IS NULL OR pipeline_id = :pipeline_id)
  AND (:statuses IS NULL OR status IN (SELECT value FROM json_each(:statuses)))
ORDER BY created_at DESC, id DESC;
