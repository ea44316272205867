"""Any mailbox that speaks IMAP and SMTP."""
