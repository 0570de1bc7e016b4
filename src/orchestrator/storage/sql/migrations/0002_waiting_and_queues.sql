-- What waits, what queues and what is under way can be found without looking at all the rest.

CREATE INDEX execution_waiting ON execution (next_due) WHERE owner IS NULL AND next_due IS NOT NULL;
CREATE INDEX execution_queue   ON execution (concurrency_key, created_at) WHERE status = 'pending' AND owner IS NULL;
CREATE INDEX execution_begun   ON execution (concurrency_key, created_at)
  WHERE concurrency_key IS NOT NULL AND (status IN ('running', 'paused') OR owner IS NOT NULL);
