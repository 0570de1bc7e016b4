-- Bytes, for `du`. All but the sizes of given blobs read a whole table or its index, once: 0.1 s for a million appends.
-- The length of a blob stands at the head of its row, so that no large value is read to learn its size.

-- name: journal_bytes
-- The appends of each execution and their bytes.
SELECT e.execution_id, count(j.sequence), coalesce(sum(length(j.body)), 0)
FROM execution AS e LEFT JOIN journal AS j ON j.execution = e.id
GROUP BY e.id;

-- name: note_bytes
-- The bytes of each execution's notes, where it has any.
SELECT e.execution_id, sum(octet_length(n.text) + octet_length(n.step_key))
FROM note AS n JOIN execution AS e ON e.id = n.execution
GROUP BY n.execution;

-- name: all_blob_bytes
-- What all large values take, each once.
SELECT coalesce(sum(length(bytes)), 0) FROM blob_part;

-- name: blob_bytes
-- What one large value takes; no row where it is not there.
SELECT sum(length(p.bytes))
FROM blob AS b JOIN blob_part AS p ON p.blob = b.id
WHERE b.hash = :hash AND b.complete
GROUP BY b.id;
