import type { Meter } from '@opentelemetry/api';
import { labelSets } from '../label-sets.ts';
import type { CommandDone } from './watched-handler.ts';

/** Counts and times commands, by type and outcome; for `watchHandler`. */
export function meterCommands(meter: Meter): (done: CommandDone) => void {
  const commands = meter.createCounter('jetledger.commands', {
    description: 'Commands by what became of them',
  });
  const duration = meter.createHistogram('jetledger.command.duration', {
    unit: 's',
    description: 'From the call of a command to its answer',
  });
  const ofCommand = labelSets('category', 'command', 'outcome', 'code');
  const ofDuration = labelSets('category', 'outcome');
  return ({ category, command, outcome, code, ms }) => {
    commands.add(1, ofCommand(category, command, outcome, code));
    duration.record(ms / 1_000, ofDuration(category, outcome));
  };
}
