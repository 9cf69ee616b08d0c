"""The words that pass between rooms: frozen Pydantic models and pure functions, no I/O."""
