"""What did the writer of a reply write, and what only stands there again?"""


def reply_text(text: str) -> str:
    return text
