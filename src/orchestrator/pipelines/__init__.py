"""What to run: the model of a pipeline, its templates, its graph, its plan. Pure: nothing here runs anything."""
