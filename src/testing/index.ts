/**
 * The door of the test kit: the log, buckets and timers of the kernel in memory, with a clock and faults that a seed
 * decides. They pass the same contract as those on NATS.
 */
export {
  type Given,
  type GivenCommit,
  type GivenRows,
  given,
  givenCommits,
  type When,
} from './given.ts';
export { type GivenProcess, givenProcess, type HappensAt, type WhenProcess } from './given-process.ts';
export { decodeGolden, type Golden, goldenOf, goldenProblems, keepGolden } from './golden.ts';
export {
  createMemoryBucket,
  createMemoryBucketStore,
  createMemoryBucketStores,
  type MemoryBucketOptions,
  type MemoryBucketStore,
  type MemoryBucketStores,
  openMemoryBucket,
  openMemoryBuckets,
} from './memory-bucket.ts';
export { createMemoryIndexes, type MemoryIndexFiles } from './memory-indexes.ts';
export {
  createMemoryLog,
  createMemoryStore,
  type MemoryLogOptions,
  type MemoryStore,
  type MemoryStoreOptions,
  openMemoryLog,
} from './memory-log.ts';
export {
  createMemoryTimerStore,
  type MemoryTimerStore,
  type MemoryTimersOptions,
  openMemoryTimers,
} from './memory-timers.ts';
export {
  type ClusterRoutes,
  startTestCluster,
  type TestCluster,
  type TestClusterOptions,
} from './nats-cluster.ts';
export { startTestServer, type TestServer, type TestServerOptions } from './nats-server.ts';
export {
  inTestLedger,
  type TestLedger,
  type TestLedgerOptions,
  type TestParts,
} from './test-ledger.ts';
export {
  createPrng,
  createWorld,
  type Fate,
  type Faults,
  NO_FAULTS,
  type Prng,
  ScheduleError,
  type World,
  type WorldOptions,
} from './world.ts';
