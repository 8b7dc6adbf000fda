import { parseArgs } from 'node:util';
import type { Cipher } from './server.ts';

export interface ScaleOptions {
  /** Aggregates in the largest log. */
  readonly aggregates: number;
  /** The logs compared, as numbers of aggregates, smallest first. */
  readonly sizes: readonly number[];
  /** How often everything is measured, the logs taking turns. */
  readonly rounds: number;
  /** Folder for the data, kept afterwards; a temporary one that is removed unless given. */
  readonly data: string | undefined;
  readonly cipher: Cipher;
  /** Measure what an aggregate's state on the server costs, on one log, instead of comparing logs. */
  readonly states: boolean;
  /** Measure as many keys of persons instead. */
  readonly keys: boolean;
}

/** What the command line asks for. */
export type Asked = { readonly run: ScaleOptions } | { readonly help: string } | { readonly wrong: string };

const CIPHERS: readonly Cipher[] = ['none', 'aes', 'chachapoly'];
const SMALLER_SIZES = [10_000, 100_000];
const AGGREGATES = { from: 5_000, to: 5_000_000 };
const ROUNDS = { from: 1, to: 10 };

const HELP = `npm run scale -- [--aggregates N] [--rounds N | --states | --keys] [--cipher NAME] [--data DIR]

Writes logs of 10,000, 100,000 and N aggregates (five commits of one event each) to nats-servers of its own and
reports as Markdown: latency of appends and commands, memory, disk and restart time of each, side by side.

  --aggregates N  aggregates in the largest log, ${AGGREGATES.from} to ${AGGREGATES.to}; 1000000 unless given.
                  20000 takes about a minute, 1000000 about a quarter of an hour and 6 GB of disk.
  --rounds N      rounds of measuring, ${ROUNDS.from} to ${ROUNDS.to}; 5 unless given
  --states        one log of N aggregates only: server CPU by the state of an aggregate (never touched, touched within
                  two minutes, in memory), how the log warms itself, memory, restarts, replay, backup
  --keys          keys of N persons only: memory and disk of the server, its starts, and a process that uses them
  --cipher NAME   how the servers encrypt what they store: none, aes or chachapoly; none unless given
  --data DIR      a missing or empty folder for the data, which is kept; else a temporary one is used and removed
  --help          this text

Progress goes to standard error, the report to standard output. Ctrl-C stops the servers.`;

/** Reads the command line (without program and script). */
export function readOptions(args: readonly string[]): Asked {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        aggregates: { type: 'string', default: '1000000' },
        rounds: { type: 'string', default: '5' },
        data: { type: 'string' },
        cipher: { type: 'string', default: 'none' },
        states: { type: 'boolean', default: false },
        keys: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h', default: false },
      },
    });
    if (values.help) return { help: HELP };
    if (values.data === '') return { wrong: '--data needs the name of a folder' };
    const aggregates = wholeNumber('--aggregates', values.aggregates, AGGREGATES);
    const rounds = wholeNumber('--rounds', values.rounds, ROUNDS);
    const { data, states, keys } = values;
    const cipher = CIPHERS.find((name) => name === values.cipher);
    if (cipher === undefined) return { wrong: `--cipher must be one of ${CIPHERS.join(', ')}` };
    const smaller = states ? [] : SMALLER_SIZES.filter((size) => size < aggregates);
    return { run: { aggregates, sizes: [...smaller, aggregates], rounds, data, cipher, states, keys } };
  } catch (error) {
    return { wrong: error instanceof Error ? error.message : String(error) };
  }
}

function wholeNumber(name: string, text: string, { from, to }: { from: number; to: number }): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= from && value <= to) return value;
  throw new RangeError(`${name} must be a whole number from ${from} to ${to}, not ${text}`);
}
