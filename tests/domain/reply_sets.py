"""Which lines of the replies in the corpus did their writers write, as the projects say that collected them?

The corpus has the replies of three projects without their trimmed texts. Here are the lines that each project's own
tests call the reply, or where they do not tell, the lines that it does not hide.

Source: the tests and parsers of github/email_reply_parser, zapier/email-reply-parser and willdurand/EmailReplyParser.
"""

ALL = "1-"

KEPT: dict[str, dict[str, str]] = {
    "github-email-reply-parser": {
        "correct_sig.txt": "1",
        "email_1_1.txt": "1-5",
        "email_1_2.txt": "1-34",
        "email_1_3.txt": "1-3",
        "email_1_4.txt": "1",
        "email_1_5.txt": ALL,
        "email_1_6.txt": "1-3",
        "email_1_7.txt": "1",
        "email_1_8.txt": "1-19",
        "email_2_1.txt": "1",
        "email_2_2.txt": "1",
        "email_2_3.txt": "1-6",
        "email_BlackBerry.txt": "1",
        "email_bullets.txt": "1-9",
        "email_iPhone.txt": "1",
        "email_long_quote.txt": "1-8",
        "email_multi_word_sent_from_my_mobile_device.txt": "1",
        "email_one_is_not_on.txt": "1-5",
        "email_sent_from_my_not_signature.txt": ALL,
        "email_sig_delimiter_in_middle_of_line.txt": ALL,
        "greedy_on.txt": "1-6",
        "pathological.txt": "1-2",
    },
    "zapier-email-reply-parser": {
        "correct_sig.txt": "1",
        "email_1_1.txt": "1-5",
        "email_1_2.txt": "1-34",
        "email_1_3.txt": "1-3",
        "email_1_4.txt": "1",
        "email_1_5.txt": ALL,
        "email_1_6.txt": "1-3",
        "email_1_7.txt": "1",
        "email_1_8.txt": "1-19",
        "email_2_1.txt": "1",
        "email_2_2.txt": "1",
        "email_2_3.txt": "1",
        "email_BlackBerry.txt": "1",
        "email_bullets.txt": "1-9",
        "email_gmail.txt": "1",
        "email_headers_no_delimiter.txt": "1",
        "email_iPhone.txt": "1",
        "email_multi_word_sent_from_my_mobile_device.txt": "1",
        "email_one_is_not_on.txt": "1-5",
        "email_partial_quote_header.txt": "1-6",
        "email_sent_from_my_not_signature.txt": "1",
        "email_sig_delimiter_in_middle_of_line.txt": ALL,
        "greedy_on.txt": "1-6",
        "pathological.txt": "1-2",
    },
    "willdurand-email-reply-parser": {
        "correct_sig.txt": "1",
        "email_1.txt": "1-5",
        "email_10.txt": "1-5",
        "email_11.txt": "1-5",
        "email_12.txt": "1-5",
        "email_13.txt": "1-5",
        "email_14.txt": "1-5",
        "email_15.txt": "1-5",
        "email_16.txt": "1-5",
        "email_17.txt": "1-5",
        "email_18.txt": "1-5",
        "email_19.txt": "1-3",
        "email_2.txt": "1,8-34",
        "email_20.txt": "1",
        "email_21.txt": ALL,
        "email_22.txt": "1-5",
        "email_23.txt": "1-5",
        "email_23_1.txt": "1-7",
        "email_2_1.txt": "1",
        "email_3.txt": "1-3",
        "email_4.txt": "1",
        "email_5.txt": ALL,
        "email_6.txt": "1-3",
        "email_7.txt": "1-5",
        "email_8.txt": "1-5",
        "email_9.txt": "1-5",
        "email_blackberry.txt": "1",
        "email_bullets.txt": "1-9",
        "email_custom_quote_header.txt": "1",
        "email_customer_quote_header_2.txt": "1",
        "email_customer_quote_header_3.txt": "1-3",
        "email_iphone.txt": "1",
        "email_issue_77.txt": "1-8",
        "email_ls-l.txt": "1-28",
        "email_multi_word_sent_from_my_mobile_device.txt": "1",
        "email_norwegian_gmail.txt": "1-5",
        "email_one_is_not_on.txt": "1-5",
        "email_sent_from_my_not_signature.txt": ALL,
        "email_thread.txt": "1",
        "email_unquoted_reply.txt": "1",
        "email_w10_mail.txt": "1-2",
        "email_zimbra_free_en.txt": "1-9",
        "email_zimbra_free_fr.txt": "1-10",
        "sig_no_empty_line.txt": "1",
    },
}
"""By folder and file: numbers of lines, from 1, and of the first and last of several."""

DIFFERENT: dict[str, dict[str, list[str]]] = {
    "discourse-email-reply-trimmer": {
        "who wrote what stays quoted between answers is said before it; GitHub's set keeps that line": [
            "embedded_email_17.txt",
            "embedded_email_7.txt",
        ],
        "the line before the quotation is broken into a link, its verb alone on a line": ["embedded_email_12.txt"],
        "nothing but quotations is shown whole, not as nothing": ["spam_1.txt"],
    },
    "github-email-reply-parser": {
        "a block of Outlook's header fields is no reply; Zapier's set cuts it": ["email_2_3.txt"],
        "a quotation of 700 KB, beyond which nothing is looked at": ["email_long_quote.txt"],
    },
    "zapier-email-reply-parser": {
        "a sentence that only begins like a phone's signature; the other sets keep it": [
            "email_sent_from_my_not_signature.txt",
        ],
    },
    "willdurand-email-reply-parser": {
        "what is quoted between answers stays; GitHub's, Zapier's and Discourse's sets keep it": ["email_2.txt"],
        "what stands below a phone's signature may be an answer: it is not known to be a quotation": ["email_15.txt"],
    },
}
"""By set and reason: what is trimmed otherwise."""
