-- Progress and output.

-- name: note_execution
-- The number of an execution; notes of one that is not there are dropped.
SELECT id FROM execution WHERE execution_id = :execution_id;

-- name: last_line
-- How many lines an attempt has had.
SELECT coalesce(max(line), 0) FROM note
WHERE execution = :execution AND step_key = :step_key AND attempt = :attempt;

-- name: add_note
-- A line, or the progress of an attempt (line 0), which takes the place of the one before.
INSERT OR REPLACE INTO note (execution, step_key, attempt, line, kind, at, text, fraction, dropped)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: drop_lines
-- The oldest lines of an attempt, up to this one.
DELETE FROM note
WHERE execution = :execution AND step_key = :step_key AND attempt = :attempt AND line BETWEEN 1 AND :line;

-- name: mark_dropped
-- The oldest line that is left says how many are missing before it.
UPDATE note SET dropped = line - 1
WHERE execution = :execution AND step_key = :step_key AND attempt = :attempt
  AND line = (SELECT min(line) FROM note
              WHERE execution = :execution AND step_key = :step_key AND attempt = :attempt AND line > :line);

-- name: notes
-- The notes of an execution or of one step, in order.
SELECT sequence, step_key, attempt, kind, at, text, fraction, dropped
FROM note
WHERE execution = (SELECT id FROM execution WHERE execution_id = :execution_id) AND sequence > :after
  AND (:step_key IS NULL OR step_key = :step_key)
ORDER BY sequence;
