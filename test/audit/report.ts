/** What can be wrong with a history; the first two have columns of their own. */
export type Fault =
  /** An acknowledged commit is not in the log. */
  | 'lost'
  /** A command is stored more than once although it had to be remembered. */
  | 'duplicated'
  /** An answer names another version or state than the log has. */
  | 'answer'
  /** A snapshot is not the fold of the log up to its version. */
  | 'snapshot'
  /** A stored decision is not what its command comes to on the state before it; also when it is half there. */
  | 'illegal'
  /** Something is stored that was refused, or that nobody asked for. */
  | 'refused-stored'
  /** A refusal or no-op was right for no state that existed during its call. */
  | 'stale'
  /** A confirmed read told a state that was not the current one at any moment of the read. */
  | 'stale-read'
  /** A command that was stored before was answered as if it were not. */
  | 'repeat'
  /** The log's order contradicts the order of calls that did not overlap. */
  | 'order'
  /** A position is missing, a commit id is used twice, a commit does not follow the one it names, bytes do not decode. */
  | 'log';

export interface Violation {
  readonly fault: Fault;
  /** One line: what, where, and what was expected. */
  readonly message: string;
}

/** What became of all calls, and whether the log agrees. */
export interface AuditReport {
  /** Calls that were made. */
  attempted: number;
  /** Calls answered with "accepted". */
  acknowledged: number;
  /** Of these, answered from an earlier call. */
  repeated: number;
  unchanged: number;
  rejected: number;
  conflicts: number;
  keyReused: number;
  /** Calls that ended with the promise that nothing was stored. */
  notSent: number;
  /** Commands that some call gave up in doubt, or whose writer died: found stored or not. */
  unknownStored: number;
  unknownNotStored: number;
  /** Commands stored twice because the repetition came after more commands than an aggregate remembers: allowed. */
  forgotten: number;
  commits: number;
  decisions: number;
  /** Confirmed reads that were answered, and that were not. */
  reads: number;
  failedReads: number;
  /** Of those answered; violations too. */
  staleReads: number;
  lost: number;
  duplicated: number;
  violated: number;
  /** The first ones of each kind, explained. */
  readonly violations: Violation[];
}

/** Explanations kept of each kind; all are counted. */
const EXPLAINED = 5;

export function emptyReport(): AuditReport {
  return {
    attempted: 0,
    acknowledged: 0,
    repeated: 0,
    unchanged: 0,
    rejected: 0,
    conflicts: 0,
    keyReused: 0,
    notSent: 0,
    unknownStored: 0,
    unknownNotStored: 0,
    forgotten: 0,
    commits: 0,
    decisions: 0,
    reads: 0,
    failedReads: 0,
    staleReads: 0,
    lost: 0,
    duplicated: 0,
    violated: 0,
    violations: [],
  };
}

/** Counts a violation and keeps its explanation while there is room. */
export function addViolation(report: AuditReport, fault: Fault, message: string): void {
  if (fault === 'lost') report.lost++;
  else if (fault === 'duplicated') report.duplicated++;
  else report.violated++;
  if (fault === 'stale-read') report.staleReads++;
  const alike = report.violations.filter((violation) => violation.fault === fault).length;
  if (alike < EXPLAINED) report.violations.push({ fault, message });
}

/** Whether the log kept every promise. */
export function isClean(report: AuditReport): boolean {
  return report.lost + report.duplicated + report.violated === 0;
}

/** The report as a table for a terminal, followed by the violations. */
export function formatReport(report: AuditReport): string {
  const rows = Object.entries(report).flatMap(([key, value]) =>
    typeof value === 'number' ? [`  ${labelOf(key).padEnd(22)}${String(value).padStart(10)}`] : [],
  );
  const explained = report.violations.map(({ fault, message }) => `  ${fault}: ${message}`);
  return [
    ...rows,
    ...(explained.length > 0 ? ['Violations (the first of each kind):', ...explained] : []),
  ].join('\n');
}

function labelOf(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}
