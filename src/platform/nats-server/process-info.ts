import { readFileSync } from 'node:fs';

/** True when a process with this id exists (also one of another user). */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  return !isZombie(pid);
}

/**
 * When the process began, as the kernel counts it, so that a process id that was given out again is not mistaken for
 * its former owner. `0` where the system does not tell (no `/proc`): then the id alone has to do.
 */
export function startTimeOf(pid: number): string {
  return statFields(pid)?.[19] ?? '0';
}

/** True when the process lives and was started with `argument` on its command line (unknown command line: true). */
export function runsWithArgument(pid: number, argument: string): boolean {
  if (!isAlive(pid)) return false;
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(argument);
  } catch {
    return isAlive(pid);
  }
}

function isZombie(pid: number): boolean {
  return statFields(pid)?.[0] === 'Z';
}

// The second field is the program's name in brackets and may hold blanks: count from the last bracket.
function statFields(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined;
  }
}
