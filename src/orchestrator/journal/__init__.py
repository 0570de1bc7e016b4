"""WHAT HAS HAPPENED: events, how they are written, how they fold to state, and what a store must offer."""
