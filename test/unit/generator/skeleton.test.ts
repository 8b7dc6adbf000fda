import { expect, it } from 'vitest';
import { CannotMake } from '../../../src/generator/names.ts';
import type { NewFile } from '../../../src/generator/parts.ts';
import { skeletonOf } from '../../../src/generator/skeleton.ts';

const PATH = 'proto/library/loan/v1/loan.proto';
const skeleton = (proto: string, list = 'src/service.ts'): NewFile[] =>
  skeletonOf({ service: 'library', name: 'loan', path: PATH, proto }, { list });
const deciderOf = (proto: string): string => skeleton(proto)[0]?.text ?? '';

it('makes a decider, its routes and its test of the events of a proto', () => {
  const files = skeleton('message LoanBegun {}\nmessage LoanEnded { int64 at = 1; }\n');
  expect(files.map(({ path }) => path)).toEqual([
    'src/domain/loan.ts',
    'src/routes/loans.ts',
    'test/loan.test.ts',
  ]);
  const [decider, routes, test] = files.map(({ text }) => text);
  expect(decider).toContain('export type LoanEvent = LoanBegun | LoanEnded;');
  expect(decider).toContain("from '../gen/library/loan/v1/loan_pb.ts'");
  expect(routes).toContain('/v1/loans/:id/');
  expect(test).toContain('const record = create(LoanBegunSchema);');
});

it('takes no message for an event that others are made of', () => {
  const proto = `
message LoanBegun { repeated Copy copies = 1; map<string, Note> notes = 2; oneof by { Reader reader = 3; } }
message Copy { string book = 1; }
message Note { string text = 1; }
message Reader { string name = 1; }
`;
  expect(deciderOf(proto)).toContain('export type LoanEvent = LoanBegun;');
});

it('takes no nested message, enum, service, or what only a comment says, for an event', () => {
  const proto = `
// message Old {}
/* message Older { string x = 1; } */
enum Kind { KIND_UNSPECIFIED = 0; }
service Loans { rpc Begin(BeginRequest) returns (BeginAnswer); }
message BeginRequest {}
message BeginAnswer {}
message LoanBegun { // LoanEnded comes later
  message Copy { string book = 1; }
  repeated Copy copies = 1;
  Kind kind = 2;
}
message LoanEnded {}
`;
  expect(deciderOf(proto)).toContain('export type LoanEvent = LoanBegun | LoanEnded;');
});

it('refuses a proto without events, and a service that it cannot add to', () => {
  expect(() => skeleton('syntax = "proto3";\nenum Kind { KIND_UNSPECIFIED = 0; }\n')).toThrow(
    `${PATH} has no event: write a message for each thing that happens to loan there first.`,
  );
  expect(() => skeleton('message LoanBegun {}', 'src/service/shop.ts')).toThrow(CannotMake);
});
