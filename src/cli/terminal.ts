import { userInfo } from 'node:os';
import { styleText } from 'node:util';
import { UsageError } from './command.ts';

type Colour = 'green' | 'yellow' | 'red' | 'dim';

/** Coloured on a terminal, plain elsewhere and where `NO_COLOR` is set. */
export function paint(colour: Colour, text: string): string {
  return styleText(colour, text);
}

/** For commands whose doing is kept with who did it. */
export const ACTOR_OPTION = { actor: { type: 'string' } } as const;

export const ACTOR_HELP =
  '--actor NAME says who asks, default the login name. It is kept with the request, never in the log.';

const NAME = /^[^\p{C}\p{Zl}\p{Zp}]{1,100}$/u;

/** Who asks for something. @throws UsageError */
export function actorOf(given: string | undefined): string {
  const name = (given ?? loginName()).trim();
  if (NAME.test(name)) return name;
  throw new UsageError('--actor takes a name of 1 to 100 characters on one line.');
}

function loginName(): string {
  try {
    return userInfo().username;
  } catch {
    // A user without an entry, as in a container.
    return `uid ${process.getuid?.() ?? 'unknown'}`;
  }
}
