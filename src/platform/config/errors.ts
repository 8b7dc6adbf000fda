import { maskUrl } from '../mask-url.ts';
import { type ConfigKey, KEYS_BY_NAME } from './keys.ts';
import { holdsAddress } from './mask.ts';

/** One thing that is wrong with the configuration. */
export interface ConfigProblem {
  /** The key, such as `http.port`, or the name that was taken for one. */
  readonly key: string;
  /** One line: what was given, where, and what is allowed. */
  readonly message: string;
}

/** The configuration cannot be used; the message has one line per problem, all of them at once. */
export class ConfigError extends Error {
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[]) {
    const lines = problems.map(({ key, message }) => `  ${key}: ${message}`);
    super(['the configuration cannot be used:', ...lines].join('\n'));
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** A value that its key does not accept. */
export function badValue(key: ConfigKey, value: unknown, origin: string): ConfigProblem {
  const given = value === undefined ? 'missing' : `given ${show(key, value)} (${origin})`;
  return { key: key.name, message: `${given}; allowed: ${key.allowed}` };
}

/** A value that is right by itself and wrong for another reason. */
export function ruleBroken(name: string, value: unknown, origin: string, rule: string): ConfigProblem {
  const key = KEYS_BY_NAME.get(name);
  const given = key === undefined ? JSON.stringify(value) : show(key, value);
  return { key: name, message: `given ${given} (${origin}); ${rule}` };
}

function show(key: ConfigKey, value: unknown): string {
  if (key.secret && value !== '') return '***';
  return JSON.stringify(holdsAddress(key.name) && typeof value === 'string' ? maskUrl(value) : value);
}
