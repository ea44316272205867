"""What Prometheus would read of a process."""

from collections.abc import Iterator

import httpx
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families


class Scrape:
    """One answer, by name and labels."""

    def __init__(self, text: str) -> None:
        self.families: list[Metric] = list(text_string_to_metric_families(text))

    def value(self, name: str, /, **labels: str) -> float | None:
        """Of one series; None where it is not there."""
        found = (s.value for f in self.families for s in f.samples if s.name == name and s.labels == labels)
        return next(found, None)

    def labels(self) -> Iterator[str]:
        """The values of all labels."""
        for family in self.families:
            for sample in family.samples:
                yield from sample.labels.values()


async def scraped(port: int) -> Scrape:
    async with httpx.AsyncClient(timeout=20, trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{port}/metrics")
    assert answer.status_code == 200
    return Scrape(answer.text)
