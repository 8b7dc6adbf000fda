import { PermissionDenied, reasonOf } from '../../eventstore/index.ts';

/** What a check found, and what to do about it. */
export interface Finding {
  readonly check: string;
  /**
   * `warn` = worth knowing, works without anybody; `fail` = somebody has to do something; `skip` = not looked at, since
   * it follows from another finding.
   */
  readonly level: 'ok' | 'warn' | 'fail' | 'skip';
  readonly detail: string;
  /** Missing where nothing is to be done, or the detail says it. */
  readonly advice?: string;
  /** The check whose failure this follows from. */
  readonly follows?: string;
  /** What `jetledger doctor --fix` does about it: a command that can lose nothing. */
  readonly fix?: readonly [command: 'topology' | 'rebuild', argument: string];
}

export const ok = (check: string, detail: string): Finding => ({ check, level: 'ok', detail });
export const warn = (check: string, detail: string, advice: string): Finding => ({
  check,
  level: 'warn',
  detail,
  advice,
});
export const fail = (check: string, detail: string, advice: string): Finding => ({
  check,
  level: 'fail',
  detail,
  advice,
});

/** What follows from a failure is told as that: it has no cure of its own. */
export const skip = (check: string, root: string): Finding => ({
  check,
  level: 'skip',
  detail: `follows from ${root}`,
  follows: root,
});

/** One thing to look at. */
export interface Check {
  readonly name: string;
  /** What must not have failed, or this one could only tell symptoms: names of findings. */
  readonly restsOn: readonly string[];
  /** What to do when it cannot even look. */
  readonly advice: string;
  look(): Promise<Finding | readonly Finding[]>;
}

const LONGEST_MS = 20_000;

/** Looks in the order given; a check that rests on something that failed is not looked at. */
export async function runChecks(checks: readonly Check[]): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  const roots = new Map<string, string>();
  for (const check of checks) {
    const root = check.restsOn.map((name) => roots.get(name)).find((known) => known !== undefined);
    const found = root === undefined ? await bounded(check, roots) : [skip(check.name, root)];
    for (const { check: name, level, follows } of found) {
      if (level === 'fail') roots.set(name, name).set(check.name, name);
      if (follows !== undefined) roots.set(check.name, follows);
    }
    findings.push(...found);
  }
  return findings;
}

/** A check that throws or takes too long is a finding, too. */
async function bounded(
  { name, advice, look }: Check,
  roots: ReadonlyMap<string, string>,
): Promise<readonly Finding[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${LONGEST_MS / 1_000} s`)), LONGEST_MS);
  });
  try {
    const found = await Promise.race([look(), late]);
    return 'check' in found ? [found] : found;
  } catch (error) {
    if (roots.has('permissions') && isDenial(error)) return [skip(name, 'permissions')];
    return [fail(name, reasonOf(error), advice)];
  } finally {
    clearTimeout(timer);
  }
}

/** Both the store's own error and the client library's. */
export function isDenial(error: unknown): boolean {
  return error instanceof PermissionDenied || /permissions violation/i.test(reasonOf(error));
}
