import { randomUUID } from 'node:crypto';
import { readEnvironment } from './config/environment.ts';
import { instanceIdOf } from './config/standard-variables.ts';

/**
 * Which process this is, the same in its lines, metrics and traces. A process id would not do: in every container it
 * is 1.
 */
export const INSTANCE_ID = instanceIdOf(readEnvironment()) ?? randomUUID();
