"""A small IMAP server for tests, in a thread: one folder of mails, each connection in its own thread.

With a certificate it speaks TLS at once, or (starttls) when asked to; with a token it takes that by XOAUTH2, else a password.
It speaks what RFC 3501 asks of one that has AUTHENTICATE, SELECT, UID SEARCH, FETCH and STORE. `commands`
keeps what clients said, `seen` the UIDs that were marked, `mails` is {uid: bytes}. `faults` is {command: how}, for the
first such command of each connection: "drop" closes the connection, "no" refuses, "half" closes it amid the answer.
"""
import base64
import re
import socketserver
import ssl
import threading


class ImapServer(socketserver.ThreadingTCPServer):
    daemon_threads, allow_reuse_address = True, True

    def __init__(self, mails, user="bounces", password="open sesame", faults=(), certificate=None, starttls=False,
                 token=None):
        super().__init__(("127.0.0.1", 0), Session)
        self.mails, self.user, self.password, self.faults = dict(enumerate(mails, 7)), user, password, dict(faults)
        self.commands, self.seen, self.logins = [], [], 0
        self.tls, self.starttls, self.token = None, starttls, token
        if certificate:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*certificate)
        self.port = self.server_address[1]
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def handle_error(self, request, client_address): pass  # clients may go as they like

    def stop(self):
        self.shutdown()
        self.server_close()


class Session(socketserver.StreamRequestHandler):
    def setup(self):
        if self.server.tls and not self.server.starttls:
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self):
        try:
            super().finish()
        finally:
            self.request.close()

    def say(self, line): self.wfile.write(line + b"\r\n")

    def handle(self):
        self.faults = dict(self.server.faults)
        self.say(b"* OK scripted")
        self.go_on(secured=not self.server.starttls)

    def go_on(self, secured):
        self.secured = secured
        for line in self.rfile:
            self.server.commands.append(line.decode().rstrip())
            tag, _, command = line.rstrip().partition(b" ")
            words = command.decode().upper().split()
            name = words[1] if words[0] == "UID" else words[0]
            fault = self.faults.pop(name, None)
            if fault == "drop": return
            if fault == "no":
                self.say(tag + b" NO [UNAVAILABLE] not today")
                continue
            if name == "LOGOUT":
                self.say(b"* BYE")
                return
            if name == "STARTTLS" and self.server.starttls:
                self.say(tag + b" OK now")
                self.request = self.server.tls.wrap_socket(self.request, server_side=True)
                super().setup()
                return self.go_on(secured=True)
            if self.answer(name, tag, words, command.decode(), fault) is False: return

    def answer(self, name, tag, words, command, fault):
        server = self.server
        if name == "CAPABILITY":
            self.say(b"* CAPABILITY IMAP4rev1 " + (
                b"STARTTLS LOGINDISABLED" if not self.secured else b"AUTH=XOAUTH2" if server.token else b"AUTH=PLAIN"))
        elif name == "AUTHENTICATE":
            self.say(b"+ ")
            if server.token:
                if base64.b64decode(self.rfile.readline()).decode() != f"user={server.user}\1auth=Bearer {server.token}\1\1":
                    return self.say(tag + b" NO wrong token")
                server.logins += 1
                return self.say(tag + b" OK done")
            _, user, password = base64.b64decode(self.rfile.readline()).decode().split("\0")
            if (user, password) != (server.user, server.password):
                return self.say(tag + b" NO [AUTHENTICATIONFAILED] wrong password")
            server.logins += 1
        elif name == "SELECT":
            if command != 'SELECT "INBOX"': return self.say(tag + b" NO no such mailbox")
            self.say(b"* %d EXISTS" % len(server.mails))
            self.say(b"* OK [UIDVALIDITY 3] fine")
        elif name == "SEARCH":
            unseen = [uid for uid in server.mails if uid not in server.seen]
            self.say(b"* SEARCH" + b"".join(b" %d" % uid for uid in unseen))
        elif name == "FETCH":
            uid, most = map(int, re.fullmatch(r"UID FETCH (\d+) \(BODY\.PEEK\[\]<0\.(\d+)>\)", command).groups())
            if uid in server.mails:
                octets = server.mails[uid][:most]
                self.wfile.write(b"* 1 FETCH (UID %d BODY[]<0> {%d}\r\n" % (uid, len(octets)))
                if fault == "half":
                    self.wfile.write(octets[:len(octets) // 2])
                    return False
                self.wfile.write(octets)
                self.say(b" FLAGS ())")
        elif name == "STORE":
            server.seen.append(int(words[2]))
            assert words[3:] == ["+FLAGS.SILENT", "(\\SEEN)"], words
        else:
            return self.say(tag + b" BAD what?")
        self.say(tag + b" OK done")
