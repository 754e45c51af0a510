# Python's `smpplib` as a customer: it binds as a transceiver, submits the texts of its command line, answers receipts, and
# unbinds when it has one for each. What it hears goes to standard output, one JSON object a line.
import json
import logging
import sys

import smpplib.client
import smpplib.consts
import smpplib.gsm


def say(**event):
    print(json.dumps(event), flush=True)


class Customer:
    def __init__(self, host, port, name, password):
        self.waiting = {}
        self.receipts = 0
        self.client = smpplib.client.Client(host, port, allow_unknown_opt_params=False)
        self.client.logger.setLevel(logging.ERROR)
        self.client.set_message_sent_handler(self.sent)
        self.client.set_message_received_handler(self.received)
        self.client.connect()
        answer = self.client.bind_transceiver(system_id=name, password=password)
        say(event="bound", to=answer.system_id.decode())

    def submit(self, number, text):
        # The library cuts long texts itself, with a user data header in each part.
        parts, coding, flag = smpplib.gsm.make_parts(text)
        for part in parts:
            pdu = self.client.send_message(
                source_addr_ton=smpplib.consts.SMPP_TON_ALNUM,
                source_addr="Python",
                dest_addr_ton=smpplib.consts.SMPP_TON_INTL,
                dest_addr_npi=smpplib.consts.SMPP_NPI_ISDN,
                destination_addr="4915112345678",
                short_message=part,
                data_coding=coding,
                esm_class=flag,
                registered_delivery=True,
            )
            self.waiting[pdu.sequence] = number

    def sent(self, pdu):
        say(event="answer", number=self.waiting.pop(pdu.sequence), status=pdu.status, id=pdu.message_id.decode())

    def received(self, pdu):
        self.receipts += 1
        say(
            event="receipt",
            id=pdu.receipted_message_id.rstrip(b"\0").decode(),
            state=pdu.message_state,
            esm_class=pdu.esm_class,
            source=pdu.source_addr.decode(),
            destination=pdu.destination_addr.decode(),
            text=pdu.short_message.decode(),
        )
        return 0

    def stay(self, receipts):
        while self.receipts < receipts or self.waiting:
            self.client.read_once()
        self.client.unbind()
        self.client.disconnect()
        say(event="unbound")


def main():
    host, port, name, password, *texts = sys.argv[1:]
    customer = Customer(host, int(port), name, password)
    for number, text in enumerate(texts):
        customer.submit(number, text)
    customer.stay(len(texts))


main()
