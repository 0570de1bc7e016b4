"""Measurements: Orchestrator beside its durable peers and the limit of the disk, and its rooms on their own.

python -m benchmarks [--quick]          the workloads, into benchmarks/RESULTS.md and charts/
python -m benchmarks.growth [--quick]   what grows with steps, executions, rows and values, into benchmarks/GROWTH.md
python -m benchmarks.waiting [--quick]  executions that wait, and how late they are woken, into benchmarks/WAITING.md
python -m benchmarks.functions [--quick]  a step of a durable function, into benchmarks/FUNCTIONS.md
python -m benchmarks.profile            where a step's time goes; see benchmarks/PROFILE.md
python -m benchmarks.rooms [--quick]    variables, templates, contexts, events, checkpoints, into benchmarks/ROOMS.md
"""
