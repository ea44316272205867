"""Which folders does a mailbox have, and which of them are read.

Source: RFC 3501 §7.2.2 (LIST), RFC 6154 (special use), RFC 2342 (namespaces).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from providers.imap import utf7
from providers.imap.failures import ProtocolViolation
from providers.imap.wire import Response, Value, parse

_NOT_READ = {r"\drafts", r"\junk", r"\trash"}
_SPECIAL = _NOT_READ | {r"\all", r"\archive", r"\flagged", r"\sent", r"\important"}
_NOT_SELECTABLE = {r"\noselect", r"\nonexistent"}

# Only for servers that know no special use: what clients in these languages call the folders that are not read.
_NOT_READ_NAMES = frozenset(
    name.casefold()
    for name in (
        # English, with the habits of Outlook, Apple Mail, Courier and Lotus
        "Drafts", "Draft", "Junk", "Junk E-mail", "Junk Email", "Junk Mail", "Spam", "Bulk Mail", "Bulk", "Quarantine",
        "Trash", "Deleted Items", "Deleted Messages", "Deleted", "Bin", "Rubbish",
        # German, French, Spanish, Portuguese, Italian, Dutch
        "Entwürfe", "Papierkorb", "Gelöschte Elemente", "Gelöscht", "Gelöschte Objekte", "Junk-E-Mail", "Unerwünscht",
        "Brouillons", "Corbeille", "Éléments supprimés", "Courrier indésirable", "Indésirables", "Pourriel",
        "Borradores", "Papelera", "Elementos eliminados", "Correo no deseado", "No deseado",
        "Rascunhos", "Lixo", "Lixeira", "Itens Excluídos", "Itens eliminados", "Lixo Eletrônico", "Lixo eletrónico",
        "Bozze", "Cestino", "Posta eliminata", "Posta indesiderata", "Indesiderata",
        "Concepten", "Prullenbak", "Verwijderde items", "Ongewenste e-mail", "Ongewenst",
        # Polish, Czech, Russian, Ukrainian, Turkish, Swedish, Danish, Norwegian, Finnish, Hungarian
        "Szkice", "Kopie robocze", "Robocze", "Kosz", "Elementy usunięte", "Wiadomości-śmieci",
        "Koncepty", "Rozepsané", "Koš", "Odstraněná pošta", "Nevyžádaná pošta",
        "Черновики", "Корзина", "Удаленные", "Удалённые", "Спам", "Нежелательная почта",
        "Чернетки", "Кошик", "Видалені", "Небажана пошта",
        "Taslaklar", "Çöp Kutusu", "Çöp", "Silinmiş Öğeler", "Önemsiz", "Önemsiz E-posta",
        "Utkast", "Papperskorg", "Papperskorgen", "Borttaget", "Skräppost", "Kladder", "Papirkurv", "Slettet post",
        "Uønsket e-mail", "Søppelpost", "Luonnokset", "Roskakori", "Poistetut", "Roskaposti",
        "Piszkozatok", "Kuka", "Lomtár", "Törölt elemek", "Levélszemét",
        # Chinese, Japanese, Korean, Arabic, Hebrew
        "草稿", "草稿箱", "已删除", "已删除邮件", "垃圾邮件", "垃圾箱", "寄件備份匣", "刪除的郵件", "垃圾郵件",
        "下書き", "ゴミ箱", "ごみ箱", "削除済みアイテム", "迷惑メール",
        "임시보관함", "휴지통", "지운 편지함", "스팸", "스팸메일함", "정크 메일",
        "المسودات", "المهملات", "البريد العشوائي", "טיוטות", "אשפה", "דואר זבל",
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Folder:
    r"""One entry of LIST.

    Attributes:
        name: decoded, as people see it.
        wire: as the server wrote it, to be sent back as it came.
        separator: between this folder and its children; empty where it can have none.
        attributes: in lower case, `\sent`.
    """

    name: str
    wire: bytes
    separator: str
    attributes: frozenset[str]

    @classmethod
    def named(cls, name: str) -> Self:
        """A folder that nobody listed, by its name alone."""
        return cls(name, utf7.encode(name).encode("ascii"), "", frozenset())

    @property
    def is_all_mail(self) -> bool:
        return r"\all" in self.attributes


def read_listing(responses: Iterable[Response]) -> list[Folder]:
    """The folders of the untagged LIST responses, each once.

    Raises:
        ProtocolViolation: an entry cannot be read.
    """
    folders: dict[bytes, Folder] = {}
    for response in responses:
        if response[0][:5].upper() != b"LIST ":
            continue
        values = parse(response)
        match values:
            case [_, list(attributes), (None | bytes()) as separator, bytes(wire), *_]:
                words = frozenset(
                    word.decode("ascii", "replace").lower() for word in attributes if isinstance(word, bytes)
                )
                name = _decode(wire)
                if any(other.name == name and other.wire != wire for other in folders.values()):
                    name = wire.decode("ascii", "backslashreplace")  # two spellings of one name are two folders still
                folders[wire] = Folder(name, wire, (separator or b"").decode("ascii", "replace"), words)
            case _:
                raise ProtocolViolation("unreadable LIST")
    return list(folders.values())


def read_foreign_prefixes(responses: Iterable[Response]) -> tuple[bytes, ...]:
    """Prefixes of other people's and of shared folders, from the NAMESPACE response."""
    for response in responses:
        values = parse(response)
        match values:
            case [bytes(word), _, others, shared, *_] if word.upper() == b"NAMESPACE":
                return tuple(prefix for group in (others, shared) for prefix in _prefixes(group) if prefix)
    return ()


def folders_to_read(folders: Sequence[Folder], foreign_prefixes: tuple[bytes, ...] = ()) -> list[Folder]:
    """The person's own folders with mail in them, the inbox first, then Sent: All Mail alone where there is one."""
    own = [each for each in folders if not each.wire.startswith(foreign_prefixes)] if foreign_prefixes else [*folders]
    selectable = [each for each in own if not each.attributes & _NOT_SELECTABLE]
    all_mail = [each for each in selectable if each.is_all_mail]
    if all_mail:
        return all_mail[:1]
    if any(each.attributes & _SPECIAL for each in own):
        left_out = [each for each in own if each.attributes & _NOT_READ]
    else:
        left_out = [each for each in own if _last_level(each).casefold() in _NOT_READ_NAMES]
    kept = [each for each in selectable if not any(_is_within(each, other) for other in left_out)]
    return sorted(kept, key=lambda each: (each.name.upper() != "INBOX", r"\sent" not in each.attributes, each.name))


def _decode(wire: bytes) -> str:
    """Some servers send UTF-8 although nobody enabled it; what is ASCII is modified UTF-7."""
    text = wire.decode("utf-8", "backslashreplace")
    return utf7.decode(text) if text.isascii() else text


def _prefixes(group: Value) -> list[bytes]:
    if not isinstance(group, list):
        return []
    return [entry[0] for entry in group if isinstance(entry, list) and entry and isinstance(entry[0], bytes)]


def _last_level(folder: Folder) -> str:
    return folder.name.rpartition(folder.separator)[2] if folder.separator else folder.name


def _is_within(folder: Folder, other: Folder) -> bool:
    """The same folder or one below: what was thrown away with its folder lies below the bin."""
    if folder.wire == other.wire:
        return True
    # Some servers keep everything below the inbox, so it is no bin whatever its attributes say.
    return bool(other.separator) and folder.name.startswith(other.name + other.separator)
