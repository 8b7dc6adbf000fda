import { create } from '@bufbuild/protobuf';
import { Int32ValueSchema } from '@bufbuild/protobuf/wkt';
import { describe, expect, it } from 'vitest';
import { codecOf } from '../../../src/eventstore/codec/event-codec.ts';
import type { RecordedCommit } from '../../../src/eventstore/log.ts';
import { positionOf } from '../../../src/eventstore/position.ts';
import { type Decision, DecisionSchema } from '../../../src/gen/jetledger/eventstore/v1/commit_pb.ts';
import { type AccountCommand, type AccountEvent, account } from '../../audit/account.ts';
import { checkHistory } from '../../audit/checker.ts';
import { fingerprintOf, type Operation, type Outcome, type Read } from '../../audit/history.ts';
import type { AuditReport, Fault } from '../../audit/report.ts';

type Op = Operation<AccountCommand>;

const codec = codecOf<AccountEvent>(account);
const put = (amount: number, label?: string): AccountCommand =>
  label === undefined ? { kind: 'move', amount } : { kind: 'move', amount, label };

/** A call from `invokedAt` to `completedAt`. */
function call(id: string, command: AccountCommand, times: [number, number?], outcome?: Outcome): Op {
  const [invokedAt, completedAt] = times;
  return {
    call: `${id}@${invokedAt}`,
    aggregate: 'a',
    commandId: id,
    command,
    expected: 'any',
    invokedAt,
    ...(completedAt === undefined ? {} : { completedAt }),
    ...(outcome === undefined ? {} : { outcome }),
  };
}

function decision(commandId: string, command: AccountCommand, events: readonly AccountEvent[]): Decision {
  const fingerprint = fingerprintOf(command) as Uint8Array<ArrayBuffer>;
  return create(DecisionSchema, {
    commandId,
    fingerprint,
    events: events.map((event) => codec.encode(event)),
  });
}

/** The decision that is legal on a state. */
function decided(id: string, command: AccountCommand, balance = 0, label = ''): Decision {
  const outcome = account.decide(command, { balance, label });
  return decision(id, command, Array.isArray(outcome) ? outcome : []);
}

function commit(position: number, previous: number, ...decisions: Decision[]): RecordedCommit {
  return {
    stream: { category: 'account', id: 'a' },
    position: positionOf(position),
    previous,
    commitId: `c${position}`,
    decisions,
  };
}

const accepted = (version: number, balance: number, label = '', repeated = false): Outcome => ({
  kind: 'accepted',
  version,
  repeated,
  state: { balance, label },
});

const check = (
  operations: readonly Op[],
  commits: readonly RecordedCommit[],
  reads: readonly Read[] = [],
  controls = 0,
): AuditReport => checkHistory(account, { operations, reads }, { commits, controls });

/** Somebody reads the state of `a`. */
function read(
  [invokedAt, completedAt]: [number, number],
  version: number,
  balance: number,
  label = '',
): Read {
  const state = { balance, label };
  return { read: 'state', reader: 'r', aggregate: 'a', invokedAt, completedAt, version, state };
}

/** Somebody asks where the log ends. */
function head([invokedAt, completedAt]: [number, number], version: number): Read {
  return { read: 'head', reader: 'r', invokedAt, completedAt, version };
}

const faults = (report: AuditReport): Fault[] => report.violations.map((violation) => violation.fault);

/** +5 and +4 acknowledged one after the other, then -3 in one commit with a label. */
const commits = [
  commit(1, 0, decided('w1', put(5))),
  commit(2, 1, decided('w2', put(4), 5)),
  commit(3, 2, decided('w3', put(-3, 'x'), 9), decided('w4', { kind: 'label', label: 'y' }, 6, 'x')),
];
const operations = [
  call('w1', put(5), [10, 20], accepted(1, 5)),
  call('w2', put(4), [30, 40], accepted(2, 9)),
  call('w3', put(-3, 'x'), [50, 60], accepted(3, 6, 'x')),
  call('w4', { kind: 'label', label: 'y' }, [51, 61], accepted(3, 6, 'y')),
];

describe('a history without a fault', () => {
  it('is clean and counted', () => {
    const report = check(operations, commits);
    expect(report.violations).toEqual([]);
    expect(report).toMatchObject({ attempted: 4, acknowledged: 4, commits: 3, decisions: 4, lost: 0 });
  });

  it('lets a command whose call was given up be stored or not', () => {
    const open = [
      operations[0],
      call('w2', put(4), [30, 35], { kind: 'unknown', code: 'log/outcome-unknown' }),
      ...operations.slice(2),
      call('w9', put(1), [70]),
    ].filter((op) => op !== undefined);
    const report = check(open, commits);
    expect(report.violations).toEqual([]);
    expect(report).toMatchObject({ unknownStored: 1, unknownNotStored: 1 });
  });

  it('lets a repeated command have the answer of the first', () => {
    const repeat = call('w1', put(5), [70, 80], accepted(1, 5, '', true));
    expect(check([...operations, repeat], commits)).toMatchObject({ violations: [], repeated: 1 });
  });

  it('lets a refusal and a no-op be right for a state that was current during their call', () => {
    const refused = call('w5', put(9), [35, 36], { kind: 'rejected', version: 1, code: 'account/full' });
    const idle = call('w6', { kind: 'label', label: 'x' }, [55, 65], {
      kind: 'unchanged',
      version: 3,
      state: { balance: 6, label: 'x' },
    });
    expect(check([...operations, refused, idle], commits).violations).toEqual([]);
  });

  it('lets a command be stored again once the aggregate need not remember it', () => {
    const steps = Array.from({ length: 300 }, (_, i) => put(i % 2 === 0 ? 1 : -1));
    const ids = steps.map((_, i) => (i === 299 ? 's1' : `s${i}`));
    const many = steps.map((step, i) => commit(i + 1, i, decided(ids[i] ?? '', step, i % 2)));
    const calls = steps.map((step, i) =>
      call(ids[i] ?? '', step, [i * 2, i * 2 + 1], accepted(i + 1, (i + 1) % 2)),
    );
    expect(check(calls, many)).toMatchObject({ violations: [], forgotten: 1, duplicated: 0 });
  });
});

describe('a planted fault is found:', () => {
  it('an acknowledged commit that is not in the log', () => {
    const report = check(operations, commits.slice(0, 1));
    expect(report.lost).toBe(3);
  });

  it('an acknowledged commit at another version than was told', () => {
    const wrong = call('w1', put(5), [10, 20], accepted(2, 5));
    expect(faults(check([wrong, ...operations.slice(1)], commits))).toContain('answer');
  });

  it('an answer with a state that the decision did not leave', () => {
    const wrong = call('w1', put(5), [10, 20], accepted(1, 6));
    expect(faults(check([wrong, ...operations.slice(1)], commits))).toEqual(['answer']);
  });

  it('a command that is stored twice', () => {
    const twice = [...commits, commit(4, 3, decided('w1', put(5), 6, 'y'))];
    const report = check(operations, twice);
    expect(report.duplicated).toBe(1);
  });

  it('the first command of an aggregate stored again, however late', () => {
    const many = Array.from({ length: 300 }, (_, i) =>
      commit(i + 1, i, decided(i === 299 ? 's0' : `s${i}`, put(i % 2 === 0 ? 1 : -1), i % 2)),
    );
    const calls = many.map(({ decisions: [d] }, i) =>
      call(d?.commandId ?? '', put(i % 2 === 0 ? 1 : -1), [i * 2]),
    );
    // The repetition has the content of a withdrawal, so its fingerprint is one of the call with that command.
    expect(check(calls, many).duplicated).toBe(1);
  });

  it('a decision that is not legal on the state before it', () => {
    const illegal = [...commits.slice(0, 2), commit(3, 2, decision('w3', put(5), [amount(5)]))];
    const asked = [...operations.slice(0, 2), call('w3', put(5), [50, 60], accepted(3, 14))];
    expect(faults(check(asked, illegal))).toEqual(['illegal']);
  });

  it('a decision of two events of which one is missing', () => {
    const half = [...commits.slice(0, 2), commit(3, 2, decision('w3', put(-3, 'x'), [amount(-3)]))];
    expect(faults(check(operations.slice(0, 3), half))).toContain('illegal');
  });

  it('a commit of two commands of which one is missing', () => {
    const half = [...commits.slice(0, 2), commit(3, 2, decided('w3', put(-3, 'x'), 9))];
    const report = check(operations, half);
    expect(report.lost).toBe(1);
  });

  it('a commit that does not follow the one it names', () => {
    const broken = [commits[0], { ...(commits[1] as RecordedCommit), previous: 0 }, commits[2]];
    expect(faults(check(operations, broken as RecordedCommit[]))).toEqual(['log']);
  });

  it('a position that is missing, and a commit id that is used again', () => {
    const gap = [commits[0], commits[1], { ...(commits[2] as RecordedCommit), position: 4, commitId: 'c1' }];
    const moved = operations.map((op, i) =>
      i < 2 || op.outcome?.kind !== 'accepted' ? op : { ...op, outcome: { ...op.outcome, version: 4 } },
    );
    expect(faults(check(moved, gap as RecordedCommit[]))).toEqual(['log', 'log']);
    // Unless a message of the log's own is there.
    expect(faults(check(moved, gap as RecordedCommit[], [], 1))).toEqual(['log']);
  });

  it.each<Outcome>([
    { kind: 'rejected', version: 1, code: 'account/full' },
    { kind: 'conflict', actual: 1 },
    { kind: 'not-sent', code: 'log/unavailable' },
  ])('a command that was answered with $kind and is in the log', (outcome) => {
    const refused = call('w2', put(4), [30, 40], outcome);
    expect(faults(check([operations[0] as Op, refused, ...operations.slice(2)], commits))).toContain(
      'refused-stored',
    );
  });

  it('a commit that nobody asked for', () => {
    expect(faults(check(operations.slice(0, 3), commits))).toEqual(['refused-stored']);
  });

  it('a refusal by a state that was over before the call began', () => {
    // At version 2 the balance is 9: +5 is refused there. At version 3 it is 6: +5 would be accepted.
    const stale = call('w5', put(5), [70, 80], { kind: 'rejected', version: 2, code: 'account/full' });
    expect(faults(check([...operations, stale], commits))).toEqual(['stale']);
  });

  it('a refusal by a state that came only after the call had ended', () => {
    const early = call('w5', put(9), [1, 2], { kind: 'rejected', version: 2, code: 'account/full' });
    expect(faults(check([...operations, early], commits))).toContain('stale');
  });

  it('a no-op on a label that was replaced before the call began', () => {
    const stale = call('w5', { kind: 'label', label: 'x' }, [70, 80], {
      kind: 'unchanged',
      version: 3,
      state: { balance: 6, label: 'x' },
    });
    expect(faults(check([...operations, stale], commits))).toEqual(['stale']);
  });

  it('a conflict that names a version which was over before the call began', () => {
    const stale = call('w5', put(1), [70, 80], { kind: 'conflict', actual: 1 });
    expect(faults(check([...operations, stale], commits))).toEqual(['stale']);
  });

  it('a repetition that is refused although the command was stored', () => {
    const refused = call('w2', put(4), [70, 80], { kind: 'rejected', version: 3, code: 'account/full' });
    expect(faults(check([...operations, refused], commits))).toContain('repeat');
  });

  it('a repetition that is answered as if it were the first', () => {
    const again = call('w1', put(5), [70, 80], accepted(1, 5));
    expect(faults(check([...operations, again], commits))).toEqual(['repeat']);
  });

  it('another command accepted under a used id, and a used id claimed where there is none', () => {
    const other = call('w1', put(3), [70, 80], accepted(1, 5, '', true));
    expect(faults(check([...operations, other], commits))).toEqual(['answer']);
    const fresh = call('w7', put(3), [70, 80], { kind: 'key-reused', version: 1 });
    expect(faults(check([...operations, fresh], commits))).toEqual(['answer']);
  });

  it('two calls one after the other whose commits are in the opposite order', () => {
    const swapped = [commit(1, 0, decided('w2', put(4))), commit(2, 1, decided('w1', put(5), 4))];
    const calls = [
      call('w1', put(5), [10, 20], accepted(2, 9)),
      call('w2', put(4), [30, 40], accepted(1, 4)),
    ];
    expect(faults(check(calls, swapped))).toEqual(['order']);
  });
});

describe('a confirmed read', () => {
  const faultsOf = (...reads: Read[]) => faults(check(operations, commits, reads));

  it('is right when its state was current at any moment of the read', () => {
    const reads = [
      read([1, 9], 0, 0),
      read([22, 24], 1, 5),
      // While w2 is stored: before it or after it.
      read([32, 34], 1, 5),
      read([35, 36], 2, 9),
      read([39, 70], 3, 6, 'y'),
      read([90, 95], 3, 6, 'y'),
    ];
    const report = check(operations, commits, reads);
    expect(report).toMatchObject({ violations: [], reads: 6, staleReads: 0 });
  });

  it('may find a command whose outcome nobody was told', () => {
    const open = [...operations.slice(0, 3), call('w4', { kind: 'label', label: 'y' }, [51])];
    expect(check(open, commits, [read([70, 80], 3, 6, 'y')]).violations).toEqual([]);
  });

  it('of what nobody has written finds nothing', () => {
    const absent: Read = { ...read([70, 80], 0, 0), aggregate: 'b' } as Read;
    expect(faultsOf(absent)).toEqual([]);
    expect(faultsOf({ ...absent, version: 2 } as Read)).toEqual(['answer']);
  });

  it('that failed is counted and says nothing', () => {
    const failed: Read = {
      read: 'failed',
      reader: 'r',
      invokedAt: 1,
      completedAt: 2,
      code: 'log/unavailable',
    };
    expect(check(operations, commits, [failed])).toMatchObject({ violations: [], failedReads: 1, reads: 0 });
  });

  it('is stale when a newer version was acknowledged before it began', () => {
    const report = check(operations, commits, [read([41, 42], 1, 5), read([70, 80], 2, 9)]);
    expect(faults(report)).toEqual(['stale-read', 'stale-read']);
    expect(report).toMatchObject({ reads: 2, staleReads: 2, violated: 2 });
  });

  it('is stale when it does not find what was there before it', () => {
    expect(faultsOf(read([21, 25], 0, 0))).toEqual(['stale-read']);
  });

  it('is stale when another read was told of a newer version before it began, although no writer was', () => {
    const open = [operations[0] as Op, call('w2', put(4), [30])];
    const one = [read([31, 33], 2, 9), read([34, 36], 1, 5)];
    expect(faults(check(open, commits.slice(0, 2), one))).toEqual(['stale-read']);
    // At the same time each may have its own.
    const both = [read([31, 35], 2, 9), read([34, 36], 1, 5)];
    expect(faults(check(open, commits.slice(0, 2), both))).toEqual([]);
  });

  it('is stale when a refusal named a newer version before it began', () => {
    const open = [operations[0] as Op, call('w2', put(4), [30])];
    const refused = call('w5', put(9), [31, 33], { kind: 'rejected', version: 2, code: 'account/full' });
    const report = check([...open, refused], commits.slice(0, 2), [read([34, 36], 1, 5)]);
    expect(faults(report)).toEqual(['stale-read']);
  });

  it('is impossible when its state was asked for only after it had ended', () => {
    expect(faultsOf(read([22, 28], 2, 9))).toContain('order');
  });

  it('is wrong with a state that its version did not leave, or that nobody else may see', () => {
    expect(faultsOf(read([70, 80], 3, 7, 'y'))).toEqual(['answer']);
    // Between the two decisions of one commit.
    expect(faultsOf(read([70, 80], 3, 6, 'x'))).toEqual(['answer']);
  });
});

describe('where the log ends', () => {
  it('is somewhere between what was told before the read and what was asked for before its answer', () => {
    const reads = [
      head([1, 9], 0),
      head([15, 16], 0),
      head([32, 34], 1),
      head([35, 36], 2),
      head([62, 70], 3),
    ];
    expect(check(operations, commits, reads)).toMatchObject({ violations: [], reads: 5 });
  });

  it('is stale when somebody had been told of more', () => {
    expect(faults(check(operations, commits, [head([62, 70], 2)]))).toEqual(['stale-read']);
    expect(faults(check(operations, commits, [head([62, 70], 3), head([71, 72], 2)]))).toEqual([
      'stale-read',
    ]);
  });

  it('is impossible behind what nobody had asked for', () => {
    expect(faults(check(operations, commits, [head([22, 25], 2)]))).toContain('order');
  });
});

describe('the order of the log', () => {
  it('is that of calls that did not overlap, also on several aggregates', () => {
    const on = (op: Op, aggregate: string): Op => ({ ...op, aggregate });
    const other = (c: RecordedCommit, id: string): RecordedCommit => ({ ...c, stream: { ...c.stream, id } });
    const calls = [
      on(call('w1', put(5), [10, 20], accepted(2, 5)), 'a'),
      on(call('w2', put(4), [30, 40], accepted(1, 4)), 'b'),
    ];
    const swapped = [other(commit(1, 0, decided('w2', put(4))), 'b'), commit(2, 0, decided('w1', put(5)))];
    expect(faults(check(calls, swapped))).toEqual(['order']);
  });
});

function amount(value: number): AccountEvent {
  return create(Int32ValueSchema, { value });
}
