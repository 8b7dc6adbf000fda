import type { JetStreamManager, StreamConfig } from '@nats-io/jetstream';
import { TimeoutError } from '@nats-io/transport-node';

const TRIES = 4;

/**
 * Creates a stream. A cluster that elects a leader meanwhile may drop the request or its answer; it is then sent again,
 * the same to the letter, which a server that has made the stream answers as if it had just done so.
 * @throws TimeoutError when no answer came to any of four requests; the server's error when it refuses
 */
export async function addStream(
  jsm: JetStreamManager,
  config: Partial<StreamConfig> & { readonly name: string },
): Promise<StreamConfig> {
  for (let tries = 1; ; tries++) {
    try {
      return (await jsm.streams.add(config)).config;
    } catch (error) {
      if (!(error instanceof TimeoutError) || tries === TRIES) throw error;
    }
  }
}
