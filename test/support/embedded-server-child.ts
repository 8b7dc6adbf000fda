// Started by tests as a process of its own: runs an embedded server on the folder given until it is told to end.
import { findRunningServer, startEmbeddedServer } from '../../src/platform/nats-server/embedded.ts';
import { NatsServerError } from '../../src/platform/nats-server/errors.ts';
import { testServerBinary } from '../../src/testing/nats-server.ts';

const dataDir = process.argv[2] ?? '';
const server = await startEmbeddedServer({
  binary: await testServerBinary(),
  dataDir,
  port: -1,
  syncAlways: false,
}).catch((error: unknown) => {
  console.log(JSON.stringify({ error: error instanceof NatsServerError ? error.code : String(error) }));
  process.exit(1);
});

process.once('SIGINT', async () => {
  const answersAtInterrupt = (await findRunningServer(dataDir)) !== undefined;
  await server.stop();
  console.log(JSON.stringify({ answersAtInterrupt }));
});

console.log(JSON.stringify({ pid: server.pid, url: server.url }));
