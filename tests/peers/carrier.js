// The npm package `smpp` as a carrier: it takes every message but one that says "refuse me", answers, and reports it as
// delivered. What it reads goes to standard output, one JSON object a line; the test compares it with what was submitted.
// With the files of a key and a certificate as arguments it speaks TLS.
'use strict';

const fs = require('fs');
const smpp = require('smpp');

let last = 0;

function say(event) {
  console.log(JSON.stringify(event));
}

function receipt(pdu, id) {
  const report = `id:${id} sub:001 dlvrd:001 submit date:2601010000 done date:2601010001 stat:DELIVRD err:000 text:`;
  return {
    source_addr_ton: pdu.dest_addr_ton,
    source_addr_npi: pdu.dest_addr_npi,
    source_addr: pdu.destination_addr,
    dest_addr_ton: pdu.source_addr_ton,
    dest_addr_npi: pdu.source_addr_npi,
    destination_addr: pdu.source_addr,
    esm_class: smpp.ESM_CLASS.MC_DELIVERY_RECEIPT,
    short_message: report,
    receipted_message_id: id,
    message_state: smpp.MESSAGE_STATE.DELIVERED,
  };
}

function take(session, pdu) {
  last += 1;
  const id = `n${last}`;
  const { message, udh } = pdu.short_message;
  say({
    event: 'submit',
    from: pdu.source_addr,
    to: pdu.destination_addr,
    text: message.toString(),
    udh: udh ? Buffer.concat(udh).toString('hex') : '', // its elements, without the length before them
    data_coding: pdu.data_coding,
    esm_class: pdu.esm_class,
    registered_delivery: pdu.registered_delivery,
  });
  if (message.toString() === 'refuse me') {
    session.send(pdu.response({ command_status: smpp.ESME_RINVDSTADR }));
    return;
  }
  session.send(pdu.response({ message_id: id }));
  session.send(new smpp.PDU('deliver_sm', receipt(pdu, id)), (answer) => {
    say({ event: 'receipt-answered', status: answer.command_status });
  });
}

const [key, cert] = process.argv.slice(2).map((file) => fs.readFileSync(file));

const server = smpp.createServer({ key, cert }, (session) => {
  for (const bind of ['bind_transceiver', 'bind_transmitter', 'bind_receiver']) {
    session.on(bind, (pdu) => {
      say({ event: bind, system_id: pdu.system_id, password: pdu.password, version: pdu.interface_version });
      session.send(pdu.response({ system_id: 'peer' }));
    });
  }
  session.on('submit_sm', (pdu) => take(session, pdu));
  session.on('enquire_link', (pdu) => session.send(pdu.response()));
  session.on('unbind', (pdu) => {
    say({ event: 'unbind' });
    session.send(pdu.response());
  });
  session.on('unknown', (pdu) => say({ event: 'unknown', command: pdu.command }));
  session.on('error', (error) => say({ event: 'error', message: String(error) }));
});

server.listen(0, '127.0.0.1', () => say({ event: 'listening', port: server.address().port }));
