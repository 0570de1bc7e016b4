"""The systems that are measured: a module each, with a function per workload, imported by `benchmarks.sample`."""
