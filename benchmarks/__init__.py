"""Measurements: each case in a process of its own, next to what the disk itself allows at that moment.

python -m benchmarks            all cases, five times in turn, into benchmarks/RESULTS.md
python -m benchmarks --quick    once, smaller, printed only
"""
