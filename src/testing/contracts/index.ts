/**
 * What every store promises, as suites for vitest: for whoever writes a log, a bucket or timers of their own. The kernel's
 * own in memory and on NATS pass them.
 */
export { bucketContract } from './bucket-contract.ts';
export type { BucketUnderTest } from './bucket-support.ts';
export { forgettingContract } from './forgetting-contract.ts';
export { logContract } from './log-contract.ts';
export type { LogUnderTest } from './log-support.ts';
export { personKeysContract } from './person-keys-contract.ts';
export { type TimersUnderTest, timersContract } from './timers-contract.ts';
