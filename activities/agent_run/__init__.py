"""One agent invocation: the SDK's runner untouched, a journal under its model and tools."""
