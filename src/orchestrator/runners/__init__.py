"""Who runs handlers: the event loop, threads, worker processes, shell commands. None outlives its engine.

local            LocalRunner: chooses the place for an attempt
on_loop threads  inside the engine              output     … and what is logged and printed there
shell            commands                       workers worker worker_main   processes that call handlers
guard_client child                              guard keeper processes       who starts children, and ends them
supervise        timeouts and cancellation, one rule for all of these
handlers handler_errors                         from a name to a function, from what it raised to what is recorded
lines notes pipes frames environment            what goes between a child and the engine
leftovers        what a dead engine left
"""
