// The npm package `smpp` as a customer, plain or over TLS: it binds as a transceiver, submits each text in each way that the
// library has, asks what else a customer can ask, answers receipts, and unbinds when it has one for each. Its one argument is
// JSON: {url, ca, name, password, texts}. What it hears goes to standard output, one JSON object a line.
'use strict';

const fs = require('fs');
const smpp = require('smpp');

const asked = JSON.parse(process.argv[2]);
const NARROW = { name: 'ASCII', data_coding: 0, octets: 140, units: 153, whole: 160 };
const WIDE = { name: 'UCS2', data_coding: 8, octets: 140, units: 134, whole: 140 };
let submitted = 0;
let receipts = 0;

function say(event) {
  console.log(JSON.stringify(event));
}

const common = {
  source_addr_ton: 5,
  source_addr: 'Node',
  dest_addr_ton: 1,
  dest_addr_npi: 1,
  destination_addr: '4915112345678',
  registered_delivery: 1,
};

const options = { url: asked.url };
if (asked.ca) {
  options.ca = fs.readFileSync(asked.ca);
}
const session = smpp.connect(options, () => bind());
session.on('error', (error) => say({ event: 'error', message: String(error) }));
session.on('unknown', (pdu) => say({ event: 'unknown', command: pdu.command_id }));
session.on('close', () => say({ event: 'closed' }));
session.on('enquire_link', (pdu) => session.send(pdu.response()));
session.on('deliver_sm', (pdu) => {
  session.send(pdu.response());
  receipts += 1;
  say({
    event: 'receipt',
    id: pdu.receipted_message_id,
    state: pdu.message_state,
    esm_class: pdu.esm_class,
    source: pdu.source_addr,
    destination: pdu.destination_addr,
    text: pdu.short_message.message.toString(),
  });
});

// Promises of answers: `ask('query_sm', {...})`.
function ask(command, fields) {
  return new Promise((resolve) => session.send(new smpp.PDU(command, fields), resolve));
}

function bind() {
  ask('bind_transceiver', { system_id: asked.name, password: asked.password }).then((answer) => {
    say({ event: 'bound', status: answer.command_status, to: answer.system_id, version: answer.sc_interface_version });
    return converse();
  });
}

// The text's octets, cut where the library lets its user cut: neither an escape pair nor a surrogate pair is cut.
function parts(text, alphabet) {
  const octets = smpp.encodings[alphabet.name].encode(text);
  const found = [];
  for (let from = 0; from < octets.length; ) {
    let to = Math.min(from + alphabet.units, octets.length);
    const isHigh = alphabet === WIDE && to < octets.length && (octets[to - 2] & 0xfc) === 0xd8;
    const isEscape = alphabet === NARROW && to < octets.length && octets[to - 1] === 0x1b;
    to -= isHigh ? 2 : isEscape ? 1 : 0;
    found.push(octets.subarray(from, to));
    from = to;
  }
  return found;
}

// The ways in which a text goes: each is the fields of its PDUs.
function ways(text, number) {
  const alphabet = smpp.encodings.ASCII.match(text) ? NARROW : WIDE;
  const { data_coding } = alphabet;
  const octets = smpp.encodings[alphabet.name].encode(text);
  const found = { payload: [{ data_coding, message_payload: text }] };
  if (octets.length <= alphabet.whole) {
    found.whole = [{ data_coding, short_message: text }];
    return found;
  }
  const cut = parts(text, alphabet);
  const udh = (part) => Buffer.from([5, 0, 3, number, cut.length, part + 1]);
  found.udh = cut.map((message, part) => ({ data_coding, short_message: { udh: udh(part), message } }));
  found.sar = cut.map((short_message, part) => ({
    data_coding,
    short_message,
    sar_msg_ref_num: 300 + number,
    sar_total_segments: cut.length,
    sar_segment_seqnum: part + 1,
  }));
  return found;
}

async function submit(number, way, all, command = 'submit_sm') {
  submitted += 1;
  const answers = await Promise.all(all.map((fields) => ask(command, { ...common, ...fields })));
  for (const answer of answers) {
    say({ event: 'answer', number, way, status: answer.command_status, id: answer.message_id });
  }
  return answers[0].message_id;
}

async function converse() {
  await ask('enquire_link', {});
  let first;
  for (const [number, text] of asked.texts.entries()) {
    for (const [way, all] of Object.entries(ways(text, number))) {
      const id = await submit(number, way, all);
      first = first || id;
    }
  }
  // The library chooses data_coding itself when nobody says one.
  await submit(asked.texts.length, 'detected', [{ short_message: asked.detected }]);
  await submit(asked.texts.length, 'data', [{ data_coding: 0, message_payload: asked.data }], 'data_sm');
  const about = { message_id: first, source_addr_ton: 5, source_addr: 'Node' };
  const query = await ask('query_sm', about);
  say({ event: 'query', status: query.command_status, id: query.message_id, state: query.message_state });
  const others = {
    cancel_sm: { ...common, message_id: '0'.repeat(26) },
    replace_sm: { ...about, short_message: 'another text' },
    submit_multi: { ...common, dest_address: [common], short_message: 'many' },
    broadcast_sm: { source_addr: 'Node' },
  };
  for (const [command, fields] of Object.entries(others)) {
    const answer = await ask(command, fields);
    say({ event: 'refused', asked: command, with: answer.command, status: answer.command_status });
  }
  const wait = () => (receipts < submitted ? setTimeout(wait, 10) : leave());
  wait();
}

function leave() {
  ask('unbind', {}).then((answer) => {
    say({ event: 'unbound', status: answer.command_status });
    session.close();
  });
}
