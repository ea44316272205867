"""Traces: sent where the environment asks, one span for each piece of work, and nothing of anybody's mail in them."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from demo.mailserver import MailSandbox
from infra import tracing
from services.deps import Deps
from services.sync import run_mailbox
from tests.server.conftest import RITA
from tests.support.office import Office, days_ago, letter
from tests.support.site import served
from workers.settings import job_functions

ANA = "ana@mail.example"


class Collector:
    """An OTLP collector that keeps what it is sent."""

    def __init__(self, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self.requests: list[ExportTraceServiceRequest] = []

    @property
    def spans(self) -> dict[str, Span]:
        """By name; of several of one name, the last."""
        scopes = (scope for request in self.requests for each in request.resource_spans for scope in each.scope_spans)
        return {span.name: span for scope in scopes for span in scope.spans}

    @property
    def resource(self) -> dict[str, str]:
        return {each.key: each.value.string_value for each in self.requests[0].resource_spans[0].resource.attributes}

    @property
    def text(self) -> str:
        """All but the random ids, which may spell anything."""
        told = [span.name + span.status.message + str(span.events) for span in self.spans.values()]
        return "".join([*told, *(str(attributes(span)) for span in self.spans.values()), str(self.resource)])


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            assert self.path == "/v1/traces"
            kept.requests.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        kept = Collector(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", kept.endpoint)
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
        yield kept
        server.shutdown()
        thread.join()


def attributes(span: Span) -> dict[str, object]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value") or "") for each in span.attributes}


async def test_an_operation_is_one_span_with_its_statements_counted(deps: Deps, collector: Collector) -> None:
    office = await Office.open(deps)
    await office.user(RITA)
    with tracing.sent_traces("api"):
        async with served(deps) as site:
            token = site.token(office.organisation_id, RITA)
            query = "query Look($q: String) { candidates(search: $q) { edges { node { id } } } }"
            assert "errors" not in (await site.post({"query": query, "variables": {"q": ANA}}, token)).json()
            assert (await site.post({"query": "mutation Broken { nothing }"}, token)).json()["errors"]
    assert collector.resource["service.name"] == "postroom"
    assert collector.resource["postroom.role"] == "api"
    assert collector.spans.keys() == {"query", "mutation"}
    told = attributes(collector.spans["query"])
    assert (told["postroom.operation"], told["postroom.outcome"]) == ("Look", "ok")
    assert isinstance(told["postroom.statements"], int)
    assert told["postroom.statements"] >= 1
    assert attributes(collector.spans["mutation"])["postroom.outcome"] == "refused"
    assert "candidates" not in collector.text
    assert "@" not in collector.text


async def test_a_sync_is_a_span_around_the_session_with_the_mail_server(
    deps: Deps, mail_server: MailSandbox, address: str, collector: Collector
) -> None:
    office = await Office.open(deps)
    rita = await office.user(address)
    await office.candidate(ANA)
    mail_server.deliver(address, letter(ANA, address, "Salary"), received_at=days_ago(2))
    mailbox = await office.connect(rita, address, mail_server)
    with tracing.sent_traces("worker"), tracing.span("job sync_mailbox"):
        await job_functions(deps)["sync_mailbox"](mailbox_id=mailbox.hex)
    job, session = collector.spans["job sync_mailbox"], collector.spans["imap session"]
    assert session.parent_span_id == job.span_id
    assert attributes(session) == {"postroom.mailbox_id": mailbox.hex}
    assert "Salary" not in collector.text
    assert "@" not in collector.text


async def test_what_fails_is_told_by_its_kind_alone(
    deps: Deps, mail_server: MailSandbox, address: str, collector: Collector
) -> None:
    office = await Office.open(deps)
    mailbox = await office.connect(await office.user(address), address, mail_server)
    async with deps.db.transaction() as tx:
        login = "jsonb_set(login, '{imap,host}', '\"nobody.invalid\"')"
        await tx.execute(f"UPDATE mailbox SET login = {login} WHERE id = $1", mailbox)
    with tracing.sent_traces("worker"):
        await run_mailbox(deps, mailbox)
    session = collector.spans["imap session"]
    assert session.status.code == Status.STATUS_CODE_ERROR
    assert session.status.message == ""
    assert not session.events
    assert attributes(session)["error.type"] == "ProviderError"
    assert "nobody.invalid" not in collector.text


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
    ],
)
def test_what_is_not_wanted_or_cannot_be_is_not_sent_and_nothing_fails(
    collector: Collector, monkeypatch: pytest.MonkeyPatch, setting: str, value: str
) -> None:
    monkeypatch.setenv(setting, value)
    with tracing.sent_traces("api"), tracing.span("work") as span:
        span.tell(statements=1)
    assert not collector.requests


def test_an_absent_collector_delays_nobody_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    with tracing.sent_traces("api"), tracing.span("work"):
        pass


def test_without_being_asked_for_nothing_of_it_is_loaded() -> None:
    program = (
        "import sys, infra.tracing, gql.schema.root, server.observed, workers.settings\n"
        "with infra.tracing.sent_traces('api'), infra.tracing.span('work'): pass\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]"
    )
    subprocess.run([sys.executable, "-c", program], check=True, env={"PATH": ""})  # noqa: S603 - our own code
