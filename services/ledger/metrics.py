"""What the ledger counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class LedgerMetrics:
    """One registry for each ledger: a process may run more than one, as tests do."""

    def __init__(self) -> None:
        self.registry = r = CollectorRegistry()
        self.calls = Counter("patchwright_model_calls", "Calls by how they ended.", ["provider", "model", "end"], registry=r)
        self.attempts = Counter("patchwright_model_attempts", "Requests sent, by result.", ["provider", "result"], registry=r)
        self.uncertain = Counter(
            "patchwright_model_calls_uncertain",
            "Requests whose answer was lost at a provider that cannot be asked again: possibly paid for nothing.",
            ["provider"],
            registry=r,
        )
        self.replays = Counter("patchwright_model_replays", "Calls answered from the ledger.", registry=r)
        self.joined = Counter("patchwright_model_joined", "Calls that waited for the same one under way.", registry=r)
        self.keyless = Counter("patchwright_model_calls_without_key", "Calls without a key: never deduplicated.", registry=r)
        self.refused = Counter("patchwright_model_budget_refusals", "Calls refused because a budget is spent.", registry=r)
        self.tokens = Counter("patchwright_model_tokens", "Tokens paid for.", ["provider", "model", "direction"], registry=r)
        self.cost = Counter("patchwright_model_cost_usd", "US dollars by the price table.", ["provider", "model"], registry=r)
        self.in_flight = Gauge("patchwright_model_calls_in_flight", "Calls under way.", registry=r)
        self.seconds = Histogram(
            "patchwright_model_call_seconds", "Time from a call to its stored answer.", ["provider"], buckets=SECONDS, registry=r
        )

    def exposition(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self.registry)
