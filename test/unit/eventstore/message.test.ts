import { type Msg, MsgHdrsImpl } from '@nats-io/transport-node';
import { expect, test } from 'vitest';
import { headersIn, readMessage } from '../../../src/eventstore/nats/message.ts';

const HEADERS = [
  'Nats-Expected-Last-Subject-Sequence: 41',
  'Jl-Commit: 0197a3c0-1111-7222-8333-944444444444',
  'Jl: ',
  'Note: NATS/1.0 äöü ',
  'Note: again',
];

/** A message as the client hands it out: the headers lie right before the data. */
function message(
  status: string,
  lines: readonly string[],
  body = 'body',
): { msg: Msg; decoded: () => number } {
  const head = Buffer.from(`NATS/1.0${status}\r\n${lines.join('\r\n')}\r\n\r\n`);
  const memory = Buffer.concat([Buffer.from('HMSG jl.x 1 reply\r\n'), head, Buffer.from(body)]);
  const data = memory.subarray(memory.length - Buffer.byteLength(body));
  const [subject, reply] = ['jl.x', 'reply'];
  let decoded = 0;
  const msg = {
    subject,
    reply,
    data,
    sid: 1,
    get headers() {
      decoded++;
      return MsgHdrsImpl.decode(head);
    },
    size: () => subject.length + reply.length + head.length + data.length,
    respond: () => false,
    json: <T>() => JSON.parse(body) as T,
    string: () => body,
  };
  return { msg, decoded: () => decoded };
}

test('a lean message answers about its headers as the client’s own does, without having decoded them', () => {
  const { msg, decoded } = message('', HEADERS);
  const lean = readMessage(msg);
  const own = MsgHdrsImpl.decode(Buffer.from(`NATS/1.0\r\n${HEADERS.join('\r\n')}\r\n\r\n`));
  const names = [
    'Nats-Expected-Last-Subject-Sequence',
    'Jl-Commit',
    'Jl',
    'Note',
    'jl-commit',
    'Jl-Comm',
    '',
  ];
  for (const name of names) expect(lean.headers?.get(name), name).toBe(own.get(name));
  expect(decoded()).toBe(0);
  expect(lean.headers?.values('Note')).toEqual(own.values('Note'));
  expect(lean.headers?.last('Note')).toBe('again');
  expect(lean.headers?.has('Nothing')).toBe(false);
  expect([...(lean.headers ?? [])]).toEqual([...own]);
  expect(Buffer.from(lean.data).toString()).toBe('body');
  expect(lean.subject).toBe('jl.x');
});

test('headers can be changed, and are written as they are then', () => {
  const { headers } = readMessage(message('', HEADERS.slice(0, 2)).msg);
  headers?.set('Jl-Commit', 'other');
  expect(headers?.get('Jl-Commit')).toBe('other');
  expect(String(headers)).toBe(
    'NATS/1.0\r\nNats-Expected-Last-Subject-Sequence: 41\r\nJl-Commit: other\r\n\r\n',
  );
});

test('where the bytes before the data are not plain headers, the client’s own are taken', () => {
  const status = message(' 404 No Messages', HEADERS);
  expect(readMessage(status.msg).headers?.code).toBe(404);
  const { msg } = message('', HEADERS);
  const copied = {
    ...msg,
    data: Uint8Array.from(msg.data),
    headers: MsgHdrsImpl.decode(Buffer.from('NATS/1.0\r\nA: b\r\n\r\n')),
  };
  expect(readMessage(copied).headers?.get('A')).toBe('b');
});

test('headers in bytes of their own, as a leader answers with them, are looked up where they lie', () => {
  const bytes = Buffer.from(`NATS/1.0\r\n${HEADERS.join('\r\n')}\r\n\r\n`);
  const [lean, own] = [headersIn(bytes), MsgHdrsImpl.decode(bytes)];
  for (const name of ['Jl-Commit', 'Jl', 'Note', 'Nothing']) expect(lean.get(name), name).toBe(own.get(name));
  expect([...lean]).toEqual([...own]);
});
