"""What grows with what: steps, executions, rows and values, from few and small to many and large.

python -m benchmarks.growth [--quick]       into benchmarks/GROWTH.md and charts/growth-*.svg

Each measurement writes a store in one process and looks at it in another. Commits are not synced
(`durability="process"`): a sync costs the same at the first step and at the last, and would only hide what grows.
"""
