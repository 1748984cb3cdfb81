"""From a path, a key and a model to the accounts that may serve it, in order. Pure: no IO, no framework."""
