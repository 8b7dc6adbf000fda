import { fileURLToPath } from 'node:url';
import type { EventSource } from '../../src/eventstore/decider.ts';
import { markEvents } from '../../src/eventstore/marks/marks.ts';
import { aggregates } from '../../src/service/shop.ts';

/** Whose events are stored: the aggregates, and the marks of the log itself. */
export const sources: readonly EventSource[] = [...aggregates, markEvents];

/** Where their golden bytes are kept. */
export const GOLDEN_FOLDER = fileURLToPath(new URL('.', import.meta.url));
