"""One agent invocation: the SDK's runner untouched, a journal under its model and tools."""

from agents import set_trace_processors

# The SDK's default processor uploads every trace to OpenAI. Whoever wants traces adds a processor of their own.
set_trace_processors([])
