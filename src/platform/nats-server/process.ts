import { type ChildProcess, spawn } from 'node:child_process';
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

/** How a guarded server ended. */
export interface ServerExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A server under its guard. */
export interface GuardedServer {
  /** Settles once, when server and guard are gone. */
  readonly exited: Promise<ServerExit>;
  /** Asks the guard to end the server: gently first, by force after `GENTLE_STOP_SECONDS`. */
  release(): void;
}

/** How long the guard waits after SIGTERM before it sends SIGKILL. */
export const GENTLE_STOP_SECONDS = 5;

// The guard holds the read end of a pipe from us. It closes when we release it and also when we are killed, which is
// the one event that reaches a process whose parent got SIGKILL. The server must not inherit that pipe.
// $1 = where to write the server's process id, $2 = seconds between SIGTERM and SIGKILL, the rest = the command.
const GUARD_SCRIPT = `
exec 3<&0
pid_file=$1; patience=$2; shift 2
"$@" </dev/null 3<&- &
server=$!
echo "$server" >"$pid_file"
(
  while read -r _ <&3; do :; done
  kill -TERM "$server" 2>/dev/null
  while [ "$patience" -gt 0 ] && kill -0 "$server" 2>/dev/null; do sleep 1; patience=$((patience - 1)); done
  kill -KILL "$server" 2>/dev/null
) </dev/null >/dev/null 2>&1 &
watcher=$!
exec 3<&-
wait "$server"
code=$?
kill "$watcher" 2>/dev/null
exit "$code"
`;

/**
 * Starts `command` so that it cannot outlive this process, not even when this process gets SIGKILL.
 * It runs in a session of its own: Ctrl-C at the terminal reaches us only, and we end it in our own order.
 *
 * @param pidFile where the process id of the server itself is written
 * @param logFd   open file descriptor for what the server writes
 */
export function spawnGuarded(command: readonly string[], pidFile: string, logFd: number): GuardedServer {
  const guard = spawn(
    '/bin/sh',
    ['-c', GUARD_SCRIPT, 'jetledger-guard', pidFile, String(GENTLE_STOP_SECONDS), ...command],
    { detached: true, stdio: ['pipe', logFd, logFd] },
  );
  // A guard that is already gone closes the pipe under us; its exit is what we act on.
  guard.stdin?.on('error', () => undefined);
  return { exited: exitOf(guard), release: () => guard.stdin?.end() };
}

function exitOf(guard: ChildProcess): Promise<ServerExit> {
  return new Promise((resolve, reject) => {
    guard.once('error', reject);
    guard.once('exit', (code, signal) => resolve({ code, signal }));
  });
}
