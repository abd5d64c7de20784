"""Reads letters with Python's own e-mail parser; complains about any defect and about what did not survive.

The file is a sequence of strings, each as "length\n" and its bytes: letter, subject, sender's name, recipient, text
and HTML, and again.
"""

import sys
from email import message_from_bytes, policy
from email.header import decode_header, make_header


def strings(path):
    with open(path, "rb") as file:
        while line := file.readline():
            yield file.read(int(line))


def check(found, expected, what, number):
    if found != expected:
        sys.exit(f"letter {number}: {what} is {found!r}, not {expected!r}")


items = list(strings(sys.argv[1]))
for number in range(0, len(items), 6):
    letter = items[number]
    subject, name, to, text, html = (item.decode() for item in items[number + 1 : number + 6])
    message = message_from_bytes(letter, policy=policy.SMTP)
    for part in message.walk():
        check(part.defects, [], "list of defects", number)
        for header, value in part.items():
            if header != "To":  # RFC 6532 allows UTF-8 there, this parser's defect list does not
                check(list(getattr(value, "defects", ())), [], f"list of defects of {header}", number)
    check(message["Subject"], subject, "Subject", number)
    sender = message["From"].addresses
    check(len(sender), 1, "count of senders", number)
    # This parser keeps the white space between the encoded words of a name, against RFC 2047 6.2; decode_header
    # does not.
    raw = letter.split(b"From: ")[1].split(b" <news@")[0].decode().removesuffix("\r\n")
    if raw.startswith("=?"):
        check(str(make_header(decode_header(raw))), name, "sender's name", number)
    else:
        check(sender[0].display_name, name, "sender's name", number)
    check(sender[0].addr_spec, "news@example.org", "sender", number)
    check(letter.split(b"\r\nTo: ")[1].split(b"\r\n")[0].decode(), to, "To", number)
    plain, rich = message.iter_parts()
    check(plain.get_content_type(), "text/plain", "first part", number)
    check(rich.get_content_type(), "text/html", "second part", number)
    check(plain.get_content().replace("\r\n", "\n").rstrip("\n"), text.rstrip("\n"), "text", number)
    check(rich.get_content().replace("\r\n", "\n").rstrip("\n"), html.rstrip("\n"), "HTML", number)
print(len(items) // 6, "letters")
