"""What the fields of one operation share: who asks, one moment of the database, and what has been read already."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar
from uuid import UUID

from strawberry.dataloader import DataLoader
from strawberry.types import Info as StrawberryInfo

from domain.access import Viewer
from domain.errors import AppError, NotAuthenticated
from domain.search_query import SearchQuery
from services import conversations, directory, inbox, mailbox_views
from services.deps import Deps
from services.paging import Page, Row, Slice
from services.reading import Reader, reading
from services.search import Match, matches_of
from services.stream import EventStream
from services.thread_lists import ThreadFilter
from services.viewers import viewers_by_id

Key = TypeVar("Key")
Found = TypeVar("Found")


@dataclass(slots=True)
class Request:
    """What the server hands over with each operation; on a WebSocket one serves many operations.

    Attributes:
        viewer: None where no token was given, or one that does not hold.
        stream: the process's event stream, for subscriptions.
    """

    deps: Deps
    viewer: Viewer | None
    stream: EventStream

    def give_up(self, reason: AppError) -> None:
        """A subscription cannot go on, and why; its client is to come back."""


class Operation:
    """The context of one operation, or of one event of a subscription. What is read here is all of one moment."""

    def __init__(self, request: Request) -> None:
        self.deps = request.deps
        self.stream = request.stream
        self.give_up = request.give_up
        self._viewer = request.viewer
        self._reading = AsyncExitStack()
        self._reader: Reader | None = None
        self._beginning = asyncio.Lock()
        self._is_over = False
        self.loaders = Loaders(self)
        self.selections: dict[Any, bool] = {}

    @property
    def viewer(self) -> Viewer:
        """Who asks.

        Raises:
            NotAuthenticated: nobody who could be named.
        """
        if self._viewer is None:
            raise NotAuthenticated("A valid bearer token is needed.")
        return self._viewer

    async def reader(self) -> Reader:
        """The operation's snapshot of the database; it begins with the first that asks."""
        async with self._beginning:
            if self._is_over:
                raise RuntimeError("the operation is over")
            if self._reader is None:
                self._reader = await self._reading.enter_async_context(reading(self.deps, self.viewer))
            return self._reader

    async def begin_again(self) -> None:
        """Forgets what was read; the next read sees the present."""
        await self.close()
        self.loaders = Loaders(self)

    async def begin_event(self) -> None:
        """Begins again, by the rights that the viewer has at the moment that is read from now on.

        Raises:
            NotAuthenticated: they have left.
        """
        await self.begin_again()
        await self._reading.enter_async_context(self.stream.turns)
        reader = await self.reader()
        user_id = self.viewer.user_id
        if user_id is not None:
            self._viewer = (await viewers_by_id(reader.db, self.viewer.organisation_id, [user_id])).get(user_id)
            self._reader = Reader(self.viewer, reader.db)

    async def close(self) -> None:
        """Ends the snapshot. Idempotent; a later read begins a new one."""
        async with self._beginning:
            self._reader = None
            await self._reading.aclose()

    async def end(self) -> None:
        """Ends the snapshot, and lets nothing begin another: loads that were left behind find the door shut."""
        self._is_over = True
        await self.close()


Info = StrawberryInfo[Operation, None]
"""What resolvers are told of the operation that they run in."""


def _loader(
    loaders: "Loaders", load: Callable[[Reader, Sequence[Key]], Awaitable[Mapping[Key, Found]]]
) -> DataLoader[Key, Found | None]:
    """A loader of what is found under a key; None where nothing is."""

    async def load_all(keys: list[Key]) -> list[Found | None]:
        found = await load(await loaders._operation.reader(), keys)  # noqa: SLF001 - it is a part of theirs
        return [found.get(key) for key in keys]

    return DataLoader(load_all)


def _by_key(
    load: Callable[[Reader, Sequence[Key]], Awaitable[Mapping[Key, Found]]],
) -> cached_property[DataLoader[Key, Found | None]]:
    """A loader that is made when it is asked for: an operation asks for two or three of them."""

    def make(loaders: "Loaders") -> DataLoader[Key, Found | None]:
        return _loader(loaders, load)

    return cached_property(make)


def _members(
    load: Callable[[Reader, Sequence[UUID]], Awaitable[set[UUID]]],
) -> cached_property[DataLoader[UUID, bool]]:
    """A loader of whether something is so."""

    def make(loaders: "Loaders") -> DataLoader[UUID, bool]:
        async def load_all(keys: list[UUID]) -> list[bool]:
            found = await load(await loaders._operation.reader(), keys)  # noqa: SLF001 - as above
            return [key in found for key in keys]

        return DataLoader(load_all)

    return cached_property(make)


class Loaders:
    """Reads of single things, put together: each loader sends one statement for all that is asked for at once."""

    threads = _by_key(inbox.threads_by_id)
    messages = _by_key(conversations.messages_by_id)
    html = _by_key(conversations.html_of)
    attachments = _by_key(conversations.attachments_by_id)
    attachments_of = _by_key(conversations.attachments_of)
    readers_of = _by_key(conversations.readers_of)
    organisations = _by_key(directory.organisations_by_id)
    users = _by_key(directory.users_by_id)
    jobs = _by_key(directory.jobs_by_id)
    hiring_teams = _by_key(directory.hiring_teams)
    candidates = _by_key(directory.candidates_by_id)
    candidates_by_address = _by_key(directory.candidates_by_address)
    emails_of = _by_key(directory.emails_of)
    applications_of = _by_key(directory.applications_of)
    unread_counts = _by_key(inbox.unread_thread_counts)
    mailboxes = _by_key(mailbox_views.mailboxes_by_id)
    viewers_of = _by_key(mailbox_views.viewers_of)
    counts_of = _by_key(mailbox_views.counts_of)
    searches_of = _by_key(mailbox_views.searches_of)
    quarantine_of = _by_key(mailbox_views.quarantine_of)
    archived = _members(directory.archived_candidates)
    settable = _members(conversations.settable_threads)

    def __init__(self, operation: Operation) -> None:
        self._operation = operation
        self._pages: dict[Any, DataLoader[UUID, Slice]] = {}
        self._matches: dict[SearchQuery, DataLoader[UUID, list[Match] | None]] = {}

    async def attachments_of_all(self, message_ids: Sequence[UUID]) -> Mapping[UUID, list[Row]]:
        """The files within each of these messages, read together with those of other pages."""
        return await self._attachments_of_pages.load(tuple(message_ids))

    @cached_property
    def _attachments_of_pages(self) -> DataLoader[tuple[UUID, ...], Mapping[UUID, list[Row]]]:
        async def load_all(pages: list[tuple[UUID, ...]]) -> list[Mapping[UUID, list[Row]]]:
            message_ids = [message_id for page in pages for message_id in page]
            found = await conversations.attachments_of(await self._operation.reader(), message_ids)
            return [found] * len(pages)

        return DataLoader(load_all)

    async def message_page(self, thread_id: UUID, page: Page) -> Slice:
        """A page of a thread's messages, read together with the same page of the other threads."""

        async def load(reader: Reader, keys: Sequence[UUID]) -> Mapping[UUID, Slice]:
            return await conversations.message_pages(reader, keys, page)

        return await self._paged(("messages", page), load).load(thread_id)

    async def candidate_page(self, candidate_id: UUID, page: Page, narrowed: ThreadFilter) -> Slice:
        """A page of a candidate's threads, read together with the same page of the other candidates."""

        async def load(reader: Reader, keys: Sequence[UUID]) -> Mapping[UUID, Slice]:
            return await inbox.candidate_pages(reader, keys, page, narrowed)

        return await self._paged(("threads", page, narrowed), load).load(candidate_id)

    async def matches(self, query: SearchQuery, thread_id: UUID) -> list[Match]:
        """What a search found in a thread, read together with what it found in the others."""

        async def load(reader: Reader, keys: Sequence[UUID]) -> Mapping[UUID, list[Match]]:
            return await matches_of(reader, query, keys)

        if query not in self._matches:
            self._matches[query] = _loader(self, load)
        return await self._matches[query].load(thread_id) or []

    def _paged(
        self, asked: Any, load: Callable[[Reader, Sequence[UUID]], Awaitable[Mapping[UUID, Slice]]]
    ) -> DataLoader[UUID, Slice]:
        if asked not in self._pages:

            async def load_all(keys: list[UUID]) -> list[Slice]:
                found = await load(await self._operation.reader(), keys)
                return [found[key] for key in keys]

            self._pages[asked] = DataLoader(load_all)
        return self._pages[asked]
