import { parseArgs } from 'node:util';
import { isRegistered, type UserState } from '../../domain/user.ts';
import { systemRuntime } from '../../eventstore/index.ts';
import { type ForgettingDesk, openForgettingDesk } from '../../service/personal/forget.ts';
import { withNats } from '../../service/with-nats.ts';
import { type Command, type CommandContext, UsageError } from '../command.ts';
import { asksForProof, PROOF_HELP, PROOF_OPTIONS, runProof } from '../prove/options.ts';

const OPTIONS = {
  reason: { type: 'string', default: '' },
  wait: { type: 'boolean', default: false },
  within: { type: 'string', default: '60' },
  json: { type: 'boolean', default: false },
  ...PROOF_OPTIONS,
} as const;

const LOOK_AGAIN_MS = 500;

export const forgetCommand: Command = {
  name: 'forget',
  usage:
    '<user id> [--reason TEXT] [--wait] | --collect FILE | --prove --values FILE [--backup DIR] [--json]',
  summary: 'Forget a person: destroy the key of whatever is stored of it; prove that nothing is left.',
  help: `Deactivates the user at once. The service that runs waits until its open orders have ended and privacy.graceMs is
over; until then it can be called off (POST /v1/users/<id>/forgetting/call-off). Then nothing that was stored of the
person can be read any more, by anybody, and its address is free. Orders stay. Asking again changes nothing and tells
how far it is. Where texts of the person are stored in plain it is refused, and says how to go on.

  --reason TEXT     why; stored encrypted, and forgotten with the person
  --wait            until it is done, for 60 seconds or --within SECONDS; exit code 1 when it is not
  --json            print JSON

It needs a NATS user that may append and read keys: that of the role api, or the owner's.

The proof (docs/privacy.md), for which the user of the role operator is enough:

${PROOF_HELP}

Examples:
  jetledger forget 0198c5a4-6c1e-7c7f-9d8e-0d9f2b1c3a4e --reason 'asked for it by letter' --wait
  jetledger forget 6f1c2f1e --collect values/ada
  jetledger forget 6f1c2f1e --prove --values values/ada --in /var/log/jetledger
  jetledger forget 6f1c2f1e --prove --values - --backup backups/2026-01-15 < values/ada`,
  run: async (args, context) => {
    const { positionals, values } = parseArgs({ args: [...args], allowPositionals: true, options: OPTIONS });
    const [userId, ...rest] = positionals;
    if (userId === undefined || rest.length > 0)
      throw new UsageError('Write it like this: jetledger forget <user id>');
    if (asksForProof(values)) return runProof(userId, values, context);
    const seconds = Number(values.within);
    if (!Number.isSafeInteger(seconds) || seconds < 1)
      throw new UsageError(`--within takes a whole number of seconds from 1, not ${values.within}.`);
    return forget(userId, { ...values, withinMs: values.wait ? seconds * 1_000 : 0 }, context);
  },
};

async function forget(
  userId: string,
  { reason, withinMs, json }: { readonly reason: string; readonly withinMs: number; readonly json: boolean },
  { config, print }: Pick<CommandContext, 'config' | 'print'>,
): Promise<number> {
  return withNats(config(), async (nats) => {
    const desk = await openForgettingDesk(config(), nats);
    const result = await desk.ask(userId, reason);
    if (result.outcome === 'rejected') {
      print(json ? JSON.stringify(result.rejection, null, 2) : result.rejection.message);
      return 1;
    }
    const state = await awaited(desk, userId, withinMs);
    print(json ? JSON.stringify(standOf(userId, state), null, 2) : sentenceOf(userId, state));
    return isErased(state) || withinMs === 0 ? 0 : 1;
  });
}

const isErased = (state: UserState): boolean => state.status === 'forgotten' && state.erasedAt !== undefined;

async function awaited(desk: ForgettingDesk, userId: string, withinMs: number): Promise<UserState> {
  const until = systemRuntime.now() + withinMs;
  for (;;) {
    const state = await desk.look(userId);
    if (isErased(state) || systemRuntime.now() >= until) return state;
    await systemRuntime.sleep(LOOK_AGAIN_MS);
  }
}

const time = (at: number): string => new Date(at).toISOString();

function standOf(userId: string, state: UserState): object {
  if (state.status === 'forgotten') {
    const { forgottenAt, erasedAt } = state;
    const erased =
      erasedAt === undefined ? { status: 'erasing' } : { status: 'done', erasedAt: time(erasedAt) };
    return { userId, ...erased, forgottenAt: time(forgottenAt) };
  }
  if (!isRegistered(state) || state.forgetting === undefined) return { userId, status: state.status };
  return { userId, status: 'requested', dueAt: time(state.forgetting.dueAt) };
}

function sentenceOf(userId: string, state: UserState): string {
  if (state.status === 'forgotten')
    return state.erasedAt === undefined
      ? `${userId} is forgotten since ${time(state.forgottenAt)}; its key is being destroyed.`
      : `${userId} is forgotten since ${time(state.forgottenAt)}, and its key destroyed since ${time(state.erasedAt)}.`;
  if (!isRegistered(state) || state.forgetting === undefined)
    return `${userId} was called off: ${state.status}.`;
  return `${userId} is to be forgotten from ${time(state.forgetting.dueAt)} on, once its open orders have ended.`;
}
