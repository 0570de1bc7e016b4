"""A kit to test pipelines, stores and runners: a clock that jumps, stores that crash, contracts, a kill harness."""
