"""Which messages of the corpus are read otherwise than two other programs read them, and why?"""

_NOT_OPENED = "files in a text (uuencode) and in Outlook's packet (TNEF) are attachments; no other program opens them"
_TWO_TYPES = "two Content-Types: the parts are read, where the others show them raw, boundary lines and all"
_NO_MESSAGE = "no message but a document, or a request of a browser"

DIFFERENT: dict[str, dict[str, list[str]]] = {
    "addresses": {
        "an address stands in the name, and none in the brackets: it is the only one to answer to": [
            "imap_tools/mime_emails/raw_email11.eml#0",
            "ruby-mail/mime_emails/raw_email11.eml#0",
        ],
        _NO_MESSAGE: ["mimekit/long-filename/message.rtf"],
    },
    "subject": {
        "two Subjects: the first counts here, with the others the last": [
            "imap_tools/mime_emails/raw_email_with_binary_encoded.eml#0",
            "imap_tools/mime_emails/raw_email_with_multipart_mixed_quoted_boundary.eml#0",
            "ruby-mail/mime_emails/raw_email_with_binary_encoded.eml#0",
            "ruby-mail/mime_emails/raw_email_with_multipart_mixed_quoted_boundary.eml#0",
        ],
    },
    "date": {
        "the others do not read the zone behind a comment": [
            "mimekit/messages/disposition-notification.anonymized.eml",
            "mimekit/messages/disposition-notification.txt",
        ],
    },
    "text": {
        _NOT_OPENED: [
            "james-mime4j/mimetools-testmsgs/sig-uu.msg",
            "james-mime4j/mimetools-testmsgs/uu-zeegee.msg",
            "stalwart-mail-parser/legacy/049.eml",
            "zbateson-mime/emails/m0018.txt",
        ],
        _TWO_TYPES: [
            "imap_tools/error_emails/multiple_content_types.eml",
            "james-mime4j/mimetools-testmsgs/multi-bad.msg",
            "ruby-mail/error_emails/multiple_content_types.eml",
            "stalwart-mail-parser/malformed/020.eml",
            "stalwart-mail-parser/malformed/021.eml",
        ],
        "the text of an attached message is in its file, and is not shown as the sender's own": [
            "imap_tools/messages/attachment_7bit.eml",
            "imap_tools/messages/attachment_8bit.eml",
        ],
        "the charset is called wrongly or not at all (UTF-8 called Latin, Latin called UTF-8): the others lose letters": [
            "imap_tools/error_emails/content_transfer_encoding_7-bit.eml",
            "php-mime-mail-parser/mails/m0019",
            "ruby-mail/error_emails/content_transfer_encoding_7-bit.eml",
            "stalwart-mail-parser/legacy/033.eml",
            "stalwart-mail-parser/legacy/052.eml",
            "zbateson-mime/emails/m1010.txt",
        ],
        "the line that should be empty has a space in it, and the body begins there all the same": [
            "james-mime4j/testmsgs/basic-plain-with-bad-header-separator.msg",
        ],
    },
    "names": {
        _NOT_OPENED: [
            "james-mime4j/mimetools-testmsgs/sig-uu.msg",
            "james-mime4j/mimetools-testmsgs/uu-junk.msg#0",
            "james-mime4j/mimetools-testmsgs/uu-zeegee.msg",
            "mimekit/encoders/photo.uu",
            "mimekit/encoders/photo.uu-states",
            "mimekit/tnef/rich-text.eml",
            "mimekit/tnef/ukr.eml",
            "stalwart-mail-parser/legacy/049.eml",
            "zbateson-mime/emails/m0018.txt",
        ],
        r"the name is a path of Windows, C:\TEMP\x.png, in which the others take the backslashes for quoting": [
            "stalwart-mail-parser/legacy/035.eml",
            "stalwart-mail-parser/legacy/039.eml",
            "zbateson-mime/emails/m1005.txt",
            "zbateson-mime/emails/m1006.txt",
        ],
        "the text of the message itself, to which its Content-Type gives a name; it is no attachment": [
            "james-mime4j/mimetools-testmsgs/badfile.msg",
            "james-mime4j/mimetools-testmsgs/multi-badnames.msg",
        ],
        _NO_MESSAGE: ["mailsplit/fixtures/form-data.eml"],
    },
}
"""By field and reason."""

NOT_OPENED_ELSEWHERE = {field: set(reasons.get(_NOT_OPENED, ())) for field, reasons in DIFFERENT.items()}
"""Not scored: of what was opened there is no other reading to agree with."""
