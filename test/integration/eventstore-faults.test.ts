import { create } from '@bufbuild/protobuf';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { codecOf } from '../../src/eventstore/codec/event-codec.ts';
import type { CommandHandler } from '../../src/eventstore/command.ts';
import { LogUnavailable, OutcomeUnknown } from '../../src/eventstore/errors.ts';
import { createHandler } from '../../src/eventstore/handler.ts';
import type { Log, RecordedCommit } from '../../src/eventstore/log.ts';
import { systemRuntime } from '../../src/eventstore/runtime.ts';
import type { StreamRef } from '../../src/eventstore/stream.ts';
import {
  type Commit,
  CommitSchema,
  DecisionSchema,
} from '../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { startTestServer, type TestServer } from '../../src/testing/nats-server.ts';
import { type AccountCommand, type AccountEvent, account } from '../audit/account.ts';
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts';
import { isPublishTo } from '../support/nats-frames.ts';
import { createLogStream, type LogHandle, openTestLog, TEST_LOG } from '../support/nats-log.ts';

const ACCOUNT: StreamRef = { category: 'account', id: 'a' };
const BOUNDS = { attemptTimeoutMs: 150, deadlineMs: 1_500 };
const PATIENT = { attemptTimeoutMs: 150, deadlineMs: 15_000 };

let server: TestServer;
let proxy: FaultProxy;
/** Behind the proxy: the process that suffers. */
let near: LogHandle;
/** Straight at the server: another process, and the truth. */
let far: LogHandle;

async function open(bounds: typeof BOUNDS): Promise<void> {
  near = await openTestLog(proxy.url, TEST_LOG, bounds);
}

beforeEach(async () => {
  server = await startTestServer({ syncAlways: true });
  proxy = await startFaultProxy(server.url);
  await createLogStream(server.url);
  far = await openTestLog(server.url);
});

afterEach(async () => {
  await Promise.all([near.close(), far.close()]);
  await proxy.stop();
  await server.stop();
});

const put = (amount: number): AccountCommand => ({ kind: 'move', amount });

function commitOf(commitId: string, amount: number): Commit {
  const events = account.decide(put(amount), account.initial);
  if (!Array.isArray(events)) throw new Error('the amount is refused');
  const decision = create(DecisionSchema, {
    commandId: `command of ${commitId}`,
    events: (events as readonly AccountEvent[]).map((event) => codecOf<AccountEvent>(account).encode(event)),
  });
  return create(CommitSchema, { commitId, decisions: [decision] });
}

function handlerOn(log: Log): CommandHandler {
  return createHandler({ log, runtime: systemRuntime });
}

const moveBy = (handler: CommandHandler, amount: number, commandId: string) =>
  handler.execute(account, ACCOUNT.id, put(amount), { commandId, actor: 'test' });

async function stored(): Promise<RecordedCommit[]> {
  const { commits } = await far.log.read(ACCOUNT, { after: 0, confirm: true });
  return [...commits];
}

const idsOf = (commits: readonly RecordedCommit[]): string[] => commits.map((commit) => commit.commitId);

/** The error of a call that must fail. */
async function errorOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    () => new Error('the call succeeded'),
    (error: unknown) => error,
  );
}

describe('an append whose answer is lost', () => {
  it('is accepted once, at the version it was stored at', async () => {
    await open(PATIENT);
    proxy.drop();
    const appending = near.log.append(ACCOUNT, 0, commitOf('c1', 5));
    await proxy.dropped();
    proxy.heal();
    expect(await appending).toEqual({ appended: true, version: 1 });
    expect(idsOf(await stored())).toEqual(['c1']);
  });

  it('is found out although no acknowledgement ever arrives', async () => {
    await open(PATIENT);
    proxy.drop();
    expect(await near.log.append(ACCOUNT, 0, commitOf('c1', 5))).toEqual({ appended: true, version: 1 });
    expect(idsOf(await stored())).toEqual(['c1']);
  });

  it('is accepted although other commits followed meanwhile', async () => {
    await open(PATIENT);
    proxy.hold('to-client');
    const appending = near.log.append(ACCOUNT, 0, commitOf('c1', 5));
    await expect.poll(stored, { timeout: 10_000 }).toHaveLength(1);
    await far.log.append(ACCOUNT, 1, commitOf('c2', 3));
    proxy.heal();
    expect(await appending).toEqual({ appended: true, version: 1 });
    expect(idsOf(await stored())).toEqual(['c1', 'c2']);
  });
});

describe('an append that arrives late', () => {
  it('is stored once, although a read had shown nothing and it was sent several times', async () => {
    await open(PATIENT);
    proxy.hold('to-server');
    const appending = near.log.append(ACCOUNT, 0, commitOf('c1', 5));
    expect(await stored()).toEqual([]);
    await attemptsPassed(3);
    proxy.heal();
    expect(await appending).toEqual({ appended: true, version: 1 });
    await near.connection.flush();
    expect(idsOf(await stored())).toEqual(['c1']);
  });

  it('is in doubt when time is up, and a repetition with the same command id is answered from it', async () => {
    await open(BOUNDS);
    const handler = handlerOn(near.log);
    await moveBy(handler, 5, 'k1');
    proxy.hold('to-server');
    expect(await errorOf(moveBy(handler, 3, 'k2'))).toBeInstanceOf(OutcomeUnknown);
    expect(await stored()).toHaveLength(1);
    proxy.heal();
    const again = await moveBy(handler, 3, 'k2');
    expect(again).toMatchObject({ outcome: 'accepted', version: 2, state: { balance: 8 }, repeated: true });
    expect(await stored()).toHaveLength(2);
  });

  it('is a conflict when another commit took its place in the meantime, and is never stored', async () => {
    await open(PATIENT);
    proxy.hold('to-server');
    const appending = near.log.append(ACCOUNT, 0, commitOf('c1', 5));
    await attemptsPassed(2);
    await far.log.append(ACCOUNT, 0, commitOf('other', 3));
    proxy.heal();
    expect(await appending).toEqual({ appended: false, conflict: ACCOUNT });
    await near.connection.flush();
    expect(idsOf(await stored())).toEqual(['other']);
  });

  it('is decided again by the handler on what took its place', async () => {
    await open(PATIENT);
    const handler = handlerOn(near.log);
    proxy.hold('to-server');
    const moving = handler.execute(
      account,
      ACCOUNT.id,
      put(5),
      { commandId: 'k1', actor: 'test' },
      { assumeNew: true },
    );
    await attemptsPassed(2);
    await moveBy(handlerOn(far.log), 10, 'k2');
    proxy.heal();
    expect(await moving).toMatchObject({
      outcome: 'rejected',
      rejection: { code: 'account/full' },
      version: 1,
    });
    expect(await stored()).toHaveLength(1);
  });
});

describe('a server that is killed', () => {
  it('after storing and before answering leaves doubt, and the repetition finds the commit', async () => {
    await open(BOUNDS);
    const handler = handlerOn(near.log);
    proxy.drop();
    const moving = errorOf(moveBy(handler, 5, 'k1'));
    await proxy.dropped();
    await server.kill9();
    expect(await moving).toBeInstanceOf(OutcomeUnknown);
    await restarted();
    expect(await moveBy(handler, 5, 'k1')).toMatchObject({ outcome: 'accepted', version: 1, repeated: true });
    expect(await stored()).toHaveLength(1);
  });

  it('before it got the commit leaves doubt, and the repetition stores it once', async () => {
    await open(BOUNDS);
    const handler = handlerOn(near.log);
    await moveBy(handler, 5, 'k1');
    proxy.drop(isPublishTo(`${TEST_LOG.prefix}.`));
    const moving = errorOf(moveBy(handler, 3, 'k2'));
    await proxy.dropped();
    await server.kill9();
    expect(await moving).toBeInstanceOf(OutcomeUnknown);
    await restarted();
    expect(await moveBy(handler, 3, 'k2')).toMatchObject({
      outcome: 'accepted',
      version: 2,
      repeated: false,
    });
    expect(await stored()).toHaveLength(2);
  });

  it('before a commit is sent is unavailable: nothing was stored, and the repetition is the first', async () => {
    await open(BOUNDS);
    const handler = handlerOn(near.log);
    await moveBy(handler, 5, 'k1');
    await server.kill9();
    await expect.poll(() => near.requests.connected(), { timeout: 10_000 }).toBe(false);
    expect(await errorOf(moveBy(handler, 3, 'k2'))).toBeInstanceOf(LogUnavailable);
    await restarted();
    expect(await stored()).toHaveLength(1);
    expect(await moveBy(handler, 3, 'k2')).toMatchObject({
      outcome: 'accepted',
      version: 2,
      repeated: false,
    });
  });
});

describe('a read that loses a message on the way', () => {
  it('is unavailable and never folded past the gap', async () => {
    await open(BOUNDS);
    const writer = handlerOn(far.log);
    for (const n of [1, 2, 3, 4]) await moveBy(writer, n, `k${n}`);
    const handler = handlerOn(near.log);
    proxy.drop(({ verb, body }) => verb === 'HMSG' && body.includes('Nats-Sequence: 2\r\n'));
    expect(await errorOf(handler.load(account, ACCOUNT.id))).toBeInstanceOf(LogUnavailable);
    proxy.heal();
    expect(await handler.load(account, ACCOUNT.id)).toEqual({
      state: { balance: 10, label: '' },
      version: 4,
    });
  });
});

describe('a commit of several aggregates', () => {
  const OTHER: StreamRef = { category: 'account', id: 'b' };
  const both = [
    { stream: ACCOUNT, expected: 0, commit: commitOf('c1', 5) },
    { stream: OTHER, expected: 0, commit: commitOf('c1', 7) },
  ];
  const all = async (): Promise<string[]> => {
    const { commits } = await far.log.read(OTHER, { after: 0, confirm: true });
    return [...idsOf(await stored()), ...idsOf(commits)];
  };

  it('whose answer is lost is accepted once, at the versions it was stored at', async () => {
    await open(PATIENT);
    proxy.drop();
    const appending = near.log.appendAll(both);
    await proxy.dropped();
    proxy.heal();
    expect(await appending).toEqual({ appended: true, versions: [1, 2] });
    expect(await all()).toEqual(['c1', 'c1']);
  });

  it('that loses one of its messages on the way is sent again as a whole', async () => {
    await open(PATIENT);
    let lost = 0;
    const toFirst = isPublishTo(`${TEST_LOG.prefix}.`);
    proxy.drop((frame) => toFirst(frame) && lost++ === 0);
    expect(await near.log.appendAll(both)).toEqual({ appended: true, versions: [1, 2] });
    expect(await all()).toEqual(['c1', 'c1']);
  });

  it('that arrives late is stored whole and once', async () => {
    await open(PATIENT);
    proxy.hold('to-server');
    const appending = near.log.appendAll(both);
    await attemptsPassed(2);
    proxy.heal();
    expect(await appending).toEqual({ appended: true, versions: [1, 2] });
    await near.connection.flush();
    expect(await all()).toEqual(['c1', 'c1']);
  });

  it('is not stored at all when one of its places was taken meanwhile', async () => {
    await open(PATIENT);
    proxy.hold('to-server');
    const appending = near.log.appendAll(both);
    await attemptsPassed(2);
    await far.log.append(OTHER, 0, commitOf('other', 3));
    proxy.heal();
    expect(await appending).toEqual({ appended: false, conflict: OTHER });
    await near.connection.flush();
    expect(await all()).toEqual(['other']);
  });
});

/** Resolves when a request of another kind has run into its timeout so often: the append has been sent again by then. */
async function attemptsPassed(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await errorOf(near.log.head());
}

/** The server is up again, and both clients have found it. */
async function restarted(): Promise<void> {
  proxy.heal();
  await server.restart();
  for (const { requests } of [near, far]) {
    await expect.poll(() => requests.connected(), { timeout: 10_000 }).toBe(true);
  }
}
