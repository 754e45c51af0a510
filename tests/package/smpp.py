#!/usr/bin/env python3
"""A carrier and a customer over SMPP 3.4, written from the standard with Python's library alone, and the judge of both.

    smpp.py carrier PORT DELAY_S LOG       answers each message after DELAY_S, reports it as delivered, all else at once
    smpp.py customer PORT RATE LOG STOP    submits RATE messages a second until the file STOP is there, binds again when it is
                                           unbound, and ends when each message has its receipt
    smpp.py judge CARRIER_LOG CUSTOMER_LOG each message accepted once, sent once, told once, and nobody cut off

A log has a line for each event: a word and what belongs to it. The judge prints its figures, or what is wrong.
"""
import os
import socket
import struct
import sys
import threading
import time

BIND_TRANSCEIVER, SUBMIT_SM, DELIVER_SM, UNBIND, ENQUIRE_LINK = 0x09, 0x04, 0x05, 0x06, 0x15
RESPONSE = 0x80000000
PATIENCE_S = 90


def pdu(command, status, sequence, body=b""):
    return struct.pack(">IIII", 16 + len(body), command, status, sequence) + body


class Stream:
    """PDUs of a connection; `read` gives None when nothing came in time, and raises EOFError at its end."""

    def __init__(self, sock):
        self.sock, self.input = sock, b""
        sock.settimeout(0.02)

    def send(self, *args):
        self.sock.sendall(pdu(*args))

    def read(self):
        while True:
            if len(self.input) >= 16:
                length, command, status, sequence = struct.unpack(">IIII", self.input[:16])
                if len(self.input) >= length:
                    body, self.input = self.input[16:length], self.input[length:]
                    return command, status, sequence, body
            try:
                data = self.sock.recv(65536)
            except socket.timeout:
                return None
            except OSError:
                raise EOFError
            if not data:
                raise EOFError
            self.input += data


class Log:
    def __init__(self, path):
        self.file, self.lock = open(path, "a", buffering=1), threading.Lock()

    def put(self, *words):
        with self.lock:
            self.file.write(" ".join(str(word) for word in words) + "\n")


def c_string(body, at):
    end = body.index(b"\0", at)
    return body[at:end].decode(), end + 1


def addressed(body):
    """Source, destination and short_message of a submit_sm or deliver_sm (§4.4.1)."""
    _, at = c_string(body, 0)
    source, at = c_string(body, at + 2)
    destination, at = c_string(body, at + 2)
    _, at = c_string(body, at + 3)
    _, at = c_string(body, at)
    length = body[at + 4]
    return source, destination, body[at + 5 : at + 5 + length].decode()


def message(source, destination, esm_class, registered, text):
    number = lambda address: (b"\x01\x01" if address.isdigit() else b"\x05\x00") + address.encode() + b"\0"
    head = b"\0" + number(source) + number(destination)
    flags = bytes([esm_class, 0, 0, 0, 0, registered, 0, 0, 0, len(text)])
    return head + flags + text.encode()


class Carrier:
    def __init__(self, port, delay_s, log):
        self.delay_s, self.log, self.ids, self.lock = delay_s, log, 0, threading.Lock()
        self.due = []  # receipts that no connection has taken
        listener = socket.create_server(("127.0.0.1", port))
        while True:
            sock, _ = listener.accept()
            threading.Thread(target=self.serve, args=(Stream(sock),), daemon=True).start()

    def serve(self, stream):
        late, sent, sequence, unbound = [], {}, 0, False
        try:
            while True:
                got = stream.read()
                if got:
                    command, status, number, body = got
                    if command == BIND_TRANSCEIVER:
                        self.log.put("bound")
                        stream.send(command | RESPONSE, 0, number, b"carrier\0")
                    elif command == SUBMIT_SM:
                        source, destination, text = addressed(body)
                        self.log.put("submitted", text)
                        late.append((time.monotonic() + self.delay_s, number, source, destination))
                    elif command == UNBIND:
                        unbound = True
                        self.log.put("unbound", len(late))
                        stream.send(command | RESPONSE, 0, number)
                    elif command == DELIVER_SM | RESPONSE:
                        receipt = sent.pop(number, None)
                        if receipt and status:
                            self.due.append(receipt)
                    elif not command & RESPONSE:
                        stream.send(command | RESPONSE, 0, number)
                while late and late[0][0] <= time.monotonic():
                    _, number, source, destination = late.pop(0)
                    with self.lock:
                        self.ids += 1
                        carrier_id = f"c{self.ids:08}"
                    stream.send(SUBMIT_SM | RESPONSE, 0, number, carrier_id.encode() + b"\0")
                    text = (
                        f"id:{carrier_id} sub:001 dlvrd:001 submit date:2601010000 done date:2601010001 "
                        "stat:DELIVRD err:000 text:"
                    )
                    self.due.append(message(destination, source, 4, 0, text))
                while self.due and not unbound and len(sent) < 50:
                    sequence += 1
                    sent[sequence] = self.due.pop(0)
                    stream.send(DELIVER_SM, 0, sequence, sent[sequence])
        except (EOFError, OSError):
            self.due.extend(sent.values())
            if not unbound:
                self.log.put("cut", len(late))
        finally:
            stream.sock.close()


class Customer:
    def __init__(self, port, rate, log, stop):
        self.port, self.rate, self.log, self.stop = port, rate, log, stop
        self.count, self.waits, self.untold = 0, {}, set()
        self.until = None
        while not self.is_over():
            try:
                sock = socket.create_connection(("127.0.0.1", port), timeout=1)
            except OSError:
                time.sleep(0.05)
                continue
            self.serve(Stream(sock))
        log.put("over", len(self.untold))

    def is_over(self):
        if not os.path.exists(self.stop):
            return False
        self.until = self.until or time.monotonic() + PATIENCE_S
        return (not self.waits and not self.untold) or time.monotonic() > self.until

    def serve(self, stream):
        bound, unbound, sequence, next_at = False, False, 1, time.monotonic()
        try:
            stream.send(BIND_TRANSCEIVER, 0, 1, b"example\0secret12\0\0\x34\0\0\0")
            while not self.is_over():
                got = stream.read()
                if got:
                    command, status, number, body = got
                    if command == BIND_TRANSCEIVER | RESPONSE:
                        if status:
                            return
                        bound = True
                        self.log.put("bound")
                    elif command == SUBMIT_SM | RESPONSE:
                        text = self.waits.pop(number)
                        if status:
                            self.log.put("refused", text, status)
                        else:
                            self.untold.add(body[:-1].decode())
                            self.log.put("accepted", text, body[:-1].decode())
                    elif command == DELIVER_SM:
                        words = addressed(body)[2]
                        told = words.split(" ")[0].removeprefix("id:")
                        state = words.split("stat:")[1].split(" ")[0]
                        self.log.put("told", told, state)
                        self.untold.discard(told)
                        stream.send(command | RESPONSE, 0, number, b"\0")
                    elif command == UNBIND:
                        unbound = True
                        self.log.put("unbound", len(self.waits))
                        stream.send(command | RESPONSE, 0, number)
                    elif not command & RESPONSE:
                        stream.send(command | RESPONSE, 0, number)
                is_time = bound and not unbound and not os.path.exists(self.stop) and time.monotonic() >= next_at
                if is_time and len(self.waits) < 100:
                    sequence, self.count, next_at = sequence + 1, self.count + 1, next_at + 1 / self.rate
                    self.waits[sequence] = f"message-{self.count}"
                    to = f"49151{self.count:08}"
                    stream.send(SUBMIT_SM, 0, sequence, message("Example", to, 0, 1, self.waits[sequence]))
            stream.send(UNBIND, 0, sequence + 1)
        except (EOFError, OSError):
            if bound and not unbound:
                self.log.put("cut", len(self.waits))
            for text in self.waits.values():
                self.log.put("unanswered", text)
            self.waits.clear()
        finally:
            stream.sock.close()


def judge(carrier_log, customer_log):
    def events(path, word):
        return [line.split()[1:] for line in open(path) if line.split()[0] == word]

    sent = [text for (text,) in events(carrier_log, "submitted")]
    accepted = {text: told for text, told in events(customer_log, "accepted")}
    refused = {text for text, _ in events(customer_log, "refused")}
    told = events(customer_log, "told")
    wrong = []
    for text, message_id in accepted.items():
        receipts = [state for told_id, state in told if told_id == message_id]
        if sent.count(text) != 1 or receipts != ["DELIVRD"]:
            wrong.append(f"{text}: sent {sent.count(text)} times, told {receipts}")
    wrong += [f"{text}: refused, and sent" for text in refused if text in sent]
    for name, path in (("carrier", carrier_log), ("customer", customer_log)):
        wrong += [f"{name}: cut off with {owed} unanswered" for (owed,) in events(path, "cut")]
        wrong += [f"{name}: unbound with {owed} unanswered" for (owed,) in events(path, "unbound") if owed != "0"]
    wrong += [f"{text}: never answered" for (text,) in events(customer_log, "unanswered")]
    unbinds = {path: len(events(path, "unbound")) for path in (carrier_log, customer_log)}
    print(
        f"{len(accepted)} accepted, {len(refused)} refused, {len(sent)} sent, {len(told)} told; "
        f"unbinds: carrier {unbinds[carrier_log]}, customer {unbinds[customer_log]}"
    )
    for line in wrong:
        print("WRONG", line)
    sys.exit(1 if wrong or not accepted or 0 in unbinds.values() else 0)


if __name__ == "__main__":
    what, *args = sys.argv[1:]
    if what == "carrier":
        Carrier(int(args[0]), float(args[1]), Log(args[2]))
    elif what == "customer":
        Customer(int(args[0]), float(args[1]), Log(args[2]), args[3])
    elif what == "judge":
        judge(*args)
    else:
        sys.exit(__doc__)
