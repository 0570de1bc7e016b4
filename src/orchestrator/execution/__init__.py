"""HOW IT RUNS: the rooms of the execution contract, from variables up to the engine."""
