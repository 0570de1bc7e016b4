-- Large values. See the schema for why a blob may be there in part.

-- name: begin_blob
-- The row of a blob that is about to be written; without effect where it is known.
INSERT INTO blob (hash, size, complete) VALUES (:hash, :size, 0) ON CONFLICT (hash) DO NOTHING;

-- name: blob_state
-- Its number, and whether all of it is here.
SELECT id, complete FROM blob WHERE hash = :hash;

-- name: add_part
-- One part of a blob; without effect where somebody else put it.
INSERT INTO blob_part (blob, part, compressed, bytes) VALUES (:blob, :part, :compressed, :bytes)
ON CONFLICT (blob, part) DO NOTHING;

-- name: complete_blob
-- From now on the blob counts.
UPDATE blob SET complete = 1 WHERE id = :id AND NOT complete;

-- name: blob_parts
-- The bytes of a whole blob, in order.
SELECT part, compressed, bytes FROM blob_part WHERE blob = :id ORDER BY part;
